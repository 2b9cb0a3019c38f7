"""A saved result of whatever kind, by the schema that it names."""

import os
from typing import Any

from seepage.errors import DataFileError
from seepage.schema.audit import AuditResult
from seepage.schema.kinds import BODIES, AnyResult
from seepage.schema.saved import kind_of, read_values

OLD_RELEASE = "release-audit"  # audits by setting, in one file without headline or provenance


def load_result(path: str | os.PathLike) -> AnyResult:
    """The result in a file, or in the folder that holds `result.json`.

    Raises:
        DataFileError: the file is missing, too large, is not JSON, or follows no schema known here.
    """
    file, values = read_values(path, AuditResult.WRITTEN_BY)
    if any(_kind(part) == OLD_RELEASE for part in (values, *values.values())):
        raise DataFileError(
            f"{file} is an audit of a release from before such audits had a page: it is plain JSON to read, and "
            "'seepage synthesise --audit' now writes a result.json and a report beside the release"
        )
    return BODIES.get(_kind(values), AuditResult).of(file, values)


def _kind(values: Any) -> str:
    return kind_of(str(values.get("schema"))) if isinstance(values, dict) else ""
