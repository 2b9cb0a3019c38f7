"""What the figures of a study of inversion say, in sentences, each made from the numbers that it names."""

from __future__ import annotations

from collections.abc import Sequence

from seepage.schema.estimates import Estimate
from seepage.schema.inversion import Ceiling, Reconstructed, TargetResult
from seepage.schema.inversion_reading import (
    best_accuracy,
    best_baseline,
    controls,
    is_beyond,
    leading,
    rivals,
    subjects,
    sweeps,
)
from seepage.schema.numbers import count, listed, p_value, percent
from seepage.schema.parts import Finding
from seepage.studies.invert.limits import limits
from seepage.studies.invert.trade_off import at_equal_accuracy, beside_undefended
from seepage.studies.invert.verdict import (
    Evidence,
    beyond_baselines,
    doubts,
    faults,
    rate_of,
    recognised_of,
    taken_too_often,
    takes_empty,
    verdict,
    weaknesses,
)

__all__ = ["Evidence", "conclusions", "headline", "limits", "verdict"]


def headline(found: Evidence) -> str:
    """The one sentence that a reader should take away."""
    said, about = verdict(found), subjects(found.targets)
    if said == "INVALID":
        return f"This study cannot say anything: {'; '.join(faults(found))}."
    claims = beyond_baselines(found)
    if said == "INCONCLUSIVE" and claims:
        target, lead = claims[0]
        return (
            f"{found.called(lead)} on {_subject(found, target)} is recognised beyond the baselines "
            f"({rate_of(lead.accuracy)} against {rate_of(best_accuracy(lead))}), but this shows no leak: "
            f"{'; '.join(doubts(found, lead))}."
        )
    if said == "INCONCLUSIVE":
        return (
            "Nothing was recognised beyond the baselines, but this study is too weak to say that there is nothing: "
            f"{'; '.join(weaknesses(found))}."
        )
    if said == "LEAK SHOWN":
        target, lead = next(claim for claim in claims if not doubts(found, claim[1]))
        return (
            f"Something of the classes can be had from {_subject(found, target)}: the judge recognises "
            f"{rate_of(lead.accuracy)} of the images of {found.called(lead)}, and at most "
            f"{rate_of(best_accuracy(lead))} of what asks no target{_ceilings(found)}."
        )
    target = _most_exposed(found, about)
    lead = leading(target, found.level)
    return (
        f"No attack on {_subject(found, target)} is recognised beyond the baselines: {found.called(lead)} gets "
        f"furthest, with {rate_of(lead.accuracy)} against {rate_of(best_accuracy(lead))} for what asks no "
        f"target.{_yet(found)}"
    )


def conclusions(found: Evidence) -> list[Finding]:
    """Plain sentences, each made from the numbers that it names.

    Clear means that the interval of a difference by classes in pairs does not hold 0; of two natural accuracies, which
    are not kept by class, that their intervals do not overlap.
    """
    about = subjects(found.targets)
    told = [*(_ceiling(one) for one in found.ceilings), _noise(found)]
    if about:
        target = _most_exposed(found, about)
        lead = leading(target, found.level)
        told += [_best(found, target, lead), _prior_alone(found, target), _search(found, target)]
        told += [_named(found, target), _class_or_person(found, lead)]
    told += [_adversarial(found), *(_control(found, one) for one in controls(found.targets))]
    plain = next((one for one in about if one.role == "undefended"), None)
    if plain is not None:
        told += [beside_undefended(found, plain, one) for sweep in sweeps(found.targets) for one in sweep]
    return [one for one in told if one is not None] + at_equal_accuracy(found)


def _ceiling(one: Ceiling) -> Finding:
    figures = (
        f"Of {count(one.n_images)} held-out real images that were searched for in it by their pixels, the judge "
        f"recognises {rate_of(one.accuracy)}; of the same images as they are {rate_of(one.real)}; "
        f"{_points(one.advantage)} beyond the best baseline ('{one.baseline}')."
    )
    means = "" if one.is_high else " So no verdict rests on an attack that searches in this prior."
    return Finding(about=f"Ceiling of the prior '{one.prior}'", sentence=figures + means)


def _noise(found: Evidence) -> Finding | None:
    """Where the judge takes noise for a private class: what that means for attacks whose images look like it."""
    made = dict.fromkeys(
        found.called(one) for target in rivals(found.targets) for one in target.attacks if found.is_in_pixels(one)
    )
    share = taken_too_often(found, "noise")
    if share is None or not made:
        return None
    told = takes_empty(found, share, "noise, which shows nothing")
    means = f"So attacks that search in pixels show no leak here: {listed(list(made))}."
    return Finding(about="Noise", sentence=f"{told[0].upper()}{told[1:]}. {means}")


def _ceilings(found: Evidence) -> str:
    """A prior in which nothing can be shown is named beside what was shown in another."""
    low = [f"'{one.prior}'" for one in found.ceilings if not one.is_high]
    return f"; no verdict rests on the prior {listed(low)}" if low else ""


def _search(found: Evidence, target: TargetResult) -> Finding | None:
    """What the search itself is worth, beside asking the target which image to take."""
    there = {one.attack: one for one in target.attacks}
    known = [one for one in target.attacks if one.beyond_selection is not None and one.selection in there]
    if not known:
        return None
    best = max(known, key=lambda one: one.beyond_selection.value or 0.0)
    above = [found.called(one) for one in known if (one.beyond_selection.low or 0.0) > 0]
    picked = there[best.selection]
    return Finding(
        about="Search against selection",
        sentence=f"{found.called(best)} is {_points(best.beyond_selection)} beyond the best selection from the same "
        f"prior or the public images ({found.called(picked)}, {rate_of(picked.accuracy)}). Clearly beyond selection: "
        f"{listed(above) if above else 'no attack'}.",
    )


def _named(found: Evidence, target: TargetResult) -> Finding | None:
    """Where a closed judge is surer of reconstructions than of real images."""
    real = found.evaluator.named
    if real is None or real.value is None:
        return None
    high = [one for one in target.attacks if one.named is not None and (one.named.value or 0.0) > real.value]
    if not high:
        return None
    rows = [f"{found.called(one)} {rate_of(one.named)}" for one in high]
    return Finding(
        about="Named is not alike",
        sentence=f"A judge that may only choose among the private classes names the class attacked more often for "
        f"{listed(rows)} than for real images ({rate_of(real)}): such a figure does not measure likeness. The verdict "
        "goes by hits.",
    )


def _best(found: Evidence, target: TargetResult, lead: Reconstructed) -> Finding:
    info = next((one for one in found.attacks if one.name == lead.attack), None)
    means = "" if info is None else f" (access: {info.access}; prior: {info.prior})"
    best = best_baseline(lead)
    versus = "" if best is None else f", {_points(lead.advantage)} beyond its best baseline ('{best.title}')"
    return Finding(
        about="Best attack",
        sentence=f"Of {count(lead.n_images)} images that {found.called(lead)}{means} makes of "
        f"{_subject(found, target)}, {rate_of(lead.accuracy)} are hits of the class attacked{versus}; Holm's "
        f"p {_p(lead.p_value_holm)}. Of held-out real images {rate_of(found.evaluator.accuracy)} are.",
    )


def _prior_alone(found: Evidence, target: TargetResult) -> Finding | None:
    """What can be had without asking the target, and who goes beyond it."""
    known = [(best, one) for one in target.attacks if (best := best_baseline(one)) is not None]
    if not known:
        return None
    best, of = max(known, key=lambda pair: pair[0].accuracy.value or 0.0)
    beyond = [found.called(one) for one in target.attacks if is_beyond(one, found.level)]
    n = len(target.attacks)
    who = f": {listed(beyond)}" if 0 < len(beyond) < n else ""
    return Finding(
        about="Without the target",
        sentence=f"What asks no target reaches at most {rate_of(best.accuracy)} ('{best.title}', beside "
        f"{found.called(of)}). {recognised_of(len(beyond), n)} beyond every baseline{who}.",
    )


def _class_or_person(found: Evidence, lead: Reconstructed) -> Finding | None:
    share = lead.nearer_private
    if share is None or share.value is None or share.low is None or share.high is None:
        return None
    if share.low > 0.5:
        means = (
            f"more than half{_beside_null(found, lead)}. A sign, and no proof, that they carry something of those very "
            "images: a judge that was trained on them as well has features that lie nearer to them"
        )
    elif share.high < 0.5:
        means = "less than half, so that they do not show the images that were trained on"
    else:
        means = "not clearly other than half: they show the class, and no sign of its training images"
    return Finding(
        about="Class or record",
        sentence=f"{rate_of(share)} of the images of {found.called(lead)} lie nearer to a training image of the class "
        f"than to a held-out one: {means}.",
    )


def _beside_null(found: Evidence, lead: Reconstructed) -> str:
    """The same share of a model that never saw the images: what is above half there has another cause."""
    for target in controls(found.targets):
        for attack in target.attacks:
            share = attack.nearer_private
            if target.role == "null" and attack.attack == lead.attack and share is not None and share.value is not None:
                return f" (of '{found.titles[target.name]}', which never saw them: {rate_of(share)})"
    return ""


def _adversarial(found: Evidence) -> Finding | None:
    alarms: dict[str, list[tuple[TargetResult, Reconstructed]]] = {}
    for target in rivals(found.targets):
        for attack in target.attacks:
            if attack.adversarial:
                alarms.setdefault(attack.attack, []).append((target, attack))
    if not alarms:
        return None
    return Finding(
        about="Adversarial images",
        sentence="These convince the target and not the judge, so that the target's own word would overstate them: "
        f"{'; '.join(_alarm(found, of) for of in alarms.values())}.",
    )


def _alarm(found: Evidence, of: Sequence[tuple[TargetResult, Reconstructed]]) -> str:
    n, names = len(rivals(found.targets)), [f"'{found.titles[target.name]}'" for target, _ in of]
    where = f"all {n} targets" if len(of) == n > 2 else listed(names)
    own, judged = (
        _range([getattr(attack, side).value for _, attack in of]) for side in ("target_accuracy", "accuracy")
    )
    return f"{found.called(of[0][1])} on {where} (target {own}, judge {judged})"


def _control(found: Evidence, target: TargetResult) -> Finding:
    lead = leading(target, found.alpha)
    figures = f"{rate_of(lead.accuracy)} with {found.called(lead)}, best baseline {rate_of(best_accuracy(lead))}"
    if is_beyond(lead, found.alpha):
        sentence = (
            f"This target cannot show the classes, and still the judge recognises them beyond every baseline "
            f"({figures}): its word on other targets does not count."
        )
    else:
        sentence = f"As it should be, no attack is recognised beyond the baselines here (most: {figures})."
    return Finding(about=f"Control: {found.titles[target.name]}", sentence=sentence)


def _most_exposed(found: Evidence, about: Sequence[TargetResult]) -> TargetResult:
    def rank(target: TargetResult) -> tuple[bool, float]:
        lead = leading(target, found.level)
        return is_beyond(lead, found.level), lead.accuracy.value or 0.0

    return max(about, key=rank)


def _subject(found: Evidence, target: TargetResult) -> str:
    if target.role == "undefended" and len(subjects(found.targets)) == 1:
        return "the undefended model" if len(rivals(found.targets)) > 1 else "the model"
    return f"'{found.titles[target.name]}'"


def _yet(found: Evidence) -> str:
    """A defended target may give away what the undefended does not."""
    about = {one.name for one in subjects(found.targets)}
    others = [one for one in rivals(found.targets) if one.name not in about]
    leaky = [f"'{found.titles[one.name]}'" for one in others if any(is_beyond(a, found.alpha) for a in one.attacks)]
    return f" It is on {listed(leaky)}." if leaky else ""


def _range(values: Sequence[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    return " to ".join(dict.fromkeys([percent(known[0]), percent(known[-1])])) if known else "undefined"


def _points(one: Estimate) -> str:
    if one.value is None:
        return "an undefined number of points"
    ends = "" if one.low is None or one.high is None else f" [{100 * one.low:.1f}, {100 * one.high:.1f}]"
    return f"{100 * one.value:.1f}{ends} points"


def _p(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"
