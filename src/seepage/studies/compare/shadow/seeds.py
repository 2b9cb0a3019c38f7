"""Studies of several seeds as one result."""

from __future__ import annotations

from collections.abc import Sequence

from seepage.errors import InputError
from seepage.schema.numbers import count, listed
from seepage.schema.parts import Finding
from seepage.schema.trust import TrustResult
from seepage.studies.compare.shadow.signs import comparisons_over, figures_over, rate_of


def combined(results: Sequence[TrustResult], *, confidence: float) -> TrustResult:
    """The first study, with the means over all of them and the published signs in each.

    Args:
        results: of one configuration and different seeds.
        confidence: of Student's intervals over the seeds.

    Raises:
        InputError: fewer than two, one seed twice, or studies that differ in more than their seed.
    """
    if len(results) < 2:
        raise InputError(f"expected the results of at least 2 seeds, got {len(results)}")
    seeds = [result.provenance.seed for result in results]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"expected different seeds, got {listed(list(map(str, seeds)))}")
    first = results[0]
    for name, differ in (
        ("sets of non-members", lambda r: [one.name for one in r.sets]),
        ("variants", lambda r: [one.name for one in r.variants]),
        ("attacks", lambda r: [[one.name for one in v.attacks] for v in r.variants]),
        ("recipes", lambda r: r.recipe),
    ):
        if any(differ(result) != differ(first) for result in results):
            raise InputError(f"expected studies that differ in their seed alone, and their {name} differ")
    over = figures_over(results, confidence)
    same = next(one.mean for one in over if one.name == "FPR: max-score: same")
    told = (
        f"The mean over {count(len(seeds))} seeds of the largest-score attack's false-positive rate on the target's "
        f"own non-members is {rate_of(same)} (Student's interval over seeds)."
    )
    models = Finding(
        about="Models",
        sentence=f"Targets and shadows of {count(len(seeds))} seeds ({', '.join(map(str, seeds))}), each with members "
        "drawn anew. Means and their intervals are over the seeds; everything else is of the first, with intervals "
        "over records.",
    )
    update = {
        "headline": f"{told} First seed: {first.headline}",
        "conclusions": [Finding(about="Over seeds", sentence=told), *first.conclusions],
        "limits": [models if one.about == "Models" else one for one in first.limits],
        "comparisons": comparisons_over(results, confidence),
        "seeds": seeds,
        "over_seeds": over,
    }
    return first.model_copy(update=update)
