"""What keeps a model from fitting its records too well: weight decay, dropout, mixup, stopping early."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from seepage.defences.base import Defence
from seepage.errors import InputError
from seepage.models.architectures import ARCHITECTURES
from seepage.models.recipe import BestValidation, Recipe

GENERAL = ("A regulariser narrows the gap between members and others on average; the records that leak most stay.",)


@dataclass(frozen=True)
class L2(Defence):
    """Weight decay, on top of what the recipe's optimiser has.

    Options:
        weight_decay: the coefficient, added to each gradient times the weights (for a decoupled Adam to the step).

    Reference: Shokri et al. 2017 (arXiv 1610.05820), regularisation among the mitigations. The default is our own:
        a coefficient depends on the model.
    """

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"weight_decay": w} for w in (1e-2, 3e-3, 1e-3, 3e-4))

    weight_decay: Annotated[float, Gt(0)] = 1e-3

    title = "L2 regularisation"
    source = "Shokri et al. 2017 (arXiv 1610.05820), regularisation among the mitigations"

    @property
    def notes(self) -> tuple[str, ...]:
        return GENERAL

    def apply(self, recipe: Recipe) -> Recipe:
        decay = recipe.optimiser.weight_decay + self.weight_decay
        return replace(recipe, optimiser=replace(recipe.optimiser, weight_decay=decay))


@dataclass(frozen=True)
class Dropout(Defence):
    """Hidden values are dropped at random in training, where the architecture has an option for it.

    Options:
        rate: the probability of dropping a value.

    Reference: Salem et al. 2019 (arXiv 1806.01246), dropout as a defence.
    """

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"rate": rate} for rate in (0.8, 0.65, 0.5, 0.25))

    rate: Annotated[float, Gt(0), Lt(1)] = 0.5

    title = "Dropout"
    source = "Salem et al. 2019 (arXiv 1806.01246), dropout as a defence"

    @property
    def notes(self) -> tuple[str, ...]:
        return GENERAL

    def apply(self, recipe: Recipe) -> Recipe:
        model, given = recipe.model, {}
        if isinstance(model, functools.partial):
            model, given = model.func, model.keywords
        if "dropout" not in inspect.signature(model).parameters:
            able = [n for n, kind in ARCHITECTURES.items() if "dropout" in inspect.signature(kind).parameters]
            raise InputError(
                f"dropout: {getattr(model, '__name__', model)} has no option 'dropout', which this defence sets: take "
                f"one of {', '.join(able)}, or a model of your own with that argument"
            )
        if given.get("dropout"):
            raise InputError(f"dropout: the recipe's model has {given['dropout']} of it already: leave one of them out")
        return replace(recipe, model=functools.partial(recipe.model, dropout=self.rate))


@dataclass(frozen=True)
class Mixup(Defence):
    """Models are trained on mixtures of two records and their labels, see `Recipe.mixup`.

    Options:
        alpha: of the Beta(alpha, alpha) that the shares are drawn from; 1 is uniform.

    Reference: Zhang et al. 2018 (arXiv 1710.09412); against membership inference Li, Li & Ribeiro 2021
        (arXiv 2002.12062). Deviation: a batch is mixed with itself in reverse, not in a random order.
    """

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"alpha": alpha} for alpha in (8.0, 1.0, 0.4, 0.1))

    alpha: Annotated[float, Gt(0)] = 1.0

    title = "Mixup"
    source = "Zhang et al. 2018 (arXiv 1710.09412); Li, Li & Ribeiro 2021 (arXiv 2002.12062)"

    @property
    def notes(self) -> tuple[str, ...]:
        return GENERAL

    def apply(self, recipe: Recipe) -> Recipe:
        if recipe.mixup:
            raise InputError(f"mixup: the recipe has an alpha of {recipe.mixup} already: leave one of them out")
        return replace(recipe, mixup=self.alpha)


@dataclass(frozen=True)
class EarlyStopping(Defence):
    """Training ends after a share of its epochs, or when validation accuracy no longer rises.

    Options:
        fraction: share of the recipe's epochs that are trained at most. A schedule that depends on their number
            (`Cosine`) is that of the shorter training. The default is our own.
        patience: stop after so many epochs without a gain on validation records, and keep the best; None: never.

    Reference: Song & Mittal 2021 (arXiv 2003.10595), early stopping as a baseline defence.
    """

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"fraction": f} for f in (0.05, 0.1, 0.25, 0.5))

    fraction: Annotated[float, Gt(0), Le(1)] = 0.25
    patience: Annotated[int, Ge(1)] | None = None

    title = "Early stopping"
    source = "Song & Mittal 2021 (arXiv 2003.10595)"

    def __post_init__(self):
        super().__post_init__()
        if self.patience is None and self.fraction == 1:
            raise InputError("early stopping: expected a fraction below 1, or a patience; got neither")

    @property
    def notes(self) -> tuple[str, ...]:
        return GENERAL

    def apply(self, recipe: Recipe) -> Recipe:
        stop = recipe.stop
        if self.patience is not None:
            if stop is not None and not isinstance(stop, BestValidation):
                raise InputError(
                    f"early stopping: the recipe has a rule of its own ({type(stop).__name__}) for when to stop: leave "
                    "one of them out"
                )
            stop = replace(stop or BestValidation(), patience=self.patience)
        return replace(recipe, epochs=self.fraction * recipe.epochs, stop=stop)
