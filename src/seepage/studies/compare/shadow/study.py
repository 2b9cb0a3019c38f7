"""The study: split the records, train target and shadow each way, fix the attacks on the shadow, count the accused.

records -> seven disjoint parts
target train, shadow train   -> one pair of models for each way in which the rows train
target validation, shadow validation -> temperature and prior variance, for each model its own
generator                    -> near non-members; neither model nor attack meets its records
target test, shadow test     -> own-distribution non-members; calibration of the target; thresholds on the shadow
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seepage.data import Pool
from seepage.defences.base import Defence
from seepage.errors import InputError, StorageError
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import Adam
from seepage.models.recipe import cross_entropy
from seepage.models.trial import try_recipe
from seepage.runs.run import Run
from seepage.runs.store import digest
from seepage.schema import trust as report
from seepage.schema.parts import Provenance
from seepage.signals.collect import collect
from seepage.studies.compare.choice import Entry, options_of
from seepage.studies.compare.shadow import conclusions
from seepage.studies.compare.shadow.answers import Variant, check_answers
from seepage.studies.compare.shadow.attackers import choose
from seepage.studies.compare.shadow.judging import SHADOW, TARGET, Judging
from seepage.studies.compare.shadow.measures import Terms
from seepage.studies.compare.shadow.seeds import combined
from seepage.studies.compare.shadow.signs import comparisons
from seepage.studies.compare.shadow.world import SHARES, ShadowStudy, as_images, make_world
from seepage.studies.settings import Settings
from seepage.writing import make_folder

# The source's variants: each has random numbers of its own, whichever rows are compared with it.
OF_SOURCE = ("standard", "label-smoothing", "l2", "temperature", "temperature-10", "laplace")


def variants_of(rows: Sequence[Entry], defences: Sequence[Defence | None]) -> list[Variant]:
    """The rows of a comparison, with the defences that were settled on; the undefended one is the standard model.

    Raises:
        InputError: the undefended recipe is not plain, or a row changes answers in a way that is not known here.
    """
    plain = rows[0].recipe
    if plain.objective is not cross_entropy or not isinstance(plain.optimiser, Adam) or plain.optimiser.weight_decay:
        raise InputError(
            "compare: shadow_study= compares plain training with defences such as label smoothing and weight decay: "
            "give a recipe with the default objective and Adam without weight decay"
        )
    variants = [Variant("standard", "Standard", "cross-entropy, answers as trained", plain, {})]
    for row, defence in zip(rows[1:], defences[1:], strict=True):
        options = {name: value for name, value in options_of(defence).items() if isinstance(value, int | float | str)}
        title = defence.title if row.label == row.name else f"{defence.title} ({row.label})"
        about = ", ".join(f"{name} {value}" for name, value in options.items()) or f"changes the {defence.kind}"
        variants.append(Variant(row.label, title, about, defence.apply(row.recipe), options))
        check_answers(variants[-1])
    if len({variant.name for variant in variants}) < len(variants):
        raise InputError("compare: in a shadow study 'standard' is the undefended model: give that row another label")
    return variants


def check_pool(pool: Pool, variants: Sequence[Variant]) -> None:
    """Refuse what cannot be studied before anything is trained.

    Raises:
        InputError: the records are no images, or a variant does not suit them.
    """
    two = pool.subset(np.unique([0, len(pool) - 1]))
    as_trained = Pool(as_images(two), two.labels, n_classes=pool.n_classes, scale=1 / 255)
    for variant in variants:
        try_recipe(variant.training, as_trained, f"compare: shadow_study=: {variant.name}")


def studies(
    pool: Pool,
    variants: Sequence[Variant],
    choices: ShadowStudy,
    seeds: Sequence[int],
    settings: Settings,
    run: Run,
    folder: Path,
) -> report.TrustResult:
    """A study of each seed, as one result.

    Raises:
        InputError: no images, too few records, or options that do not suit them.
        StorageError: the folder holds another study, or cannot be written.

    Reference: Hintersdorf, Struppek and Kersting (2022), To trust or not to trust prediction scores for membership
        inference attacks (arXiv 2111.09076). Deviations: temperature is fitted beside the fixed one; what is fitted
        on validation records is never fitted on the records that are attacked; thresholds, see `threats`; near
        non-members are made of records of their own, not by a StyleGAN2-ADA that saw the members; one standardisation
        for all models; further attacks beside the source's three, see `attackers`.
    """
    results = [study(pool, variants, choices, seed, settings, run, folder / f"seed-{seed}") for seed in seeds]
    return results[0] if len(results) == 1 else combined(results, confidence=settings.confidence)


def study(
    pool: Pool, variants: Sequence[Variant], choices: ShadowStudy, seed: int, settings: Settings, run: Run, out: Path
) -> report.TrustResult:
    """Train the pairs of one seed, and accuse every set of non-members. One that was stopped goes on in `out`."""
    started = time.perf_counter()
    split_rng, set_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    terms = Terms(settings.prior, settings.confidence, choices.strict_rate)
    try:
        make_folder(out / "run")
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}") from None
    world = make_world(pool, choices, out, run.progress, split_rng=split_rng, set_rng=set_rng)
    attacks, attacks_left_out = choose(choices.attacks, world.n_known)
    columns = np.zeros((len(world.pool), 2), dtype=bool)
    columns[world.parts["target train"], TARGET] = True
    columns[world.parts["shadow train"], SHADOW] = True
    validation = np.sort(np.concatenate([world.parts[f"{side} validation"] for side in ("target", "shadow")]))
    found = {}
    # One pair at a time: their features fill the memory. Rows that train alike share it.
    for training in {variant.training.fingerprint: variant.training for variant in variants}.values():
        alike = [variant for variant in variants if variant.training == training]
        collection = collect(
            training, world.pool, columns, root_seed=seed, held_out=HeldOut(validation=validation),
            folder=out / "run" / alike[0].name, live=(TARGET, SHADOW), engine=run.engine, workers=run.workers,
            executor=run.executor, progress=run.progress, title=f"shadow study, {alike[0].name}",
        )  # fmt: skip
        judging = Judging.of(collection, world, choices, np.random.default_rng([seed, 3]))
        for variant in alike:
            rng = np.random.default_rng(_seed_of(variant.name, seed))
            found[variant.name] = judging.variant(variant, attacks, world, choices, terms, rng=rng)
    judged = [found[variant.name][0] for variant in variants]
    along = [ray for _, ray in (found[variant.name] for variant in variants) if ray is not None]
    sets = [
        report.NonmemberSet(
            name=s.name, title=s.title, kind=s.kind, n=len(s), valid=s.is_valid, about=s.about, labels=s.labels_are
        )
        for s in world.sets
    ]
    return report.TrustResult(
        headline=conclusions.headline(judged[0], sets, settings.prior),
        conclusions=conclusions.conclusions(judged, sets, along, settings.prior, choices.strict_rate),
        limits=conclusions.limits(
            n_models=2 * len({variant.training.fingerprint for variant in variants}),
            evaluated=world.evaluated,
            sets=sets,
            n_copies=world.n_copies,
        ),
        prior=settings.prior,
        parts=[report.DataPart(name=name, n=len(world.parts[name]), use=use) for name, (_, use) in SHARES.items()],
        sets=sets,
        left_out=dict(world.left_out),
        generator=world.generator,
        variants=judged,
        rays=along,
        comparisons=comparisons(judged, sets, along),
        recipe=variants[0].recipe.describe(),
        provenance=Provenance.now(
            started=started,
            seed=seed,
            data=pool.name,
            data_fingerprint=pool.fingerprint,
            n_records=len(pool),
            membership="drawn",
            command=run.command or "seepage.compare(..., shadow_study=...)",
            settings=choices.describe(),
        ),
        strict_rate=choices.strict_rate,
        attacks_left_out=attacks_left_out,
    )


def _seed_of(name: str, seed: int) -> np.random.SeedSequence:
    """The random numbers of a variant depend on its name, not on the rows beside it."""
    place = OF_SOURCE.index(name) if name in OF_SOURCE else len(OF_SOURCE) + int(digest(name)[:8], 16)
    return np.random.SeedSequence(seed, spawn_key=(2 + place,))
