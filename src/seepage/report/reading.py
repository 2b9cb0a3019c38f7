"""A saved result of whatever kind, by the schema that it names."""

import os

from seepage.report.comparison_result import ComparisonResult
from seepage.report.inversion_result import InversionResult
from seepage.report.result import AuditResult
from seepage.report.saved import read_values
from seepage.report.trust_result import TrustResult


def load_result(path: str | os.PathLike) -> AuditResult | TrustResult | ComparisonResult | InversionResult:
    """The result in a file, or in the folder that holds `result.json`.

    Raises:
        DataFileError: the file is missing, too large, is not JSON, or follows no schema known here.
    """
    file, values = read_values(path, AuditResult.WRITTEN_BY)
    kinds = {kind.SCHEMA.split("/")[0]: kind for kind in (TrustResult, ComparisonResult, InversionResult)}
    return kinds.get(str(values.get("schema")).split("/")[0], AuditResult).of(file, values)
