"""From attacks to numbers: score every target, then measure each attack with intervals."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from seepage import metrics
from seepage.attacks import Attack, needs
from seepage.runs.progress import Steps
from seepage.runs.store import digest
from seepage.schema import attack as report
from seepage.schema.saved import LARGEST
from seepage.signals.view import View
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.score_cache import CachedScores, ScoreCache
from seepage.studies.settings import Settings


@dataclass
class Cost:
    """What one attack took against all targets together."""

    seconds: float = 0.0
    n_queries: int = 0  # records sent to the targets


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of some attacks on the audited records: attack -> (records, targets)."""

    scores: dict[str, Float64[np.ndarray, "records targets"]]
    costs: dict[str, Cost]
    members: Bool[np.ndarray, "records targets"]
    rows: np.ndarray
    p_values: dict[str, float]
    p_values_holm: dict[str, float]

    settings: Settings

    @functools.cached_property
    def supported_rate(self) -> float | None:
        return _supported_rate(self.members, self.settings)

    @property
    def tested_rate(self) -> float:
        """The FPR of the test that every p-value includes, and at which the smallest leak is named."""
        return self.supported_rate or max(self.settings.rates)

    @functools.cached_property
    def order(self) -> list[str]:
        """The attacks, what found a leak first, and of those the one that finds most members at a low FPR.

        That is what a record is exposed by. An attack with few distinct scores may be the surest that
        there is a leak and still point at nobody.
        """

        def rank(name: str) -> tuple:
            columns = list(zip(self.scores[name].T, self.members.T, strict=True))
            curves = [metrics.roc(*column) for column in columns]
            tpr = np.mean([curve.tpr[curve.fpr <= self.tested_rate].max() for curve in curves])
            auc = np.mean([metrics.auc(*column) for column in columns])
            found = self.p_values_holm[name] <= self.settings.alpha
            return (not found, -tpr, -auc) if found else (not found, self.p_values[name], -auc)

        return sorted(self.scores, key=rank)

    @property
    def leading(self) -> str:
        return self.order[0]


def score(
    evidence: Evidence,
    attacks: Mapping[str, Attack],
    rows: np.ndarray,
    settings: Settings,
    rng: np.random.Generator,
    *,
    folder: Path | None = None,
    progress: bool = False,
) -> Scored:
    """Run attacks against every target; `rows` are the audited records.

    Each attack draws from a generator of its own, so its scores do not depend on which others run. With a folder the
    scores of every finished attack are kept there, and an audit that was killed goes on with the next.
    """
    view_rng, attack_rng = rng.spawn(2)
    seed = int(attack_rng.integers(2**62))
    cache = None if folder is None else ScoreCache(folder, attacks, evidence, rows, seed)
    collected: dict[str, list[np.ndarray]] = {name: [] for name in attacks}
    costs = {name: Cost() for name in attacks}
    needed = set().union(*(attack.needs for attack in attacks.values()))
    with Steps(len(evidence.target_models) * len(attacks), "scores", show=progress) as steps:
        for target, view in enumerate(evidence.views(rows, needed, rng=view_rng)):
            for name, attack in attacks.items():
                steps.begin(f"scoring {name}")
                done = cache and cache.read(name, target)
                if done is None:
                    done = _run(attack, view, rows, np.random.default_rng([seed, int(digest(name)[:15], 16), target]))
                    if cache is not None:
                        cache.write(name, target, done)
                elif view.model is not None:
                    view.model.n_queries += done.n_asked
                collected[name].append(done.scores)
                costs[name].seconds += done.seconds
                costs[name].n_queries += view.n_samples * view.n_queries + done.n_asked
    scores = {name: np.stack(columns, axis=1) for name, columns in collected.items()}
    members = evidence.membership.targets[rows][:, : len(evidence.target_models)]
    rate = _supported_rate(members, settings) or max(settings.rates)
    p_values = {name: metrics.leak_p_value(columns, members, fpr=rate) for name, columns in scores.items()}
    corrected = metrics.holm(list(p_values.values()))
    p_values_holm = dict(zip(p_values, map(float, corrected), strict=True))
    return Scored(scores, costs, members, rows, p_values, p_values_holm, settings)


def _supported_rate(members: Bool[np.ndarray, "records targets"], settings: Settings) -> float | None:
    """The least of the rates asked for at which at least 10 false positives are allowed."""
    n_out = int((~members).sum(axis=0).min())
    return min((rate for rate in settings.rates if rate * n_out >= 10), default=None)


def _run(attack: Attack, view: View, rows: np.ndarray, rng: np.random.Generator) -> CachedScores:
    start, asked = time.perf_counter(), view.n_asked
    scores = attack.score(view, rng=rng)[rows]
    return CachedScores(scores, time.perf_counter() - start, view.n_asked - asked)


def measure(
    name: str, attack: Attack, title: str, scored: Scored, evidence: Evidence, settings: Settings, rng
) -> report.AttackResult:
    """Every number of one attack."""
    scores, members = scored.scores[name], scored.members
    level = {"confidence": settings.confidence, "rng": rng}
    # A few hundred canaries allow a low FPR only over all models together, as Aerni et al. count.
    rate_at = metrics.pooled_tpr_at_fpr if evidence.membership.canaries.any() else metrics.tpr_at_fpr
    tpr = {fpr: rate_at(scores, members, fpr, **level) for fpr in settings.rates}
    tnr = {fnr: metrics.tnr_at_fnr(scores, members, fnr, **level) for fnr in settings.rates}
    accuracy = metrics.balanced_accuracy(scores, members, **level)
    return report.AttackResult(
        name=name,
        title=title,
        access=str(attack.access),
        needs=needs(attack),
        source=attack.source,
        options={f.name: _option(getattr(attack, f.name)) for f in fields(attack)},
        n_members=float(members.sum(axis=0).mean()),
        n_nonmembers=float((~members).sum(axis=0).mean()),
        n_targets=members.shape[1],
        auc=metrics.roc_auc(scores, members, **level),
        balanced_accuracy=(accuracy),
        advantage=metrics.advantage(accuracy),
        tpr_at_fpr={_key(rate): (value) for rate, value in tpr.items()},
        tnr_at_fnr={_key(rate): (value) for rate, value in tnr.items()},
        positive_predictive_value={
            _key(rate): (metrics.positive_predictive_value(value, rate, settings.prior))
            for rate, value in tpr.items()
            if rate > 0
        },
        log_mia=report.LogMia(**{regime: metrics.log_mia(scores, members, regime, **level) for regime in ("a", "b")}),
        epsilon=_epsilon(scores, members, evidence.membership.origin == "drawn", len(scored.scores), settings, rng),
        p_value=scored.p_values[name],
        p_value_holm=scored.p_values_holm[name],
        cost=_cost(attack, scored.costs[name], evidence),
        roc=_roc(scores, members, level),
        histogram=_histogram(scores[:, 0], members[:, 0]),
    )


def _cost(attack: Attack, cost: Cost, evidence: Evidence) -> report.Cost:
    n_references = 0
    if "references" in needs(attack):
        n_references = len(evidence.reference_models) - evidence.membership.turns
        n_references = min(n_references, attack.most_references or n_references)
    trained = 0.0
    if evidence.training is not None:
        trained = evidence.training.seconds * n_references / evidence.training.n_models
    return report.Cost(
        references=n_references,
        known=int(evidence.membership.known.sum()) if "known" in attack.needs else 0,
        queries=cost.n_queries,
        seconds=cost.seconds,
        training_seconds=trained,
    )


def _option(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _key(rate: float) -> str:
    return f"{rate:g}"


def _epsilon(scores, members, is_drawn: bool, n_attacks: int, settings: Settings, rng) -> report.Epsilon:
    """At a level that holds for all attacks together: a reader looks at the largest, or at that of the leading one."""
    n_targets, alpha = members.shape[1], settings.alpha / n_attacks
    common = {"delta": settings.delta, "confidence": 1 - settings.alpha, "n": len(members)}
    if not is_drawn:
        value = metrics.epsilon_empirical(scores, members, alpha=alpha, delta=settings.delta, rng=rng)
        note = "a heuristic: the records of one training are not independent trials, so this is no bound"
        return report.Epsilon(kind="epsilon_empirical", value=value, method="split threshold", note=note, **common)
    values = [
        metrics.epsilon_lower_one_run_from_scores(*column, alpha=alpha / n_targets, delta=settings.delta, rng=rng)
        for column in zip(scores.T, members.T, strict=True)
    ]
    note = "every audited record was a member by a fair coin of its own, so each is a canary of one run"
    if n_attacks > 1:
        note += f"; holds for all {n_attacks} attacks together"
    if n_targets > 1:
        note += f"; the largest of {n_targets} targets, corrected for their number"
    method = "one run (Steinke, Nasr and Jagielski 2023)"
    return report.Epsilon(kind="epsilon_lower", value=max(values), method=method, note=note, **common)


def _roc(scores, members, level: dict) -> report.RocCurve:
    n_out = int((~members).sum(axis=0).min())
    grid = np.concatenate([[0.0], np.geomspace(1 / n_out, 1.0, 60)])
    tpr, low, high = metrics.roc_band(scores, members, grid, **level)
    return report.RocCurve(fpr=grid.tolist(), tpr=tpr.tolist(), low=low.tolist(), high=high.tolist())


def _histogram(scores: np.ndarray, members: np.ndarray) -> report.Histogram | None:
    finite = scores[np.abs(scores) <= LARGEST]
    if finite.size == 0 or finite.min() == finite.max():
        return None
    low, high = np.quantile(finite, [0.02, 0.98])
    if low == high:
        low, high = finite.min(), finite.max()
    edges = np.linspace(low, high, 41)
    # Scores beyond the edges, infinite ones too, count in the outermost bars.
    clipped = np.clip(scores, low, high)
    counts = [np.histogram(clipped[side], edges)[0].tolist() for side in (members, ~members)]
    return report.Histogram(edges=edges.tolist(), members=counts[0], nonmembers=counts[1])
