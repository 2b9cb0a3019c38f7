"""The audit: from a trained model, a recipe, or outputs alone, to a result."""

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seepage.attacks import default_attacks, find_attack
from seepage.auditing import gates, tables
from seepage.auditing.evidence import Evidence, Training
from seepage.auditing.findings import Scored, measure, score
from seepage.auditing.outputs import evidence_from_outputs
from seepage.auditing.settings import Settings
from seepage.auditing.verdict import decide, lower_bound, smallest_leak
from seepage.data import Membership, Pool
from seepage.errors import InputError, StorageError
from seepage.execution import Executor
from seepage.models.access import Access
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.report import result as report
from seepage.signals.collect import Collection, collect
from seepage.signals.queries import queries as query_set

Arrays = tuple[Any, Any]

# The overfitted control is trained on this share of the records, for as many steps as the others.
CONTROL_SHARE = 0.1


@dataclass(frozen=True)
class Run:
    """How models are trained for an audit, and where that is kept."""

    recipe: Recipe | None
    root_seed: int
    queries: str
    folder: Path | None
    keep_weights: bool
    engine: str | None
    workers: int | None
    executor: Executor | None
    progress: bool

    def train(self, pool: Pool, columns: np.ndarray, name: str, recipe: Recipe | None = None) -> Collection:
        return collect(
            recipe or self.recipe,
            pool,
            columns,
            root_seed=self.root_seed,
            queries=self.queries,
            folder=None if self.folder is None else self.folder / "run" / name,
            keep_weights=self.keep_weights and recipe is None,
            engine=self.engine,
            workers=self.workers,
            executor=self.executor,
            progress=self.progress,
            title=f"training {name}",
        )


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
    attacks: Sequence[str] | None = None,
    access: str | None = None,
    model_outputs: str | None = None,
    queries: str = "none",
    origin: str = "unknown",
    controls: bool = True,
    settings: Settings | None = None,
    out: str | os.PathLike | None = None,
    keep_weights: bool = False,
    engine: str | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool = False,
    command: str | None = None,
    rng: np.random.Generator | int = 0,
) -> report.AuditResult:
    """Measure how much a model tells about who was in its training set.

    Three ways to ask:

    1. a trained model and two sets of records:
       `audit(model, members=(x, y), nonmembers=(x, y))`, with `recipe=` and `references=` for reference models;
    2. a pool, with a recipe: `audit(None, pool, recipe=recipe, references=64)` trains target and references;
       `audit(model, pool, membership, recipe=recipe)` audits a model of your own;
       `every_model=True` lets each reference take its turn as the target;
    3. outputs that somebody else computed: `audit(outputs="probs.npz")`, see `seepage.auditing.outputs`.

    Args:
        model: the target: anything that `TargetModel.wrap` takes, or a `TargetModel`; None to train it.
        pool, membership: the records and who was trained on them; a membership is drawn where none is given.
        members, nonmembers, population: (inputs, labels) or pools. The population is known to be no member
            of any model; some attacks need it.
        outputs: arrays or a `.npz` file.
        recipe: how references (and the target, where there is no model) are trained.
        references: number of reference models; 64 by default where a recipe is given.
        every_model: audit the recipe: all references in turn are targets.
        attacks: names from `seepage.ATTACKS`; by default those that what is at hand allows.
        access: what the attacker may ask: "label", "probabilities", "logits", "gradients" or "weights". By
            default logits (or the most that the model gives below them).
        model_outputs: what a model returns: "logits", "probabilities" or "labels".
        queries: "none", "flip" or "flip-shift": augmented copies of each image that are asked about too.
        origin: how the members of a given model were chosen: "declared" at random, or "unknown".
        controls: train a null model and an overfitted model beside the references, to check the audit itself.
        settings: levels, rates and prior.
        out: folder for the run (a killed run goes on there), `result.json`, `report.html` and `scores.npz`.
        keep_weights: keep the reference models' weights in `out`.
        engine, workers, executor: fix how models are trained instead of letting the planner choose.
        progress: show progress bars.
        command: what reproduces this audit, for the report.
        rng: a seed or a generator; one root seed is drawn from it and recorded.

    Raises:
        InputError: the arguments do not fit together, or arrays have wrong shapes or values.
        StorageError: `out` cannot be written or holds another run.
        TrainingError: a training failed.

    Reference: the order of questions, gates and verdict is this project's own; each attack's and each
    statistic's source stands with it.
    """
    started = time.perf_counter()
    settings = settings or Settings()
    root_seed = int(rng) if isinstance(rng, (int, np.integer)) else int(rng.integers(2**53))
    seeds = np.random.SeedSequence(root_seed)
    split_rng, score_rng, measure_rng, gate_rng, control_rng = map(np.random.default_rng, seeds.spawn(5))
    for name in attacks or ():
        find_attack(name)
    query_set(queries)
    folder = None if out is None else Path(out)
    run = Run(recipe, root_seed, queries, folder, keep_weights, engine, workers, executor, progress)
    if outputs is not None:
        _refuse("outputs", model=model, pool=pool, membership=membership, members=members, recipe=recipe)
        evidence = evidence_from_outputs(outputs, origin=origin, access=access)
    else:
        if members is not None or nonmembers is not None:
            _refuse("members and nonmembers", pool=pool, membership=membership)
            pool, membership = _from_lists(members, nonmembers, population, recipe, references, origin, split_rng)
        elif pool is None:
            raise InputError(
                "audit: expected a model with members= and nonmembers=, a pool with a recipe, or outputs=; got none"
            )
        if membership is None:
            if model is not None:
                raise InputError("audit: a model and a pool need a membership: which records was the model trained on?")
            draw = Membership.every_model if every_model else Membership.split
            membership = draw(pool, references=64 if references is None else references, rng=split_rng)
        evidence = _from_pool(model, pool, membership, run, access, model_outputs, attacks)
    names = list(attacks) if attacks else default_attacks(_available(evidence), evidence.access)
    for name in names:
        if find_attack(name).access > evidence.access:
            raise InputError(
                f"the attack '{name}' needs access '{find_attack(name).access}', the attacker has '{evidence.access}'"
            )
    twins = gates.twins(evidence)
    audited = evidence.membership.audit & ~twins
    rows = np.flatnonzero(audited)
    _check_sides(evidence.membership.targets[rows])
    scored = score(evidence, names, rows, settings, score_rng)
    null, positive, controls_made = _controls(evidence, run, names, controls, settings, control_rng)
    checks = [
        gates.overlap(evidence, int(twins.sum())),
        gates.randomised(evidence),
        gates.blind_baseline(evidence, rows, gate_rng),
        gates.sample_size(scored.members, settings),
        gates.degenerate(scored),
        gates.reference_balance(evidence, rows, gate_rng),
        gates.reference_accuracy(evidence, rows),
        gates.null_model(null, controls_made),
        gates.positive_control(positive, controls_made, settings),
    ]
    claim = "association" if evidence.membership.origin == "unknown" else "causal"
    verdict, headline, reasons = decide(scored, checks, claim, settings)
    result = report.AuditResult(
        verdict=verdict,
        claim=claim,
        headline=headline,
        reasons=reasons,
        lower_bound=lower_bound(scored, settings, measure_rng) if verdict == "LEAK SHOWN" else None,
        smallest_detectable=smallest_leak(scored, settings),
        gates=[check.gate for check in checks],
        attacks=[measure(name, scored, evidence, settings, measure_rng) for name in scored.order],
        controls=tables.control_rows(null, positive, measure_rng),
        records=tables.exposed(scored, evidence, settings),
        classes=tables.slices(scored, evidence, evidence.labels, tables.class_names(evidence), measure_rng),
        groups=tables.group_slices(scored, evidence, measure_rng),
        prior=settings.prior,
        target=tables.target(evidence, rows),
        training=tables.training(evidence, rows),
        provenance=tables.provenance(evidence, settings, root_seed, started, command, attacks, queries),
    )
    if folder is not None:
        _write(folder, result, scored, evidence)
    return result


def _refuse(instead: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"audit: {name}= does not go with {instead}: give one or the other")


def _pool_of(records: Arrays | Pool, name: str) -> Pool:
    if isinstance(records, Pool):
        return records
    if not isinstance(records, (tuple, list)) or len(records) != 2:
        raise InputError(f"audit: {name} must be a pair (inputs, labels) or a Pool, got {type(records).__name__}")
    return Pool(*records, name=name)


def _from_lists(members, nonmembers, population, recipe, references, origin, rng) -> tuple[Pool, Membership]:
    """One pool and one membership from the lists of records."""
    if members is None or nonmembers is None:
        raise InputError("audit: members and nonmembers go together, got only one of them")
    parts = [_pool_of(members, "members"), _pool_of(nonmembers, "nonmembers")]
    if population is not None:
        parts.append(_pool_of(population, "population"))
    if any(part.labels is None for part in parts):
        raise InputError("audit: members, nonmembers and population need labels")
    n_classes = max(part.n_classes for part in parts)
    parts = [replace(part, n_classes=n_classes) for part in parts]
    pool = parts[0].concat(*parts[1:], name=parts[0].name if parts[0].name != "members" else "records")
    ends = np.cumsum([0, *map(len, parts)])
    side = [np.arange(start, end) for start, end in itertools.pairwise(ends)]
    n_references = 0 if recipe is None else (64 if references is None else references)
    nonmember_rows = np.concatenate(side[1:])
    membership = Membership.fixed(
        pool,
        members=side[0],
        nonmembers=nonmember_rows,
        population=side[2] if len(side) > 2 else 0,
        references=n_references,
        origin=origin,
        rng=rng,
    )
    return pool, membership


def _from_pool(model, pool, membership, run: Run, access, model_outputs, attacks) -> Evidence:
    """Evidence from records: train what is to be trained, ask the model that is there."""
    if len(membership) != len(pool):
        raise InputError(f"audit: the membership has {len(membership)} records and the pool {len(pool)}")
    if model is None and run.recipe is None:
        raise InputError("audit: without a model, a recipe= is needed to train one")
    references = membership.references if run.recipe is not None else membership.references[:, :0]
    trained_targets = membership.targets if model is None and not membership.turns else membership.targets[:, :0]
    columns = np.hstack([trained_targets, references])
    collection = None
    if columns.shape[1]:
        collection = run.train(pool, columns, "models" if model is None else "references")
    n_trained = trained_targets.shape[1]
    membership = replace(membership, references=references)
    common = {"labels": pool.labels, "records": pool}
    training = None
    if collection is not None:
        training = Training(run.recipe.describe(), collection.plan, collection.seconds)
    if model is None:
        n = len(membership.targets.T)
        targets = list(range(n))
        reference_models = targets if membership.turns else list(range(n_trained, columns.shape[1]))
        return Evidence(
            logits=collection.logits,
            membership=membership,
            target_models=targets,
            reference_models=reference_models,
            access=Access.LOGITS if access is None else Access.of(access),
            kind="trained by this audit",
            n_queries=len(pool) * collection.logits.shape[2],
            training=training,
            **common,
        )
    target = _wrap(model, access, model_outputs)
    logits = _ask(target, pool, run.queries)
    _check_labels(pool, logits.shape[-1])
    if collection is not None:
        if collection.logits.shape[-1] != logits.shape[-1]:
            raise InputError(
                f"audit: the target answers for {logits.shape[-1]} classes, the recipe's models for "
                f"{collection.logits.shape[-1]}: give the pool n_classes={logits.shape[-1]}"
            )
        logits = np.concatenate([logits, collection.logits], axis=1)
    norms = None
    if target.access >= Access.GRADIENTS and (access is not None or "gradient-norm" in (attacks or ())):
        norms = target.gradient_norm(pool.batch(), pool.labels)
    return Evidence(
        logits=logits,
        membership=membership,
        target_models=[0],
        reference_models=list(range(1, logits.shape[1])),
        access=target.access,
        kind=f"{target.kind}: {target.name}",
        n_queries=target.n_queries,
        gradient_norm=norms,
        fingerprint=target.fingerprint,
        n_parameters=target.n_parameters,
        training=training,
        **common,
    )


def _wrap(model: Any, access: str | None, model_outputs: str | None) -> TargetModel:
    if isinstance(model, TargetModel):
        return model
    return TargetModel.wrap(model, access=access, outputs=model_outputs)


def _ask(target: TargetModel, pool: Pool, queries: str) -> np.ndarray:
    """The target's answers (samples, 1, queries, classes)."""
    if target.access == Access.LABEL:
        if queries != "none":
            raise InputError(f"audit: queries='{queries}' needs more than labels from the target")
        predicted = target.labels(pool.batch())
        n_classes = max(target.n_classes or 0, pool.n_classes, int(predicted.max()) + 1)
        # A label alone: all the weight on one class.
        logits = np.where(np.eye(n_classes, dtype=bool)[predicted], 0.0, -100.0).astype(np.float32)
        return logits[:, None, None]
    answers = [target.logits(query(pool.batch())) for query in query_set(queries)]
    return np.stack(answers, axis=1)[:, None]


def _check_labels(pool: Pool, n_classes: int) -> None:
    if pool.labels is None:
        raise InputError("audit: the records need labels")
    if pool.labels.max() >= n_classes:
        row = int(pool.labels.argmax())
        raise InputError(
            f"audit: record {row} has label {pool.labels[row]}, but the model answers for {n_classes} classes "
            f"(labels 0 to {n_classes - 1})"
        )


def _check_sides(members: np.ndarray) -> None:
    n_in, n_out = members.sum(axis=0), (~members).sum(axis=0)
    if members.size == 0 or min(n_in.min(), n_out.min()) < 2:
        raise InputError(
            "audit: expected at least 2 members and 2 non-members, got "
            f"{int(n_in.min()) if n_in.size else 0} and {int(n_out.min()) if n_out.size else 0} to audit"
        )


def _available(evidence: Evidence) -> set[str]:
    there = set()
    if evidence.membership.population.any():
        there.add("population")
    if evidence.gradient_norm is not None:
        there.add("gradients")
    if evidence.reference_models:
        is_in, is_out = evidence.membership.reference_masks(0, rng=np.random.default_rng(0))
        rows = evidence.membership.audit
        if (is_out[rows].sum(axis=1) >= 2).all():
            there.add("out-references")
            if (is_in[rows].sum(axis=1) >= 2).all():
                there.add("in-references")
    return there


def _controls(
    evidence, run: Run, attacks, wanted: bool, settings: Settings, rng
) -> tuple[Scored | None, Scored | None, str]:
    """Audit a null model and an overfitted one with the same attacks; also why, where they were not."""
    if not wanted:
        return None, None, "controls were switched off"
    if evidence.training is None or not evidence.reference_models or evidence.gradient_norm is not None:
        return None, None, "no model was trained by this audit"
    pool, membership = evidence.records, evidence.membership
    audit_rows = membership.audit
    coin = (rng.random(len(pool)) < 0.5) & audit_rows
    null = None
    if membership.population.sum() >= 2 * len(np.unique(pool.labels)):
        made = run.train(pool, membership.population[:, None], "null-model")
        null = _score_control(evidence, made, coin, attacks, settings, rng)
    few = rng.random(len(pool)) < CONTROL_SHARE
    few &= audit_rows
    positive = None
    if few.sum() >= 2:
        longer = replace(run.recipe, epochs=run.recipe.epochs / CONTROL_SHARE / 2, stop=None)
        made = run.train(pool, few[:, None], "positive-control", longer)
        positive = _score_control(evidence, made, few, attacks, settings, rng)
    return null, positive, "there is no population to train it on"


def _score_control(evidence: Evidence, made: Collection, members: np.ndarray, attacks, settings, rng) -> Scored:
    logits = np.concatenate([made.logits, evidence.logits[:, evidence.reference_models]], axis=1)
    membership = replace(evidence.membership, targets=members[:, None], turns=False)
    control = replace(
        evidence,
        logits=logits,
        membership=membership,
        target_models=[0],
        reference_models=list(range(1, logits.shape[1])),
    )
    return score(control, attacks, np.flatnonzero(membership.audit), settings, rng)


def _write(folder: Path, result: report.AuditResult, scored: Scored, evidence: Evidence) -> None:
    """`result.json`, `report.html` and `scores.npz` in the audit's folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        one = scored.members.shape[1] == 1
        arrays = {name: scores[:, 0] if one else scores for name, scores in scored.scores.items()}
        part = folder / "scores.npz.part"
        with open(part, "wb") as file:
            np.savez_compressed(
                file, **arrays, membership=scored.members[:, 0] if one else scored.members, index=scored.rows
            )
        os.replace(part, folder / "scores.npz")
        result.save(folder / "result.json")
        result.report(folder / "report.html")
    except OSError as error:
        raise StorageError(
            f"cannot write the result to {folder}: {error.strerror or error}; finished trainings are kept, free some "
            "space and run the same command again"
        ) from None
