"""The last section of a page: what was made of which data, when, by what, and how to make it again."""

import json
from collections.abc import Mapping, Sequence

from seepage.report.blocks import Code, Facts
from seepage.schema.numbers import count, duration, moment
from seepage.schema.parts import Provenance


def provenance(
    made: Provenance, *, more: Sequence[tuple[str, str]] = (), recipe: Mapping[str, object] | None = None
) -> list[Facts | Code]:
    """The blocks; `more` are facts beside the data's, `recipe` a training that the settings do not hold."""
    facts = [
        ("Data", f"{made.data}, {count(made.n_records)} records"),
        ("Fingerprint", made.data_fingerprint),
        *more,
        ("Seed", "a generator was given" if made.seed is None else str(made.seed)),
        ("Made", f"{moment(made.created)}, in {duration(made.seconds)}"),
        ("Software", f"Seepage {made.seepage}, Python {made.python}, PyTorch {made.torch}, NumPy {made.numpy}"),
        ("Platform", made.platform),
    ]
    texts = {"Settings": made.settings} | ({} if recipe is None else {"Recipe": recipe})
    return [
        Facts(facts),
        Code("Command", made.command),
        *(Code(title, json.dumps(values, indent=1, ensure_ascii=False)) for title, values in texts.items()),
    ]
