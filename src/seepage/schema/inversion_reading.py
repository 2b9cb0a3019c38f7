"""How a result of model inversion is read: which targets its answer is about, which attack leads, what a sweep is."""

from collections.abc import Sequence

from seepage.schema.estimates import Estimate
from seepage.schema.inversion import AttackInfo, Baseline, InversionResult, Reconstructed, TargetResult

CONTROLS = ("null", "shuffled")
UNKNOWN = Estimate(value=None, low=None, high=None, n=0, flag="not measured")


def subjects(targets: Sequence[TargetResult]) -> list[TargetResult]:
    """Whom the verdict is about: the undefended targets; the defended ones where there are no others."""
    for role in ("undefended", "defended"):
        if found := [one for one in targets if one.role == role and one.attacks]:
            return found
    return []


def level(targets: Sequence[TargetResult], alpha: float) -> float:
    """`alpha` corrected for the number of targets that the verdict is about."""
    return alpha / max(1, len(subjects(targets)))


def controls(targets: Sequence[TargetResult]) -> list[TargetResult]:
    """Targets from which nothing can be had."""
    return [one for one in targets if one.role in CONTROLS and one.attacks]


def rivals(targets: Sequence[TargetResult]) -> list[TargetResult]:
    """Targets that are of use to somebody, undefended or defended: those that accuracy can be weighed for."""
    return [one for one in targets if one.role not in CONTROLS and one.attacks]


def sweeps(targets: Sequence[TargetResult]) -> list[list[TargetResult]]:
    """The defended targets, the settings of one defence together.

    These have names that begin with the same word and the same options, and differ in numbers alone.
    """
    found: dict[tuple, list[TargetResult]] = {}
    for one in rivals(targets):
        if one.role == "defended":
            options = sorted((name, "" if _is_number(value) else repr(value)) for name, value in one.options.items())
            found.setdefault((one.name.split(" ")[0], *options), []).append(one)
    return list(found.values())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def titles(targets: Sequence[TargetResult]) -> dict[str, str]:
    """Name -> title; with the name behind it where two targets share a title."""
    given = [one.title for one in targets]
    return {one.name: one.title if given.count(one.title) == 1 else f"{one.title} ({one.name})" for one in targets}


def title_of(attacks: Sequence[AttackInfo], name: str) -> str:
    """The title of an attack; its name, where the result doesn't list it."""
    return next((attack.title for attack in attacks if attack.name == name), name)


def is_beyond(attack: Reconstructed, alpha: float) -> bool:
    """Whether the judge recognises its images beyond every baseline, corrected for the attacks on the target."""
    return attack.p_value_holm <= alpha


def ranked(target: TargetResult, alpha: float) -> list[Reconstructed]:
    """The attacks that are beyond every baseline first, and the most accurate of these and of the others first."""
    return sorted(target.attacks, key=lambda one: (not is_beyond(one, alpha), -(one.accuracy.value or 0.0)))


def leading(target: TargetResult, alpha: float) -> Reconstructed:
    return ranked(target, alpha)[0]


def level_of(target: TargetResult, targets: Sequence[TargetResult], alpha: float) -> float:
    """`level` for those that the verdict is about, `alpha` for the others."""
    return level(targets, alpha) if target.name in {one.name for one in subjects(targets)} else alpha


def is_given(result: InversionResult) -> bool:
    """Whether a model of the user's was attacked, which no seed trained anew."""
    return "attacked" in result.recipe


def best_baseline(attack: Reconstructed) -> Baseline | None:
    """The highest of what can be had without asking the target."""
    return max(attack.baselines, key=lambda one: one.accuracy.value or 0.0, default=None)


def best_accuracy(attack: Reconstructed) -> Estimate:
    best = best_baseline(attack)
    return UNKNOWN if best is None else best.accuracy


def reference(targets: Sequence[TargetResult]) -> TargetResult | None:
    """The target that others are compared with: the first undefended one, where there are others."""
    rows = rivals(targets)
    return next((one for one in rows if one.role == "undefended"), None) if len(rows) > 1 else None


def apart(lower: Estimate, higher: Estimate) -> bool:
    """Whether the whole of one interval lies below the other."""
    return lower.high is not None and higher.low is not None and lower.high < higher.low
