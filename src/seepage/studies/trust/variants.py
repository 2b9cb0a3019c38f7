"""One network, answering in several ways: plainly, tempered, or with a Gaussian over its last layer.

Three recipes are trained (plain, label smoothing, weight decay); temperature and Laplace change what the plain one
answers. The attacker's shadow is made the same way each time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.special import log_softmax
from torch import nn

from seepage.errors import InputError, unknown_name
from seepage.models.architectures import Classifier
from seepage.models.laplace import LastLayerLaplace, choose_prior
from seepage.models.objectives import label_smoothing
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe, cross_entropy
from seepage.models.target import TargetModel
from seepage.models.temperature import fit_temperature, tempered

Features = Float32[np.ndarray, "records features"]
Answer = Callable[[Features], Float64[np.ndarray, "records classes"]]  # features -> log-probabilities


@dataclass(frozen=True)
class Variant:
    """How a model is trained and how it answers.

    Attributes:
        training: the name of the recipe, a key of `recipes`.
        is_calibrating: whether it is meant to make confidence fit accuracy (T = 10 only flattens).
    """

    name: str
    title: str
    about: str
    training: str
    is_calibrating: bool = True


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("standard", "Standard", "cross-entropy, answers as trained", "standard", False),
        Variant("label-smoothing", "Label smoothing", "trained with part of each label given to all classes",
                "label-smoothing"),
        Variant("l2", "L2", "trained with weight decay", "l2"),
        Variant("temperature", "Temperature", "the standard model, logits divided by a temperature that was fitted on "
                "validation records", "standard"),
        Variant("temperature-10", "Temperature 10", "the standard model, logits divided by 10: a flattening, not a "
                "calibration", "standard", False),
        Variant("laplace", "Last-layer Laplace", "the standard model with a Gaussian over its last layer's weights",
                "standard"),
    )
}  # fmt: skip
FLAT = 10.0
SAMPLES = 100
MOST_FOR_PRIOR = 1000  # validation records; each of a hundred variances is tried on all of them


def check_variants(names: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of `VARIANTS`.

    Raises:
        InputError: one is not known, or "standard", which the others are compared with, is missing.

    >>> check_variants(["laplace", "l2", "standard"])
    ('standard', 'l2', 'laplace')
    """
    for name in names:
        if name not in VARIANTS:
            raise unknown_name("variant", name, VARIANTS)
    if "standard" not in names:
        raise InputError(f"variants: expected 'standard', which the others are compared with, among {list(names)}")
    return tuple(name for name in VARIANTS if name in names)


def recipes(recipe: Recipe, *, smoothing: float, weight_decay: float) -> dict[str, Recipe]:
    """What is trained, by the name of the training.

    Raises:
        InputError: the recipe has an objective or a weight decay of its own, so that "standard" would not be plain.
    """
    if recipe.objective is not cross_entropy or not isinstance(recipe.optimiser, Adam) or recipe.optimiser.weight_decay:
        raise InputError(
            "the study compares plain training with label smoothing and weight decay: give a recipe with the default "
            "objective and Adam without weight decay"
        )
    return {
        "standard": recipe,
        "label-smoothing": replace(recipe, objective=functools.partial(label_smoothing, smoothing=smoothing)),
        "l2": replace(recipe, optimiser=replace(recipe.optimiser, weight_decay=weight_decay)),
    }


@dataclass(frozen=True, eq=False)
class Network:
    """A trained classifier, taken apart into its features and its last layer."""

    model: TargetModel
    weight: Float64[np.ndarray, "classes features"]
    bias: Float64[np.ndarray, " classes"]

    @classmethod
    def of(cls, module: nn.Module) -> Network:
        if not isinstance(module, Classifier):
            raise InputError(f"expected a classifier of seepage.models.architectures, got a {type(module).__name__}")
        weight, bias = (p.detach().cpu().numpy().astype(np.float64) for p in (module.head.weight, module.head.bias))
        return cls(TargetModel.wrap(module), weight, bias)

    def features(self, inputs: Float32[np.ndarray, "records ..."]) -> Features:
        return self.model.features(inputs)

    def logits(self, features: Features) -> Float64[np.ndarray, "records classes"]:
        """The last layer in float64, where the gap of saturated logits keeps its digits."""
        return features.astype(np.float64) @ self.weight.T + self.bias


@dataclass(frozen=True, eq=False)
class Held:
    """What a variant may learn from: features of a network's own training records, of validation records that no
    attack is judged on, and of uniform noise."""

    training: Features
    validation: Float32[np.ndarray, "validation features"]
    validation_labels: Int64[np.ndarray, " validation"]
    noise: Float32[np.ndarray, "noise features"]


def answer_as(name: str, network: Network, held: Held, *, rng: np.random.Generator) -> tuple[Answer, dict[str, Any]]:
    """The variant `name` of a trained network, and the numbers that were fitted for it.

    A record is answered alike whenever it is asked, with whatever others: Laplace's draws are fixed here.

    Returns:
        features -> log-probabilities, not saturated; {option: value}.
    """
    if name in ("temperature", "temperature-10"):
        of_validation = network.logits(held.validation)
        t = FLAT if name == "temperature-10" else fit_temperature(of_validation, held.validation_labels)
        return lambda features: tempered(network.logits(features), t), {"temperature": t}
    if name == "laplace":
        posterior = LastLayerLaplace.fit(held.training, network.weight, network.bias)
        few = slice(MOST_FOR_PRIOR)
        validation, labels = held.validation[few], held.validation_labels[few]
        variance = choose_prior(posterior, validation, labels, held.noise[few], rng=rng)
        posterior, seed = posterior.with_prior(variance), int(rng.integers(2**62))

        def answer(features: Features) -> np.ndarray:
            return posterior.log_probabilities(features, samples=SAMPLES, rng=np.random.default_rng(seed))

        return answer, {"prior variance": variance, "samples": SAMPLES}
    return lambda features: log_softmax(network.logits(features), axis=1), {}
