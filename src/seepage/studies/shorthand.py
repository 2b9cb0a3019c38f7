"""Fields of `Attacker`, `Settings` and `Run` by their own names, where a verb takes these values.

audit(model, members, nonmembers, attacks=["loss"])   is   audit(..., attacker=Attacker(attacks=["loss"]))
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from seepage.errors import InputError, unknown_name
from seepage.runs.run import Run
from seepage.studies.attacker import Attacker
from seepage.studies.settings import Settings

KINDS = {"attacker": Attacker, "settings": Settings, "run": Run}
SHORT = {"out": "folder", "rng": "seed"}  # of the run


def values(where: str, short: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """The values of a verb, those that were not given made of their fields.

    Args:
        where: the verb, for messages.
        short: fields by their names; `out` and `rng` are the run's folder and seed.
        given: attacker, settings and run, each a value or None.

    Raises:
        InputError: a name is no field of any, or a field stands beside the value that it belongs to.
    """
    homes = {field.name: name for name, kind in KINDS.items() if name in given for field in fields(kind)}
    made: dict[str, dict[str, Any]] = {}
    for name, value in short.items():
        field = SHORT.get(name, name)
        if field not in homes:
            raise unknown_name(f"argument of {where}", name, [*given, *homes])
        home = homes[field]
        if given[home] is not None:
            raise InputError(f"{where}: {name}= stands beside {home}=, which has it: give it there")
        made.setdefault(home, {})[field] = value
    return {name: KINDS[name](**made[name]) if name in made else value for name, value in given.items()}
