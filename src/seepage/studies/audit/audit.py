"""The audit: from a trained model, a recipe, or outputs alone, to a result."""

import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seepage.attacks import Attack, default_attacks, resolve_attacks, titles
from seepage.data import Membership, Pool
from seepage.errors import InputError, StorageError
from seepage.models.access import Access
from seepage.models.recipe import Recipe
from seepage.models.trial import is_recipe
from seepage.outside import check_kinds
from seepage.randomness import Seed, seed_from
from seepage.runs import Executor
from seepage.runs.executor import check_workers
from seepage.schema import audit as report
from seepage.signals.queries import queries as query_set
from seepage.studies.audit import gates, tables
from seepage.studies.audit.classes import Arrays
from seepage.studies.audit.controls import run_controls
from seepage.studies.audit.decisions import decisions
from seepage.studies.audit.ensemble import ensemble, per_record
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored, measure, score
from seepage.studies.audit.gather import (
    DEFAULT_REFERENCES,
    Run,
    check_labels,
    evidence_from_pool,
    pool_from_lists,
    refuse,
)
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.audit.replay import Replay
from seepage.studies.audit.settings import Settings
from seepage.studies.audit.verdict import claim_of, decide, lower_bound, smallest_leak
from seepage.writing import check_place, make_folder, sweep, whole_file

ORIGINS = ("declared", "unknown")
VALIDATION = 0.1  # share of the records, where a membership is drawn for a recipe that chooses by some

WRITTEN = ("result.json", "report.html", "scores.npz", "together.npz", "rows.npy")  # in the folder of an audit


def audit(
    model: Any = None,
    pool: Pool | None = None,
    membership: Membership | None = None,
    *,
    members: Arrays | Pool | None = None,
    nonmembers: Arrays | Pool | None = None,
    population: Arrays | Pool | None = None,
    outputs: str | os.PathLike | Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    references: int | None = None,
    every_model: bool = False,
    known: int | float = 0,
    attacks: Iterable[str | Attack] | None = None,
    access: str | None = None,
    model_outputs: str | None = None,
    queries: str = "none",
    layer: str | None = None,
    origin: str = "unknown",
    controls: bool = True,
    settings: Settings | None = None,
    out: str | os.PathLike | None = None,
    keep_weights: bool = False,
    shelf: str | os.PathLike | None = None,
    engine: str | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    replay: str | os.PathLike | None = None,
    progress: bool = False,
    command: str | None = None,
    config: Mapping[str, Any] | None = None,
    rng: Seed = 0,
) -> report.AuditResult:
    """Measure how much a model tells about who was in its training set.

    Three ways to ask:

    1. a trained model and two sets of records:
       `audit(model, members=(x, y), nonmembers=(x, y))`, with `recipe=` and `references=` for reference models;
    2. a pool, with a recipe: `audit(None, pool, recipe=recipe, references=64)` trains target and references;
       `audit(model, pool, membership, recipe=recipe)` audits a model of your own;
       `every_model=True` lets each reference take its turn as the target;
    3. outputs that somebody else computed: `audit(outputs="probs.npz")`, see `seepage.studies.audit.outputs`.

    Args:
        model: the target: anything that `TargetModel.wrap` takes, or a `TargetModel`; None to train it.
        pool, membership: the records and who was trained on them; a membership is drawn where none is given.
        members, nonmembers, population: (inputs, labels) or pools; inputs alone, or pools without labels, where nobody
            knows the labels. Then only attacks that need none are made, nothing is trained, and finding nothing is no
            evidence: give labels where there are any. A tuple or list of two is always a pair. The population is known
            to be no member of any model; some attacks need it.
        outputs: arrays or a `.npz` file; without 'labels' likewise.
        recipe: how references (and the target, where there is no model) are trained.
        references: number of reference models; 64 by default where a recipe is given.
        every_model: audit the recipe: all references in turn are targets.
        known: how many records, drawn at random, the attacker knows the membership of (a count, or a share below
            1); they are not audited. Few-shot attacks need some.
        attacks: names from `seepage.ATTACKS` and attack objects; by default those that what is at hand allows.
        access: what the attacker may ask: "label", "probabilities", "logits", "gradients" or "weights". By
            default logits (or the most that the model gives below them).
        model_outputs: what a model returns: "logits", "probabilities" or "labels".
        queries: a name from `seepage.signals.queries.QUERIES`: augmented copies of each image that are asked about
            too.
        layer: whose output the features are, by its name in the module; by default the penultimate ones.
        origin: how the members of a given model were chosen: "declared" at random, or "unknown".
        controls: train a null model and an overfitted model beside the references, to check the audit itself.
        settings: levels, rates and prior.
        out: folder for the run (a killed run goes on there), `result.json`, `report.html` and `scores.npz`.
        keep_weights: keep the reference models' weights in `out`.
        shelf: a folder of trained models that audits share: those whose recipes differ in the wrapper alone train once.
        engine, workers, executor: fix how models are trained instead of letting the planner choose.
        replay: a `result.json`, or its folder, of the same audit on another machine: models are trained as they were
            there, not as this machine's timing would have them, so that the numbers are the same to the last bit.
        progress: show progress bars.
        command: what reproduces this audit, for the report.
        config: the configuration that it came from, recorded as it is.
        rng: a seed or a generator; one root seed is drawn from it and recorded.

    Raises:
        InputError: the arguments do not fit together, or arrays have wrong shapes or values; the result to replay
            is of another audit.
        DataFileError: there is no result to replay.
        StorageError: `out` cannot be written or holds another run.
        TrainingError: a training failed.

    Reference: the order of questions, gates and verdict is this project's own; each attack's and each
    statistic's source stands with it.
    """
    started = time.perf_counter()
    check_kinds(
        "audit", settings=(settings, Settings | None), out=(out, str | os.PathLike | None), queries=(queries, str),
        shelf=(shelf, str | os.PathLike | None), workers=(workers, int | None), config=(config, Mapping | None),
        replay=(replay, str | os.PathLike | None),
        engine=(engine, str | None), layer=(layer, str | None), command=(command, str | None),
        every_model=(every_model, bool), controls=(controls, bool), keep_weights=(keep_weights, bool),
        progress=(progress, bool), origin=(origin, str),
    )  # fmt: skip
    check_workers(workers, "audit")
    if isinstance(outputs, str) and outputs in ("logits", "probabilities", "labels"):
        raise InputError(f"audit: outputs= is a .npz or arrays; what a model returns is model_outputs='{outputs}'")
    if isinstance(outputs, str | os.PathLike):
        check_kinds("audit", outputs=(outputs, str | os.PathLike))
    settings = settings or Settings()
    root_seed = seed_from(rng)
    seeds = np.random.SeedSequence(root_seed)
    split_rng, score_rng, measure_rng, gate_rng, control_rng, ensemble_rng, target_rng, known_rng = map(
        np.random.default_rng, seeds.spawn(8)
    )
    asked = resolve_attacks(attacks)
    _check_access(asked, access)
    query_set(queries)
    if outputs is None:
        check_kinds("audit", pool=(pool, Pool | None), membership=(membership, Membership | None))
        recipe = None if recipe is None else is_recipe(recipe, "audit")
    if references is not None and recipe is None:
        raise InputError(f"audit: references={references} needs a recipe= to train them with")
    if origin not in ORIGINS:
        raise InputError(
            f"audit: origin must be one of {', '.join(ORIGINS)}, got '{origin}': only the audit itself draws"
        )
    if replay is not None:
        refuse("replay=", engine=engine, shelf=shelf)  # models on a shelf may have been trained by another plan
        if recipe is None:
            raise InputError("audit: replay= needs a recipe=: nothing else trains models")
        replay = Replay.of(replay, seed=root_seed)
    if keep_weights and out is None:
        raise InputError("audit: keep_weights=True keeps them in a folder: give out= too")
    folder = None if out is None else _writable(Path(out))
    shelf = None if shelf is None else Path(shelf)
    run = Run(recipe, root_seed, queries, folder, keep_weights, engine, workers, executor, progress, shelf, replay)
    if outputs is not None:
        lists = {"members": members, "nonmembers": nonmembers, "population": population, "known": known or None}
        refuse("outputs", model=model, pool=pool, membership=membership, recipe=recipe, layer=layer, **lists)
        given = {"every_model": every_model or None, "queries": None if queries == "none" else queries}
        refuse("outputs", **given, model_outputs=model_outputs)
        evidence = evidence_from_outputs(outputs, origin=origin, access=access)
        _check_known(evidence.membership)
        check_labels(evidence.labelled, None, evidence.access, asked)
    else:
        by_position = True
        if model is None:
            refuse("models that are trained here, which give logits", model_outputs=model_outputs)
        if members is not None or nonmembers is not None:
            refuse("members and nonmembers", pool=pool, membership=membership, every_model=every_model or None)
            pool, membership, by_position = pool_from_lists(
                members, nonmembers, population, recipe, references, known, origin, split_rng
            )
        elif pool is None:
            raise InputError(
                "audit: expected a model with members= and nonmembers=, a pool with a recipe, or outputs=; got none "
                "(--model with --members and --nonmembers, --data, or --outputs)"
            )
        else:
            refuse("a pool", population=population)
        if membership is None:
            if model is not None:
                raise InputError(
                    "audit: a model and a pool need a membership=, which says what the model was trained on "
                    "(membership: a .npz with 'members'); or give members= and nonmembers= (--members, --nonmembers)"
                )
            count = DEFAULT_REFERENCES if references is None else references
            held_out = {"validation": VALIDATION if recipe is not None and "validation" in recipe.uses else 0.0}
            if every_model:
                refuse("every_model", known=known or None)
                membership = Membership.every_model(pool, references=count, **held_out, rng=split_rng)
            else:
                membership = Membership.split(pool, references=count, known=known, **held_out, rng=split_rng)
        elif members is None and origin != "unknown" and origin != membership.origin:
            raise InputError(
                f"audit: origin='{origin}' does not go with a membership, which says '{membership.origin}': drop it"
            )
        elif members is None and every_model and not membership.turns:
            raise InputError("audit: every_model= does not go with this membership: draw it by Membership.every_model")
        elif known and members is None:
            raise InputError("audit: known= does not go with a membership: give it the known records")
        _check_known(membership)  # before models are trained
        evidence = evidence_from_pool(model, pool, membership, run, access, model_outputs, asked, layer, by_position)
    chosen = asked or resolve_attacks(
        default_attacks(evidence.available, evidence.access, evidence.n_references, evidence.n_known)
    )
    _check_access(chosen, evidence.access)
    twins, repeats = gates.copies(evidence)
    rows = np.flatnonzero(evidence.membership.audit & ~twins & ~repeats)
    n_twins, n_repeats = int(twins.sum()), int(repeats.sum())
    _check_sides(evidence.membership.targets[rows], n_twins, n_repeats)
    scored = score(evidence, chosen, rows, settings, score_rng, folder=folder, progress=progress)
    control = run_controls(evidence, run, chosen, rows, settings, control_rng, wanted=controls)
    checks = gates.run_gates(
        evidence, scored, control, settings, n_twins=n_twins, n_repeats=n_repeats, rng=gate_rng
    )  # fmt: skip
    title_of = titles(chosen)
    claim = claim_of(evidence.membership.origin, checks)
    decided = decisions(scored, evidence, chosen, title_of, known_rng)
    verdict, headline, reasons = decide(scored, checks, claim, settings, labelled=evidence.labelled, decisions=decided)
    result = report.AuditResult(
        labelled=evidence.labelled,
        verdict=verdict,
        claim=claim,
        headline=headline,
        reasons=reasons,
        lower_bound=lower_bound(scored, settings, measure_rng) if verdict == "LEAK SHOWN" else None,
        smallest_detectable=smallest_leak(scored, settings),
        gates=[check.gate for check in checks],
        attacks=[
            measure(name, chosen[name], title_of[name], scored, evidence, settings, measure_rng)
            for name in scored.order
        ],
        ensemble=ensemble(scored, ensemble_rng),
        decisions=decided,
        controls=tables.control_rows(control, settings, measure_rng),
        records=tables.exposed(scored, evidence, settings),
        classes=tables.class_slices(scored, evidence, measure_rng),
        groups=tables.group_slices(scored, evidence, measure_rng),
        prior=settings.prior,
        target=tables.target(evidence, rows, settings, target_rng),
        training=tables.training(evidence, rows, settings, run.plans),
        provenance=tables.provenance(evidence, settings, root_seed, started, command, asked, queries, config),
    )
    if folder is not None:
        _write(folder, result, scored, evidence)
    return result


def _check_access(attacks: Mapping[str, Attack], access: Access | str | None) -> None:
    """That the attacker may ask for what the attacks need."""
    level = max(Access) if access is None else Access.of(access)
    for name, attack in attacks.items():
        if attack.access > level:
            advice = (
                "; an estimator with a decision_function gives scores: model_outputs='logits' (--model-outputs logits)"
            )
            raise InputError(
                f"the attack '{name}' needs access '{attack.access}', the attacker has '{level}'"
                + advice * (access is not None and level == Access.LABEL)
            )


def _writable(folder: Path) -> Path:
    """The folder, made before anything is computed for it."""
    try:
        make_folder(folder)
        sweep(folder)
        for name in WRITTEN:
            check_place(folder / name)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise StorageError(
            f"cannot write to the folder {folder}: {error.strerror}; choose another one (out=, --out)"
        ) from None


def _check_known(membership: Membership) -> None:
    """That the known records, if there are any, are of both sides: no attack learns anything from one side alone."""
    bits = membership.targets[membership.known]
    if len(bits) and (bits.all(axis=0) | ~bits.any(axis=0)).any():
        side = "members" if bits.all(axis=0).any() else "non-members"
        raise InputError(
            f"audit: the records whose membership the attacker knows must be members and non-members, got {len(bits)}, "
            f"all of them {side}: let it know more (known=, --known; 20 are seldom of one side), or none"
        )


def _check_sides(members: np.ndarray, n_twins: int, n_repeats: int) -> None:
    n_in, n_out = members.sum(axis=0), (~members).sum(axis=0)
    if members.size == 0 or min(n_in.min(), n_out.min()) < 2:
        raise InputError(
            "audit: expected at least 2 members and 2 non-members, got "
            f"{int(n_in.min()) if n_in.size else 0} and {int(n_out.min()) if n_out.size else 0} to audit"
            + (f"; {n_twins} records that are on both sides cannot be audited: remove them" if n_twins else "")
            + (f"; {n_repeats} are repeats of another record" if n_repeats else "")
        )


def _write(folder: Path, result: report.AuditResult, scored: Scored, evidence: Evidence) -> None:
    """`result.json`, `report.html`, `scores.npz`, `together.npz` and `rows.npy` in the audit's folder."""
    try:
        make_folder(folder)
        one = scored.members.shape[1] == 1
        files = {"scores": {**scored.scores, "membership": scored.members}, "together": per_record(scored)}
        for name, arrays in files.items():
            with whole_file(folder / f"{name}.npz") as file:
                np.savez_compressed(file, **{key: array[:, 0] if one else array for key, array in arrays.items()})
        with whole_file(folder / "rows.npy") as file:
            np.save(file, scored.rows)
        result.save(folder / "result.json")
        result.report(folder / "report.html")
    except OSError as error:
        raise StorageError(
            f"cannot write the result to {folder}: {error.strerror or error}; finished trainings are kept, free some "
            "space if that is it, and run the same command again"
        ) from None
