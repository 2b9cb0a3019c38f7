"""What defences buy and cost, in sentences: beside the undefended model, and beside each other at equal accuracy."""

from __future__ import annotations

from seepage.inversion.verdict import Evidence, rate_of, recognised_of
from seepage.report.inversion_result import TargetResult
from seepage.report.inversion_view import apart, is_beyond, rivals, sweeps
from seepage.report.numbers import listed, percent
from seepage.report.result import Estimate
from seepage.report.trust_result import Finding

MATCHED = 0.02  # natural accuracies so far apart are about the same
ROUNDING = 1e-9


def beside_undefended(found: Evidence, plain: TargetResult, one: TargetResult) -> Finding:
    before, after = plain.worst, one.worst
    change = _change(before.accuracy, after.accuracy)
    cost = _change(plain.test_accuracy, one.test_accuracy)
    left = recognised_of(sum(is_beyond(attack, found.alpha) for attack in one.attacks), len(one.attacks))
    return Finding(
        about=found.titles[one.name],
        sentence=f"Beside '{found.titles[plain.name]}' the best attack's accuracy {change} ({found.called(after)}); "
        f"natural accuracy {cost}. {left} beyond every baseline.",
    )


def at_equal_accuracy(found: Evidence) -> list[Finding]:
    """Which defence leaks least among those that cost about the same."""
    family = {one.name: at for at, sweep in enumerate(sweeps(found.targets)) for one in sweep}
    if len(set(family.values())) < 2:
        return []
    known = [one for one in rivals(found.targets) if one.name in family and one.test_accuracy.value is not None]
    known.sort(key=lambda one: -one.test_accuracy.value)
    groups: list[list[TargetResult]] = []
    for at, first in enumerate(known):
        group = [one for one in known[at:] if first.test_accuracy.value - one.test_accuracy.value < MATCHED + ROUNDING]
        if not groups or group[-1] is not groups[-1][-1]:  # otherwise part of the group before
            groups.append(group)
    mixed = [group for group in groups if len({family[one.name] for one in group}) > 1]
    if not mixed:
        sentence = (
            f"No two defences have natural accuracies within {100 * MATCHED:g} points of each other, so which of them "
            "protects more at the same cost is not known."
        )
        return [Finding(about="At equal accuracy", sentence=sentence)]
    return [_least(found, group) for group in mixed]


def _least(found: Evidence, group: list[TargetResult]) -> Finding:
    first, *others = sorted(group, key=lambda one: one.worst.accuracy.value or 0.0)
    ends = [percent(one.test_accuracy.value) for one in (group[-1], group[0])]
    rest = [f"'{found.titles[one.name]}' {rate_of(one.worst.accuracy)}" for one in others]
    clear = all(apart(first.worst.accuracy, one.worst.accuracy) for one in others)
    sure = "" if clear else "; where intervals overlap the order is not settled"
    return Finding(
        about="At equal accuracy",
        sentence=f"At a natural accuracy of {' to '.join(dict.fromkeys(ends))} the best attack gets least from "
        f"'{found.titles[first.name]}', {rate_of(first.worst.accuracy)}; from {listed(rest)}{sure}.",
    )


def _change(before: Estimate, after: Estimate) -> str:
    if before.value is None or after.value is None:
        return "is undefined here"
    verb = "clearly falls" if apart(after, before) else "clearly rises" if apart(before, after) else "goes"
    unsure = ", the intervals overlapping" if verb == "goes" else ""
    return f"{verb} from {percent(before.value)} to {rate_of(after)}{unsure}"
