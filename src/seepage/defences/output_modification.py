"""HAMP's second half: an answer's values are those of a random input, and only their order is the record's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from seepage.defences.answers import RANDOMNESS, RandomWrapped, leading
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from seepage.models.wrapper import Wrapper, integer
from seepage.options import OneOf, Options

BYTE_LEVELS = 255  # the code draws pixels from 0 to 254


@dataclass(frozen=True)
class OutputModification(Wrapper, Options):
    """Each answer is the sorted answer to a random input, laid out in the order of the record's own.

        o[argsort(z)_j] = sort(r)_j,  z = f(x), r = f(random input)

    What it says of x is the order of its classes: all of it, so an attack on ranks or on labels sees what it saw.

    Options:
        randomness: "per-record" derives the random input from the model's seed and the record, so that asking again
            gives the same answer; "fresh" draws a new one for every question (the code), so that the mean of many
            answers is the mean of sorted random answers, in the record's order.
        values: of the random input's features. "binary": 0 or 1 (tabular data in the code); "bytes": 0 to 254 times
            the records' scale (images in the code); "range": uniform between the least and the greatest value of
            each feature among the members, our own; "auto": binary where the pool holds zeros and ones alone, bytes
            where it holds bytes, else range.
        ties: "keep": classes of equal logits are ordered by their number, and the answer's first largest logit is the
            record's, whatever ties in z or r. "official": equal logits all get the value of the highest of their
            ranks, as in the code; where r ties at its top the label may change.

    It asks the model twice a question. With "fresh" answers depend on how many questions came before.

    Reference: Chen & Pattabiraman 2024 (arXiv 2307.01610), the test-time output modification; code attack.py of
        github.com/DependableSystemsLab/MIA_defense_HAMP (`random_flip`, `alter_output`). "keep" has the purpose of the
        correction in github.com/ethz-spylab/misleading-privacy-evals. Deviations: "range"; the seeds; a tie at the
        top of r is parted by a millionth of its logit.
    """

    randomness: Annotated[str, OneOf(*RANDOMNESS)] = "per-record"
    values: Literal["auto", "binary", "bytes", "range"] = "auto"
    ties: Literal["keep", "official"] = "keep"

    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> ModifiedOutput:
        return ModifiedOutput(module, self, input_shape)

    def _fit(
        self, wrapped: ModifiedOutput, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int
    ) -> None:
        values = resolved_values(records) if self.values == "auto" else self.values
        if values == "range":
            inputs = records.batch(torch.as_tensor(members, device=records.inputs.device))
            low, high, levels = inputs.amin(0), inputs.amax(0), 0
        elif values == "bytes":
            low, high, levels = 0.0, (BYTE_LEVELS - 1) * records.scale, BYTE_LEVELS
        else:
            low, high, levels = 0.0, 1.0, 2
        wrapped.seed.fill_(seed)
        wrapped.low.copy_(torch.as_tensor(low))
        wrapped.high.copy_(torch.as_tensor(high))
        wrapped.levels.fill_(levels)


class ModifiedOutput(RandomWrapped):
    """A module behind `OutputModification`."""

    low: Tensor
    high: Tensor
    levels: Tensor

    def __init__(self, module: nn.Module, options: OutputModification, input_shape: tuple[int, ...]):
        super().__init__(module, options.randomness)
        self.keeps_label = options.ties == "keep"
        self.register_buffer("low", torch.zeros(input_shape))
        self.register_buffer("high", torch.ones(input_shape))
        self.register_buffer("levels", integer(0))  # how many values a feature can take; 0: any in its range

    def forward(self, x: Tensor) -> Tensor:
        z, r = self.module(x), self.module(self.random_inputs(x))
        return modified(z, r) if self.keeps_label else modified_officially(z, r)

    def random_inputs(self, x: Tensor) -> Tensor:
        """A random input for each record (batch, ...)."""
        uniform = np.empty(x.shape, dtype=np.float32)
        for row, rng in zip(uniform, self.random_numbers(x), strict=True):
            rng.random(out=row, dtype=np.float32)
        levels, drawn = int(self.levels), torch.from_numpy(uniform).to(x.device)
        if levels:
            drawn = (drawn * levels).floor_() / (levels - 1)
        return self.low + drawn * (self.high - self.low)


def resolved_values(records: Records) -> str:
    """What "auto" stands for: a property of the pool, so that every model of an audit draws alike."""
    is_bytes = records.inputs.dtype == torch.uint8
    one = round(1 / records.scale) if is_bytes else 1
    if bool(((records.inputs == 0) | (records.inputs == one)).all()):
        return "binary"
    return "bytes" if is_bytes else "range"


def modified(
    z: Float32[Tensor, "batch classes"], r: Float32[Tensor, "batch classes"]
) -> Float32[Tensor, "batch classes"]:
    """The values of r in the order of z; the first largest of z is the one largest of the answer.

    >>> modified(torch.tensor([[1.0, 3.0, 3.0]]), torch.tensor([[0.5, -0.5, 0.0]])).tolist()
    [[-0.5, 0.5, 0.0]]
    """
    order = z.sort(dim=1, descending=True, stable=True).indices
    laid_out = torch.zeros_like(r).scatter(1, order, r.sort(dim=1, descending=True).values)
    return leading(laid_out, order[:, 0])


def modified_officially(
    z: Float32[Tensor, "batch classes"], r: Float32[Tensor, "batch classes"]
) -> Float32[Tensor, "batch classes"]:
    """The values of r in the order of z; equal values of z share that of the highest of their ranks.

    >>> modified_officially(torch.tensor([[1.0, 3.0, 3.0]]), torch.tensor([[0.5, -0.5, 0.0]])).tolist()
    [[-0.5, 0.5, 0.5]]
    """
    ascending = z.sort(1).values
    ranks = torch.searchsorted(ascending, z.contiguous(), right=True) - 1
    return r.sort(1).values.gather(1, ranks)
