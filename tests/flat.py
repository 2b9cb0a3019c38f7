"""The verbs with every option by its own name, for tests that vary one option at a time."""

from dataclasses import fields, replace

import seepage
from seepage.runs.run import Run
from seepage.studies.draw import Draw
from seepage.studies.invert import InversionAttacker, InversionDraw, InversionSettings
from seepage.studies.shorthand import SHORT
from seepage.synthesis import NetworkOptions


def audit(model=None, pool=None, membership=None, *, outputs=None, members=None, nonmembers=None, recipe=None, **flat):
    """The audit that the options ask for: of outputs, of lists of records, or of a pool."""
    if "controls" in flat and "settings" in flat:
        flat["settings"] = replace(flat["settings"], controls=flat.pop("controls"))
    if outputs is not None:
        return seepage.audit_outputs(outputs, **flat)
    if pool is None:
        return seepage.audit(model, members, nonmembers, recipe=recipe, **flat)
    return seepage.audit_recipe(recipe, pool, membership, model=model, **flat)


def compare(pool, recipe=None, defences=None, **flat):
    settings = flat.pop("settings", None) or seepage.Settings(controls=False)
    if "controls" in flat:
        settings = replace(settings, controls=flat.pop("controls"))
    values = {
        name: _taken(flat, kind) for name, kind in {"draw": Draw, "attacker": seepage.Attacker, "run": Run}.items()
    }
    return seepage.compare(pool, recipe, defences, settings=settings, **values, **flat)


def invert(pool, recipe=None, **flat):
    kinds = {"draw": InversionDraw, "attacker": InversionAttacker, "settings": InversionSettings, "run": Run}
    values = {name: _taken(flat, kind) for name, kind in kinds.items()}
    return seepage.invert(pool, recipe, **values, **flat)


def synthesise(pool, **flat):
    training = _taken(flat, NetworkOptions)
    return seepage.synthesise(pool, training=training, **flat)


def _taken(flat, kind, **defaults):
    names = {field.name for field in fields(kind)}
    given = {SHORT.get(name, name): name for name in list(flat) if SHORT.get(name, name) in names}
    return kind(**defaults, **{name: flat.pop(old) for name, old in given.items()})
