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
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seepage.data import Pool
from seepage.errors import StorageError
from seepage.execution.executor import check_workers
from seepage.models.laplace import noise_like
from seepage.models.recipe import Recipe
from seepage.models.trial import is_recipe, try_recipe
from seepage.outside import check_kinds
from seepage.randomness import Seed, seed_from
from seepage.report import trust_result as report
from seepage.report.result import Provenance
from seepage.signals.collect import Collection, collect
from seepage.trust import findings, measures, rays
from seepage.trust.threats import fit_threats
from seepage.trust.variants import VARIANTS, Features, Held, Network, answer_as, recipes
from seepage.trust.world import SHARES, Choices, Sampler, World, as_images, make_world
from seepage.writing import make_folder, sweep

TARGET, SHADOW = 0, 1


def study(
    pool: Pool,
    *,
    recipe: Recipe,
    out: str | os.PathLike,
    choices: Choices | None = None,
    generator: str | os.PathLike | Sampler | None = "gan",
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
        generator: "gan" trains one; a .npz with 'images' (uint8); an object with `sample(labels, rng)`; None for no
            near non-members.
        engine, workers: of the trainings, see `seepage.signals.collect.collect`.
        progress: show bars.
        rng: a seed or a generator; one root seed is drawn from it and recorded.

    Raises:
        InputError: no images, no labels, too few records, or options that do not suit them.
        StorageError: the folder holds another study, or cannot be written.

    Reference: Hintersdorf, Struppek and Kersting (2022), To trust or not to trust prediction scores for membership
        inference attacks (arXiv 2111.09076). Deviations: temperature is fitted beside the fixed one; what is fitted
        on validation records is never fitted on the records that are attacked; thresholds, see `threats`; a generator
        that is trained here on records of its own instead of StyleGAN2-ADA; one standardisation for all models.
    """
    started = time.perf_counter()
    check_kinds("trust.study", pool=(pool, Pool), choices=(choices, Choices | None), out=(out, str | os.PathLike))
    is_recipe(recipe, "trust.study")
    check_workers(workers, "trust.study")
    choices = choices or Choices()
    out = Path(out)
    root_seed = seed_from(rng)
    split_rng, set_rng, *variant_rngs = map(np.random.default_rng, np.random.SeedSequence(root_seed).spawn(2 + 6))
    trainings = recipes(recipe, smoothing=choices.smoothing, weight_decay=choices.weight_decay)
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
    world = make_world(pool, choices, generator, out, progress, split_rng=split_rng, set_rng=set_rng)
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
            if variant.training == training:
                found[name] = judging.variant(name, world, choices, rng=variant_rng)
    variants = [found[name][0] for name in VARIANTS]
    along = [ray for _, ray in map(found.get, VARIANTS) if ray is not None]
    sets = [
        report.NonmemberSet(name=s.name, title=s.title, kind=s.kind, n=len(s), valid=s.is_valid, about=s.about)
        for s in world.sets
    ]
    result = report.TrustResult(
        headline=findings.headline(variants[0], sets, choices.prior),
        conclusions=findings.conclusions(variants, sets, along, choices.prior),
        limits=findings.limits(n_models=2 * len(trainings), evaluated=world.evaluated, sets=sets),
        prior=choices.prior,
        parts=[report.DataPart(name=name, n=len(world.parts[name]), use=use) for name, (_, use) in SHARES.items()],
        sets=sets,
        left_out=dict(world.left_out),
        generator=world.generator,
        variants=variants,
        rays=along,
        comparisons=findings.comparisons(variants, sets, along),
        recipe=recipe.describe(),
        provenance=Provenance.now(
            started=started,
            seed=root_seed,
            data=pool.name,
            data_fingerprint=pool.fingerprint,
            n_records=len(pool),
            membership="drawn",
            command=command or f"seepage.trust.study(..., rng={root_seed})",
            settings={**asdict(choices), **({"config": dict(config)} if config else {})},
        ),
    )
    result.write(out)
    return result


@dataclass(frozen=True, eq=False)
class Judging:
    """A pair of trained networks, and the features of all records that they are asked about."""

    networks: tuple[Network, Network]  # target, shadow
    held: tuple[Held, Held]
    sets: Mapping[str, Features]  # of the target
    target_test: Features
    shadow_test: Features
    rays: list[Features]

    @classmethod
    def of(cls, collection: Collection, world: World, choices: Choices, rng: np.random.Generator) -> Judging:
        networks = tuple(Network.of(collection.modules[model]) for model in (TARGET, SHADOW))
        held = []
        for side, network in zip(("target", "shadow"), networks, strict=True):
            validation = world.parts[f"{side} validation"]
            inputs = world.pool.batch(world.parts[f"{side} train"])
            noise = noise_like(inputs, len(validation), rng=rng)
            held.append(
                Held(
                    network.features(inputs),
                    network.features(world.pool.batch(validation)),
                    world.pool.labels[validation],
                    network.features(noise),
                )
            )
        target, shadow = networks
        scaled = world.sets[0].inputs[: choices.ray_records]
        return cls(
            networks,
            tuple(held),
            {one.name: target.features(one.inputs) for one in world.sets},
            target.features(world.pool.batch(world.parts["target test"])),
            shadow.features(world.pool.batch(world.parts["shadow test"][: world.evaluated])),
            rays.features_along(target.features, scaled, choices.doublings) if choices.doublings else [],
        )

    def variant(
        self, name: str, world: World, choices: Choices, *, rng: np.random.Generator
    ) -> tuple[report.VariantResult, report.Ray | None]:
        """Everything about one variant of these networks."""
        variant, confidence = VARIANTS[name], choices.confidence
        answers, options = zip(
            *(answer_as(name, n, h, rng=rng) for n, h in zip(self.networks, self.held, strict=True)), strict=True
        )
        of_target, of_shadow = answers
        shadow = np.concatenate([of_shadow(self.held[SHADOW].training[: world.evaluated]), of_shadow(self.shadow_test)])
        shadow_members = np.arange(len(shadow)) < world.evaluated
        training = of_target(self.held[TARGET].training)
        judged = measures.Judged(
            training[: world.evaluated],
            {name: of_target(features) for name, features in self.sets.items()},
            shadow,
            shadow_members,
        )
        threats = fit_threats(shadow, shadow_members, rng=rng)
        labels = {part: world.pool.labels[world.parts[part]] for part in ("target train", "target test")}
        test = of_target(self.target_test)
        result = report.VariantResult(
            name=name,
            title=variant.title,
            about=variant.about,
            options={
                **_trained_with(variant.training, choices),
                **options[TARGET],
                **{f"{option}, shadow": v for option, v in options[SHADOW].items() if v != options[TARGET][option]},
            },
            train_accuracy=measures.accuracy(training, labels["target train"], confidence),
            test_accuracy=measures.accuracy(test, labels["target test"], confidence),
            **measures.calibration(test, labels["target test"], confidence=confidence, rng=rng),
            attacks=[
                measures.threat_result(threat, judged, prior=choices.prior, confidence=confidence, rng=rng)
                for threat in threats
            ],
        )
        if not self.rays:
            return result, None
        log_odds = rays.log_odds_along(of_target, self.rays)
        called = rays.first_alarm(log_odds, threats[0].threshold)
        return result, report.Ray(
            variant=name,
            n=log_odds.shape[1],
            doublings=list(range(len(log_odds))),
            called=[measures.saved(measures.proportion(row, confidence=confidence)) for row in called],
            max_score=[float(np.mean(1 / (1 + np.exp(-np.clip(row, -500, 500))))) for row in log_odds],
        )


def _trained_with(training: str, choices: Choices) -> dict[str, float]:
    chosen = {"label-smoothing": {"smoothing": choices.smoothing}, "l2": {"weight decay": choices.weight_decay}}
    return chosen.get(training, {})
