"""What defences buy and cost, in sentences: beside the undefended model, and beside each other at equal accuracy.

What is left to an attacker is compared class by class, in pairs: a class that is easy to show is so for every target,
and two intervals over classes overlap although every class falls. Accuracies are compared by their intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

from seepage.metrics.reconstruction import paired
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import TargetResult
from seepage.schema.inversion_reading import apart, is_beyond, reference, rivals, sweeps
from seepage.schema.numbers import listed, percent
from seepage.schema.parts import Finding
from seepage.studies.invert.verdict import Evidence, rate_of, recognised_of

MATCHED = 0.02  # natural accuracies so far apart are about the same
ROUNDING = 1e-9
UNDEFENDED = -1  # in place of the number of a defence


def beside_undefended(found: Evidence, plain: TargetResult, one: TargetResult) -> Finding:
    left = recognised_of(sum(is_beyond(attack, found.alpha) for attack in one.attacks), len(one.attacks))
    return Finding(
        about=found.titles[one.name],
        sentence=f"Beside '{found.titles[plain.name]}' the best attack's accuracy {_change(found, plain, one)} "
        f"({found.called(one.worst)}); natural accuracy {_cost(plain.test_accuracy, one.test_accuracy)}. {left} beyond "
        "every baseline.",
    )


def at_equal_accuracy(found: Evidence) -> list[Finding]:
    """What freezing does, whether a fall is more than lost accuracy, and who leaks least at the same cost."""
    return [*_freezing(found), *_beside_control(found), *_groups(found)]


def _freezing(found: Evidence) -> list[Finding]:
    """The most frozen target of each sweep beside that of least: the same pre-training, so that freezing is alone."""
    told = []
    for sweep in sweeps(found.targets):
        known = sorted((one for one in sweep if "freeze" in one.options), key=lambda one: -one.n_trained)
        if len(known) < 2 or known[0].n_trained == known[-1].n_trained:
            continue
        least, most = known[0], known[-1]
        told.append(
            Finding(
                about=f"Freezing, from '{found.titles[least.name]}' to '{found.titles[most.name]}'",
                sentence=f"With the same pre-training and {most.n_trained:,} instead of {least.n_trained:,} parameters "
                f"trained on private records, the best attack's accuracy {_change(found, least, most)}"
                f"{_searches(found, least, most)}; natural accuracy "
                f"{_cost(least.test_accuracy, most.test_accuracy)}.",
            )
        )
    return told


def _beside_control(found: Evidence) -> list[Finding]:
    """Each defended target beside an undefended one of no higher accuracy: whoever learns less gives away less."""
    rows = [one for one in rivals(found.targets) if one.test_accuracy.value is not None]
    plain = sorted((one for one in rows if one.role == "undefended"), key=lambda one: -one.test_accuracy.value)
    defended = [one for one in rows if one.role == "defended"]
    if not plain or not defended:
        return []
    told, without = [], []
    for one in defended:
        control = next((p for p in plain if p.test_accuracy.value <= one.test_accuracy.value + ROUNDING), None)
        if control is None:
            without.append(one)
            continue
        if control is reference(found.targets):
            continue  # compared already
        told.append(
            Finding(
                about=f"{found.titles[one.name]}, beside an undefended target of no higher accuracy",
                sentence=f"'{found.titles[control.name]}' has a natural accuracy of "
                f"{percent(control.test_accuracy.value)} against {percent(one.test_accuracy.value)}, and the best "
                f"attack's accuracy {_change(found, control, one)}{_searches(found, control, one)}"
                f"{_means(found, control, one)}.",
            )
        )
    if without:
        names = listed([f"'{found.titles[one.name]}'" for one in without])
        told.append(
            Finding(
                about="No control of accuracy",
                sentence=f"No undefended target is as inaccurate as {names}, so how much of what is protected there is "
                "lost accuracy is not known: add one that is trained for less ({name: undefended, label: short, "
                "recipe: {epochs: 3}}).",
            )
        )
    return told


def _means(found: Evidence, control: TargetResult, one: TargetResult) -> str:
    change = _difference(found, control, one)
    if change is None or change.high is None or change.high >= 0:
        return ": what it protects is not shown to be more than what lost accuracy protects"
    return ": it protects more than lost accuracy does"


def _groups(found: Evidence) -> list[Finding]:
    """Which target leaks least among those that cost about the same, undefended ones too."""
    family = {one.name: at for at, sweep in enumerate(sweeps(found.targets)) for one in sweep}
    if len(set(family.values())) < 2:
        return []
    family |= {one.name: UNDEFENDED for one in rivals(found.targets) if one.role == "undefended"}
    known = [one for one in rivals(found.targets) if one.test_accuracy.value is not None]
    known.sort(key=lambda one: -one.test_accuracy.value)
    groups: list[list[TargetResult]] = []
    for at, first in enumerate(known):
        group = [one for one in known[at:] if first.test_accuracy.value - one.test_accuracy.value < MATCHED + ROUNDING]
        if not groups or group[-1] is not groups[-1][-1]:  # otherwise part of the group before
            groups.append(group)
    mixed = [group for group in groups if len({family[one.name] for one in group} - {UNDEFENDED}) > 1]
    if not mixed:
        sentence = (
            f"No two defences have natural accuracies within {100 * MATCHED:g} points of each other, so which of them "
            "protects more at the same cost is not known."
        )
        return [Finding(about="At equal accuracy", sentence=sentence)]
    return [_least(found, group) for group in mixed]


def _least(found: Evidence, group: Sequence[TargetResult]) -> Finding:
    first, *others = sorted(group, key=lambda one: one.worst.accuracy.value or 0.0)
    ends = [percent(one.test_accuracy.value) for one in (group[-1], group[0])]
    more = [_difference(found, first, one) for one in others]
    rest = [f"'{found.titles[one.name]}' {_points(d)} more" for one, d in zip(others, more, strict=True)]
    clear = all(one is not None and one.low is not None and one.low > 0 for one in more)
    sure = "" if clear else "; where an interval holds 0, or there is none, the order is not settled"
    return Finding(
        about="At equal accuracy",
        sentence=f"At a natural accuracy of {' to '.join(dict.fromkeys(ends))} the best attack gets least from "
        f"'{found.titles[first.name]}', {rate_of(first.worst.accuracy)}; class by class, from {listed(rest)}{sure}.",
    )


def _difference(found: Evidence, before: TargetResult, after: TargetResult) -> Estimate | None:
    """How much more the best attack on the second gets than the best one on the first, class by class."""
    change = paired(before.worst, after.worst, found.confidence)
    return None if change is None else change[0]


def _searches(found: Evidence, before: TargetResult, after: TargetResult) -> str:
    """The same for each attack that searches: the best one may be a selection, which makes nothing of the target's."""
    made = [one.name for one in found.attacks if not one.is_selection]
    pairs = [[next((a for a in of.attacks if a.attack == name), None) for of in (before, after)] for name in made]
    told = [
        f"{found.called(first)} {_points(change[0])}"
        for first, second in pairs
        if None not in (first, second) and (change := paired(first, second, found.confidence)) is not None
    ]
    return f" (by attack: {listed(told)})" if len(told) > 1 or len(found.attacks) > len(made) else ""


def _change(found: Evidence, before: TargetResult, after: TargetResult) -> str:
    rates = [one.worst.accuracy for one in (before, after)]
    if None in (rates[0].value, rates[1].value):
        return "is undefined here"
    ends = f"from {percent(rates[0].value)} to {percent(rates[1].value)}"
    change = _difference(found, before, after)
    if change is None:
        return f"goes {ends}, and no class is in both results to be compared in pairs"
    verb, unsure = "goes", ", which holds 0"
    if None in (change.low, change.high):
        unsure = ", which has no interval"
    elif not change.low <= 0 <= change.high:
        verb, unsure = "clearly falls" if change.high < 0 else "clearly rises", ""
    return f"{verb} {ends}, class by class {_points(change)}{unsure}"


def _cost(before: Estimate, after: Estimate) -> str:
    if before.value is None or after.value is None:
        return "is undefined here"
    verb = "clearly falls" if apart(after, before) else "clearly rises" if apart(before, after) else "goes"
    unsure = ", the intervals overlapping" if verb == "goes" else ""
    return f"{verb} from {percent(before.value)} to {rate_of(after)}{unsure}"


def _points(one: Estimate | None) -> str:
    if one is None or one.value is None:
        return "an undefined number of points"
    ends = "" if one.low is None or one.high is None else f" [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    return f"{100 * one.value:+.1f}{ends} points"
