"""Gaussian noise on answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge
from jaxtyping import Float32
from torch import Tensor, nn

from seepage.defences.answers import RANDOMNESS, AnswerDefence, RandomWrapped, leading, log_of
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from seepage.options import OneOf


@dataclass(frozen=True)
class GaussianNoise(AnswerDefence):
    """Independent Gaussian noise on each class.

        on probabilities   o = log max(p + n, 1e-45),  n ~ N(0, s^2)
        on logits          o = z + n

    Noisy probabilities are not made to sum to one; a softmax of the answer does so.

    Options:
        deviation: s, a probability or a logit.
        on: "probabilities" or "logits".
        randomness: "per-record" derives the noise from the model's seed and the record: asking the same again gives
            the same answer, asking nearly the same a new one. "fresh" draws anew for every question, and the mean of
            many answers has no noise.
        keep_label: the record's label changes places with the class that the noise put first.

    Reference: our own baseline.
    """

    deviation: Annotated[float, Ge(0)] = 0.1
    on: Literal["probabilities", "logits"] = "probabilities"
    randomness: Annotated[str, OneOf(*RANDOMNESS)] = "per-record"
    keep_label: bool = True

    grid: ClassVar[tuple[dict[str, Any], ...]] = (
        {"deviation": 1.0},
        {"deviation": 0.3},
        {"deviation": 0.1},
        {"deviation": 0.03},
    )
    title = "Gaussian noise"
    source = "our own baseline"

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "Noise averages out: over many questions where it is fresh, over many similar records where it is not.",
        )

    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> Noisy:
        return Noisy(module, self)

    def _fit(self, wrapped: Noisy, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int) -> None:
        wrapped.seed.fill_(seed)


class Noisy(RandomWrapped):
    """A module behind `GaussianNoise`."""

    def __init__(self, module: nn.Module, defence: GaussianNoise):
        super().__init__(module, defence.randomness)
        self.defence = defence
        self.keeps_label = defence.keep_label

    def forward(self, x: Tensor) -> Tensor:
        z = self.module(x)
        noise = self.defence.deviation * self._standard(x, z.shape[1]).to(z.device)
        answer = z + noise if self.defence.on == "logits" else log_of(z.softmax(1) + noise)
        return leading(answer, z.argmax(1)) if self.defence.keep_label else answer

    def _standard(self, x: Tensor, n_classes: int) -> Float32[Tensor, "batch classes"]:
        drawn = [rng.standard_normal(n_classes, dtype=np.float32) for rng in self.random_numbers(x)]
        return torch.from_numpy(np.stack(drawn))
