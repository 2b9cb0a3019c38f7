"""What the numbers say, in sentences: headline, conclusions and limits."""

from __future__ import annotations

from collections.abc import Sequence

from seepage.schema.numbers import count, decimal, percent, rate
from seepage.schema.parts import Finding
from seepage.schema.trust import LARGEST_SCORE as LEAD
from seepage.schema.trust import NonmemberSet, Ray, ThreatResult, VariantResult
from seepage.studies.compare.shadow.attackers import LEARNED
from seepage.studies.compare.shadow.signs import blind, rate_of, unsure

BY_SCORES = (LEAD, "top-3", "entropy")  # the source's attacks, which see no label


def headline(standard: VariantResult, sets: Sequence[NonmemberSet], prior: float) -> str:
    """The one sentence that a reader should take away."""
    lead = standard.attack(LEAD)
    same = lead.on("same")
    company = [(lead.on(s.name).false_positive_rate, s) for s in sets if s.valid and s.kind != "same"]
    told = ""
    if company:
        worst, which = max(company, key=lambda pair: pair[0].value)
        told = f"; of other pictures at most {percent(worst.value)} ('{which.title}')"
    value = same.positive_predictive_value.value
    trusted = "nobody is called a member" if value is None else f"a positive is right in {percent(value)} of cases"
    return (
        f"Of the target's own non-members the largest-score attack calls {percent(same.false_positive_rate.value)} "
        f"members{told}. At a prior of {rate(prior)}, {trusted}."
    )


def conclusions(
    variants: Sequence[VariantResult],
    sets: Sequence[NonmemberSet],
    rays: Sequence[Ray],
    prior: float,
    strict_rate: float,
) -> list[Finding]:
    """Plain sentences, each made from the numbers that it names."""
    standard = variants[0]
    told = [_blind(standard, why)] if (why := blind(standard)) else []
    told += [_on_same(standard.attack(LEAD), prior)]
    told += [_on_set(standard.attack(LEAD), one) for one in sets if one.kind != "same"]
    told += [_every_attack(standard, sets, strict_rate)] if len(standard.attacks) > len(BY_SCORES) else []
    told += [_against_standard(standard, variant) for variant in variants[1:]]
    told += [_trade_off(variants)] if len(variants) > 1 else []
    told += [_along_ray(ray, variants) for ray in rays if ray.variant in ("standard", "laplace")]
    return told


def _blind(standard: VariantResult, why: str) -> Finding:
    return Finding(
        about="The target",
        sentence=f"{why[0].upper()}{why[1:]}; the target is right on {rate_of(standard.train_accuracy)} of its own "
        f"records and {rate_of(standard.test_accuracy)} of others. The rates below say how often 'member' is said, to "
        "everybody alike, and no published sign can be read off them: train the target for longer (epochs), or on "
        "fewer records (limit).",
    )


def limits(*, n_models: int, evaluated: int, sets: Sequence[NonmemberSet], n_copies: int) -> list[Finding]:
    """What this study does not say."""
    invalid = ", ".join(one.title for one in sets if not one.valid)
    return [
        Finding(
            about="Attacks",
            sentence="Largest score, top 3 and entropy see scores alone: no label, one threshold for all records. The "
            "others are told a label, and have at most one reference model, the shadow. An attack that calibrates each "
            "record with many (LiRA, RMIA) accuses far fewer; these false-positive rates are not its own.",
        ),
        Finding(
            about="Labels",
            sentence="Records of other kinds have no label of the target's classes. Attacks with labels are told what "
            "the target predicts there, which favours the accusation: correctness then accuses all.",
        ),
        Finding(
            about="Models",
            sentence=f"One target and one shadow were trained a recipe ({n_models} models in all). The intervals are "
            "over records, not over trainings: another seed may turn small differences between variants.",
        ),
        Finding(
            about="Counts",
            sentence=f"Rates rest on {count(evaluated)} members and {count(evaluated)} own-distribution non-members; "
            "precision assumes that half of those asked about are members, the predictive values the declared prior.",
        ),
        Finding(
            about="The attacker",
            sentence="Every threshold was fixed on the shadow, which is trained and answers as the target does: the "
            "attacker knows the variant and has records of the same distribution. Attacks that learn from the shadow "
            "have theirs fixed on the records that they learned from, where they look better than they are.",
        ),
        Finding(
            about="Calibration",
            sentence="The calibration error is never negative and too high on few records; where a calibrated model "
            "would show as much, its number is flagged. What is fitted rests on few validation records where the data "
            "are few, and may then differ between target and shadow.",
        ),
        Finding(
            about="Stress tests",
            sentence=f"{invalid}: inputs that nobody would ask about. They show that the attacks fail outside the "
            "data, not how often anybody would be accused.",
        ),
        *_copies(n_copies),
    ]


def _copies(n: int) -> list[Finding]:
    if not n:
        return []
    return [
        Finding(
            about="Copies",
            sentence=f"{count(n)} of the own-distribution non-members are exact copies of training records, in the "
            "data as they came. They count as wrongly accused: remove repeated records first.",
        )
    ]


def _every_attack(standard: VariantResult, sets: Sequence[NonmemberSet], strict_rate: float) -> Finding:
    """The range over attacks on the own distribution, and the worst company, at both thresholds."""
    own = {attack.title: attack.on("same") for attack in standard.attacks}
    least, most = (of(own, key=lambda title: own[title].false_positive_rate.value) for of in (min, max))
    others = [
        (attack.on(one.name), f"{attack.title} on {one.title}", attack.name in LEARNED)
        for attack in standard.attacks
        for one in sets
        if one.valid and one.kind != "same" and (attack.name in BY_SCORES or one.labels != "predicted")
    ]
    told = (
        f"Of {count(len(own))} attacks whose thresholds were fixed on the same distribution, {least} calls fewest "
        f"own-distribution non-members members, {rate_of(own[least].false_positive_rate)}, and {most} most, "
        f"{rate_of(own[most].false_positive_rate)}"
    )
    if not others:
        return Finding(about="Every attack", sentence=told + ".")
    plain, title, _ = max(others, key=lambda each: each[0].false_positive_rate.value)
    fixed = [each for each in others if not each[2]]  # a strict threshold on what was learned from is none
    strict, strict_title, _ = max(fixed, key=lambda each: each[0].strict_false_positive_rate.value)
    return Finding(
        about="Every attack",
        sentence=f"{told}. On other pictures the highest rate is {rate_of(plain.false_positive_rate)} ({title}). With "
        f"thresholds that call {rate(strict_rate)} of the shadow's own non-members members it is "
        f"{rate_of(strict.strict_false_positive_rate)} ({strict_title}).",
    )


def _on_same(threat: ThreatResult, prior: float) -> Finding:
    same = threat.on("same")
    value = same.positive_predictive_value
    right = "nobody is called a member" if value.value is None else f"a positive is right in {rate_of(value)} of cases"
    return Finding(
        about="Own distribution",
        sentence=f"Of the standard model's members the largest-score attack finds {rate_of(threat.recall)}, and of its "
        f"own-distribution non-members it wrongly calls {rate_of(same.false_positive_rate)} members: at a prior of "
        f"{rate(prior)}, {right}.",
    )


def _on_set(threat: ThreatResult, one: NonmemberSet) -> Finding:
    accused = threat.on(one.name)
    sure = accused.max_score_false_positives.value
    confidence = "" if sure is None else f", at a mean largest score of {decimal(sure)}"
    stress = "" if one.valid else " A stress test: no valid images."
    return Finding(
        about=one.title,
        sentence=f"Of {count(one.n)} such records the attack calls {rate_of(accused.false_positive_rate)} members"
        f"{confidence}.{stress}",
    )


def _against_standard(standard: VariantResult, variant: VariantResult) -> Finding:
    ours, theirs = variant.attack(LEAD), standard.attack(LEAD)
    rates = [attack.on("same").false_positive_rate for attack in (theirs, ours)]
    errors = standard.calibration_error, variant.calibration_error
    return Finding(
        about=variant.title,
        sentence=f"Against the standard model the calibration error goes from {decimal(errors[0].value)} to "
        f"{decimal(errors[1].value)}, the AUC from {decimal(theirs.auc.value)} to {decimal(ours.auc.value)}"
        f"{unsure(theirs.auc, ours.auc)}, the own-distribution false-positive rate from {percent(rates[0].value)} to "
        f"{percent(rates[1].value)}{unsure(*rates)}, test accuracy from {percent(standard.test_accuracy.value)} to "
        f"{percent(variant.test_accuracy.value)}.",
    )


def _trade_off(variants: Sequence[VariantResult]) -> Finding:
    """Whether the better calibrated variants are the ones that leak more."""
    standard, others = variants[0], variants[1:]
    better = [v for v in others if v.calibration_error.value < standard.calibration_error.value]
    auc = standard.attack(LEAD).auc
    more = [v.title for v in better if v.attack(LEAD).auc.low > auc.high]
    less = [v.title for v in better if v.attack(LEAD).auc.high < auc.low]
    rest = [v.title for v in better if v.title not in (*more, *less)]
    if not better:
        sentence = "No variant is better calibrated than the standard model, so that no trade-off can be seen here."
    else:
        sentence = (
            f"Better calibrated than the standard model: {_listed([v.title for v in better])}. Of these, by the AUC of "
            f"the largest score, clearly leak more: {_listed(more)}; clearly less: {_listed(less)}; intervals overlap: "
            f"{_listed(rest)}."
        )
    return Finding(about="Calibration against leakage", sentence=sentence)


def _along_ray(ray: Ray, variants: Sequence[VariantResult]) -> Finding:
    title = next(variant.title for variant in variants if variant.name == ray.variant)
    return Finding(
        about=f"Scaling without end, {title}",
        sentence=f"Of {count(ray.n)} non-members {rate_of(ray.called[-1])} are called members at some scale up to "
        f"2^{ray.doublings[-1]} ({percent(ray.called[0].value)} unscaled); there the mean largest score is "
        f"{decimal(ray.max_score[-1])}.",
    )


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(titles) or "none"
