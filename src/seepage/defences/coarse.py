"""Answers that say less: rounded, of the largest classes alone, or of the label alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor, nn

from seepage.defences.answers import PureAnswers, PureWrapped, log_of
from seepage.errors import InputError

MITIGATION = "Shokri et al. 2017 (arXiv 1610.05820), mitigation strategies"


@dataclass(frozen=True)
class Rounding(PureAnswers):
    """Probabilities rounded to so many decimals.

        o = log max(round(p 10^d) / 10^d, 1e-45)

    Of classes that round alike the first counts as the label, so that a label can change. The rounded values are not
    made to sum to one: an attacker reads what was answered.

    Options:
        decimals: d.

    Reference: Shokri et al. 2017 (arXiv 1610.05820), mitigation strategies: coarsen the prediction vector.
    """

    decimals: Annotated[int, Ge(0), Le(9)] = 2

    gives_probabilities = True
    grid: ClassVar[tuple[dict[str, Any], ...]] = ({"decimals": 1}, {"decimals": 2}, {"decimals": 3}, {"decimals": 5})
    title = "Rounded probabilities"
    source = MITIGATION

    def answer(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        return log_of(logits.double().softmax(1).round(decimals=self.decimals))


@dataclass(frozen=True)
class TopK(PureAnswers):
    """The probabilities of the k largest classes alone.

    "share": the others get what is left in equal parts, (1 - sum of the k) / (classes - k), as whoever reads such an
    answer may fill in. "zero": they get none (1e-45), and the answer sums to less than one. Of equal classes the first
    are kept; the label stays.

    Options:
        k: how many.
        rest: "share" or "zero".

    Reference: Shokri et al. 2017 (arXiv 1610.05820), mitigation strategies: restrict the prediction vector to top k
        classes. What stands for the others is our own.
    """

    k: Annotated[int, Ge(1)] = 3
    rest: Literal["share", "zero"] = "share"

    gives_probabilities = True
    grid: ClassVar[tuple[dict[str, Any], ...]] = ({"k": 1}, {"k": 2}, {"k": 3}, {"k": 5})
    title = "Top-k answers"
    source = MITIGATION

    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> PureWrapped:
        if self.k > n_classes:
            raise InputError(f"top-k: expected a k of at most {n_classes}, the number of classes, got {self.k}")
        return super().around(module, input_shape, n_classes)

    def answer(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        losses = logits.double().log_softmax(1)
        order = logits.sort(dim=1, descending=True, stable=True).indices
        rest = order[:, self.k :]
        left = losses.gather(1, rest)
        # The mean of what is left out, and not 1 minus the others, which would lose a rest too small for it.
        shared = left.exp().mean(1, keepdim=True).expand_as(left) if self.rest == "share" else torch.zeros_like(left)
        return losses.float().scatter(1, rest, log_of(shared))


@dataclass(frozen=True)
class LabelOnly(PureAnswers):
    """The label alone: its probability is one, that of every other class 1e-45.

    Reference: Choquette-Choo et al. 2021 (arXiv 2007.14321) attack it; as a defence Shokri et al. 2017 (arXiv
        1610.05820), mitigation strategies, with k = 1.
    """

    gives_probabilities = True
    title = "Labels only"
    source = MITIGATION

    @property
    def notes(self) -> tuple[str, ...]:
        return ("Labels still tell members where a model is righter on them: run label-only attacks.",)

    def answer(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        return log_of(torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), 1.0))
