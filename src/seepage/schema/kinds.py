"""The kinds of result, each by the name that its schema has: what `seepage report` reads and the JSON schema lists."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.schema.inversion import InversionResult
from seepage.schema.release import ReleaseResult
from seepage.schema.trust import TrustResult

AnyResult = AuditResult | ComparisonResult | InversionResult | ReleaseResult | TrustResult

BODIES: dict[str, type[AnyResult]] = {body.KIND: body for body in AnyResult.__args__}


def json_schema() -> dict[str, object]:
    """One JSON schema of everything that is saved; the value of "schema" says which kind a file holds."""
    union = TypeAdapter(Annotated[AnyResult, Field(discriminator="schema_")])
    return union.json_schema(mode="serialization")
