"""The study: split the records, train target and shadow each way, fix the attacks on the shadow, count the accused.

records -> seven disjoint parts
target train, shadow train   -> one pair of models each for plain, label smoothing, weight decay
target validation, shadow validation -> temperature and prior variance, for each model its own
generator                    -> near non-members; neither model nor attack meets its records
target test, shadow test     -> own-distribution non-members; calibration of the target; thresholds on the shadow
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from seepage.data import Pool
from seepage.errors import StorageError
from seepage.models.recipe import Recipe
from seepage.models.trial import is_recipe, try_recipe
from seepage.outside import check_kinds
from seepage.randomness import Seed, seed_from
from seepage.runs.executor import check_workers
from seepage.schema import trust as report
from seepage.schema.parts import Provenance
from seepage.signals.collect import collect
from seepage.studies.trust import findings
from seepage.studies.trust.attackers import choose
from seepage.studies.trust.judging import SHADOW, TARGET, Judging
from seepage.studies.trust.near import Near, check_near
from seepage.studies.trust.signs import comparisons
from seepage.studies.trust.variants import VARIANTS, recipes
from seepage.studies.trust.world import SHARES, Choices, as_images, make_world
from seepage.writing import make_folder, sweep


def study(
    pool: Pool,
    *,
    recipe: Recipe,
    out: str | os.PathLike,
    choices: Choices | None = None,
    near: Sequence[Near] | Near | None = None,
    engine: str | None = None,
    workers: int | None = None,
    progress: bool = False,
    command: str | None = None,
    config: Mapping[str, Any] | None = None,
    rng: Seed,
) -> report.TrustResult:
    """Train the six models, accuse every set of non-members, and write result.json, report.html and report.md to `out`.

    Args:
        pool: labelled images, bytes or values from 0 to 1.
        recipe: how the plain models are trained: Adam, cross-entropy, an architecture of `seepage.models`.
        out: the study's folder; a study that was stopped goes on there.
        choices: see `Choices`.
        near: near non-members, one or several: names of `near.NEAR` ("generated" trains a GAN), and of your own a
            .npz with 'images' (and 'labels') or an object with `sample(labels, rng)`; () for none. By default "blended"
            and "warped", where the records suffice.
        engine, workers: of the trainings, see `seepage.signals.collect.collect`.
        progress: show bars.
        rng: a seed or a generator; one root seed is drawn from it and recorded.

    Raises:
        InputError: no images, no labels, too few records, or options that do not suit them.
        StorageError: the folder holds another study, or cannot be written.

    Reference: Hintersdorf, Struppek and Kersting (2022), To trust or not to trust prediction scores for membership
        inference attacks (arXiv 2111.09076). Deviations: temperature is fitted beside the fixed one; what is fitted
        on validation records is never fitted on the records that are attacked; thresholds, see `threats`; near
        non-members are made of records of their own, not by a StyleGAN2-ADA that saw the members; one standardisation
        for all models; further attacks beside the source's three, see `attackers`.
    """
    started = time.perf_counter()
    check_kinds("trust.study", pool=(pool, Pool), choices=(choices, Choices | None), out=(out, str | os.PathLike))
    is_recipe(recipe, "trust.study")
    check_workers(workers, "trust.study")
    choices = choices or Choices()
    near = None if near is None else check_near(near)
    out = Path(out)
    root_seed = seed_from(rng)
    split_rng, set_rng, *variant_rngs = map(np.random.default_rng, np.random.SeedSequence(root_seed).spawn(2 + 6))
    chosen = choices.variants or tuple(VARIANTS)
    trainings = recipes(recipe, smoothing=choices.smoothing, weight_decay=choices.weight_decay)
    trainings = {name: trainings[name] for name in trainings if name in {VARIANTS[one].training for one in chosen}}
    try:
        make_folder(out / "run")
        sweep(out)
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}") from None
    if pool.labels is not None:  # before a generator is trained
        two = pool.subset(np.unique([0, len(pool) - 1]))
        as_trained = Pool(as_images(two), two.labels, n_classes=pool.n_classes, scale=1 / 255)
        for training in trainings.values():
            try_recipe(training, as_trained, "trust.study")
    world = make_world(pool, choices, near, out, progress, split_rng=split_rng, set_rng=set_rng)
    attacks, attacks_left_out = choose(choices.attacks, world.n_known)
    columns = np.zeros((len(world.pool), 2), dtype=bool)
    columns[world.parts["target train"], TARGET] = True
    columns[world.parts["shadow train"], SHADOW] = True
    collections = {
        name: collect(
            training, world.pool, columns, root_seed=root_seed, folder=out / "run" / name, live=(TARGET, SHADOW),
            engine=engine, workers=workers, progress=progress, title=name,
        )
        for name, training in trainings.items()
    }  # fmt: skip
    found = {}
    for training, collection in collections.items():  # one pair at a time: their features fill the memory
        judging = Judging.of(collection, world, choices, np.random.default_rng([root_seed, 3]))
        for (name, variant), variant_rng in zip(VARIANTS.items(), variant_rngs, strict=True):
            if name in chosen and variant.training == training:
                found[name] = judging.variant(name, attacks, world, choices, rng=variant_rng)
    variants = [found[name][0] for name in chosen]
    along = [ray for _, ray in map(found.get, chosen) if ray is not None]
    sets = [
        report.NonmemberSet(
            name=s.name, title=s.title, kind=s.kind, n=len(s), valid=s.is_valid, about=s.about, labels=s.labels_are
        )
        for s in world.sets
    ]
    result = report.TrustResult(
        headline=findings.headline(variants[0], sets, choices.prior),
        conclusions=findings.conclusions(variants, sets, along, choices.prior, choices.strict_rate),
        limits=findings.limits(
            n_models=2 * len(trainings), evaluated=world.evaluated, sets=sets, n_copies=world.n_copies
        ),
        prior=choices.prior,
        parts=[report.DataPart(name=name, n=len(world.parts[name]), use=use) for name, (_, use) in SHARES.items()],
        sets=sets,
        left_out=dict(world.left_out),
        generator=world.generator,
        variants=variants,
        rays=along,
        comparisons=comparisons(variants, sets, along),
        recipe=recipe.describe(),
        provenance=Provenance.now(
            started=started,
            seed=root_seed,
            data=pool.name,
            data_fingerprint=pool.fingerprint,
            n_records=len(pool),
            membership="drawn",
            command=command or f"seepage.studies.trust.study(..., rng={root_seed})",
            settings={**asdict(choices), **({"config": dict(config)} if config else {})},
        ),
        strict_rate=choices.strict_rate,
        attacks_left_out=attacks_left_out,
    )
    result.write(out)
    return result
