"""HAMP: training with labels of high entropy, a reward for high entropy, and answers that keep only their order."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from typing import Annotated, Any

from annotated_types import Ge, Lt
from torch import Tensor

from seepage.defences.base import Defence, with_objective, with_wrapper
from seepage.defences.output_modification import OutputModification
from seepage.defences.soft_labels import METHODS, soft_label
from seepage.errors import InputError, unknown_name
from seepage.models.optimisers import SGD
from seepage.models.recipe import Recipe
from seepage.options import OneOf

MODES = {"full": "both", "training": "training", "answers": "answers"}
REDUCTIONS = ("mean", "batchmean")

# gamma and alpha of the code's `train-all.sh`, alpha with the reduction "mean".
PUBLISHED: dict[str, dict[str, float]] = {
    "purchase100": {"gamma": 0.8, "alpha": 0.01},
    "texas100": {"gamma": 0.6, "alpha": 0.01},
    "location30": {"gamma": 0.5, "alpha": 0.001},
    "cifar10": {"gamma": 0.95, "alpha": 0.001},
    "cifar100": {"gamma": 0.5, "alpha": 0.005},
}


def hamp_loss(
    logits: Tensor, labels: Tensor, gamma: float, alpha: float, soft_labels: str = "grid", reduction: str = "mean"
) -> Tensor:
    """Divergence from soft labels of high entropy, less a reward for the entropy of the prediction.

        mean over the batch of  KL(t || F) / c - alpha H(F)

    with F = softmax(logits), t the soft label of `soft_label(k, gamma)`, H in nats, and c = k for the reduction "mean",
    c = 1 for "batchmean". Alpha with "mean" is alpha k with "batchmean", for a loss that is k times larger.

    Args:
        logits: (batch, classes).
        labels: (batch,).
        gamma: share of the largest entropy that soft labels have, from 0 to below 1.
        alpha: weight of the entropy, at least 0.
        soft_labels: "grid" or "exact", see `soft_label`.
        reduction: "mean" or "batchmean".

    Returns:
        A scalar.

    Raises:
        InputError: an option outside of these.

    Reference: Chen & Pattabiraman 2024 (arXiv 2307.01610), training with high-entropy soft labels and entropy-based
        regularisation; code `train_pub` of github.com/DependableSystemsLab/MIA_defense_HAMP, whose "mean" is what
        torch's kl_div does by default.
    """
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction of HAMP's divergence", str(reduction), REDUCTIONS)
    if not 0 <= alpha < math.inf:
        raise InputError(f"alpha weighs the entropy, a number of at least 0, got {alpha}")
    n_classes = logits.shape[1]
    p, q = soft_label(n_classes, gamma, soft_labels)
    log_f = logits.log_softmax(1)
    cross = (p - q) * log_f.gather(1, labels.unsqueeze(1)).mean() + q * log_f.sum(1).mean()
    divergence = p * math.log(p) + (n_classes - 1) * (q * math.log(q) if q else 0.0) - cross
    entropy = -(log_f.exp() * log_f).sum(1).mean()
    return divergence / (n_classes if reduction == "mean" else 1) - alpha * entropy


OF_TRAINING = ("gamma", "alpha", "soft_labels", "reduction", "reset_optimiser", "shuffle")


@dataclass(frozen=True)
class HAMP(Defence):
    """High-accuracy membership privacy: less sure models, whose answers have the values of a random input's.

    Options:
        gamma, alpha, soft_labels, reduction: of `hamp_loss`. The code's label smoothing is alpha=0 with a small gamma
            in the mode "training".
        reset_optimiser: begin every pass without momentum, as the code does; for SGD, other optimisers keep theirs.
        shuffle: draw every pass in a new order; the code keeps one.
        mode: "full"; "training", whose models answer plainly; "answers", plain training behind the modified answers.
        randomness, values, ties: of `OutputModification`.

    The code trains with SGD, momentum 0.99, weight decay 1e-5, and learning rates of 0.5 or 1 divided by ten at epochs
    60, 90 and 150; the recipe says so, not the defence.

    Reference: Chen & Pattabiraman 2024 (arXiv 2307.01610); code github.com/DependableSystemsLab/MIA_defense_HAMP.
    """

    gamma: Annotated[float, Ge(0), Lt(1)] = 0.95
    alpha: Annotated[float, Ge(0)] = 0.001
    soft_labels: Annotated[str, OneOf(*METHODS)] = "grid"
    reduction: Annotated[str, OneOf(*REDUCTIONS)] = "mean"
    reset_optimiser: bool = True
    shuffle: bool = False
    mode: Annotated[str, OneOf(*MODES)] = "full"
    randomness: str = OutputModification.randomness
    values: str = OutputModification.values
    ties: str = OutputModification.ties

    source = "Chen & Pattabiraman 2024 (arXiv 2307.01610)"

    def __post_init__(self):
        super().__post_init__()
        self._wrapper()
        without_effect = {"training": ("randomness", "values", "ties"), "answers": OF_TRAINING}.get(self.mode, ())
        for field in fields(self):
            if field.name in without_effect and getattr(self, field.name) != field.default:
                raise InputError(
                    f"HAMP: {field.name}={getattr(self, field.name)!r} has no effect in the mode '{self.mode}': leave "
                    "one of them out"
                )

    @classmethod
    def published(cls, data: str, **options: Any) -> HAMP:
        """With gamma and alpha of the code for one of its five data sets.

        >>> HAMP.published("location30", mode="training").gamma
        0.5
        """
        if data not in PUBLISHED:
            raise unknown_name("data set with a published setting of HAMP", data, PUBLISHED)
        return cls(**{**({} if options.get("mode") == "answers" else PUBLISHED[data]), **options})

    @property
    def kind(self) -> str:
        return MODES[self.mode]

    @property
    def grid(self) -> tuple[dict[str, Any], ...]:
        """The published settings, the highest entropy first."""
        if self.mode == "answers":
            return ({},)
        return tuple(sorted(PUBLISHED.values(), key=lambda s: (-s["gamma"], -s["alpha"])))

    @property
    def title(self) -> str:
        return {"full": "HAMP", "training": "HAMP, training alone", "answers": "HAMP, answers alone"}[self.mode]

    @property
    def notes(self) -> tuple[str, ...]:
        training = (
            "The published alpha and learning rates belong to a divergence that is divided by the number of classes: "
            "with SGD, a rate made for the cross-entropy is too small by that factor.",
            "What it protects hangs on gamma and alpha, which the source chose by hand for each data set.",
        )
        answers = (
            "Answers keep the order of the classes and nothing else: labels stay, probabilities mean nothing, and "
            "calibration is that of random inputs.",
            "Label-only and rank-only attacks see what they saw before: judge the defence by them, and judge "
            "hamp-training too, which is what whoever has the weights can ask.",
        )
        return (training if self.mode != "answers" else ()) + (answers if self.mode != "training" else ())

    def apply(self, recipe: Recipe) -> Recipe:
        if self.mode != "answers":
            objective = functools.partial(
                hamp_loss,
                gamma=self.gamma,
                alpha=self.alpha,
                soft_labels=self.soft_labels,
                reduction=self.reduction,
            )
            resets = self.reset_optimiser and isinstance(recipe.optimiser, SGD)
            recipe = with_objective(recipe, objective, reset_optimiser=resets, shuffle=self.shuffle)
        return recipe if self.mode == "training" else with_wrapper(recipe, self._wrapper())

    def _wrapper(self) -> OutputModification:
        return OutputModification(randomness=self.randomness, values=self.values, ties=self.ties)
