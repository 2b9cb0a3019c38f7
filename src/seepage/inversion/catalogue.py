"""Inversion attacks by name.

A new one is a file beside this, a line in `INVERSIONS`, and a line in `BY_DEFAULT` if it adds something to those there.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from seepage.inversion.base import Inversion
from seepage.inversion.brep_mi import BREPMI
from seepage.inversion.gmi import GMI
from seepage.inversion.gradient import GradientInversion
from seepage.inversion.ked_mi import KEDMI
from seepage.inversion.lomma import LOMMA
from seepage.inversion.mi_face import MIFace
from seepage.inversion.mirror import MIRROR
from seepage.inversion.mirror_genetic import GeneticMIRROR
from seepage.inversion.plg_mi import PLGMI
from seepage.inversion.ppa import PPA
from seepage.inversion.vmi import VMI
from seepage.options import with_options

INVERSIONS: dict[str, Inversion] = {
    "mi-face": MIFace(),
    "gradient": GradientInversion(),
    "gmi": GMI(),
    "ked-mi": KEDMI(),
    "lomma-gmi": LOMMA(base="gmi"),
    "lomma-ked-mi": LOMMA(base="ked-mi"),
    "vmi": VMI(),
    "plg-mi": PLGMI(),
    "ppa": PPA(),
    "mirror": MIRROR(),
    "mirror-genetic": GeneticMIRROR(),
    "brep-mi": BREPMI(),
}

# One for each kind of prior and of access: what they leave out repeats them at more cost.
BY_DEFAULT = ("gradient", "gmi", "ked-mi", "plg-mi", "ppa", "brep-mi")

NEEDS = {
    "pixels": (),
    "gan": ("public images or a generator",),
    "knowledge-gan": ("public images",),
    "conditional-gan": ("public images",),
}


def find_inversion(name: str, **options: Any) -> Inversion:
    """The attack of that name, with these options in place of its defaults.

    Raises:
        InputError: there is no such attack or option, or an option's value cannot be.
    """
    return with_options("inversion attack", INVERSIONS, name, options)


def default_inversions() -> dict[str, Inversion]:
    """The attacks in `BY_DEFAULT`."""
    return {name: INVERSIONS[name] for name in BY_DEFAULT}


def table() -> list[dict[str, Any]]:
    """One row an attack: access, prior, needs, its source and the budget that the source gives it."""
    return [
        {
            "name": name,
            "title": attack.title,
            "access": str(attack.access),
            "prior": attack.prior,
            "needs": list(NEEDS[attack.prior]) or ["nothing else"],
            "steps": attack.own.steps,
            "restarts": attack.own.restarts,
            "queries": attack.own.queries,
            "options": {field.name: getattr(attack, field.name) for field in fields(attack)},
            "source": attack.source,
            "default": name in BY_DEFAULT,
            "notes": list(attack.notes),
        }
        for name, attack in INVERSIONS.items()
    ]
