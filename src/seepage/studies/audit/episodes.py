"""The few-shot protocol: many small audits, each with a few records of known membership and a few to be judged."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil, log, log1p

import numpy as np
from jaxtyping import Bool, Float64

from seepage.attacks.base import NEEDS, Attack
from seepage.attacks.few_shot import Episodes, FewShot
from seepage.attacks.few_shot.support import doubled_wins
from seepage.errors import InputError
from seepage.metrics import log_mia_chance
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate
from seepage.signals.view import View

BLOCK_VALUES = 1 << 23  # float64 values of the vectors that are held at a time: 64 MiB, and some copies of it


@dataclass(frozen=True, eq=False)
class EpisodeResult:
    """Means over episodes; each interval is mean +- 1.96 sd / sqrt(n), with n - 1 in the sd, and n = episodes.

    The episodes share one target and overlap in their records. The interval says how far the mean over infinitely many
    episodes from the *same* records and target could be; it does not cover another draw of records, nor another
    training of the target, and shrinks with the number of episodes alone. It is no ground for a claim.
    """

    auc: Estimate
    log_mia_a: Estimate
    log_mia_b: Estimate
    accuracy: Estimate | None  # None where the attack has no score of its own that says member
    chance_a: float
    chance_b: float
    false_positives_allowed: int  # in regime b; none in a
    n_validation: int
    n_queries: int  # on each side
    by_episode: dict[str, Float64[np.ndarray, " episodes"]] = field(repr=False)


def episodes(
    attack: Attack,
    view: View,
    members: Bool[np.ndarray, " samples"],
    *,
    n_episodes: int = 500,
    n_validation: int = 15,
    n_queries: int = 15,
    rng: Seed,
    progress: Callable[[int, int], None] | None = None,
) -> EpisodeResult:
    """Judge an attack as FeS-MIA is judged: in episodes of few records.

    An episode draws, on each side and without replacement, `attack.shots` support and `n_validation` validation
    records, whose membership the attack is told, and `n_queries` queries, by which it is judged. AUC, Log-MIA in both
    regimes with d = 2 `n_queries`, and accuracy (a score above 0 says member) are taken in every episode, the
    thresholds of Log-MIA on the queries themselves, as in the source: beside them belongs the chance value.

    Records come from all but the population. Any attack can be judged so, for comparison: one that is no few-shot
    learner is told the membership of the validation records, or of `least_known` if that is more, and of all scores
    those of the queries count.

    Learners on vectors and signals take many episodes in one pass; the others go one by one (transductive tuning:
    seconds to minutes each; the source has 500 episodes on images, 100 on text).

    Args:
        attack: what is judged.
        view: the target's view; its `known` and `audited` are replaced in every episode.
        members: (samples,), the target's true membership; no attack sees it.
        n_episodes: at least 2.
        n_validation, n_queries: on each side.
        rng: draws the episodes, then whatever the attack draws.
        progress: called with (episodes done, of how many).

    Raises:
        InputError: fewer records on a side than an episode takes, or the view lacks what the attack needs.

    Reference: Jimenez-Lopez et al. 2025 (arXiv 2503.09365) and the first author's code. Deviations: the split into
        members and others is given, not by index; the order of the queries is shuffled.
    """
    rng = generator(rng)
    if min(n_episodes - 1, n_validation, n_queries) < 1:
        raise InputError(
            f"expected at least 2 episodes of at least 1 validation record and query a side, got {n_episodes}, "
            f"{n_validation} and {n_queries}"
        )
    if missing := [NEEDS[need] for need in sorted(attack.needs - view.available - {"known"})]:
        raise InputError(f"the attack '{attack.title}' needs {' and '.join(missing)}: this view has none")
    is_few_shot = isinstance(attack, FewShot)
    # a few-shot learner without a number of its own learns from the validation records
    shots = (attack.shots or 0) if is_few_shot else max(0, attack.least_known - n_validation)
    rows = _drawn(view, members, n_episodes, shots, n_validation, n_queries, rng)
    scores = np.empty(rows.queries.shape)
    for part in _chunks(attack, view, rows):
        scores[part] = _scored(attack, view, rows.part(part), rng)
        if progress is not None:
            progress(part.stop, n_episodes)
    judged = members[rows.queries]
    # each episode has as many members as others, in their own order
    inside, outside = (scores[side].reshape(n_episodes, n_queries) for side in (judged, ~judged))
    return _result(inside, outside, n_validation, is_few_shot)


def _drawn(
    view: View, members: np.ndarray, n_episodes: int, shots: int, n_validation: int, n_queries: int, rng
) -> Episodes:
    told, size = shots + n_validation, shots + n_validation + n_queries
    sides = [np.flatnonzero(~view.population & (members == side)) for side in (False, True)]
    fewest = min(len(side) for side in sides)
    if fewest < size:
        raise InputError(
            f"an episode takes {size} members and {size} non-members ({shots} shots, {n_validation} for validation, "
            f"{n_queries} queries): there are {len(sides[1])} and {len(sides[0])}; ask for fewer"
        )
    drawn = np.stack([[rng.choice(side, size, replace=False) for side in sides] for _ in range(n_episodes)])
    queries = rng.permuted(drawn[..., told:].reshape(n_episodes, -1), axis=1)
    return Episodes(drawn[..., :shots], drawn[..., shots:told], queries)


def _chunks(attack: Attack, view: View, rows: Episodes) -> Iterator[slice]:
    n_episodes, step = len(rows.queries), 1
    n_dims = attack.n_dims(view) if isinstance(attack, FewShot) else None
    if n_dims is not None:
        n_records = sum(part[0].size for part in rows)
        step = max(1, BLOCK_VALUES // (n_records * n_dims))
    for start in range(0, n_episodes, step):
        yield slice(start, min(start + step, n_episodes))


def _scored(
    attack: Attack, view: View, rows: Episodes, rng: np.random.Generator
) -> Float64[np.ndarray, "episodes queries"]:
    if isinstance(attack, FewShot):
        return attack.score_episodes(view, rows, rng=rng)
    scores = np.empty(rows.queries.shape)
    for episode in range(len(scores)):
        support, validation, queries = (part[episode] for part in rows)
        known, audited = np.full(view.n_samples, -1, dtype=np.int8), np.zeros(view.n_samples, dtype=bool)
        for side in (0, 1):
            known[support[side]] = known[validation[side]] = side
        audited[queries] = True
        scores[episode] = attack.score(dataclasses.replace(view, known=known, audited=audited), rng=rng)[queries]
    return scores


def _result(
    inside: Float64[np.ndarray, "episodes queries"],
    outside: Float64[np.ndarray, "episodes queries"],
    n_validation: int,
    has_threshold: bool,
) -> EpisodeResult:
    n_queries = inside.shape[1]
    allowed = ceil(log(2 * n_queries))
    by_episode = {
        "auc": doubled_wins(outside, inside) / (2 * n_queries**2),
        "log_mia_a": _log_mia(inside, outside, 0),
        "log_mia_b": _log_mia(inside, outside, allowed),
    }
    if has_threshold:
        by_episode["accuracy"] = ((inside > 0).mean(axis=1) + (outside <= 0).mean(axis=1)) / 2
    means = {name: _mean(values) for name, values in by_episode.items()}
    return EpisodeResult(
        **({"accuracy": None} | means),
        chance_a=log_mia_chance(n_queries, n_queries, 0),
        chance_b=log_mia_chance(n_queries, n_queries, allowed),
        false_positives_allowed=allowed,
        n_validation=n_validation,
        n_queries=n_queries,
        by_episode=by_episode,
    )


def _log_mia(
    inside: Float64[np.ndarray, "episodes queries"], outside: Float64[np.ndarray, "episodes queries"], allowed: int
) -> Float64[np.ndarray, " episodes"]:
    """`metrics.log_mia` of every episode: members above the (allowed + 1)-th non-member."""
    n = inside.shape[1]
    if allowed >= n:
        return np.ones(len(inside))
    bar = np.sort(outside, axis=1)[:, n - 1 - allowed]
    return np.log1p((inside > bar[:, None]).sum(axis=1)) / log1p(n)


def _mean(values: Float64[np.ndarray, " episodes"]) -> Estimate:
    mean, half = float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate.of(mean, mean - half, mean + half, len(values))
