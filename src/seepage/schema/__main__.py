"""The published JSON schema of all results: python -m seepage.schema > docs/result.schema.json."""

import json

from seepage.schema.kinds import json_schema


def text() -> str:
    return json.dumps(json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
