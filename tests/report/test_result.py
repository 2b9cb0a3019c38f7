import json
from pathlib import Path

import pytest

from seepage.errors import DataFileError, InputError
from seepage.schema.__main__ import text
from seepage.schema.audit import AuditResult
from seepage.schema.estimates import Estimate
from seepage.schema.kinds import BODIES

PUBLISHED = Path(__file__).parents[2] / "docs" / "result.schema.json"


def test_the_published_schema_is_current():
    """After a change: python -m seepage.schema > docs/result.schema.json"""
    assert PUBLISHED.read_text() == text()


def test_it_says_for_every_kind_which_file_is_of_it():
    published = json.loads(PUBLISHED.read_text())
    assert published["discriminator"]["propertyName"] == "schema"
    kinds = {name: to.removeprefix("#/$defs/") for name, to in published["discriminator"]["mapping"].items()}
    assert kinds == {body.SCHEMA: body.__name__ for body in BODIES.values()}
    for schema, name in kinds.items():
        assert published["$defs"][name]["properties"]["schema"]["const"] == schema


def test_a_result_survives_its_file(variant, tmp_path):
    variant.save(tmp_path / "result.json")
    assert AuditResult.load(tmp_path) == variant


def test_a_file_that_is_no_result_is_named(tmp_path):
    with pytest.raises(DataFileError, match="no result at"):
        AuditResult.load(tmp_path)
    (tmp_path / "result.json").write_text('{"schema": "seepage.audit/2"}')
    with pytest.raises(DataFileError, match=r"is not a seepage\.audit/2 result"):
        AuditResult.load(tmp_path)


def test_what_a_result_cannot_hold_is_an_error_of_this_package(variant):
    """Whatever the check at the start missed: a user never meets pydantic."""
    values = {name: getattr(variant, name) for name in type(variant).model_fields if name != "schema_"}
    twice = [variant.attacks[0]] * 2
    for wrong in ({"attacks": twice}, {"attacks": []}, {"claim": "maybe"}):
        with pytest.raises(InputError, match=r"the result cannot be made: AuditResult"):
            AuditResult(**values | wrong)
    with pytest.raises(InputError, match=r"Estimate\.n: "):
        Estimate(value=0.5, low=None, high=None, n="many")
