"""The study: set classes apart, train what is attacked and who judges, invert, judge beside baselines.

pool -> private classes (trained on, held out), public images of other classes
private images, targets -> trained models;  private images -> judge, never shown to an attack
public images, target   -> priors
target, prior, attack   -> one image for each class and seed
prior, private images   -> the prior's ceiling: what it can show at all
images, judge           -> hits beside what asks no target, and a wrong-class control
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from torch import nn

from seepage.data import Pool
from seepage.errors import InputError, StorageError
from seepage.inversion.base import Budget, Inversion
from seepage.inversion.priors import PriorOptions
from seepage.inversion.priors.base import Prior
from seepage.models.device import choose_device
from seepage.models.plan import n_cores
from seepage.models.recipe import Recipe
from seepage.outside import check_kinds
from seepage.randomness import seed_from
from seepage.runs import Inline, Processes
from seepage.runs.progress import Watch
from seepage.runs.run import Run, check_run
from seepage.runs.store import Store
from seepage.schema import inversion as report
from seepage.schema.parts import Provenance
from seepage.schema.saved import check_room
from seepage.studies.invert import admission, findings
from seepage.studies.invert.evaluators import Embedder, Evaluator, Trained
from seepage.studies.invert.evidence import Evidence, evaluator_info
from seepage.studies.invert.line import Line
from seepage.studies.invert.measured import ceiling, checks, fisher_curves, target_result
from seepage.studies.invert.options import InversionAttacker, InversionDraw, InversionSettings
from seepage.studies.invert.pictures import pictures
from seepage.studies.invert.selection import Selection
from seepage.studies.invert.targets import Choice, TargetSpec
from seepage.studies.invert.world import make_world
from seepage.writing import make_folder, sweep

USES = ("folder", "seed", "device", "workers", "executor", "progress", "command", "config")
WAVES = ("models", "priors", "ceilings", "images")


def invert(
    pool: Pool,
    recipe: Recipe,
    *,
    model: nn.Module | None = None,
    members: Bool[np.ndarray, " samples"] | None = None,
    targets: Sequence[Choice | str] = ("undefended",),
    judge: Recipe | Evaluator | None = None,
    draw: InversionDraw | None = None,
    attacker: InversionAttacker | None = None,
    settings: InversionSettings | None = None,
    run: Run,
) -> report.InversionResult:
    """Reconstruct images of private classes from models, and judge them; result, report and pieces go to a folder.

    Args:
        pool: labelled images, bytes or values from 0 to 1; of private and public classes, or, where the attacker has
            `public` ones, of private ones.
        recipe: how the undefended target is trained.
        model, members: a trained model to attack in place of an undefended one, whose output c is the class with label
            c, and which records it was trained on.
        targets: what is attacked: "undefended", "null" (other classes), "shuffled" (labels), names of defences, or
            `Choice`s of these.
        judge: how the judge is trained, on the targets' images and the public ones set aside for it, or one that is
            there; by default a CNN of another shape than `seepage.CNN`'s.
        draw: which classes are private and attacked, which images held out, and the seeds.
        attacker: attacks, their budget, and what the attacker knows of such images.
        settings: levels, baselines and what is shown.
        run: folder, where a study that was stopped goes on; seed, which says what is private, attacked and held out;
            device, workers (by default one a core, and none beside a GPU), executor.

    Raises:
        InputError: names that are not known, or data, targets and attacks that do not fit together.
        StorageError: the folder cannot be written.
        TrainingError: a training failed.

    Reference: Zhang et al. (2020), The secret revealer, arXiv 1911.07135, section 4, for disjoint private and public
        classes and an evaluation classifier; Ho et al. (2024), arXiv 2405.05588, for sweeping |theta_C|. Deviations:
        baselines without an attack, intervals over classes, controls that nothing can be had from.
    """
    started = time.perf_counter()
    check_kinds(
        "invert", pool=(pool, Pool), recipe=(recipe, Recipe), draw=(draw, InversionDraw | None),
        attacker=(attacker, InversionAttacker | None), settings=(settings, InversionSettings | None), run=(run, Run),
    )  # fmt: skip
    check_run(run, "invert", uses=USES)
    if run.folder is None:
        raise InputError("invert: give run=Run(folder=...), where the pieces are kept and gone on with")
    draw, attacker, settings = draw or InversionDraw(), attacker or InversionAttacker(), settings or InversionSettings()
    public, budget, priors, generator = attacker.public, attacker.budget, attacker.priors, attacker.generator
    check_kinds(
        "invert", public=(public, Pool | None), budget=(budget, Budget | None), priors=(priors, PriorOptions | None),
        generator=(generator, Prior | None),
    )  # fmt: skip
    alpha, confidence = settings.alpha, settings.confidence
    out, seeds, chosen = Path(run.folder), admission.check_seeds(draw.seeds), admission.attacks_of(attacker.attacks)
    device = choose_device(run.device)
    root_seed = seed_from(run.seed, "Run(seed=...)")
    private, attacked, per_class, random, samples = map(
        admission.plain,
        (draw.private, draw.attacked, attacker.images_per_class, settings.random, attacker.samples),
    )
    admission.check_numbers(
        seed=(root_seed, 0), images_per_class=(per_class, 1), random=(random, 1), samples=(samples, 0)
    )
    admission.check_levels(alpha=alpha, confidence=confidence)
    model, n_outputs = (None, None) if model is None else admission.own_model(model, pool)
    if n_outputs is not None and members is None:
        raise InputError("a model of your own needs members: which of the records it was trained on")
    teaches = isinstance(judge, Embedder) or not isinstance(judge, Evaluator)
    world = make_world(
        pool, public=public, private=private, attacked=attacked, held_out=draw.held_out, members=members,
        n_outputs=n_outputs, given=generator, samples=samples, for_judge=draw.for_judge if teaches else 0.0,
        rng=np.random.default_rng([root_seed, 6]),
    )  # fmt: skip
    chosen = admission.with_selections(chosen, random, world)
    specs = admission.targets_of(targets, recipe, world, model)
    check_room(targets=len(specs), attacks=len(chosen), rows=len(specs) * len(chosen))
    judge, priors = judge or default_judge(), priors or PriorOptions()
    given = judge if isinstance(judge, Evaluator) else None
    admission.check_judge(judge, model, world)
    admission.check_priors(chosen, world, priors, generator)
    admission.check_folder(out, pool)
    line = Line(
        world, specs, chosen, {name: budget_of(one, budget) for name, one in chosen.items()}, None if given else judge,
        priors, generator, per_class, out.absolute() / "run", device,
    )  # fmt: skip
    try:
        make_folder(out)
        sweep(out)
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}") from None
    Store(line.folder).sweep()
    _make(line, seeds, run)

    draws = np.random.default_rng([root_seed, 8])
    evidence = {seed: Evidence.of(_evaluator(line, given, seed), world) for seed in seeds}
    told = checks(line, evidence)
    about_judge = evaluator_info(
        list(evidence.values()), told, world.strange_images(), confidence=confidence, rng=draws
    )
    ceilings = [ceiling(line, place, evidence[place["seed"]], confidence, draws) for place in line.ceilings(seeds)]
    rows = [target_result(line, spec, evidence, confidence, draws) for spec in specs.values()]
    searched = sorted({one.prior for one in chosen.values() if not isinstance(one, Selection)})
    infos = [_info(name, one, line.budgets[name]) for name, one in chosen.items()]
    found = findings.Evidence(
        targets=rows, attacks=infos, evaluator=about_judge, n_private_classes=world.n_classes,
        n_attacked_classes=len(world.attacked), seeds=seeds, alpha=alpha, own={n: one.own for n, one in chosen.items()},
        is_given=model is not None, ceilings=ceilings, confidence=confidence,
    )  # fmt: skip
    result = report.InversionResult(
        verdict=findings.verdict(found),
        headline=findings.headline(found),
        conclusions=findings.conclusions(found),
        limits=findings.limits(found),
        n_private_classes=world.n_classes,
        n_attacked_classes=len(world.attacked),
        n_private_images=len(world.train),
        n_held_out_images=len(world.held_out),
        n_public_images=len(world.images),
        public=world.about,
        image_shape=list(world.image_shape),
        images_per_class=per_class,
        seeds=seeds,
        alpha=alpha,
        confidence=confidence,
        evaluator=about_judge,
        priors={kind: line.prior(seeds[0], next(iter(specs)), kind).name for kind in searched},
        attacks=infos,
        targets=rows,
        ceilings=ceilings,
        fisher=fisher_curves(line, rows, seeds[0], confidence, draws) if settings.fisher else [],
        pictures=pictures(line, evidence[seeds[0]], seeds[0]) if settings.show_records else [],
        recipe=_described(recipe, specs),
        provenance=Provenance.now(
            started=started,
            seed=root_seed,
            data=pool.name,
            data_fingerprint=pool.fingerprint,
            n_records=len(pool),
            membership="drawn" if members is None else "declared",
            command=run.command or f"seepage.invert(..., run=Run(seed={root_seed}))",
            settings={
                "private": private,
                "attacked": attacked,
                "held_out": draw.held_out,
                "budget": None if budget is None else asdict(budget),
                "priors": asdict(line.priors),
                "samples": samples,
                "random": random,
                "for_judge": draw.for_judge,
                **({"config": dict(run.config)} if run.config else {}),
            },
        ),
    )
    result.write(out)
    return result


def default_judge() -> Recipe:
    """A judge of another shape than the usual target: wider, two convolutions a stage, trained on moved images."""
    import functools

    from seepage.models.architectures import CNN
    from seepage.models.optimisers import Adam
    from seepage.models.recipe import Augmentation

    model = functools.partial(CNN, widths=(48, 96, 192), convolutions=2)
    return Recipe(model=model, optimiser=Adam(1e-3), epochs=30, augmentation=Augmentation(flip=False, shift=2))


def _make(line: Line, seeds: Sequence[int], run: Run) -> None:
    """All pieces, wave by wave, in processes where there are several to make."""
    workers = n_cores() if run.workers is None and line.device == "cpu" else run.workers or 0
    for title, wave in zip(WAVES, line.waves(seeds), strict=True):
        if not wave:
            continue
        units = [{"models": [place], "unit": unit} for place, unit in enumerate(wave)]
        missing = [unit for unit in units if not line.has(unit["unit"])]
        local = Processes(min(workers, len(missing))) if workers > 1 and len(missing) > 1 else Inline()
        executor = run.executor or local
        with Watch(title, units, missing, of="pieces", show=run.progress) as watch:
            for position, _ in executor.map(line, [unit["unit"] for unit in missing], watch.update):
                watch.done(position)


def _evaluator(line: Line, given: Evaluator | None, seed: int) -> Evaluator:
    if given is None:
        others = "" if line.world.for_judge is None else " and on public ones that no attack has"
        return Trained(line.judge_module(seed), about=f"trained on the targets' images{others}, from other weights")
    if isinstance(given, Embedder):
        return given.fit(*line.world.judged(), line.world.n_judged)
    return given


def budget_of(attack: Inversion, budget: Budget | None) -> Budget:
    """The study's budget, or the source's; a selection has nothing to spend it on."""
    return attack.own if budget is None or isinstance(attack, Selection) else budget


def _described(recipe: Recipe, specs: Mapping[str, TargetSpec]) -> dict[str, Any]:
    """The recipe, where something was trained by it, and what was there already."""
    own = [type(spec.module).__name__ for spec in specs.values() if spec.recipe is None]
    return {**({"attacked": own[0]} if own else {}), **(recipe.describe() if len(specs) > len(own) else {})}


def _info(name: str, attack: Inversion, budget: Budget) -> report.AttackInfo:
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(attack).items()}
    return report.AttackInfo(
        name=name, title=attack.title, access=str(attack.access), prior=attack.prior, source=attack.source,
        notes=list(attack.notes), options=options, is_selection=isinstance(attack, Selection), **asdict(budget),
    )  # fmt: skip
