"""A saved result of whatever kind, by the schema that it names."""

import json
import os
from pathlib import Path

from seepage.report.comparison_result import ComparisonResult
from seepage.report.inversion_result import InversionResult
from seepage.report.result import AuditResult
from seepage.report.trust_result import TrustResult


def load_result(path: str | os.PathLike) -> AuditResult | TrustResult | ComparisonResult | InversionResult:
    """The result in a file, or in the folder that holds `result.json`.

    Raises:
        DataFileError: the file is missing, is not JSON, or follows no schema known here.
    """
    file = Path(path)
    file = file / "result.json" if file.is_dir() else file
    try:
        schema = str(json.loads(file.read_text()).get("schema", ""))
    except (OSError, ValueError, AttributeError):
        schema = ""  # an audit's loader says what is wrong with it
    kinds = {
        "seepage.trust": TrustResult,
        "seepage.comparison": ComparisonResult,
        "seepage.inversion": InversionResult,
    }
    return kinds.get(schema.split("/")[0], AuditResult).load(file)
