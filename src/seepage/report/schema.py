"""The published JSON schema of a result: python -m seepage.report.schema > docs/result.schema.json"""

import json

from seepage.report.result import AuditResult


def schema() -> str:
    """JSON schema of what `AuditResult.save` writes."""
    return json.dumps(AuditResult.model_json_schema(mode="serialization"), indent=1) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
