import json
from pathlib import Path

import pytest

from seepage.errors import DataFileError
from seepage.report.result import AuditResult
from seepage.report.schema import schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "result.schema.json"


def test_the_published_schema_is_current():
    """After a change: python -m seepage.report.schema > docs/result.schema.json"""
    assert json.loads(PUBLISHED.read_text()) == json.loads(schema())


def test_a_result_survives_its_file(variant, tmp_path):
    variant.save(tmp_path / "result.json")
    assert AuditResult.load(tmp_path) == variant


def test_a_file_that_is_no_result_is_named(tmp_path):
    with pytest.raises(DataFileError, match="no result at"):
        AuditResult.load(tmp_path)
    (tmp_path / "result.json").write_text('{"schema": "seepage.audit/2"}')
    with pytest.raises(DataFileError, match=r"is not a seepage\.audit/2 result"):
        AuditResult.load(tmp_path)
