"""The verdict on a study of inversion: one of four, with what it rests on. Never "safe"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seepage.inversion.base import Budget
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import AttackInfo, Ceiling, EvaluatorInfo, Reconstructed, TargetResult
from seepage.schema.inversion_reading import (
    best_accuracy,
    controls,
    is_beyond,
    leading,
    level,
    subjects,
    title_of,
    titles,
)
from seepage.schema.numbers import p_value, percent, with_interval
from seepage.schema.parts import VerdictName

FEWEST_CLASSES = 5  # of fewer, a test over classes cannot tell a leak from luck
ENOUGH_CLASSES = 20  # from which one run shows a leak; images of one class are near copies, so n is the classes
WEAK_JUDGE = 0.5
PIXELS = "pixels"  # the prior of an attack that has none
MOST_EMPTY = 0.5  # textures or noise taken for a private class, as a share of the real images that are


@dataclass(frozen=True)
class Evidence:
    """The measured part of an `InversionResult`, under the same names.

    Attributes:
        alpha: chance of a false alarm over all attacks on one target.
        own: the budget that each attack's source gives it, by the attack's name.
        is_given: whether a model of the user's is attacked, which no seed trains anew.
        ceilings: of the priors.
    """

    targets: Sequence[TargetResult]
    attacks: Sequence[AttackInfo]
    evaluator: EvaluatorInfo
    n_private_classes: int
    n_attacked_classes: int
    seeds: Sequence[int]
    alpha: float = 0.05
    own: Mapping[str, Budget] = field(default_factory=dict)
    is_given: bool = False
    confidence: float = 0.95
    ceilings: Sequence[Ceiling] = ()

    @property
    def chance(self) -> float:
        return 1 / self.n_private_classes

    @property
    def level(self) -> float:
        return level(self.targets, self.alpha)

    @property
    def titles(self) -> dict[str, str]:
        return titles(self.targets)

    def ceiling_of(self, attack: Reconstructed) -> Ceiling | None:
        """Of the prior that an attack searches in."""
        prior = next((one.prior for one in self.attacks if one.name == attack.attack), None)
        return next((one for one in self.ceilings if one.prior == prior), None)

    def is_selection(self, attack: Reconstructed) -> bool:
        return any(one.is_selection for one in self.attacks if one.name == attack.attack)

    def is_in_pixels(self, attack: Reconstructed) -> bool:
        """Whether it searches among all images, without a prior: what it makes looks like noise.

        A selection makes nothing, though a public image has no prior either.
        """
        infos = [one for one in self.attacks if one.name == attack.attack]
        return any(one.prior == PIXELS and not one.is_selection for one in infos)

    def called(self, attack: Reconstructed) -> str:
        return f"'{title_of(self.attacks, attack.attack)}'"


def verdict(found: Evidence) -> VerdictName:
    """One of four. It is about the undefended targets, or the defended ones where there are no others.

    INVALID where the judge is no judge, or recognises a class in images of a model that never saw it; LEAK SHOWN where
    some attack's images are hits beyond every baseline, and nothing speaks against it (`doubts`); INCONCLUSIVE where
    something does, or where the study could not have shown much; NO EVIDENCE otherwise. Several targets are corrected
    for their number.
    """
    if faults(found):
        return "INVALID"
    claims = beyond_baselines(found)
    if any(not doubts(found, attack) for _, attack in claims):
        return "LEAK SHOWN"
    return "INCONCLUSIVE" if claims or weaknesses(found) else "NO EVIDENCE"


def beyond_baselines(found: Evidence) -> list[tuple[TargetResult, Reconstructed]]:
    """The attacks on the subjects of the verdict that are beyond every baseline, the most accurate first."""
    claims = [
        (target, one) for target in subjects(found.targets) for one in target.attacks if is_beyond(one, found.level)
    ]
    return sorted(claims, key=lambda claim: -(claim[1].accuracy.value or 0.0))


def doubts(found: Evidence, attack: Reconstructed) -> list[str]:
    """Why an attack that is beyond every baseline shows no leak all the same."""
    told, ceiling = barred(found), found.ceiling_of(attack)
    if ceiling is not None and not ceiling.is_high:
        told.insert(0, low_ceiling(ceiling))
    if found.is_in_pixels(attack) and (noise := taken_too_often(found, "noise")) is not None:
        told.append(
            f"{takes_empty(found, noise, 'noise, which shows nothing')}: no verdict may rest on images that were "
            "searched for in pixels, which look like it"
        )
    few = found.n_attacked_classes < ENOUGH_CLASSES and len(attack.seeds) > 1
    if few and min(attack.seeds) <= (best_accuracy(attack).value or 0.0):
        told.append(
            f"with {found.n_attacked_classes} classes every one of the {len(attack.seeds)} runs has to be beyond the "
            f"best baseline, and they reach {', '.join(percent(one) for one in attack.seeds)}"
        )
    return told


def barred(found: Evidence) -> list[str]:
    """Why no attack could show a leak here, whatever it reaches."""
    told, judge = [], found.evaluator
    if not judge.rule:
        told.append(
            "the judge knows private classes alone and rejects nothing, so that it names one for any image: no verdict "
            "may rest on it"
        )
    if (texture := taken_too_often(found, "texture")) is not None:
        told.append(f"{takes_empty(found, texture, 'textures, which show nothing')}: no verdict may rest on textures")
    if found.n_attacked_classes < ENOUGH_CLASSES and len(found.seeds) < 2:
        told.append(
            f"it is one run on {found.n_attacked_classes} classes: a leak needs {ENOUGH_CLASSES} classes, or a second "
            "run from another seed"
        )
    return told


def taken_too_often(found: Evidence, name: str) -> Estimate | None:
    """The share of such images, which show nothing, that the judge takes for a private class; None where it is low."""
    share, real = found.evaluator.taken_of(name), found.evaluator.accuracy
    return share if share is not None and (share.value or 0.0) > MOST_EMPTY * (real.value or 0.0) else None


def takes_empty(found: Evidence, share: Estimate, of: str) -> str:
    return (
        f"the judge takes {rate_of(share)} of {of}, for a private class, and {rate_of(found.evaluator.accuracy)} of "
        "real images for theirs"
    )


def low_ceiling(one: Ceiling) -> str:
    return (
        f"the prior '{one.prior}' does not show these classes: of real images that were searched for in it by their "
        f"pixels the judge recognises {rate_of(one.accuracy)}, which is not clearly more than its best baseline "
        f"('{one.baseline}')"
    )


def faults(found: Evidence) -> list[str]:
    """Why nothing that the judge says counts."""
    told, judge = [], found.evaluator.accuracy
    if judge.low is None or judge.low <= found.chance:
        told.append(
            f"the judge takes real images for their class in {rate_of(judge)} of cases, which is not clearly above "
            f"chance ({percent(found.chance)})"
        )
    for target in controls(found.targets):
        fooled = [attack for attack in target.attacks if is_beyond(attack, found.alpha)]
        if fooled:
            first = leading(target, found.alpha)
            told.append(
                f"the judge recognises classes in what {found.called(first)} makes of '{found.titles[target.name]}' "
                f"({rate_of(first.accuracy)}, best baseline {rate_of(best_accuracy(first))}), a model that cannot "
                "show them"
            )
    return told


def weaknesses(found: Evidence) -> list[str]:
    """Why finding nothing would mean little."""
    told, about, judge = [], subjects(found.targets), found.evaluator.accuracy
    if not about:
        return ["no attack was run on an undefended or a defended target"]
    if found.n_attacked_classes < FEWEST_CLASSES:
        told.append(
            f"only {found.n_attacked_classes} classes were attacked, and with fewer than {FEWEST_CLASSES} a leak "
            "cannot be told from luck"
        )
    elif (least := _least_p(found, about)) > found.level:
        n = min(len(one.attacks) for one in about)
        told.append(
            f"with {found.n_attacked_classes} classes and {n} {'attack' if n == 1 else 'attacks'} Holm's p cannot be "
            f"below {p_value(least)}, so that no attack could have been told from luck"
        )
    told += barred(found)
    searched = [found.ceiling_of(attack) for one in about for attack in one.attacks if not found.is_selection(attack)]
    if searched and all(one is not None and not one.is_high for one in searched):
        told += dict.fromkeys(low_ceiling(one) for one in searched)
    if judge.value is None or judge.value < WEAK_JUDGE:
        told.append(f"the judge takes only {rate_of(judge)} of real images for their class")
    easiest = min((best_accuracy(attack) for one in about for attack in one.attacks), key=lambda one: one.value or 0.0)
    if None not in (easiest.value, judge.low) and easiest.value >= judge.low:
        told.append(
            f"what asks no target is not clearly less often recognised ({rate_of(easiest)}) than real images "
            f"({rate_of(judge)}), which leaves an attack no room to get beyond it"
        )
    for target in about:
        natural = target.test_accuracy
        if natural.low is None or natural.low <= found.chance:
            told.append(
                f"'{found.titles[target.name]}' has learnt nothing that could leak: its natural accuracy is "
                f"{rate_of(natural)}, chance {percent(found.chance)}"
            )
    return told


def _least_p(found: Evidence, about: Sequence[TargetResult]) -> float:
    """The smallest corrected p that sign flips over these classes can give: 2^-classes for each attack on a target."""
    return min(1.0, min(len(one.attacks) for one in about) * 2.0**-found.n_attacked_classes)


def rate_of(one: Estimate) -> str:
    """A share with its interval."""
    return with_interval(one, as_rate=True, n=False)


def recognised_of(k: int, n: int) -> str:
    """How many attacks are recognised."""
    if n == 1:
        return f"The attack is {'' if k else 'not '}recognised"
    if k in (0, n):
        return "No attack is recognised" if k == 0 else f"All {n} attacks are recognised"
    return f"{k} of {n} attacks {'is' if k == 1 else 'are'} recognised"
