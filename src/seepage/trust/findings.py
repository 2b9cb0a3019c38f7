"""What the numbers say, in sentences: conclusions, limits, and whether the source's findings hold here."""

from __future__ import annotations

from collections.abc import Sequence

from seepage.report.numbers import count, decimal, interval_of, percent, rate
from seepage.report.result import Estimate
from seepage.report.trust_result import Comparison, Finding, NonmemberSet, Ray, ThreatResult, VariantResult

LEAD = "max-score"
CHANCE_AUC = 0.5
HIGH_RATE = 0.2  # a fifth of the innocent accused
ALL_BUT = 0.9
HALF = 0.5
ALMOST_NONE = 0.05


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
    variants: Sequence[VariantResult], sets: Sequence[NonmemberSet], rays: Sequence[Ray], prior: float
) -> list[Finding]:
    """Plain sentences, each made from the numbers that it names."""
    standard = variants[0]
    told = [_on_same(standard.attack(LEAD), prior)]
    told += [_on_set(standard.attack(LEAD), one) for one in sets if one.kind != "same"]
    told += [_against_standard(standard, variant) for variant in variants[1:]]
    told += [_trade_off(variants)]
    told += [_along_ray(ray, variants) for ray in rays if ray.variant in ("standard", "laplace")]
    return told


def limits(*, n_models: int, evaluated: int, sets: Sequence[NonmemberSet]) -> list[Finding]:
    """What this study does not say."""
    invalid = ", ".join(one.title for one in sets if not one.valid)
    return [
        Finding(
            about="Attacks",
            sentence="The three attacks see scores alone: no label, one threshold for all records, no reference "
            "models. An attack that calibrates each record with reference models (LiRA, RMIA) accuses far fewer; these "
            "false-positive rates are not theirs.",
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
            "attacker knows the variant and has records of the same distribution.",
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
    ]


def comparisons(
    variants: Sequence[VariantResult], sets: Sequence[NonmemberSet], rays: Sequence[Ray]
) -> list[Comparison]:
    """The signs of the source's published tables beside ours.

    Reference: Hintersdorf et al. (2022), the result files of their code.
    """
    by_name = {variant.name: variant for variant in variants}
    standard = by_name["standard"].attack(LEAD)
    same = standard.on("same").false_positive_rate
    told = [
        Comparison(
            claim="A plain model's own-distribution non-members are often called members.",
            theirs="false-positive rate 39 to 50 % (four models)",
            ours=_rate(same),
            holds=_yes(same.low >= HIGH_RATE),
        ),
    ]
    smoothed = by_name["label-smoothing"].attack(LEAD)
    told.append(
        Comparison(
            claim="Label smoothing makes members easier to find (AUC of the largest score).",
            theirs="+0.08 to +0.11 on three models, +0.02 on one",
            ours=f"{_change(standard.auc, smoothed.auc)}, to {decimal(smoothed.auc.value)}"
            + _unsure(standard.auc, smoothed.auc),
            holds=_yes(smoothed.auc.value > standard.auc.value),
        )
    )
    decayed, plain = by_name["l2"], by_name["standard"]
    told.append(
        Comparison(
            claim="Weight decay lowers the AUC, and accuracy with it.",
            theirs="AUC -0.04 to -0.26 on four models",
            ours=f"AUC {_change(standard.auc, decayed.attack(LEAD).auc)}, test accuracy "
            f"{_change(plain.test_accuracy, decayed.test_accuracy)}" + _unsure(standard.auc, decayed.attack(LEAD).auc),
            holds=_yes(
                decayed.attack(LEAD).auc.value < standard.auc.value
                and decayed.test_accuracy.value < plain.test_accuracy.value
            ),
        )
    )
    names = {one.name for one in sets}
    if "generated" in names:
        near = standard.on("generated").false_positive_rate
        told.append(
            Comparison(
                claim="Generated images are called members at least as often as real non-members.",
                theirs="CIFAR-10: 52, 56 and 55 % against 45, 50 and 46 %; dogs: 27 % against 39 %",
                ours=f"{_rate(near)} against {_rate(same)}" + _unsure(same, near),
                holds=_yes(near.value >= same.value),
            )
        )
    scaled = [by_name[name].attack(LEAD).on("scaled").false_positive_rate for name in ("standard", "label-smoothing")]
    told.append(
        Comparison(
            claim="Scaled inputs fool the plain model almost always, and label smoothing is no cure.",
            theirs="91 to 100 % plain, 71 to 99 % smoothed (four models)",
            ours=f"{_rate(scaled[0])} plain, {_rate(scaled[1])} smoothed",
            holds=_yes(scaled[0].value >= ALL_BUT and scaled[1].value >= HALF),
        )
    )
    laplace = by_name["laplace"].attack(LEAD)
    cured = laplace.on("scaled").false_positive_rate
    told.append(
        Comparison(
            claim="A last-layer Laplace approximation cures the scaled inputs.",
            theirs="yes on three models (0 %), no on the small CNN (98 %)",
            ours=_rate(cured),
            holds=_yes(cured.value <= ALMOST_NONE),
        )
    )
    told.append(
        Comparison(
            claim="Laplace leaves the AUC where it was, or lower.",
            theirs="-0.09 to +0.00 on four models",
            ours=_change(standard.auc, laplace.auc) + _unsure(standard.auc, laplace.auc),
            holds=_yes(laplace.auc.value <= standard.auc.value + 0.005),
        )
    )
    ray = next((ray for ray in rays if ray.variant == "standard"), None)
    told.append(
        Comparison(
            claim="Almost every non-member becomes a member when it is scaled far enough (plain ReLU network).",
            theirs="a theorem",
            ours="not run" if ray is None else f"{_rate(ray.called[-1])} by a factor of at most 2^{ray.doublings[-1]}",
            holds="not run" if ray is None else _yes(ray.called[-1].value >= ALL_BUT),
        )
    )
    return told


def _on_same(threat: ThreatResult, prior: float) -> Finding:
    same = threat.on("same")
    value = same.positive_predictive_value
    right = "nobody is called a member" if value.value is None else f"a positive is right in {_rate(value)} of cases"
    return Finding(
        about="Own distribution",
        sentence=f"Of the standard model's members the largest-score attack finds {_rate(threat.recall)}, and of its "
        f"own-distribution non-members it wrongly calls {_rate(same.false_positive_rate)} members: at a prior of "
        f"{rate(prior)}, {right}.",
    )


def _on_set(threat: ThreatResult, one: NonmemberSet) -> Finding:
    accused = threat.on(one.name)
    sure = accused.max_score_false_positives.value
    confidence = "" if sure is None else f", at a mean largest score of {decimal(sure)}"
    stress = "" if one.valid else " A stress test: no valid images."
    return Finding(
        about=one.title,
        sentence=f"Of {count(one.n)} such records the attack calls {_rate(accused.false_positive_rate)} members"
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
        f"{_unsure(theirs.auc, ours.auc)}, the own-distribution false-positive rate from {percent(rates[0].value)} to "
        f"{percent(rates[1].value)}{_unsure(*rates)}, test accuracy from {percent(standard.test_accuracy.value)} to "
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
        sentence=f"Of {count(ray.n)} non-members {_rate(ray.called[-1])} are called members at some scale up to "
        f"2^{ray.doublings[-1]} ({percent(ray.called[0].value)} unscaled); there the mean largest score is "
        f"{decimal(ray.max_score[-1])}.",
    )


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(titles) or "none"


def _rate(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} {interval_of(estimate, as_rate=True)}".strip()


def _change(before: Estimate, after: Estimate) -> str:
    return f"{after.value - before.value:+.3f}"


def _unsure(before: Estimate, after: Estimate) -> str:
    apart = before.low > after.high or after.low > before.high
    return "" if apart else " (the intervals overlap)"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
