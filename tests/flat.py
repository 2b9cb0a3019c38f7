"""The verbs with every option by its own name, for tests that vary one option at a time."""

from dataclasses import fields, replace

import seepage
from seepage.runs.run import Run
from seepage.studies.draw import Draw
from seepage.studies.invert import InversionAttacker, InversionDraw, InversionSettings
from seepage.synthesis import NetworkOptions

ALSO = {"out": "folder", "rng": "seed"}


def audit(model=None, pool=None, membership=None, *, outputs=None, members=None, nonmembers=None, recipe=None, **flat):
    """The audit that the options ask for: of outputs, of lists of records, or of a pool."""
    values = _values(flat)
    if outputs is not None:
        return seepage.audit_outputs(outputs, **values)
    if pool is None:
        return seepage.audit(model, members, nonmembers, recipe=recipe, **values)
    return seepage.audit_recipe(recipe, pool, membership, model=model, **values)


def compare(pool, recipe=None, defences=None, **flat):
    draw = _taken(flat, Draw)
    values = _values(flat, controls=False)
    return seepage.compare(pool, recipe, defences, draw=draw, **values)


def invert(pool, recipe=None, **flat):
    kinds = {"draw": InversionDraw, "attacker": InversionAttacker, "settings": InversionSettings, "run": Run}
    values = {name: _taken(flat, kind) for name, kind in kinds.items()}
    return seepage.invert(pool, recipe, **values, **flat)


def synthesise(pool, **flat):
    training = _taken(flat, NetworkOptions)
    return seepage.synthesise(pool, training=training, **flat)


def _taken(flat, kind, **defaults):
    names = {field.name for field in fields(kind)}
    given = {ALSO.get(name, name): name for name in list(flat) if ALSO.get(name, name) in names}
    return kind(**defaults, **{name: flat.pop(old) for name, old in given.items()})


def _values(flat, controls=True):
    settings = flat.pop("settings", None) or seepage.Settings(controls=controls)
    if "controls" in flat:
        settings = replace(settings, controls=flat.pop("controls"))
    run = flat.pop("run", None) or _taken(flat, Run)
    attacker = flat.pop("attacker", None) or _taken(flat, seepage.Attacker)
    return {"attacker": attacker, "settings": settings, "run": run, **flat}
