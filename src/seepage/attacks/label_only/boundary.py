"""How far a record is from the nearest point that the target labels otherwise: labels only, at a live target."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Float, Float64, Int64

from seepage.attacks.base import Attack
from seepage.attacks.label_only.hop_skip_jump import hop_skip_jump
from seepage.attacks.label_only.live import in_own_order, value_range
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.signals.view import View


@dataclass(frozen=True)
class BoundaryDistance(Attack):
    """s(x) = min ||b - x||_2 over the points b found whose predicted label is not y; 0 where that of x is not.

    The search is HopSkipJump. It starts from the nearest of `starts` points with another predicted label: records of
    the population, drawn at random, and uniform noise within the records' values where there are too few. They are
    asked once for all records and count for each. A record for which none of them has another label scores the
    diagonal of the box of all values seen, which no record in it can exceed.

    Questions to a model of images in whole numbers are cut at the lowest and the highest value among the records, but
    not rounded. Records in units of their own are best standardised first. For binary records the distance means
    little: the nearest point is no record; `noise` asks about records only.

    Options:
        budget: questions a record, all included; the paper goes up to 2,500 and beyond.
        starts: how many points to choose a start from.
        directions: of the first step's estimate, as in HopSkipJump.

    Reference: Choquette-Choo et al. 2021, decision boundary distance; Chen, Jordan & Wainwright 2020 (arXiv
    1904.02144).
    """

    budget: Annotated[int, Ge(1)] = 1000
    starts: Annotated[int, Ge(1)] = 20
    directions: Annotated[int, Ge(10)] = 100

    access: ClassVar[Access] = Access.LABEL
    needs: ClassVar[frozenset[str]] = frozenset({"labels", "model", "records"})
    title = "Distance to the boundary (labels)"
    source = "Choquette-Choo et al. 2021 (arXiv 2007.14321), decision boundary distance by HopSkipJump"

    def __post_init__(self):
        super().__post_init__()
        if self.budget < self.starts + 60:
            raise InputError(f"BoundaryDistance: budget must be at least starts + 60, got {self.budget}")

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        scores = np.zeros(view.n_samples)
        rows = in_own_order(view, view.audited)
        if not rows.size:
            return scores
        images, labels = view.records.batch(rows), view.labels[rows]
        shape = images.shape[1:]
        right = view.model.labels(images) == labels
        rows, records, labels = rows[right], images.reshape(len(images), -1)[right], labels[right]
        if not rows.size:
            return scores
        candidates = self._candidates(view, images, rng)
        answers = view.model.labels(candidates)
        flat = candidates.reshape(self.starts, -1)
        starts, there = _nearest_of_another_label(records, labels, flat, answers)

        def ask(questions: np.ndarray, owners: np.ndarray) -> np.ndarray:
            return view.model.labels(questions.reshape(-1, *shape)) != labels[there][owners]

        found = hop_skip_jump(
            ask,
            records[there],
            starts[there],
            budget=self.budget - self.starts - 1,
            directions=self.directions,
            value_range=value_range(view.records),
            rng=rng,
        )
        seen = np.concatenate([records, flat])
        scores[rows] = np.linalg.norm(seen.max(axis=0) - seen.min(axis=0))
        scores[rows[there]] = found.distances
        return scores

    def _candidates(
        self, view: View, images: Float[np.ndarray, "audited ..."], rng: np.random.Generator
    ) -> Float[np.ndarray, "starts ..."]:
        population = rng.permutation(in_own_order(view, view.population))[: self.starts]
        noise_rng = rng.spawn(1)[0]
        lowest, highest = images.min(axis=0), images.max(axis=0)
        noise = noise_rng.uniform(lowest, highest, (self.starts - len(population), *images.shape[1:]))
        return np.concatenate([view.records.batch(population), noise.astype(np.float32)])


def _nearest_of_another_label(
    records: Float[np.ndarray, "records values"],
    labels: Int64[np.ndarray, " records"],
    candidates: Float[np.ndarray, "candidates values"],
    answers: Int64[np.ndarray, " candidates"],
) -> tuple[Float[np.ndarray, "records values"], Bool[np.ndarray, " records"]]:
    """For each record the nearest candidate whose answer is not its label, and whether there is one."""
    away = np.stack([np.linalg.norm(records - candidate, axis=1) for candidate in candidates], axis=1)
    away = np.where(answers == labels[:, None], np.inf, away)
    return candidates[away.argmin(axis=1)], np.isfinite(away.min(axis=1))
