"""From attacks to numbers: score every target, then measure each attack with intervals."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from jaxtyping import Bool, Float64

from seepage import metrics
from seepage.attacks import find_attack
from seepage.auditing.evidence import Evidence
from seepage.auditing.settings import Settings
from seepage.report import result as report


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of some attacks on the audited records: attack -> (records, targets)."""

    scores: dict[str, Float64[np.ndarray, "records targets"]]
    seconds: dict[str, float]
    members: Bool[np.ndarray, "records targets"]
    rows: np.ndarray
    p_values: dict[str, float]
    p_values_holm: dict[str, float]

    @property
    def leading(self) -> str:
        """The attack with the least p-value; of equals the one that separates best."""
        return min(self.scores, key=lambda name: (self.p_values[name], -self._auc(name)))

    def _auc(self, name: str) -> float:
        columns = zip(self.scores[name].T, self.members.T, strict=True)
        return float(np.mean([metrics.auc(scores, members) for scores, members in columns]))


def score(evidence: Evidence, attacks: Sequence[str], rows: np.ndarray, rng: np.random.Generator) -> Scored:
    """Run attacks against every target; `rows` are the audited records."""
    collected: dict[str, list[np.ndarray]] = {name: [] for name in attacks}
    seconds = dict.fromkeys(attacks, 0.0)
    view_rng, attack_rng = rng.spawn(2)
    for view in evidence.views(view_rng):
        for name in attacks:
            start = time.perf_counter()
            collected[name].append(find_attack(name).score(view, rng=attack_rng)[rows])
            seconds[name] += time.perf_counter() - start
    scores = {name: np.stack(columns, axis=1) for name, columns in collected.items()}
    members = evidence.membership.targets[rows]
    p_values = {name: metrics.leak_p_value(columns, members) for name, columns in scores.items()}
    corrected = metrics.holm(list(p_values.values()))
    return Scored(scores, seconds, members, rows, p_values, dict(zip(p_values, map(float, corrected), strict=True)))


def measure(name: str, scored: Scored, evidence: Evidence, settings: Settings, rng) -> report.AttackResult:
    """Every number of one attack."""
    attack, scores, members = find_attack(name), scored.scores[name], scored.members
    level = {"confidence": settings.confidence, "rng": rng}
    tpr = {fpr: metrics.tpr_at_fpr(scores, members, fpr, **level) for fpr in settings.rates}
    tnr = {fnr: metrics.tnr_at_fnr(scores, members, fnr, **level) for fnr in settings.rates}
    accuracy = metrics.balanced_accuracy(scores, members, **level)
    return report.AttackResult(
        name=name,
        title=attack.title,
        access=str(attack.access),
        needs=sorted(attack.needs),
        source=attack.source,
        options={f.name: getattr(attack, f.name) for f in fields(attack)},
        n_members=float(members.sum(axis=0).mean()),
        n_nonmembers=float((~members).sum(axis=0).mean()),
        n_targets=members.shape[1],
        auc=estimate(metrics.roc_auc(scores, members, **level)),
        balanced_accuracy=estimate(accuracy),
        advantage=estimate(metrics.advantage(accuracy)),
        tpr_at_fpr={_key(rate): estimate(value) for rate, value in tpr.items()},
        tnr_at_fnr={_key(rate): estimate(value) for rate, value in tnr.items()},
        positive_predictive_value={
            _key(rate): estimate(metrics.positive_predictive_value(value, rate, settings.prior))
            for rate, value in tpr.items()
            if rate > 0
        },
        log_mia=report.LogMia(**{regime: _log_mia(scores, members, regime, level) for regime in ("a", "b")}),
        epsilon=_epsilon(scores, members, evidence.membership.origin == "drawn", settings, rng),
        p_value=scored.p_values[name],
        p_value_holm=scored.p_values_holm[name],
        seconds=scored.seconds[name],
        roc=_roc(scores, members, level),
        histogram=_histogram(scores[:, 0], members[:, 0]),
    )


def estimate(value: metrics.Estimate) -> report.Estimate:
    return report.Estimate(**{f.name: getattr(value, f.name) for f in fields(metrics.Estimate)})


def _key(rate: float) -> str:
    return f"{rate:g}"


def _log_mia(scores, members, regime: str, level: dict) -> report.LogMiaEstimate:
    return report.LogMiaEstimate(**asdict(metrics.log_mia(scores, members, regime, **level)))


def _epsilon(scores, members, is_drawn: bool, settings: Settings, rng) -> report.Epsilon:
    n_targets = members.shape[1]
    common = {"delta": settings.delta, "confidence": 1 - settings.alpha, "n": len(members)}
    if not is_drawn:
        value = metrics.epsilon_empirical(scores, members, alpha=settings.alpha, delta=settings.delta, rng=rng)
        note = "a heuristic: the records of one training are not independent trials, so this is no bound"
        return report.Epsilon(kind="epsilon_empirical", value=value, method="split threshold", note=note, **common)
    values = [
        metrics.epsilon_lower_one_run_from_scores(
            *column, alpha=settings.alpha / n_targets, delta=settings.delta, rng=rng
        )
        for column in zip(scores.T, members.T, strict=True)
    ]
    note = "every audited record was a member by a fair coin of its own, so each is a canary of one run"
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
    finite = scores[np.isfinite(scores)]
    if finite.size == 0 or finite.min() == finite.max():
        return None
    low, high = np.quantile(finite, [0.005, 0.995])
    if low == high:
        low, high = finite.min(), finite.max()
    edges = np.linspace(low, high, 41)
    # Scores beyond the edges, infinite ones too, count in the outermost bars.
    clipped = np.clip(scores, low, high)
    counts = [np.histogram(clipped[side], edges)[0].tolist() for side in (members, ~members)]
    return report.Histogram(edges=edges.tolist(), members=counts[0], nonmembers=counts[1])
