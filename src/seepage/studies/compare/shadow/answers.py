"""One network, answering in several ways: plainly, tempered, or with a Gaussian over its last layer.

Answers are worked out from the last layer in float64, where those that a float32 model gives to scaled inputs would be
saturated. The attacker's shadow answers the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.special import log_softmax
from torch import nn

from seepage.defences.laplace import MOST_FOR_PRIOR, Laplace, LastLayerLaplace, choose_prior
from seepage.defences.temperature import Temperature
from seepage.errors import InputError
from seepage.models.architectures import Classifier
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.models.temperature import fit_temperature, tempered
from seepage.models.wrapper import Wrapper

Features = Float32[np.ndarray, "records features"]
Answer = Callable[[Features], Float64[np.ndarray, "records classes"]]  # features -> log-probabilities


@dataclass(frozen=True)
class Variant:
    """A row of the comparison, as this study takes it: how a model is trained and how it answers.

    Attributes:
        recipe: with the defence in it.
        options: of the defence, with what was chosen by a search.
    """

    name: str
    title: str
    about: str
    recipe: Recipe
    options: Mapping[str, Any]

    @property
    def training(self) -> Recipe:
        """How the network is trained; rows that differ in their answers alone share it."""
        return replace(self.recipe, wrapper=None)


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


def check_answers(variant: Variant) -> None:
    """Raises:
    InputError: the row changes the answers in a way that this study does not know.
    """
    if not isinstance(variant.recipe.wrapper, Temperature | Laplace | None):
        raise InputError(
            f"compare: shadow_study= works out answers from the last layer, in float64, and knows those of temperature "
            f"and laplace; the row '{variant.name}' changes them otherwise: leave it out of the defences, or "
            "shadow_study= out"
        )


def answer_as(
    wrapper: Wrapper | None, network: Network, held: Held, *, rng: np.random.Generator
) -> tuple[Answer, dict[str, Any]]:
    """What a trained network answers through a row's wrapper, and the numbers that were fitted for it.

    A record is answered alike whenever it is asked, with whatever others: Laplace's draws are fixed here.

    Returns:
        features -> log-probabilities, not saturated; {option: value}.
    """
    if isinstance(wrapper, Temperature):
        of_validation = network.logits(held.validation)
        t = wrapper.temperature or fit_temperature(of_validation, held.validation_labels)
        return lambda features: tempered(network.logits(features), t), {"temperature": float(t)}
    if isinstance(wrapper, Laplace):
        posterior = LastLayerLaplace.fit(held.training, network.weight, network.bias)
        few, variance = slice(MOST_FOR_PRIOR), wrapper.prior_variance
        if variance is None:
            validation, labels = held.validation[few], held.validation_labels[few]
            variance = choose_prior(posterior, validation, labels, held.noise[few], rng=rng)
        posterior, seed = posterior.with_prior(variance), int(rng.integers(2**62))

        def answer(features: Features) -> np.ndarray:
            return posterior.log_probabilities(features, samples=wrapper.samples, rng=np.random.default_rng(seed))

        return answer, {"prior variance": variance, "samples": wrapper.samples}
    return lambda features: log_softmax(network.logits(features), axis=1), {}
