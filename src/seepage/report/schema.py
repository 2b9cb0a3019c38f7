"""The published JSON schemas of results.

python -m seepage.report.schema > docs/result.schema.json
python -m seepage.report.schema trust > docs/trust.schema.json
python -m seepage.report.schema comparison > docs/comparison.schema.json
python -m seepage.report.schema inversion > docs/inversion.schema.json
"""

import json
import sys

from seepage.report.comparison_result import ComparisonResult
from seepage.report.inversion_result import InversionResult
from seepage.report.result import AuditResult
from seepage.report.saved import Saved
from seepage.report.trust_result import TrustResult

KINDS = {"audit": AuditResult, "trust": TrustResult, "comparison": ComparisonResult, "inversion": InversionResult}


def schema(kind: type[Saved] = AuditResult) -> str:
    """JSON schema of what `save` of this kind of result writes."""
    return json.dumps(kind.model_json_schema(mode="serialization"), indent=1) + "\n"


if __name__ == "__main__":
    print(schema(KINDS[sys.argv[1] if sys.argv[1:] else "audit"]), end="")
