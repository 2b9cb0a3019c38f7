"""What defences share that change a trained model's answers and nothing of its training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from seepage.defences.base import Defence, with_wrapper
from seepage.models.held_out import HeldOut
from seepage.models.outputs import SMALLEST_PROBABILITY
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.wrapper import Wrapped, Wrapper, integer, record_rng

BATCH = 512

RANDOMNESS = ("per-record", "fresh")

# The share of its logit by which an answer's label leads where another class ties with it: one that a float32 softmax
# still shows.
LEAST_LEAD = 2.0**-20


@dataclass(frozen=True)
class AnswerDefence(Defence, Wrapper):
    """A defence that is a wrapper: its options are the wrapper's."""

    kind: ClassVar[str] = "answers"

    def apply(self, recipe: Recipe) -> Recipe:
        return with_wrapper(recipe, self)


@dataclass(frozen=True)
class PureAnswers(AnswerDefence):
    """A defence whose answers are a function of the model's: nothing is fitted and nothing random."""

    @abstractmethod
    def answer(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """What is answered instead of these logits, as logits."""

    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> PureWrapped:
        return PureWrapped(module, self)

    def _fit(self, wrapped: Wrapped, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int) -> None:
        return


class PureWrapped(Wrapped):
    """A module behind `PureAnswers`."""

    def __init__(self, module: nn.Module, defence: PureAnswers):
        super().__init__(module)
        self.defence = defence
        self.gives_probabilities = defence.gives_probabilities

    def forward(self, x: Tensor) -> Tensor:
        return self.defence.answer(self.module(x))


class RandomWrapped(Wrapped):
    """A module whose answers are random: once a record, or anew for every question."""

    seed: Tensor
    questions: Tensor

    def __init__(self, module: nn.Module, randomness: str):
        super().__init__(module)
        self.fresh = randomness == "fresh"
        self.register_buffer("seed", integer(0))
        self.register_buffer("questions", integer(0))

    def random_numbers(self, x: Tensor) -> Iterator[np.random.Generator]:
        """The generator of each record's answer, however the records are batched.

        With "per-record" it derives from the model's seed and the record's values alone, with "fresh" from the
        number of the question too.
        """
        seed, question = int(self.seed), int(self.questions)
        if self.fresh:
            self.questions += len(x)
        for row, record in enumerate(x.detach().cpu()):
            yield record_rng(seed, record, 1 + question + row if self.fresh else 0)


def log_of(probabilities: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
    """log max(p, 1e-45), in float32: what an answer of probabilities is as logits."""
    return probabilities.double().clamp_min(SMALLEST_PROBABILITY).log().float()


def leading(logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, "batch classes"]:
    """The logits with the label's made the one largest: it changes places with the largest, and leads where they tie.

    >>> leading(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([1])).tolist()
    [[1.0, 3.0, 2.0]]
    """
    at = labels.unsqueeze(1)
    top = logits.argmax(1, keepdim=True)
    swapped = logits.scatter(1, top, logits.gather(1, at)).scatter(1, at, logits.gather(1, top))
    others = swapped.scatter(1, at, -torch.inf).amax(1, keepdim=True)
    least = others + LEAST_LEAD * others.abs().clamp_min(1.0)
    return swapped.scatter(1, at, torch.maximum(swapped.gather(1, at), least))


@torch.no_grad()
def logits_of(module: nn.Module, records: Records, rows: Int64[np.ndarray, " rows"]) -> Float[Tensor, "rows classes"]:
    """A module's answers to these rows of the pool."""
    at = torch.as_tensor(rows, device=records.inputs.device)
    return torch.cat([module(records.batch(part)).float() for part in at.split(BATCH)])
