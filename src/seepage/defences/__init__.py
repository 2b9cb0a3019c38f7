"""Defences by name.

    recipe = seepage.defended(recipe, "hamp", gamma=0.95)

A defence changes the recipe (how models are trained) or what a trained model answers; the audit's references are
trained with the same recipe, so the attacker knows the defence. A new one is a file here and a line in `DEFENCES`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from seepage.defences.adversarial_regularisation import AdversarialRegularisation
from seepage.defences.base import Defence
from seepage.defences.bido import BiDO
from seepage.defences.bottleneck import MID
from seepage.defences.coarse import LabelOnly, Rounding, TopK
from seepage.defences.distillation import Distillation
from seepage.defences.dmp import DMP
from seepage.defences.dp_sgd import DPSGD
from seepage.defences.gaussian_noise import GaussianNoise
from seepage.defences.hamp import HAMP
from seepage.defences.label_smoothing import LabelSmoothing
from seepage.defences.laplace import Laplace
from seepage.defences.memguard import MemGuard
from seepage.defences.negative_label_smoothing import NegativeLabelSmoothing
from seepage.defences.regularisers import L2, Dropout, EarlyStopping, Mixup
from seepage.defences.relax_loss import RelaxLoss
from seepage.defences.selena import SELENA
from seepage.defences.temperature import Temperature
from seepage.defences.tl_dmi import TLDMI
from seepage.models.recipe import Recipe
from seepage.models.trial import is_recipe
from seepage.options import with_options

__all__ = ["DEFENCES", "Defence", "defended", "find_defence", "table"]

DEFENCES: dict[str, Defence] = {
    "hamp": HAMP(),
    "hamp-training": HAMP(mode="training"),
    "hamp-answers": HAMP(mode="answers"),
    "label-smoothing": LabelSmoothing(),
    "early-stopping": EarlyStopping(),
    "l2": L2(),
    "dropout": Dropout(),
    "mixup": Mixup(),
    "relax-loss": RelaxLoss(),
    "selena": SELENA(),
    "dmp": DMP(),
    "distillation": Distillation(),
    "adversarial-regularisation": AdversarialRegularisation(),
    "dp-sgd": DPSGD(),
    "tl-dmi": TLDMI(),
    "mid": MID(),
    "bido-hsic": BiDO("hsic"),
    "bido-coco": BiDO("coco"),
    "neg-ls": NegativeLabelSmoothing(),
    "memguard": MemGuard(),
    "rounding": Rounding(),
    "top-k": TopK(),
    "label-only": LabelOnly(),
    "temperature": Temperature(),
    "laplace": Laplace(),
    "gaussian-noise": GaussianNoise(),
}


def find_defence(name: str, **options: Any) -> Defence:
    """The defence of that name, with these options in place of its defaults.

    Raises:
        InputError: there is no such defence or option, or an option's value cannot be.
    """
    return with_options("defence", DEFENCES, name, options)


def defended(recipe: Recipe, name: str, **options: Any) -> Recipe:
    """The recipe with a defence in it.

    Args:
        recipe: how models are trained without it.
        name: one of `DEFENCES`.
        options: of the defence, see `seepage defences`.

    Raises:
        InputError: as in `find_defence`, or the recipe has something already that the defence would replace.
    """
    return find_defence(name, **options).apply(is_recipe(recipe, "defended"))


def table() -> list[dict[str, Any]]:
    """One row a defence: what it changes, its options, where it comes from."""
    return [
        {
            "name": name,
            "title": defence.title,
            "kind": defence.kind,
            "source": defence.source,
            "options": {field.name: getattr(defence, field.name) for field in fields(defence)},
            "grid": list(defence.grid),
            "notes": list(defence.notes),
        }
        for name, defence in DEFENCES.items()
    ]
