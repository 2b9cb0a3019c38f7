"""The audit of a release: can its records tell whose originals they were made from, and what are they worth?"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from jaxtyping import Bool, Float64

from seepage.data import Pool
from seepage.metrics import holm, leak_p_value, roc_auc, tpr_at_fpr
from seepage.models.recipe import Recipe
from seepage.models.trial import try_recipe
from seepage.outside import check_kinds
from seepage.randomness import Seed, generator
from seepage.schema.parts import Provenance
from seepage.schema.release import Distances, ReleaseAttack, ReleaseAudit, ReleaseResult
from seepage.studies.release.closeness import Space, closeness, nearest
from seepage.studies.release.density import classifier_ratio, kernel_ratio
from seepage.studies.release.findings import LIMITS, conclusions, headline
from seepage.studies.release.risks import Attacker, wp29_risks
from seepage.studies.release.sides import control_remarks, in_one_order, population_remarks, swap_remarks
from seepage.studies.release.typed import Typed
from seepage.studies.release.usefulness import usefulness
from seepage.synthesis.distances import CodeDistances
from seepage.synthesis.networks import network_scores
from seepage.synthesis.release import Synthetic

RATES = (0.1, 0.01, 0.001)
NEIGHBOURS = 5
ATTACKER = Attacker()


def audit_released(
    synthetic: Pool,
    members: Pool,
    holdout: Pool,
    *,
    rng: Seed,
    reference: Pool | None = None,
    recipe: Recipe | None = None,
    pipeline: Synthetic | None = None,
    attacker: Attacker | None = ATTACKER,
    rates: Sequence[float] = RATES,
    confidence: float = 0.95,
) -> ReleaseResult:
    """Measure what a release tells about whose records it was made from, with nothing but the release.

    | attack | score of an original record x |
    |---|---|
    | `nearest` | -d_1(x): the distance to the nearest released record |
    | `nearest-5` | -(d_1 + ... + d_5) / 5: to the five nearest |
    | `nearest-calibrated` | r_1(x) - d_1(x): closer to the release than to the reference |
    | `density-kernel`, `density-classifier` | log p_S(x) - log p_R(x): see `synthesis.density` |
    | `networks-reconstruction`, `networks-code` | with `pipeline=`: see `synthesis.networks` |

    Beside them stand the risks of singling out, linking and inference (`synthesis.risks`), and accuracies where there
    are labels.

    Members and hold-out must be drawn at random from one population: then every p-value holds, the AUC is 0.5 where
    nothing leaks, and p is corrected over all attacks, the share of `Closeness` and all risks together (Holm).
    Distances are those of `closeness.Space`. Without `pipeline=` this attacker does not know how the release was made;
    one who trains the same pipeline many times and audits its models is in `synthesis.procedure`. Nothing found here is
    therefore no guarantee.

    Args:
        synthetic: the released records.
        members: the originals that they were made from.
        holdout: records of the same population that they were not made from.
        rng: of everything that is drawn.
        reference: more records of the population, neither members nor hold-out. Where there are none, a random half of
            the hold-out takes their part, and the attacks that compare with it judge the other half only.
        recipe: of a model to train on the release, beside one on the originals; it is tested on the hold-out. None: a
            random forest, where there are labels.
        pipeline: what `synthesise` returned, for an attacker who has encoder and decoder, and for the bound on the odds
            at typical distances of codes.
        attacker: what the attacker of the three risks knows and tries; None leaves them out.
        rates: false-positive rates at which attacks are read.
        confidence: of every interval, two-sided; 1 - confidence is the level at which a risk counts as shown.

    Raises:
        InputError: records of different shapes, columns or units, fewer than 20 in a list; a hold-out that has more
            members than chance explains; a pipeline of other members; with a recipe, no labels.

    Reference: Chen, Yu, Zhang and Fritz (2020), CCS, arXiv 1909.03935, for `nearest` and its calibration (by a
        distance to a generator's records there, to a reference's here); van Breugel et al. (2023), arXiv 2302.12580,
        for the density ratio; Platzer and Reutterer (2021), Frontiers in Big Data 4:679939, for the hold-out.
    """
    started, seed = time.perf_counter(), None if isinstance(rng, np.random.Generator) else rng
    rng = generator(rng)
    # Each part has its own, so that settings that are compared by one seed meet the same targets and the same forest.
    of_risks, of_use = (np.random.default_rng(rng.integers(2**63)) for _ in range(2))
    given = {"synthetic": synthetic, "members": members, "holdout": holdout}
    check_kinds("audit_released", **{name: (one, Pool) for name, one in given.items()})
    check_kinds("audit_released", pipeline=(pipeline, Synthetic | None), attacker=(attacker, Attacker | None))
    synthetic, members, holdout, reference = in_one_order(**given, reference=reference).values()
    remarks = control_remarks(members, holdout)
    if recipe is not None and members.labels is not None:
        try_recipe(recipe, members, "audit_released")
    space = Space.of(members, holdout)
    released, inside, outside = space(synthetic), space(members), space(holdout)
    judged = np.ones(len(holdout), dtype=bool)
    if reference is None:
        judged[rng.permutation(len(holdout))[: len(holdout) // 2]] = False
        known, said = outside[~judged], f"{(~judged).sum()} hold-out records, not judged by attacks that use them"
    else:
        known, said = space(reference), f"{len(reference)} records that were given"

    records, is_member = np.concatenate([inside, outside]), np.arange(len(inside) + len(outside)) < len(inside)
    rest = np.append(np.ones(len(inside), dtype=bool), judged)
    distances = nearest(records, released, NEIGHBOURS)[0]
    scores = {
        "nearest": (-distances[:, 0], np.ones_like(rest)),
        f"nearest-{NEIGHBOURS}": (-distances.mean(axis=1), np.ones_like(rest)),
        "nearest-calibrated": (nearest(records[rest], known)[0][:, 0] - distances[rest, 0], rest),
        "density-kernel": (kernel_ratio(records[rest], released, known, rng=rng), rest),
        "density-classifier": (classifier_ratio(records[rest], released, known, rng=rng), rest),
    }
    if pipeline is not None:
        both = [network_scores(pipeline, members, side) for side in (members, holdout)]
        scores |= {name: (np.concatenate([side[name] for side in both]), np.ones_like(rest)) for name in both[0]}
    close = closeness(synthetic, members, holdout, space, confidence=confidence, rng=rng)
    p_values = [leak_p_value(score, is_member[rows]) for score, rows in scores.values()]
    risks, left_out = {}, {}
    typed = Typed.of(synthetic, members, holdout)
    if attacker is not None:
        risks, left_out = wp29_risks(typed, attacker, confidence=confidence, rng=of_risks)
    corrected = holm([*p_values, close.p_value, *(risk.p_value for risk in risks.values())]).tolist()
    last = corrected[len(p_values)]
    for name, p in zip(risks, corrected[len(p_values) + 1 :], strict=True):
        risks[name] = risks[name].model_copy(update={"p_value_holm": p})
    attacks = {
        name: _attack(name, score, is_member[rows], p, p_holm, rates, confidence, rng)
        for (name, (score, rows)), p, p_holm in zip(scores.items(), p_values, corrected, strict=False)
    }
    worth = None
    if recipe is not None or all(pool.labels is not None for pool in (synthetic, members, holdout)):
        worth = usefulness(synthetic, members, holdout, recipe, confidence=confidence, rng=of_use)
    else:
        left_out["utility"] = "release, members and hold-out do not all have labels"
    audit = ReleaseAudit(
        attacks=attacks,
        closeness=close,
        closeness_p_value_holm=last,
        usefulness=worth,
        reference=said,
        n_released=len(synthetic),
        n_members=len(members),
        n_holdout=len(holdout),
        risks=risks,
        left_out=left_out,
        distances=None if pipeline is None else _distances(pipeline.distances),
        remarks=[*swap_remarks(scores["nearest"][0], is_member), *population_remarks(typed), *remarks],
    )
    provenance = Provenance.now(
        started=started,
        seed=seed,
        data=members.name,
        data_fingerprint=members.fingerprint,
        n_records=len(members) + len(holdout),
        membership="declared",
        command="seepage.studies.release.audit_released(...)",
        settings={"rates": list(rates), "confidence": confidence, "attacker": attacker and asdict(attacker)},
    )
    return _result(audit, [], provenance)


def side_by_side(results: Mapping[str, ReleaseResult], **about: object) -> ReleaseResult:
    """The audit of a release beside those of others by the same networks.

    Args:
        results: by the name of their setting, such as "epsilon 5"; the first is what was released.
        about: fields of its provenance that the caller knows better, such as `seed`, `command` and `settings`.
    """
    audits = [
        ReleaseAudit(**{field: getattr(result, field) for field in ReleaseAudit.model_fields} | {"setting": name})
        for name, result in results.items()
    ]
    made = [result.provenance for result in results.values()]
    provenance = made[0].model_copy(update={"seconds": sum(one.seconds for one in made), **about})
    return _result(audits[0], audits[1:], provenance)


def _result(audit: ReleaseAudit, others: Sequence[ReleaseAudit], provenance: Provenance) -> ReleaseResult:
    return ReleaseResult(
        **{field: getattr(audit, field) for field in ReleaseAudit.model_fields},
        headline=headline(audit),
        conclusions=conclusions([audit, *others]),
        limits=LIMITS,
        others=list(others),
        provenance=provenance,
    )


def _distances(codes: CodeDistances) -> Distances:
    epsilon = codes.epsilon if math.isfinite(codes.epsilon) else None
    return Distances(
        median=codes.median, largest=codes.largest, nearest=codes.nearest, epsilon=epsilon, releases=codes.releases
    )


def _attack(
    name: str,
    scores: Float64[np.ndarray, " samples"],
    members: Bool[np.ndarray, " samples"],
    p_value: float,
    p_value_holm: float,
    rates: Sequence[float],
    confidence: float,
    rng: np.random.Generator,
) -> ReleaseAttack:
    found = {f"{rate:g}": tpr_at_fpr(scores, members, rate, confidence=confidence, rng=rng) for rate in rates}
    area = roc_auc(scores, members, confidence=confidence, rng=rng)
    return ReleaseAttack(
        name=name,
        auc=area,
        tpr_at_fpr=found,
        p_value=p_value,
        p_value_holm=p_value_holm,
        n_members=int(members.sum()),
        n_holdout=int((~members).sum()),
    )
