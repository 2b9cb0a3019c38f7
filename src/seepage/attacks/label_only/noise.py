"""How often a record keeps its label when noise is added to it: labels only, at a live target."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.attacks.label_only.live import in_own_order, is_binary, value_range
from seepage.data import Pool
from seepage.models.access import Access
from seepage.signals.view import View

ROWS = 4096  # records in memory at once


@dataclass(frozen=True)
class NoiseRobustness(Attack):
    """s(x) = share of noisy copies whose predicted label is y; 0 where that of x itself is not.

        real values     copy = x + sigma sd z,  z ~ N(0, 1) for each value
        only 0 and 1    each value is flipped with probability flips / (number of values)

    sd is the standard deviation of all values of images, and of each column of anything else. Copies of images in
    whole numbers are cut at the lowest and the highest value among the records.

    The k-th copy of every record takes the same draw, so that the order of records and their company play no part.
    Costs one question a record, and `copies` more where its label is right.

    Options:
        copies: the score has as many values, plus one; the source takes up to 2,500 (5,000 for binary records).
        sigma: in units of sd; 0.2 is about 0.05 for CIFAR-10 in [0, 1], in the middle of the source's 0.02 to 0.1.
        flips: expected flips a copy; the source's are 1, 2, 3, 5 and 10.

    Deviation: the source chooses sigma on a shadow model, here it is given.

    Reference: Choquette-Choo et al. 2021, robustness to random noise; `continuous_rand_robust` and
    `binary_rand_robust` of their code.
    """

    copies: Annotated[int, Ge(1)] = 50
    sigma: Annotated[float, Gt(0)] = 0.2
    flips: Annotated[float, Gt(0)] = 3.0

    access: ClassVar[Access] = Access.LABEL
    needs: ClassVar[frozenset[str]] = frozenset({"labels", "model", "records"})
    title = "Robustness to noise (labels)"
    source = "Choquette-Choo et al. 2021 (arXiv 2007.14321), robustness to random noise"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        def kept(rows: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
            return view.model.labels(change(view.records.batch(rows))) == view.labels[rows]

        right = []
        for rows in _chunks(in_own_order(view, view.audited)):
            right.append(rows[kept(rows, lambda x: x)])
        right = np.concatenate(right) if right else np.empty(0, dtype=int)
        n_kept = np.zeros(view.n_samples)
        for change in self._changes(view.records, rng):
            for rows in _chunks(right):
                n_kept[rows] += kept(rows, change)
        return n_kept / self.copies

    def _changes(self, records: Pool, rng: np.random.Generator) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
        """What each copy does to a batch of records."""
        shape = records.inputs.shape[1:]
        if is_binary(records):
            for _ in range(self.copies):
                flipped = (rng.random(shape) < self.flips / np.prod(shape)).astype(np.float32)
                yield lambda x, flipped=flipped: np.abs(x - flipped)
            return
        inputs = records.inputs
        axes = None if inputs.ndim == 4 else 0
        sd = np.std(inputs, axis=axes, dtype=np.float64) * records.scale
        lowest, highest = value_range(records)
        for _ in range(self.copies):
            noise = (self.sigma * sd * rng.standard_normal(shape)).astype(np.float32)
            yield lambda x, noise=noise: np.clip(x + noise, lowest, highest)


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]
