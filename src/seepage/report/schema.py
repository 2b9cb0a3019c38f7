"""The published JSON schemas of results.

python -m seepage.report.schema > docs/result.schema.json
python -m seepage.report.schema trust > docs/trust.schema.json
"""

import json
import sys

from seepage.report.result import AuditResult
from seepage.report.trust_result import TrustResult


def schema(kind: type[AuditResult] | type[TrustResult] = AuditResult) -> str:
    """JSON schema of what `save` of this kind of result writes."""
    return json.dumps(kind.model_json_schema(mode="serialization"), indent=1) + "\n"


if __name__ == "__main__":
    print(schema(TrustResult if "trust" in sys.argv[1:] else AuditResult), end="")
