"""The published JSON schemas of results.

python -m seepage.schema > docs/result.schema.json
python -m seepage.schema trust > docs/trust.schema.json
python -m seepage.schema comparison > docs/comparison.schema.json
python -m seepage.schema inversion > docs/inversion.schema.json
"""

import json
import sys

from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.schema.inversion import InversionResult
from seepage.schema.saved import Saved
from seepage.schema.trust import TrustResult

KINDS = {"audit": AuditResult, "trust": TrustResult, "comparison": ComparisonResult, "inversion": InversionResult}


def schema(kind: type[Saved] = AuditResult) -> str:
    """JSON schema of what `save` of this kind of result writes."""
    return json.dumps(kind.model_json_schema(mode="serialization"), indent=1) + "\n"


if __name__ == "__main__":
    print(schema(KINDS[sys.argv[1] if sys.argv[1:] else "audit"]), end="")
