"""A saved result of whatever kind, by the schema that it names."""

import os

from seepage.errors import DataFileError
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.schema.inversion import InversionResult
from seepage.schema.saved import read_values
from seepage.schema.trust import TrustResult

RELEASE = "seepage.release-audit/"


def load_result(path: str | os.PathLike) -> AuditResult | TrustResult | ComparisonResult | InversionResult:
    """The result in a file, or in the folder that holds `result.json`.

    Raises:
        DataFileError: the file is missing, too large, is not JSON, or follows no schema known here.
    """
    file, values = read_values(path, AuditResult.WRITTEN_BY)
    if any(
        isinstance(part, dict) and str(part.get("schema")).startswith(RELEASE) for part in (values, *values.values())
    ):
        raise DataFileError(
            f"{file} is the audit of a release, which has no page: expected the result of an audit, a study or a "
            "comparison. 'seepage synthesise --audit' prints its table; the file is plain JSON."
        )
    kinds = {kind.SCHEMA.split("/")[0]: kind for kind in (TrustResult, ComparisonResult, InversionResult)}
    return kinds.get(str(values.get("schema")).split("/")[0], AuditResult).of(file, values)
