"""What the few-shot learners share: episodes, the space they work in, distances, and the choice of options."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Float64, Int

from seepage.attacks.base import Attack
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.signals.view import View

JIMENEZ = "Jimenez-Lopez et al. 2025 (arXiv 2503.09365), FeS-MIA"
LEAST_VALIDATION = 5  # fewer on a side say next to nothing about which options find members
SHORTEST = 1e-6  # vectors are not divided by less, as in the first author's code


class Episodes(NamedTuple):
    """Row numbers of few-shot problems, one a row; of each pair the first are non-members, the second members."""

    support: Int[np.ndarray, "episodes 2 shots"]
    validation: Int[np.ndarray, "episodes 2 validation"]
    queries: Int[np.ndarray, "episodes queries"]

    def part(self, episodes: slice) -> "Episodes":
        return Episodes(*(rows[episodes] for rows in self))


class Parts(NamedTuple):
    """The same records as vectors."""

    support: Float64[np.ndarray, "episodes 2 shots dims"]
    validation: Float64[np.ndarray, "episodes 2 validation dims"]
    queries: Float64[np.ndarray, "episodes queries dims"]


@dataclass(frozen=True)
class FewShot(Attack):
    """A learner of two classes, member and non-member, from known records of each. A score above 0 says member.

    Options:
        shots: support records on each side.
    """

    shots: Annotated[int, Ge(1)] | None = None

    @abstractmethod
    def score_episodes(
        self, view: View, rows: Episodes, *, rng: np.random.Generator
    ) -> Float64[np.ndarray, "episodes queries"]:
        """Scores of the queries of each episode, of which nothing but the records' own signals is looked at."""

    def n_dims(self, view: View) -> int | None:
        """How many numbers a record is; None where episodes go one by one."""
        return None

    def _order(self, view: View) -> Int[np.ndarray, " samples"]:
        """An order of the records that does not depend on the one they came in. Labels play no part."""
        name = "top-log-odds" if "top-log-odds" in view.signals else next(iter(view.signals))
        return np.argsort(view.target(name).mean(axis=1), kind="stable")


@dataclass(frozen=True)
class Validated(FewShot):
    """A few-shot learner with options of its own, which it chooses on known records that it does not learn from.

    The known records are divided at random: `shots` on each side are the support, up to `n_validation` of the rest on
    each side choose the learner's own options, further ones stay unused. The choice maximises

        TP at FP = 0 on the validation records,

    the source's criterion. With 15 records a side many options tie. corrected: of those the one with the highest
    AUC, then the first; official: the last.

    Options:
        shots: support records on each side; the source has 1, 5 and 10.
        mode: "corrected", what the learner's own paper says, or "official", what the first author's code does.
        n_validation: at most so many validation records on each side; the source has 15.
    """

    shots: Annotated[int, Ge(1)] = 5
    mode: Literal["corrected", "official"] = "corrected"
    n_validation: Annotated[int, Ge(1)] = 15

    @property
    def least_known(self) -> int:
        return self.shots + min(LEAST_VALIDATION, self.n_validation)

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        """One episode, in which the queries are all audited records."""
        rows = drawn(view, self._order(view), self.shots, self.n_validation, rng)
        scores = np.full(view.n_samples, np.nan)
        if rows.queries.size:
            scores[rows.queries[0]] = self.score_episodes(view, rows, rng=rng)[0]
        return scores

    def _titled(self, name: str, *remarks: str) -> str:
        remarks = (*remarks, "first author's code") if self.mode == "official" else remarks
        return ", ".join((f"FeS-MIA {name}", f"{self.shots}-shot", *remarks))


@dataclass(frozen=True)
class VectorLearner(Validated):
    """A few-shot learner that sees each record as one vector.

    Options:
        space: "features", what the target's last layer sees; or "outputs", the target's log-probabilities, mean over
            queries. They are as they are in official; corrected, the true label's comes first, the others follow in
            descending order, and their mean is taken off (for two such vectors the Euclidean distance is Aitchison's,
            and a probability near 1 keeps its distance from the others). Without the labels' place, the classes
            are what a distance sees.
        transform: "cl2n": off the mean of all the records of an episode, and to length 1; "l2n": to length 1;
            "none"; "queries": validation and queries off the mean of the known members and to length 1, the support
            as it is (the code's defect). None: as the learner and the mode have it.
    """

    space: Literal["features", "outputs"] = "features"
    transform: Literal["cl2n", "l2n", "none", "queries"] | None = None

    @property
    def access(self) -> Access:
        return Access.WEIGHTS if self.space == "features" else Access.PROBABILITIES

    @property
    def needs(self) -> frozenset[str]:
        own = {"features"} if self.space == "features" else {"labels"} if self._by_label else set()
        return frozenset({"known"} | own)

    @property
    def _by_label(self) -> bool:
        return self.space == "outputs" and self.mode == "corrected"

    @property
    def _remarks(self) -> tuple[str, ...]:
        remarks = () if self.space == "features" else ("on outputs",)
        return remarks if self.transform is None else (*remarks, self.transform)

    def n_dims(self, view: View) -> int:
        return view.features.shape[1] if self.space == "features" else view.n_classes

    def parts(self, view: View, rows: Episodes, official: str) -> Parts:
        """The episodes' records as vectors, in the mode's transform; `official` is that of the code."""
        corrected = "cl2n" if self.space == "features" else "none"  # a length of 1 would leave two classes a sign
        how = self.transform or (official if self.mode == "official" else corrected)
        if self.space == "outputs":
            values = outputs(view, self.mode)
            return transformed(Parts(*(values[part] for part in rows)), how)
        parts = Parts(*(view.features[part].astype(np.float64) for part in rows))
        if not all(np.isfinite(part).all() for part in parts):
            raise InputError(f"{self.title}: the features contain NaN or infinity: check the model on these records")
        return transformed(parts, how)

    def _order(self, view: View) -> Int[np.ndarray, " samples"]:
        if self.space == "outputs" and not self._by_label:
            return super()._order(view)
        return np.argsort(_lengths(outputs(view, "corrected") if self._by_label else view.features), kind="stable")


def drawn(
    view: View, order: Int[np.ndarray, " samples"], shots: int, n_validation: int, rng: np.random.Generator
) -> Episodes:
    """One episode: support and validation at random from the known records, all audited ones as queries."""
    sides = [rng.permutation(order[view.known[order] == side]) for side in (0, 1)]
    end = shots + min(n_validation, *(len(side) - shots for side in sides))
    known = np.stack([side[:end] for side in sides])[None]
    return Episodes(known[..., :shots], known[..., shots:], order[view.audited[order]][None])


def outputs(view: View, mode: str) -> Float64[np.ndarray, "samples classes"]:
    """The target's log-probabilities as vectors; see `VectorLearner`."""
    values = view.target_log_probabilities().mean(axis=1)
    if mode == "official":
        return values
    own = view.labels[:, None]
    first = np.take_along_axis(values, own, axis=1)
    others = values.copy()
    np.put_along_axis(others, own, np.inf, axis=1)
    values = np.concatenate([first, np.sort(others, axis=1)[:, -2::-1]], axis=1)
    return values - values.mean(axis=1, keepdims=True)


def transformed(parts: Parts, how: str) -> Parts:
    """Centred, brought to length 1, or both, or left."""
    if how == "none":
        return parts
    if how == "l2n":
        return Parts(*(_to_length_1(part) for part in parts))
    flat = [part.reshape(len(part), -1, part.shape[-1]) for part in parts]
    held = np.concatenate(flat, axis=1)
    if how == "queries":
        held = np.concatenate([parts.support[:, 1], parts.validation[:, 1]], axis=1)
    mean = held.mean(axis=1, keepdims=True)
    centred = [_to_length_1(part - mean.reshape(len(part), *[1] * (part.ndim - 2), part.shape[-1])) for part in parts]
    return Parts(*centred) if how == "cl2n" else Parts(parts.support, *centred[1:])


def reference_points(
    support: Float64[np.ndarray, "episodes 2 shots dims"],
) -> tuple[Float64[np.ndarray, "episodes points dims"], Bool[np.ndarray, " points"]]:
    """The support and, from two shots, its two means; and which of them are members."""
    n, _, shots, dims = support.shape
    points, inside = support.reshape(n, 2 * shots, dims), np.repeat([False, True], shots)
    if shots == 1:
        return points, inside
    return np.concatenate([points, support.mean(axis=2)], axis=1), np.append(inside, [False, True])


def squared_distances(
    points: Float64[np.ndarray, "episodes points dims"], to: Float64[np.ndarray, "episodes others dims"]
) -> Float64[np.ndarray, "episodes points others"]:
    """|x - z|^2, measured from the others' mean so that few digits are lost where all are far from the origin."""
    origin = to.mean(axis=1, keepdims=True)
    x, z = points - origin, to - origin
    squares = _squares(x)[:, :, None] + _squares(z)[:, None] - 2 * (x @ z.swapaxes(1, 2))
    return np.maximum(squares, 0.0)


def select(scores: Float64[np.ndarray, "options episodes 2 validation"], mode: str) -> Int[np.ndarray, " episodes"]:
    """The option that finds most validation members without a false positive; see `Validated` for ties."""
    outside, inside = scores[..., 0, :], scores[..., 1, :]
    found = (inside > outside.max(axis=-1, keepdims=True)).sum(axis=-1)
    if mode == "official":
        return len(found) - 1 - found[::-1].argmax(axis=0)
    wins = doubled_wins(outside, inside)
    return (found * (2 * outside.shape[-1] * inside.shape[-1] + 1) + wins).argmax(axis=0)


def best_thresholds(
    outside: Float64[np.ndarray, "episodes others"], inside: Float64[np.ndarray, "episodes members"]
) -> Float64[np.ndarray, " episodes"]:
    """The threshold of best balanced accuracy: a score above it says member.

    It lies half-way between two scores; of several that are equally good it is the middle one. Where none is better
    than guessing, as with one record a side in the wrong order, it lies half-way between the means.

    >>> print(best_thresholds(np.array([[0.0, 1.0, 4.0]]), np.array([[2.0, 3.0, 5.0]])))
    [1.5]
    """
    scores = np.concatenate([outside, inside], axis=1)
    order = scores.argsort(axis=1, kind="stable")
    scores, is_in = np.take_along_axis(scores, order, axis=1), order >= outside.shape[1]
    # a bar above the i-th lowest score spares so many non-members and loses so many members, in units of 1 / (n m)
    gain = (~is_in).cumsum(axis=1) * inside.shape[1] - is_in.cumsum(axis=1) * outside.shape[1]
    low, high = scores[:, :-1], scores[:, 1:]
    gain = np.where(high > low, gain[:, :-1], -1)  # no bar fits between equal scores
    most = gain.max(axis=1, keepdims=True)
    best = gain == most
    middle = (best.cumsum(axis=1) == (best.sum(axis=1, keepdims=True) + 1) // 2).argmax(axis=1)[:, None]
    low, high = (np.take_along_axis(values, middle, axis=1)[:, 0] for values in (low, high))
    half = low / 2 + high / 2
    between_means = outside.mean(axis=1) / 2 + inside.mean(axis=1) / 2
    # the mean of equal scores may lie beside them by rounding, and all that are equal to them would be above it
    between_means = np.clip(between_means, scores[:, 0], scores[:, -1])
    return np.where(most[:, 0] <= 0, between_means, np.where(half < high, half, low))


def doubled_wins(
    outside: Float64[np.ndarray, "*batch others"], inside: Float64[np.ndarray, "*batch members"]
) -> Int[np.ndarray, "*batch"]:
    """Twice the pairs that have the member higher, ties once: 2 n_in n_out AUC."""
    inside, outside = inside[..., :, None], outside[..., None, :]
    return (2 * (inside > outside) + (inside == outside)).sum(axis=(-1, -2))


def _lengths(values: np.ndarray) -> Float64[np.ndarray, "*rows"]:
    return np.sqrt(_squares(values.astype(np.float64)))


def _squares(values: np.ndarray) -> np.ndarray:
    return np.einsum("...d,...d->...", values, values)


def _to_length_1(values: Float64[np.ndarray, "*rows dims"]) -> Float64[np.ndarray, "*rows dims"]:
    return values / np.maximum(_lengths(values), SHORTEST)[..., None]
