"""The study: split the records, train target and shadow each way, fix the attacks on the shadow, count the accused.

records -> seven disjoint parts
target train, shadow train   -> one pair of models each for plain, label smoothing, weight decay
target validation, shadow validation -> temperature and prior variance, for each model its own
generator                    -> near non-members; neither model nor attack meets its records
target test, shadow test     -> own-distribution non-members; calibration of the target; thresholds on the shadow
"""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Int64
from rich.console import Console
from rich.progress import Progress

import seepage
from seepage.data import Pool
from seepage.data.files import read_arrays
from seepage.errors import InputError, StorageError
from seepage.models.generators import train_gan
from seepage.models.laplace import noise_like
from seepage.models.recipe import Recipe
from seepage.report import trust_result as report
from seepage.report.result import Provenance
from seepage.signals.collect import Collection, collect
from seepage.trust import findings, measures, nonmembers, rays
from seepage.trust.nonmembers import Images, Nonmembers, Standard, as_images
from seepage.trust.threats import fit_threats
from seepage.trust.variants import VARIANTS, Features, Held, Network, answer_as, recipes

SHARES = {
    "target train": (0.30, "trains the target; its members"),
    "shadow train": (0.30, "trains the attacker's shadow; its members"),
    "target test": (0.10, "own-distribution non-members, calibration and test accuracy of the target"),
    "shadow test": (0.10, "the shadow's non-members, on which thresholds are fixed"),
    "target validation": (0.04, "temperature and prior variance of the target"),
    "shadow validation": (0.04, "temperature and prior variance of the shadow"),
    "generator": (0.12, "trains the generator of near non-members; no model and no attack meets these records"),
}
TARGET, SHADOW = 0, 1
FEWEST = 10  # records in the smallest part that is judged


class Sampler(Protocol):
    """What makes images: `seepage.models.generators`."""

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> Images: ...


@dataclass(frozen=True, eq=False)
class World:
    """The records, split and standardised, and all sets of non-members."""

    pool: Pool  # without the generator's part
    parts: Mapping[str, Int64[np.ndarray, " rows"]]  # rows of `pool`; of the original records for "generator"
    standard: Standard
    sets: tuple[Nonmembers, ...]
    left_out: Mapping[str, str]
    generator: str
    evaluated: int


@dataclass(frozen=True)
class Choices:
    """The options that a study's numbers depend on beside its data and recipe.

    Attributes:
        smoothing: share of each label that label smoothing gives to all classes.
        weight_decay: of the L2 variant.
        evaluated: at most so many members, and records of each set of non-members.
        gan_steps, gan_width: of the generator.
        far: names of other data sets, `nonmembers.FAR`; None for those of the default list that are in the cache.
        doublings: scale inputs up to 2^doublings along rays; 0 for no rays.
        ray_records: non-members that are scaled.
        prior: share of members among those asked about.
        confidence: of every interval.
    """

    smoothing: float = 0.0083
    weight_decay: float = 3e-4
    evaluated: int = 2500
    gan_steps: int = 10_000
    gan_width: int = 32
    far: tuple[str, ...] | None = None
    doublings: int = 20
    ray_records: int = 500
    prior: float = 0.5
    confidence: float = 0.95

    def __post_init__(self):
        for name in ("smoothing", "prior", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name, least in (("evaluated", FEWEST), ("ray_records", 1), ("doublings", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.doublings > 60:
            raise InputError(f"doublings above 60 leave the range of float32, got {self.doublings}")
        if not self.weight_decay > 0:
            raise InputError(f"weight_decay must be positive, got {self.weight_decay}")


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
    rng: np.random.Generator | int,
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
    choices = choices or Choices()
    out = Path(out)
    root_seed = int(rng) if isinstance(rng, (int, np.integer)) else int(rng.integers(2**53))
    split_rng, set_rng, *variant_rngs = map(np.random.default_rng, np.random.SeedSequence(root_seed).spawn(2 + 6))
    trainings = recipes(recipe, smoothing=choices.smoothing, weight_decay=choices.weight_decay)
    try:
        (out / "run").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}") from None
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
        provenance=Provenance(
            seepage=seepage.__version__,
            python=platform.python_version(),
            torch=torch.__version__,
            numpy=np.__version__,
            platform=f"{platform.system()} {platform.machine()}",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seconds=time.perf_counter() - started,
            seed=root_seed,
            data=pool.name,
            data_fingerprint=pool.fingerprint,
            n_records=len(pool),
            membership="drawn",
            command=command or f"seepage.trust.study(..., rng={root_seed})",
            settings={**asdict(choices), **({"config": dict(config)} if config else {})},
        ),
    )
    try:
        result.save(out / "result.json")
    except OSError as error:
        raise StorageError(f"cannot write {out / 'result.json'}: {error.strerror}") from None
    result.report(out / "report.html")
    result.report(out / "report.md")
    return result


def make_world(
    pool: Pool,
    choices: Choices,
    generator: str | os.PathLike | Sampler | None,
    out: Path,
    progress: bool,
    *,
    split_rng: np.random.Generator,
    set_rng: np.random.Generator,
) -> World:
    """Split and standardise the records, and make every set of non-members."""
    if pool.labels is None:
        raise InputError(f"the study trains classifiers, and the pool '{pool.name}' has no labels")
    images, labels = as_images(pool), np.asarray(pool.labels)
    rows = split(len(pool), rng=split_rng)
    order = np.concatenate([part for name, part in rows.items() if name != "generator"])
    ends = np.cumsum([len(part) for name, part in rows.items() if name != "generator"])
    names = [name for name in rows if name != "generator"]
    parts = {name: np.arange(end - len(rows[name]), end) for name, end in zip(names, ends, strict=True)}
    parts["generator"] = rows["generator"]
    standard = Standard.of(images[np.concatenate([rows["target train"], rows["shadow train"]])])
    records = Pool(
        standard(images[order]), labels[order], ids=pool.ids[order], name=pool.name, n_classes=pool.n_classes,
        classes=pool.classes,
    )  # fmt: skip
    evaluated = min(choices.evaluated, *(len(rows[name]) for name in ("target test", "shadow test")))
    if evaluated < FEWEST:
        raise InputError(f"too few records: {len(pool)} leave {evaluated} non-members, expected at least {FEWEST}")
    own = images[rows["target test"][:evaluated]]
    shape = tuple(images.shape[1:])
    near_rng, far_rng, spoil_rng, gan_rng = set_rng.spawn(4)
    of_generator = pool.subset(rows["generator"])
    of_generator = Pool(images[rows["generator"]], of_generator.labels, n_classes=pool.n_classes, name="generator")
    same = Nonmembers("same", "Own distribution", "same", standard(own), "the target's own test records")
    others, left_out = nonmembers.find_far(choices.far, pool.name, shape, standard, evaluated, rng=far_rng)
    near, made_by = _near(
        generator, of_generator, shape, standard, evaluated, choices, out, progress, gan_rng=gan_rng, rng=near_rng
    )
    if not near:
        left_out = {"generated": "no generator was asked for", **left_out}
    spoilt = nonmembers.corrupted(own, standard, rng=spoil_rng)
    return World(records, parts, standard, (same, *near, *others, *spoilt), left_out, made_by, evaluated)


def split(n: int, *, rng: np.random.Generator) -> dict[str, Int64[np.ndarray, " rows"]]:
    """Disjoint random parts of n records, in the shares of `SHARES`; the last takes what is left."""
    order = rng.permutation(n)
    ends = np.cumsum([share for share, _ in SHARES.values()])
    bounds = [0, *np.round(ends[:-1] * n).astype(int), n]
    return {name: order[low:high] for name, low, high in zip(SHARES, bounds, bounds[1:], strict=False)}


def _near(
    generator,
    pool: Pool,
    shape,
    standard: Standard,
    n: int,
    choices: Choices,
    out: Path,
    progress: bool,
    *,
    gan_rng,
    rng,
) -> tuple[list[Nonmembers], str]:
    if generator is None:
        return [], "none"
    if generator == "gan":
        with Progress(console=Console(stderr=True), disable=not progress) as bar:
            task = bar.add_task("generator", total=1.0)
            made = train_gan(
                pool,
                n_steps=choices.gan_steps,
                width=choices.gan_width,
                rng=gan_rng,
                folder=_folder(out / "run" / "gan"),
                report=lambda done: bar.update(task, completed=done),
            )
        about = (
            f"a class-conditional GAN, {choices.gan_steps} steps on {len(pool)} records that neither the models nor "
            "the attacks meet"
        )
        return [nonmembers.generated(made.sample, pool.n_classes, shape, standard, n, about, rng=rng)], about
    if isinstance(generator, (str, os.PathLike)):
        arrays = read_arrays(generator)
        if "images" not in arrays:
            raise InputError(f"{generator}: expected an array 'images', got {', '.join(arrays) or 'none'}")
        about = f"the user's images, {Path(generator).name}"
        return [nonmembers.from_file(arrays["images"], shape, standard, n, about)], about
    about = f"the user's generator, {type(generator).__name__}"
    return [nonmembers.generated(generator.sample, pool.n_classes, shape, standard, n, about, rng=rng)], about


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


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
