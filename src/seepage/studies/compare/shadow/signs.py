"""The signs of the source's published tables beside ours, of one study and over the seeds of several.

Reference: Hintersdorf et al. (2022), the result files of their code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from seepage.schema.estimates import Estimate
from seepage.schema.numbers import decimal, interval_of, percent
from seepage.schema.trust import LARGEST_SCORE as LEAD
from seepage.schema.trust import Comparison, NonmemberSet, Ray, SeedFigure, ThreatResult, TrustResult, VariantResult

HIGH_RATE = 0.2  # a fifth of the innocent accused
ALL_BUT = 0.9
HALF = 0.5
ALMOST_NONE = 0.05
NO_HIGHER = 0.005  # an AUC that is higher by less counts as the same


@dataclass(frozen=True)
class Numbers:
    """What a sign is read off."""

    variants: dict[str, VariantResult]
    sets: Sequence[NonmemberSet]
    rays: Sequence[Ray]

    def lead(self, variant: str) -> ThreatResult:
        return self.variants[variant].attack(LEAD)

    def accused(self, name: str, variant: str = "standard") -> Estimate:
        return self.lead(variant).on(name).false_positive_rate

    @property
    def near(self) -> list[NonmemberSet]:
        """New images first; a warp of one record last."""
        return sorted((one for one in self.sets if one.kind == "near"), key=lambda one: one.name == "warped")


@dataclass(frozen=True)
class Reading:
    """A sign read off one study: its numbers by title, in words, and whether it holds."""

    figures: dict[str, float]
    text: str
    holds: bool


@dataclass(frozen=True)
class Sign:
    """A finding of the source, and how it is read off: None where the study did not run what it needs."""

    claim: str
    theirs: str
    of: Callable[[Numbers], Reading | None]
    variants: tuple[str, ...] = ("standard",)

    def read(self, numbers: Numbers) -> Reading | None:
        return self.of(numbers) if set(self.variants) <= set(numbers.variants) else None


def _own(n: Numbers) -> Reading:
    same = n.accused("same")
    return Reading({"FPR": same.value}, rate_of(same), same.low >= HIGH_RATE)


def _smoothing(n: Numbers) -> Reading:
    before, after = n.lead("standard").auc, n.lead("label-smoothing").auc
    text = f"{change(before, after)}, to {decimal(after.value)}{unsure(before, after)}"
    return Reading({"AUC change": after.value - before.value}, text, after.value > before.value)


def _decay(n: Numbers) -> Reading:
    before, after = n.lead("standard").auc, n.lead("l2").auc
    accuracy = n.variants["standard"].test_accuracy, n.variants["l2"].test_accuracy
    text = f"AUC {change(before, after)}, test accuracy {change(*accuracy)}{unsure(before, after)}"
    figures = {
        "AUC change": after.value - before.value,
        "test accuracy change": accuracy[1].value - accuracy[0].value,
    }
    return Reading(figures, text, all(value < 0 for value in figures.values()))


def _near(n: Numbers) -> Reading | None:
    """Holds by the first set of new images."""
    if not n.near:
        return None
    same = n.accused("same")
    rates = {one.title: n.accused(one.name) for one in n.near}
    told = [f"{title.lower()} {rate_of(rate)}{unsure(same, rate)}" for title, rate in rates.items()]
    figures = {f"FPR, {title.lower()}": rate.value for title, rate in rates.items()} | {"FPR, own": same.value}
    first = next(iter(rates.values()))
    return Reading(figures, f"{'; '.join(told)}; against {rate_of(same)}", first.value >= same.value)


def _scaled(n: Numbers) -> Reading:
    plain, smoothed = n.accused("scaled"), n.accused("scaled", "label-smoothing")
    text = f"{rate_of(plain)} plain, {rate_of(smoothed)} smoothed"
    holds = plain.value >= ALL_BUT and smoothed.value >= HALF
    return Reading({"FPR, plain": plain.value, "FPR, smoothed": smoothed.value}, text, holds)


def _cured(n: Numbers) -> Reading:
    cured = n.accused("scaled", "laplace")
    return Reading({"FPR": cured.value}, rate_of(cured), cured.value <= ALMOST_NONE)


def _laplace(n: Numbers) -> Reading:
    before, after = n.lead("standard").auc, n.lead("laplace").auc
    text = change(before, after) + unsure(before, after)
    return Reading({"AUC change": after.value - before.value}, text, after.value <= before.value + NO_HIGHER)


def _ray(n: Numbers) -> Reading | None:
    ray = next((ray for ray in n.rays if ray.variant == "standard"), None)
    if ray is None:
        return None
    last = ray.called[-1]
    text = f"{rate_of(last)} by a factor of at most 2^{ray.doublings[-1]}"
    return Reading({"share": last.value}, text, last.value >= ALL_BUT)


SIGNS = (
    Sign("A plain model's own-distribution non-members are often called members.",
         "false-positive rate 39 to 50 % (four models)", _own),
    Sign("Label smoothing makes members easier to find (AUC of the largest score).",
         "+0.08 to +0.11 on three models, +0.02 on one", _smoothing, ("standard", "label-smoothing")),
    Sign("Weight decay lowers the AUC, and accuracy with it.", "AUC -0.04 to -0.26 on four models", _decay,
         ("standard", "l2")),
    Sign("Generated images are called members at least as often as real non-members (here: the near sets).",
         "CIFAR-10: 52, 56 and 55 % against 45, 50 and 46 %; dogs: 27 % against 39 %", _near),
    Sign("Scaled inputs fool the plain model almost always, and label smoothing is no cure.",
         "91 to 100 % plain, 71 to 99 % smoothed (four models)", _scaled, ("standard", "label-smoothing")),
    Sign("A last-layer Laplace approximation cures the scaled inputs.",
         "yes on three models (0 %), no on the small CNN (98 %)", _cured, ("standard", "laplace")),
    Sign("Laplace leaves the AUC where it was, or lower.", "-0.09 to +0.00 on four models", _laplace,
         ("standard", "laplace")),
    Sign("Almost every non-member becomes a member when it is scaled far enough (plain ReLU network).",
         "a theorem", _ray),
)  # fmt: skip


def blind(standard: VariantResult) -> str | None:
    """Why the leading attack's rates say nothing about accusing: it does not tell the target's members from others."""
    lead = standard.attack(LEAD)
    own = lead.on("same").false_positive_rate
    if lead.auc.low <= HALF:
        return (
            f"the leading attack does not surely tell members from others (AUC {decimal(lead.auc.value)}"
            f" {interval_of(lead.auc)})"
        )
    if own.low >= ALL_BUT:
        return f"the leading attack's threshold calls almost everybody a member ({rate_of(own)} of the own non-members)"
    return None


def comparisons(
    variants: Sequence[VariantResult], sets: Sequence[NonmemberSet], rays: Sequence[Ray]
) -> list[Comparison]:
    """The signs in one study."""
    numbers = Numbers({variant.name: variant for variant in variants}, sets, rays)
    why = blind(variants[0])
    told = []
    for sign in SIGNS:
        reading = sign.read(numbers)
        ours, holds = ("not run", "not run") if reading is None else (reading.text, "yes" if reading.holds else "no")
        if why and reading is not None:
            ours, holds = f"{ours}; says nothing: {why}", "undecided"
        told.append(Comparison(claim=sign.claim, theirs=sign.theirs, ours=ours, holds=holds))
    return told


def comparisons_over(results: Sequence[TrustResult], confidence: float) -> list[Comparison]:
    """The signs over studies of several seeds: means with Student's interval, and in how many seeds each holds."""
    told = []
    for sign in SIGNS:
        readings = [sign.read(_numbers(result)) for result in results]
        if None in readings:
            told.append(Comparison(claim=sign.claim, theirs=sign.theirs, ours="not run", holds="not run"))
            continue
        n = sum(reading.holds for reading in readings)
        holds = "yes" if n == len(results) else "in some" if n else "no"
        n_blind = sum(blind(result.variant("standard")) is not None for result in results)
        holds = "undecided" if n_blind else holds
        means = []
        for title in readings[0].figures:
            is_change = title.endswith("change")
            mean = over_seeds([reading.figures[title] for reading in readings], confidence, is_share=not is_change)
            value = f"{mean.value:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}]" if is_change else rate_of(mean)
            means.append(f"{title} {value}")
        ours = f"{'; '.join(means)}; holds in {n} of {len(results)} seeds"
        ours += f"; in {n_blind} the attack does not tell members from others, so it says nothing" if n_blind else ""
        told.append(Comparison(claim=sign.claim, theirs=sign.theirs, ours=ours, holds=holds))
    return told


def figures_over(results: Sequence[TrustResult], confidence: float) -> list[SeedFigure]:
    """The numbers that the report shows over seeds: accuracy, calibration and AUC of every variant, and every
    false-positive rate of the standard model."""
    first = results[0]
    takes: list[tuple[str, str, Callable[[TrustResult], Estimate]]] = []
    for v in first.variants:
        takes += [
            (f"{v.name}: test accuracy", f"{v.title}: test accuracy", lambda r, v=v: r.variant(v.name).test_accuracy),
            (f"{v.name}: ECE", f"{v.title}: ECE", lambda r, v=v: r.variant(v.name).calibration_error),
            (f"{v.name}: AUC", f"{v.title}: AUC, largest score", lambda r, v=v: r.variant(v.name).attack(LEAD).auc),
        ]
    for attack in first.variant("standard").attacks:
        for one in first.sets:
            takes.append(
                (
                    f"FPR: {attack.name}: {one.name}",
                    f"{attack.title}: FPR on {one.title}",
                    lambda r, a=attack, s=one: r.variant("standard").attack(a.name).on(s.name).false_positive_rate,
                )
            )
    told = []
    for name, title, take in takes:
        values = [take(result).value for result in results]
        if None not in values:
            told.append(SeedFigure(name=name, title=title, values=values, mean=over_seeds(values, confidence)))
    return told


def over_seeds(values: Sequence[float], confidence: float, *, is_share: bool = True) -> Estimate:
    """The mean over seeds with Student's interval of n - 1 degrees of freedom, that of a share cut to [0, 1].

    >>> mean = over_seeds([0.1, 0.2, 0.3], 0.95, is_share=False)
    >>> round(mean.value, 3), round(mean.low, 3), round(mean.high, 3)
    (0.2, -0.048, 0.448)
    """
    n, spread = len(values), float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * spread / np.sqrt(n)
    middle = float(np.mean(values))
    low, high = middle - half, middle + half
    return Estimate(
        value=middle, low=max(low, 0.0) if is_share else low, high=min(high, 1.0) if is_share else high, n=n
    )


def rate_of(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} {interval_of(estimate, as_rate=True)}".strip()


def change(before: Estimate, after: Estimate) -> str:
    return f"{after.value - before.value:+.3f}"


def unsure(before: Estimate, after: Estimate) -> str:
    apart = before.low > after.high or after.low > before.high
    return "" if apart else " (the intervals overlap)"


def _numbers(result: TrustResult) -> Numbers:
    return Numbers({variant.name: variant for variant in result.variants}, result.sets, result.rays)
