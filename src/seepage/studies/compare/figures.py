"""From the audits of one defence, one a seed, to its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy.stats import t as student

from seepage.schema import comparison as report
from seepage.schema.attack import AttackResult
from seepage.schema.audit import AuditResult
from seepage.schema.estimates import Estimate
from seepage.schema.nonmembers import FalsePositives, OtherNonmembers

NOT_MEASURED = Estimate(value=None, low=None, high=None, n=0, flag="not measured")


def combined(
    estimates: Sequence[Estimate], *, confidence: float, least: float = 0.0, most: float | None = 1.0
) -> Estimate:
    """Mean over seeds, with an interval that holds what differs between seeds and what no further seed would change.

        v = mean v_s
        low = v - sqrt(b^2 + (mean (v_s - low_s))^2),  high likewise,    b = t_{S-1} sd(v_s) / sqrt(S)

    b is Student's half-width over the seeds (other members, other weights). An audit's own interval is over the
    records that it judges (and its targets); all seeds judge the same pool, so its width is averaged and not narrowed
    by their number. What differs from audit to audit is in both parts, and so the interval covers at least as often as
    stated; with two seeds, whose t is 12.7, it is very wide. One seed keeps the audit's interval.

    Args:
        estimates: one a seed.
        confidence: of all intervals.
        least, most: what the number can be.

    Returns:
        Estimate with the least n of the seeds and the first flag; undefined where it is undefined in a seed.

    Reference: Zou and Donner (2008), Construction of confidence limits about effect measures, Statistics in Medicine
        27(10), for adding independent parts by the squares of their limits' distances. Satterthwaite's degrees of
        freedom would be narrower and covered 87 % instead of 95 % with two seeds in our simulation.

    >>> seeds = [Estimate(value=v, low=v - 0.02, high=v + 0.04, n=50) for v in (0.59, 0.60, 0.61)]
    >>> found = combined(seeds, confidence=0.95)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.6, 0.568, 0.647)
    """
    undefined = [one for one in estimates if one.value is None]
    n = min(one.n for one in estimates)
    flag = next((one.flag for one in (undefined or estimates) if one.flag), None)
    if undefined:
        return Estimate(value=None, low=None, high=None, n=n, flag=flag)
    count = len(estimates)
    if count == 1:
        return estimates[0]
    value = math.fsum(one.value for one in estimates) / count
    spread = math.sqrt(math.fsum((one.value - value) ** 2 for one in estimates) / (count - 1))
    between = float(student.ppf(0.5 + confidence / 2, count - 1)) * spread / math.sqrt(count)
    down = math.fsum(one.value - one.low for one in estimates if one.low is not None) / count
    up = math.fsum(one.high - one.value for one in estimates if one.high is not None) / count
    low, high = value - math.hypot(between, down), value + math.hypot(between, up)
    return Estimate(value=value, low=max(least, low), high=high if most is None else min(most, high), n=n, flag=flag)


def key(rate: float) -> str:
    """A rate as an audit's result names it."""
    return f"{rate:g}"


def attack_figures(audits: Sequence[AuditResult], rate: float, confidence: float) -> dict[str, report.AttackFigures]:
    """Attack -> its four figures over all seeds, in the order of the first audit's question."""

    def over_seeds(name: str, of: Callable[[AttackResult], Estimate]) -> Estimate:
        return combined([of(result.attack(name)) for result in audits], confidence=confidence)

    return {
        name: report.AttackFigures(
            balanced_accuracy=over_seeds(name, lambda a: a.balanced_accuracy),
            auc=over_seeds(name, lambda a: a.auc),
            tpr=over_seeds(name, lambda a: a.tpr_at_fpr[key(rate)]),
            tnr=over_seeds(name, lambda a: a.tnr_at_fnr[key(rate)]),
        )
        for name in audits[0].provenance.settings["attacks"]
    }


def by_family(
    attacks: dict[str, report.AttackFigures], infos: Sequence[report.AttackInfo]
) -> dict[report.Family, report.Leak]:
    """What the attacks of each family find at most."""
    families = dict.fromkeys(info.family for info in infos)
    return {
        family: report.worst_of({info.name: attacks[info.name] for info in infos if info.family == family})
        for family in families
    }


def utility(audits: Sequence[AuditResult], confidence: float) -> report.Utility:
    targets = [result.target for result in audits]

    def over_seeds(values: list[Estimate | None], most: float | None = 1.0) -> Estimate:
        return combined([value or NOT_MEASURED for value in values], confidence=confidence, most=most)

    return report.Utility(
        train_accuracy=over_seeds([target.accuracy_members for target in targets]),
        test_accuracy=over_seeds([target.accuracy_nonmembers for target in targets]),
        calibration_error=over_seeds([target.calibration_error for target in targets]),
        negative_log_likelihood=over_seeds([target.negative_log_likelihood for target in targets], most=None),
    )


def seed_figures(result: AuditResult, seed: int, rate: float, folder: str) -> report.SeedFigures:
    """One audit in six numbers, the last four each a maximum over its attacks."""

    def most(values: list[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    return report.SeedFigures(
        seed=seed,
        train_accuracy=result.target.accuracy_members.value,
        test_accuracy=result.target.accuracy_nonmembers.value,
        balanced_accuracy=most([attack.balanced_accuracy.value for attack in result.attacks]),
        auc=most([attack.auc.value for attack in result.attacks]),
        tpr=most([attack.tpr_at_fpr[key(rate)].value for attack in result.attacks]),
        tnr=most([attack.tnr_at_fnr[key(rate)].value for attack in result.attacks]),
        folder=folder,
    )


def other_nonmembers(audits: Sequence[AuditResult], confidence: float) -> list[OtherNonmembers]:
    """How many of each set of other non-members the attacks call members, over all seeds."""
    names = [name for name in FalsePositives.model_fields if name != "attack"]
    return [
        one.model_copy(
            update={
                "attacks": [
                    FalsePositives(
                        attack=row.attack,
                        **{
                            name: combined(
                                [getattr(result.other_nonmembers[at].on(row.attack), name) for result in audits],
                                confidence=confidence,
                            )
                            for name in names
                        },
                    )
                    for row in one.attacks
                ]
            }
        )
        for at, one in enumerate(audits[0].other_nonmembers)
    ]


def canary_figures(audits: Sequence[AuditResult], kind: str, n: int, fpr: float, confidence: float):
    """What the attacks find among canaries, over all seeds."""
    attacks = {
        name: combined([result.attack(name).tpr_at_fpr[key(fpr)] for result in audits], confidence=confidence)
        for name in audits[0].provenance.settings["attacks"]
    }
    return report.CanaryFigures(kind=kind, n=n * len(audits), fpr=fpr, attacks=attacks, worst=report.largest(attacks))


def seconds(audits: Sequence[AuditResult]) -> float:
    """Of training models and of scoring, whichever run did it."""
    return math.fsum(
        (result.training.seconds if result.training else 0.0) + math.fsum(a.cost.seconds for a in result.attacks)
        for result in audits
    )


def matched(defences: Sequence[report.DefenceResult], floor: float | None, tolerance: float) -> list[report.Matched]:
    """Those whose test accuracy is at most floor + tolerance below the undefended model's; none without a floor."""
    undefended = defences[0].utility.test_accuracy.value
    if floor is None or undefended is None:
        return []
    return [
        report.Matched(
            name=one.name,
            options=one.options,
            test_accuracy=one.utility.test_accuracy,
            tpr=one.worst.tpr,
            auc=one.worst.auc,
        )
        for one in defences
        if one.utility.test_accuracy.value is not None
        and one.utility.test_accuracy.value >= undefended - floor - tolerance - 1e-9
    ]
