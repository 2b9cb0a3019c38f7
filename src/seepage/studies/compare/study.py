"""The comparison: draw members, settle each defence's setting, audit all alike, and set the figures side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from dataclasses import replace as changed
from pathlib import Path

import numpy as np

from seepage.attacks import resolve_attacks
from seepage.data import Pool
from seepage.errors import InputError, StorageError
from seepage.models.recipe import Recipe
from seepage.models.trial import is_recipe, try_recipe
from seepage.outside import check_kinds
from seepage.runs.run import Run, check_run
from seepage.schema import comparison as report
from seepage.schema.parts import Provenance
from seepage.schema.saved import check_room
from seepage.studies.attacker import Attacker
from seepage.studies.compare import figures, findings
from seepage.studies.compare.choice import SHADOW_STUDY, TUNING, WEIGHTS_CACHE, Choice, entries
from seepage.studies.compare.planted import Canaries, canary_attacks
from seepage.studies.compare.protocol import Attackers, attack_infos, default_attacks, default_queries
from seepage.studies.compare.rows import describe, measure
from seepage.studies.compare.shadow.study import check_pool, studies, variants_of
from seepage.studies.compare.shadow.world import ShadowStudy
from seepage.studies.compare.tuning import Search, Trial, search
from seepage.studies.draw import Draw
from seepage.studies.settings import COMPARED, Settings
from seepage.writing import check_place, make_folder, sweep

TOLERANCE = 0.01
USES = ("folder", "device", "engine", "workers", "executor", "progress", "keep_weights", "command", "config")


def compare(
    pool: Pool,
    recipe: Recipe,
    defences: Sequence[Choice],
    *,
    draw: Draw | None = None,
    attacker: Attacker | None = None,
    floor: float | None = None,
    tolerance: float = TOLERANCE,
    canaries: tuple[str, int] | None = None,
    other_nonmembers: Mapping[str, Pool] | None = None,
    shadow_study: ShadowStudy | None = None,
    rate: float | None = None,
    settings: Settings | None = None,
    run: Run,
) -> report.ComparisonResult:
    """Audit the undefended model and every defence with the same attackers on the same draws of members.

    Writes result.json, report.html and report.md to the run's folder, and each audit to a folder of its own there. A
    comparison that was stopped goes on where it was; audits that are finished are read back.

    Args:
        pool: labelled records.
        recipe: how models are trained without a defence.
        defences: the rows beside the undefended model.
        draw: how members are drawn, how often, and how many models are trained.
        attacker: attacks, access and queries; by default `default_attacks` and `default_queries`.
        floor: how much validation accuracy a defence without given options may cost, in [0, 1): its grid is searched
            for the most protective setting that costs no more. None: its defaults.
        tolerance: how much further below the undefended model's test accuracy than `floor` a matched defence may be.
        canaries: (kind, n): audit planted records too, see `planted.Canaries`.
        other_nonmembers: name -> further records that no model is trained on: every attack is counted on them in every
            row, as in `seepage.audit`.
        shadow_study: also train a target and one shadow for each row, and count how many near, far and corrupted
            non-members attacks with thresholds from the shadow call members (images alone).
        rate: FPR (and FNR) at which TPR (and TNR) are told; by default the least of the settings' rates at which every
            target has 10 false positives.
        settings: levels, rates and controls of the audits; by default without controls, and without FPR 0.
        run: folder and machine. Its seed is not used: each repetition has its own, see `draw`.

    Raises:
        InputError: unknown names, arguments that do not fit together, or a defence that does not suit the recipe.
        StorageError: the folder cannot be written or holds another comparison.
        TrainingError: a training failed.

    Reference: Aerni, Zhang and Tramèr (2024), Evaluations of machine learning privacy defenses are misleading (arXiv
        2404.17399), for adaptive attackers, matched utility, DP-SGD as the yardstick and canaries; Chen and
        Pattabiraman (2024, arXiv 2307.01610) for the maximum over attacks. Deviations: every model in its turn
        instead of one target; the search sees validation records only.
    """
    started = time.perf_counter()
    check_kinds(
        "compare", pool=(pool, Pool), settings=(settings, Settings | None), draw=(draw, Draw | None),
        attacker=(attacker, Attacker | None), shadow_study=(shadow_study, ShadowStudy | None), run=(run, Run),
    )  # fmt: skip
    check_run(run, "compare", uses=USES)
    if run.folder is None:
        raise InputError("compare: give run=Run(folder=...), where audits are kept and gone on with")
    out, draw, attacker = Path(run.folder), draw or Draw(), attacker or Attacker()
    settings = settings or COMPARED
    is_recipe(recipe, "compare")
    others = dict(other_nonmembers or {})
    check_kinds("compare", **{f"other_nonmembers[{name!r}]": (one, Pool) for name, one in others.items()})
    references = draw.references
    if draw.every_model and draw.targets != 1:
        raise InputError(f"compare: every_model= makes each model a target: leave targets={draw.targets} or it out")
    if attacker.known or attacker.layer is not None:
        raise InputError(
            "compare: no record's membership is known, and no layer is looked at: leave known= and layer= out"
        )
    if floor is None and tolerance != TOLERANCE:
        raise InputError(f"compare: tolerance={tolerance} is beside a floor=: give that too, or leave it out")
    seeds, asked = _checked(pool, draw.seeds, floor, tolerance), resolve_attacks(attacker.attacks)
    rows = entries(defences, recipe, references, search=floor is not None)
    check_room(defences=len(rows), rows=len(rows) * len(seeds))
    for row in rows:  # a defence that does not suit the recipe is refused before the first training
        try_recipe(row.recipe if row.defence is None else row.defence.apply(row.recipe), pool, f"compare: {row.label}")
    if shadow_study is not None:
        check_pool(pool, variants_of(rows, [row.defence for row in rows]))
    queries = default_queries(pool) if attacker.queries is None else attacker.queries
    attacker = changed(attacker, queries=queries)
    fewest = min(row.references for row in rows)
    members = {(row.references, seed): draw.membership(pool, row.references, seed) for row in rows for seed in seeds}
    there = members[references, seeds[0]]
    at_hand = {"references": fewest, "every_model": draw.every_model, "population": bool(there.population.any())}
    chosen = asked or resolve_attacks(default_attacks(pool, queries=queries, **at_hand))
    infos = attack_infos(chosen)
    planted, chosen_on_canaries = None if canaries is None else Canaries(*canaries), canary_attacks(asked, queries)
    rate = _rate(rate, settings, list(members.values()))
    settings = settings if rate in settings.rates else changed(settings, rates=(*settings.rates, rate))
    attackers = Attackers(
        chosen, attacker, settings, changed(run, weights_cache=out / WEIGHTS_CACHE, config=None), others
    )
    try:
        make_folder(out / TUNING)
        sweep(out)
        for name in ("result.json", "report.html", "report.md"):
            check_place(out / name)
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}") from None

    found: dict[str, Search] = {}
    least_accuracy = None
    if floor is not None:
        trial = Trial.of(
            pool, there, folder=out / TUNING, seed=seeds[0], confidence=settings.confidence,
            run=run,
        )  # fmt: skip
        least_accuracy = _undefended_accuracy(trial, recipe) - floor
        found = {row.label: search(row, trial, least_accuracy) for row in rows if row.grid is not None}

    settled = [row.at(found[row.label].options) if row.label in found else row.defence for row in rows]
    among_others = None
    if shadow_study is not None:
        variants = variants_of(rows, settled)
        among_others = studies(pool, variants, shadow_study, seeds, settings, run, out / SHADOW_STUDY)

    audits, results = {}, []
    for row, defence in zip(rows, settled, strict=True):
        searched = found.get(row.label)
        defended = row.recipe if defence is None else defence.apply(row.recipe)
        folders = [out / row.folder / f"seed-{seed}" for seed in seeds]
        audits[row.label] = [
            attackers.audit(defended, pool, members[row.references, seed], folder, seed)
            for folder, seed in zip(folders, seeds, strict=True)
        ]
        on_canaries = None
        if planted is not None:
            on_canaries = planted.figures(
                row, defended, pool, draw, attackers, seeds, out / row.folder, chosen_on_canaries
            )
        names_of = [folder.relative_to(out).as_posix() for folder in folders]
        about = describe(row, rows[0], defence, searched, members[row.references, seeds[0]])
        measured = measure(audits[row.label], on_canaries, infos, seeds, names_of, rate, settings.confidence)
        results.append(report.DefenceResult(**about, **measured))

    rates = report.Rates(fpr=rate, fnr=rate)
    matched = figures.matched(results, floor, tolerance)
    close = [one.name for one in matched]
    first = audits[rows[0].label][0].attacks[0]
    result = report.ComparisonResult(
        headline=findings.headline(results, close, rates, floor),
        conclusions=findings.conclusions(results, close, rates, floor),
        limits=findings.limits(results, audits, rates, seeds, infos, draw.every_model),
        data=pool.name,
        n_members=round(first.n_members),
        n_nonmembers=round(first.n_nonmembers),
        n_classes=pool.n_classes,
        rates=rates,
        utility_floor=least_accuracy,
        utility_tolerance=None if floor is None else tolerance,
        seeds=list(seeds),
        attacks=infos,
        defences=results,
        frontier=report.frontier(results, lambda one: one.worst.tpr.estimate.value),
        frontier_auc=report.frontier(results, lambda one: one.worst.auc.estimate.value),
        matched=matched,
        shadow_study=among_others,
        provenance=Provenance.now(
            started=started,
            seed=seeds[0],
            data=pool.name,
            data_fingerprint=pool.fingerprint,
            n_records=len(pool),
            membership="drawn",
            command=run.command or "seepage.compare(...)",
            settings={
                **asdict(settings),
                "rates": list(settings.rates),
                **asdict(draw),
                "seeds": list(seeds),
                "attacks": list(chosen),
                "queries": queries,
                "floor": floor,
                "tolerance": tolerance,
                "canaries": canaries and list(canaries),
                **({"other_nonmembers": list(others)} if others else {}),
                **({} if shadow_study is None else {"shadow_study": shadow_study.describe()}),
                "recipe": recipe.describe(),
                **({"config": dict(run.config)} if run.config else {}),
            },
        ),
    )
    result.write(out)
    return result


def _checked(pool: Pool, seeds, floor, tolerance) -> tuple[int, ...]:
    """The seeds, once all that does not fit together is refused."""
    if pool.labels is None:
        raise InputError("compare: the records need labels")
    seeds = tuple(seeds)
    if not seeds or len(set(seeds)) < len(seeds) or any(not isinstance(s, (int, np.integer)) or s < 0 for s in seeds):
        raise InputError(f"compare: expected seeds as different whole numbers of at least 0, got {seeds}")
    for name, value in (("floor", floor), ("tolerance", tolerance)):
        if value is not None and not 0 <= value < 1:
            raise InputError(f"compare: expected {name} as a difference of accuracies in [0, 1), got {value!r}")
    return tuple(map(int, seeds))


def _rate(rate: float | None, settings: Settings, members: list) -> float:
    """Where TPR and TNR are told: as asked, or the least rate that every target has records for."""
    if rate is not None:
        if not 0 <= rate < 1:
            raise InputError(f"compare: expected rate in [0, 1) (0.001 for 0.1 %), got {rate!r}")
        return float(rate)
    fewest = min(int((~one.targets[one.audit]).sum(axis=0).min()) for one in members)
    return min((each for each in settings.rates if each * fewest >= 10), default=max(settings.rates))


def _undefended_accuracy(trial: Trial, recipe: Recipe) -> float:
    accuracy = trial.accuracy(recipe, "searching, undefended")
    if accuracy.value is None:
        raise InputError(f"compare: the undefended recipe gives no accuracy to hold a floor against: {accuracy.flag}")
    return accuracy.value
