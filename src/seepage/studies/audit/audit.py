"""The audit: from a trained model, a recipe, or outputs alone, to a result.

check -> evidence (train, ask) -> scores -> controls, gates -> numbers, verdict -> result
"""

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from seepage.randomness import seed_from
from seepage.runs.run import Run, check_run
from seepage.schema import audit as report
from seepage.signals.queries import queries as query_set
from seepage.studies.attacker import Attacker
from seepage.studies.audit import gates, tables
from seepage.studies.audit.classes import Arrays
from seepage.studies.audit.controls import run_controls
from seepage.studies.audit.decisions import decisions
from seepage.studies.audit.ensemble import ensemble, per_record
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored, measure, score
from seepage.studies.audit.gather import (
    DEFAULT_REFERENCES,
    Trainer,
    check_labels,
    evidence_from_pool,
    pool_from_lists,
    refuse,
)
from seepage.studies.audit.nonmembers import count_others, with_others
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.audit.replay import Replay
from seepage.studies.audit.verdict import claim_of, decide, lower_bound, smallest_leak
from seepage.studies.settings import Settings
from seepage.studies.shorthand import values
from seepage.writing import check_place, make_folder, sweep, whole_file

ORIGINS = ("declared", "unknown")
OF_RECIPE = ("pool", "membership", "every_model")  # arguments of `audit_recipe` alone
VALIDATION = 0.1  # share of the records, where a membership is drawn for a recipe that chooses by some

WRITTEN = ("result.json", "report.html", "scores.npz", "together.npz", "rows.npy")  # in the folder of an audit


def audit(
    model: Any = None,
    members: Arrays | Pool | None = None,
    nonmembers: Arrays | Pool | None = None,
    *,
    population: Arrays | Pool | None = None,
    recipe: Recipe | None = None,
    references: int | None = None,
    model_outputs: str | None = None,
    origin: str = "unknown",
    other_nonmembers: Mapping[str, Pool | Arrays] | None = None,
    attacker: Attacker | None = None,
    settings: Settings | None = None,
    run: Run | None = None,
    **short: Any,
) -> report.AuditResult:
    """Measure how much a trained model tells about who was in its training set, from records of both kinds.

    Args:
        model: anything that `TargetModel.wrap` takes, or a `TargetModel`; None trains it by the recipe.
        members, nonmembers, population: (inputs, labels) or pools; inputs alone, or pools without labels, where nobody
            knows the labels. Then only attacks that need none are made, nothing is trained, and finding nothing is no
            evidence: give labels where there are any. A tuple or list of two is always a pair. The population is known
            to be no member of any model; some attacks need it.
        recipe: how reference models are trained.
        references: number of reference models; 64 by default where a recipe is given.
        model_outputs: what the model returns: "logits", "probabilities" or "labels".
        origin: how the members were chosen: "declared" at random, or "unknown".
        other_nonmembers: name -> further records that no model was trained on, of another kind than the non-members:
            every attack is counted on them, at thresholds that are fixed on the audited records. They change no other
            number but by the seeds of models that are trained here. Inputs alone where they have no labels of the
            target's classes: what it predicts is claimed for them.
        attacker: attacks, access and knowledge; by default every attack that what is at hand allows.
        settings: levels, rates, prior and controls.
        run: folder, seed and machine. The folder gets `result.json`, `report.html` and `scores.npz`.
        short: a field of the attacker, the settings or the run by its own name, as `attacks=["loss"]`, `known=60`,
            `out="DIR"` or `rng=1`, in place of these values; and `outputs=`, which `audit_outputs` takes.

    Raises:
        InputError: the arguments do not fit together, or arrays have wrong shapes or values; the result to replay
            is of another audit.
        DataFileError: there is no result to replay.
        StorageError: the folder cannot be written or holds another run.
        TrainingError: a training failed.

    Reference: the order of questions, gates and verdict is this project's own; each attack's and each
    statistic's source stands with it.
    """
    given = {"attacker": attacker, "settings": settings, "run": run}
    if of_recipe := [name for name in OF_RECIPE if name in short]:
        raise InputError(
            f"audit: {of_recipe[0]}= is of audit_recipe(recipe, pool, ...), which trains on a pool: call that"
        )
    if "outputs" in short:
        lists = {"model": model, "members": members, "nonmembers": nonmembers, "population": population}
        refuse("outputs", **lists, recipe=recipe, model_outputs=model_outputs, other_nonmembers=other_nonmembers)
        return audit_outputs(short.pop("outputs"), origin=origin, **given, **short)
    _check_references(references, recipe)
    pipeline = Pipeline.of("audit", recipe, origin, **values("audit", short, **given))
    refuse_outputs(model, model_outputs)
    pool, membership, by_position = pool_from_lists(
        members, nonmembers, population, recipe, references, pipeline.attacker.known, origin, pipeline.split_rng
    )
    return pipeline.of_records(model, pool, membership, model_outputs, other_nonmembers, by_position)


def audit_recipe(
    recipe: Recipe | None,
    pool: Pool,
    membership: Membership | None = None,
    *,
    model: Any = None,
    references: int | None = None,
    every_model: bool = False,
    model_outputs: str | None = None,
    origin: str = "unknown",
    other_nonmembers: Mapping[str, Pool | Arrays] | None = None,
    attacker: Attacker | None = None,
    settings: Settings | None = None,
    run: Run | None = None,
    **short: Any,
) -> report.AuditResult:
    """Measure how much a way of training tells about who was in the training set: target and references are trained.

    Args:
        recipe: how target and references are trained; None where a model is given, for an audit without references.
        pool: the records.
        membership: who was trained on them; drawn where none is given.
        model: a target of your own, with the membership that says what it was trained on; None trains it.
        references: number of reference models, 64 by default.
        every_model: audit the recipe: all references in turn are targets.
        model_outputs, other_nonmembers, attacker, settings, run: as for `audit`.
        origin: with a membership, which has its own: leave it.

    Raises:
        InputError, DataFileError, StorageError, TrainingError: as for `audit`.
    """
    check_kinds("audit_recipe", pool=(pool, Pool), membership=(membership, Membership | None))
    check_kinds("audit_recipe", every_model=(every_model, bool))
    _check_references(references, recipe)
    pipeline = Pipeline.of(
        "audit_recipe", recipe, origin, **values("audit_recipe", short, attacker=attacker, settings=settings, run=run)
    )
    refuse_outputs(model, model_outputs)
    known = pipeline.attacker.known
    if membership is None:
        if model is not None:
            raise InputError(
                "audit: a model and a pool need a membership=, which says what the model was trained on "
                "(membership: a .npz with 'members'); or give audit() members and nonmembers (--members, --nonmembers)"
            )
        count = DEFAULT_REFERENCES if references is None else references
        held_out = {
            "validation": VALIDATION if pipeline.recipe is not None and "validation" in pipeline.recipe.uses else 0.0
        }
        if every_model:
            refuse("every_model", known=known or None)
            membership = Membership.every_model(pool, references=count, **held_out, rng=pipeline.split_rng)
        else:
            membership = Membership.split(pool, references=count, known=known, **held_out, rng=pipeline.split_rng)
    elif origin != "unknown" and origin != membership.origin:
        raise InputError(
            f"audit: origin='{origin}' does not go with a membership, which says '{membership.origin}': drop it"
        )
    elif every_model and not membership.turns:
        raise InputError("audit: every_model= does not go with this membership: draw it by Membership.every_model")
    elif known:
        raise InputError("audit: known= does not go with a membership: give it the known records")
    return pipeline.of_records(model, pool, membership, model_outputs, other_nonmembers, by_position=True)


def audit_outputs(
    outputs: str | os.PathLike | Mapping[str, Any],
    *,
    origin: str = "unknown",
    attacker: Attacker | None = None,
    settings: Settings | None = None,
    run: Run | None = None,
    **short: Any,
) -> report.AuditResult:
    """Measure what outputs that somebody else computed tell about who was in the training set.

    Args:
        outputs: arrays or a `.npz` file, see `seepage.studies.audit.outputs`; without 'labels' where nobody knows them.
        origin, attacker, settings, run: as for `audit`.

    Raises:
        InputError: an array is missing, has the wrong shape or values, or nothing is left to audit.
        DataFileError: the file cannot be read.
        StorageError: the folder cannot be written.
    """
    if isinstance(outputs, str) and outputs in ("logits", "probabilities", "labels"):
        raise InputError(
            f"audit_outputs: outputs is a .npz or arrays; what a model returns is audit(..., model_outputs='{outputs}')"
        )
    if isinstance(outputs, str | os.PathLike):
        check_kinds("audit_outputs", outputs=(outputs, str | os.PathLike))
    pipeline = Pipeline.of(
        "audit_outputs", None, origin, **values("audit_outputs", short, attacker=attacker, settings=settings, run=run)
    )
    attacker = pipeline.attacker
    queries = None if attacker.queries == "none" else attacker.queries
    refuse("outputs", known=attacker.known or None, layer=attacker.layer, queries=queries)
    evidence = evidence_from_outputs(outputs, origin=origin, access=attacker.access)
    _check_known(evidence.membership)
    check_labels(evidence.labelled, None, evidence.access, pipeline.asked)
    return pipeline.conclude(evidence)


@dataclass(frozen=True)
class Pipeline:
    """One audit on its way: who asks what, by which random numbers, and where it is kept."""

    started: float
    recipe: Recipe | None
    attacker: Attacker
    asked: dict[str, Attack]
    settings: Settings
    trainer: Trainer
    rngs: dict[str, np.random.Generator]

    @classmethod
    def of(
        cls,
        where: str,
        recipe: Recipe | None,
        origin: str,
        attacker: Attacker | None,
        settings: Settings | None,
        run: Run | None,
    ) -> "Pipeline":
        """Check what every audit takes, before anything is computed."""
        started = time.perf_counter()
        check_kinds(
            where, settings=(settings, Settings | None), attacker=(attacker, Attacker | None), run=(run, Run | None),
            origin=(origin, str),
        )  # fmt: skip
        attacker, settings, run = attacker or Attacker(), settings or Settings(), run or Run()
        check_run(run, where)
        check_kinds(where, queries=(attacker.queries, str | None), layer=(attacker.layer, str | None))
        root_seed = seed_from(run.seed, "Run(seed=...)")
        generators = map(np.random.default_rng, np.random.SeedSequence(root_seed).spawn(9))
        names = ("split", "score", "measure", "gate", "control", "ensemble", "target", "known", "others")
        asked = resolve_attacks(attacker.attacks)
        _check_access(asked, attacker.access)
        queries = attacker.queries or "none"
        query_set(queries)
        recipe = None if recipe is None else is_recipe(recipe, where)
        if origin not in ORIGINS:
            raise InputError(
                f"audit: origin must be one of {', '.join(ORIGINS)}, got '{origin}': only the audit itself draws"
            )
        replay = None
        if run.replay is not None:
            # models in a weights cache may have been trained by another plan
            refuse("replay=", engine=run.engine, weights_cache=run.weights_cache)
            if recipe is None:
                raise InputError("audit: replay= needs a recipe=: nothing else trains models")
            replay = Replay.of(run.replay, seed=root_seed)
        if run.keep_weights and run.folder is None:
            raise InputError("audit: keep_weights=True keeps them in a folder: give run=Run(folder=...) one")
        folder = None if run.folder is None else _writable(Path(run.folder))
        trainer = Trainer(recipe, root_seed, queries, run, folder, replay)
        return cls(started, recipe, attacker, asked, settings, trainer, dict(zip(names, generators, strict=True)))

    @property
    def split_rng(self) -> np.random.Generator:
        return self.rngs["split"]

    def of_records(
        self,
        model: Any,
        pool: Pool,
        membership: Membership,
        model_outputs: str | None,
        other_nonmembers: Mapping[str, Pool | Arrays] | None,
        by_position: bool,
    ) -> report.AuditResult:
        if model is None:
            refuse("models that are trained here, which give logits", model_outputs=model_outputs)
        _check_known(membership)  # before models are trained
        pool, membership, unlabelled, copies = with_others(pool, membership, other_nonmembers)
        evidence = evidence_from_pool(
            model, pool, membership, self.trainer, self.attacker, model_outputs, self.asked, by_position
        )
        return self.conclude(replace(evidence, unlabelled=unlabelled), copies)

    def conclude(self, evidence: Evidence, copies: Mapping[str, int] | None = None) -> report.AuditResult:
        """Score, check, measure and decide; `copies` were left out of each set of other non-members."""
        settings, rngs, folder = self.settings, self.rngs, self.trainer.folder
        chosen = self.asked or resolve_attacks(
            default_attacks(evidence.available, evidence.access, evidence.n_references, evidence.n_known)
        )
        _check_access(chosen, evidence.access)
        twins, repeats = gates.copies(evidence)
        rows = np.flatnonzero(evidence.membership.audit & ~twins & ~repeats)
        n_twins, n_repeats = int(twins.sum()), int(repeats.sum())
        _check_sides(evidence.membership.targets[rows], n_twins, n_repeats)
        progress = self.trainer.run.progress
        scored = score(evidence, chosen, rows, settings, rngs["score"], folder=folder, progress=progress)
        control = run_controls(evidence, self.trainer, chosen, rows, settings, rngs["control"])
        checks = gates.run_gates(
            evidence, scored, control, settings, n_twins=n_twins, n_repeats=n_repeats, rng=rngs["gate"]
        )
        title_of = titles(chosen)
        claim = claim_of(evidence.membership.origin, checks)
        decided = decisions(scored, evidence, chosen, title_of, rngs["known"])
        verdict, headline, reasons = decide(
            scored, checks, claim, settings, labelled=evidence.labelled, decisions=decided
        )
        measure_rng = rngs["measure"]
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
            ensemble=ensemble(scored, rngs["ensemble"]),
            decisions=decided,
            other_nonmembers=count_others(evidence, chosen, scored, copies or {}, rngs["others"]),
            controls=tables.control_rows(control, settings, measure_rng),
            records=tables.exposed(scored, evidence, settings),
            classes=tables.class_slices(scored, evidence, measure_rng),
            groups=tables.group_slices(scored, evidence, measure_rng),
            prior=settings.prior,
            target=tables.target(evidence, rows, settings, rngs["target"]),
            training=tables.training(evidence, rows, settings, self.trainer.plans),
            provenance=tables.provenance(evidence, settings, self.trainer, self.started, self.asked),
        )
        if folder is not None:
            _write(folder, result, scored, evidence)
        return result


def refuse_outputs(model: Any, model_outputs: Any) -> None:
    if model_outputs is not None and model is None:
        refuse("models that are trained here, which give logits", model_outputs=model_outputs)


def _check_references(references: int | None, recipe: Recipe | None) -> None:
    if references is not None and recipe is None:
        raise InputError(f"audit: references={references} needs a recipe= to train them with")


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
            f"cannot write to the folder {folder}: {error.strerror}; choose another one (run=Run(folder=...), --out)"
        ) from None


def _check_known(membership: Membership) -> None:
    """That the known records, if there are any, are of both sides: no attack learns anything from one side alone."""
    bits = membership.targets[membership.known]
    if len(bits) and (bits.all(axis=0) | ~bits.any(axis=0)).any():
        side = "members" if bits.all(axis=0).any() else "non-members"
        raise InputError(
            f"audit: the records whose membership the attacker knows must be members and non-members, got {len(bits)}, "
            f"all of them {side}: let it know more (Attacker(known=...), --known; 20 are seldom of one side), or none"
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
