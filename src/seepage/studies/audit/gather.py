"""Evidence from records: make one pool of the lists, train what is to be trained, ask the model that is there."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from seepage.attacks import Attack
from seepage.data import Membership, Pool
from seepage.data.precision import check_float32
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.models.held_out import HeldOut
from seepage.models.outputs import passing
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.models.trial import try_recipe
from seepage.runs.run import Run
from seepage.runs.store import digest
from seepage.schema.training import RunPlan
from seepage.signals.collect import Collection, collect, training_keys
from seepage.signals.queries import queries as query_set
from seepage.studies.attacker import Attacker
from seepage.studies.audit.classes import in_columns, named_alike, pools_of
from seepage.studies.audit.evidence import TRAINED_HERE, Evidence, Training
from seepage.studies.audit.replay import Replay, recorded

DEFAULT_REFERENCES = 64


@dataclass(frozen=True)
class Trainer:
    """How models are trained for an audit, and where that is kept."""

    recipe: Recipe | None
    root_seed: int
    queries: str
    run: Run
    folder: Path | None
    replay: Replay | None = None
    plans: dict[str, RunPlan] = field(default_factory=dict)  # of each run that was trained, for the result

    def train(
        self,
        pool: Pool,
        columns: np.ndarray,
        name: str,
        held_out: HeldOut,
        recipe: Recipe | None = None,
        live: Sequence[int] = (),
    ) -> Collection:
        replay = None
        if self.replay is not None:
            keys = training_keys(recipe or self.recipe, pool, columns, self.root_seed, held_out)
            replay = self.replay.plan(name, len(keys), digest(keys))
        made = collect(
            recipe or self.recipe,
            pool,
            columns,
            root_seed=self.root_seed,
            held_out=held_out,
            queries=self.queries,
            folder=None if self.folder is None else self.folder / "run" / name,
            keep_weights=self.run.keep_weights and recipe is None,
            live=live,
            weights_cache=None if self.run.weights_cache is None else Path(self.run.weights_cache),
            engine=self.run.engine,
            workers=self.run.workers,
            executor=self.run.executor,
            device=self.run.device,
            replay=replay,
            progress=self.run.progress,
            title=f"training {name}",
        )
        self.plans[name] = recorded(made.plan, columns.shape[1], made.trainings)
        return made


def refuse(instead: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"audit: {name}= does not go with {instead}: give one or the other")


def check_labels(labelled: bool, recipe: Recipe | None, access: Access, attacks: Mapping[str, Attack]) -> None:
    """Refuse what cannot be done with records that have no labels.

    Raises:
        InputError: a recipe is given, the attacker sees labels alone, or an attack needs labels.
    """
    if labelled:
        return
    if recipe is not None:
        raise InputError(
            "audit: a recipe trains models, which takes labels, and the records have none: give the labels, or leave "
            "recipe= and references= out (the keys recipe: and references:, the flag --references)"
        )
    if access == Access.LABEL:
        raise InputError(
            "audit: an attacker who sees predicted labels alone learns nothing of records without labels: give the "
            "labels, or audit with probabilities"
        )
    if needing := [name for name, attack in attacks.items() if "labels" in attack.needs]:
        raise InputError(
            f"audit: the attack '{needing[0]}' needs labels, and the records have none: give the labels, or leave it "
            "out of attacks="
        )


def pool_from_lists(
    members, nonmembers, population, recipe, references, known, origin, rng
) -> tuple[Pool, Membership, bool]:
    """One pool and one membership from the lists of records; and whether class numbers may be their places.

    That is so where somebody had them in hand, as those of a `Pool`, one-hot columns or ordered categories.
    """
    if members is None or nonmembers is None:
        got = "only one of them" if members is not None or nonmembers is not None else "neither"
        raise InputError(
            f"audit: members and nonmembers go together, got {got}: give both; a pool of records is for "
            "audit_recipe(recipe, pool), outputs are for audit_outputs(outputs)"
        )
    given = {"members": members, "nonmembers": nonmembers, "population": population}
    parts, by_position = pools_of({name: one for name, one in given.items() if one is not None})
    _check_one_scale(parts)
    pool = parts[0].concat(*parts[1:], name=parts[0].name if parts[0].name != "members" else "records")
    ends = np.cumsum([0, *map(len, parts)])
    side = [np.arange(start, end) for start, end in itertools.pairwise(ends)]
    n_references = 0 if recipe is None else (DEFAULT_REFERENCES if references is None else references)
    nonmember_rows = np.concatenate(side[1:])
    membership = Membership.fixed(
        pool,
        members=side[0],
        nonmembers=nonmember_rows,
        population=side[2] if len(side) > 2 else 0,
        references=n_references,
        known=known,
        origin=origin,
        rng=rng,
    )
    return pool, membership, by_position


def evidence_from_pool(
    model: Any,
    pool: Pool,
    membership: Membership,
    run: Trainer,
    attacker: Attacker,
    model_outputs: str | None,
    attacks: Mapping[str, Attack],
    by_position: bool = True,
) -> Evidence:
    """Evidence from records: train what is to be trained, ask the model that is there."""
    access = attacker.access
    check_labels(pool.labels is not None, run.recipe, max(Access) if access is None else Access.of(access), attacks)
    if len(membership) != len(pool):
        raise InputError(f"audit: the membership has {len(membership)} records and the pool {len(pool)}")
    if run.recipe is not None:
        try_recipe(run.recipe, pool, "audit")
    if model is None and run.recipe is None:
        raise InputError("audit: without a model, a recipe= is needed to train one")
    if model is not None and (membership.turns or membership.n_targets > 1):
        raise InputError(
            f"audit: one model was given, and the membership has {membership.n_targets} targets: leave the model out "
            "and give a recipe, or give the membership of that model alone"
        )
    target = None if model is None else _wrap(model, access, model_outputs, attacks)
    if target is not None:
        # Before any training: a target that cannot be audited should say so at once.
        pool = _in_order_of(target, pool)
        taker = f"the model ({target.name})"
        if target.takes_float32:
            check_float32(pool.inputs, pool.columns, taker=taker, trained=True)
        check_labels(pool.labels is not None, None, target.access, attacks)
        if pool.labels is not None:
            target, pool = named_alike(target, pool, by_position)
        answers = _ask(target, pool, run.queries)
        if target.takes_float32:  # a callable shows it when it is asked
            check_float32(pool.inputs, pool.columns, taker=taker, trained=True)
        if pool.labels is not None:
            pool = in_columns(pool, target, answers.shape[-1])
    references = membership.references if run.recipe is not None else membership.references[:, :0]
    trained_targets = membership.targets if model is None and not membership.turns else membership.targets[:, :0]
    columns = np.hstack([trained_targets, references])
    collection = None
    if columns.shape[1]:
        level = _level(access, attacks)
        asks = level > Access.LOGITS or any("model" in attack.needs for attack in attacks.values())
        live = range(membership.n_targets) if model is None and asks else ()
        held_out = HeldOut.of(membership)
        collection = run.train(pool, columns, "models" if model is None else "references", held_out, live=live)
    n_trained = trained_targets.shape[1]
    membership = replace(membership, references=references)
    common = {"labels": pool.labels, "records": pool, "layer": attacker.layer}
    if run.recipe is not None:
        common["architecture"] = run.recipe.model
    training = None
    if collection is not None:
        training = Training(run.recipe.describe(), collection.plan, collection.seconds, columns.shape[1])
    wrapper = None if run.recipe is None else run.recipe.wrapper
    trained_give = wrapper is not None and wrapper.gives_probabilities
    if model is None:
        n = len(membership.targets.T)
        targets = list(range(n))
        reference_models = targets if membership.turns else list(range(n_trained, columns.shape[1]))
        n_queries = len(pool) * collection.logits.shape[2]
        return Evidence(
            logits=collection.logits,
            probabilities=np.full(collection.logits.shape[1], trained_give),
            membership=membership,
            target_models=targets,
            reference_models=reference_models,
            access=level,
            kind=TRAINED_HERE,
            n_queries=n_queries,
            live=[wrap_trained(collection.modules[at], level, n_queries) for at in live],
            training=training,
            **common,
        )
    logits = answers if collection is None else np.concatenate([answers, collection.logits], axis=1)
    return Evidence(
        logits=logits,
        probabilities=np.array([target.gives_probabilities] + [trained_give] * (logits.shape[1] - 1)),
        membership=membership,
        target_models=[0],
        reference_models=list(range(1, logits.shape[1])),
        access=target.access,
        kind=f"{target.kind}: {target.name}" + (", from a file whose code was trusted" if target.trusted else ""),
        n_queries=target.n_queries,
        live=[target],
        fingerprint=target.fingerprint,
        n_parameters=target.n_parameters,
        training=training,
        **common,
    )


def _check_one_scale(parts: Sequence[Pool]) -> None:
    """Refuse sides that were each standardised by themselves: equal values no longer mean the same."""
    alone = [
        part.inputs.ndim == 2 and len(part) > 2 and part.inputs.dtype != np.uint8 and _is_standardised(part)
        for part in parts
    ]
    if sum(alone) > 1:
        raise InputError(
            "audit: members and non-members were each standardised by their own mean and deviation, so that equal "
            "values no longer mean the same: take those of the training for both"
        )


def _is_standardised(pool: Pool) -> bool:
    """Whether each column of numbers that varies has mean 0 and deviation 1 to the last digits, as its own make it."""
    columns = pool.columns or [("", None)] * pool.inputs.shape[1]
    numbers = [at for at, (_, category) in enumerate(columns) if category is None]
    inputs = pool.inputs[:, numbers]
    spread, mean = inputs.std(axis=0, dtype=np.float64), inputs.mean(axis=0, dtype=np.float64)
    varies = spread > 0
    close = 1e-9 if inputs.dtype == np.float64 else 1e-5
    return bool(varies.any() and (np.abs(spread[varies] - 1) < close).all() and (np.abs(mean[varies]) < close).all())


def _in_order_of(target: TargetModel, pool: Pool) -> Pool:
    """The records with their columns in the order in which the model was fitted, where both have names."""
    wanted, there = target.column_names, pool.columns
    if wanted is None or there is None or any(category is not None for _, category in there):
        return pool
    names = [name for name, _ in there]
    if all(name.isdigit() for name in names):  # a frame of which nobody has named the columns
        return pool
    if set(wanted) != set(names) or len(wanted) != len(names):
        raise InputError(
            f"audit: {target.name} was fitted on the columns {', '.join(wanted)[:300]}; the records have "
            f"{', '.join(names)[:300]}: give those that it was fitted on"
        )
    return pool.in_order([(name, None) for name in wanted])


def _wrap(model: Any, access: str | None, model_outputs: str | None, attacks: Mapping[str, Attack]) -> TargetModel:
    if isinstance(model, TargetModel):
        refuse("a TargetModel, which has its own", access=access, model_outputs=model_outputs)
        return model
    say = passing("model_outputs", "--model-outputs")
    target = TargetModel.wrap(model, access=access, outputs=model_outputs, say=say)
    if access is None:
        target.access = min(target.access, _level(None, attacks))
    return target


def _level(access: str | None, attacks: Mapping[str, Attack]) -> Access:
    """What the attacker may ask: as said, or else logits and whatever the attacks that were asked for need."""
    if access is not None:
        return Access.of(access)
    return max([Access.LOGITS, *(attack.access for attack in attacks.values())])


def wrap_trained(module: nn.Module, access: Access, n_asked: int) -> TargetModel:
    """A model that was trained here, as a target that has already been asked `n_asked` times."""
    target = TargetModel.wrap(module, access=access)
    target.n_queries = n_asked
    return target


def _ask(target: TargetModel, pool: Pool, queries: str) -> np.ndarray:
    """The target's answers (samples, 1, queries, classes)."""
    if target.access == Access.LABEL:
        predicted = np.stack([target.labels(query(pool.batch())) for query in query_set(queries)], axis=1)
        n_classes = max(target.n_classes or 0, pool.n_classes)
        if target.unknown_label is not None and predicted.min() >= n_classes:
            raise InputError(
                f"audit: none of the labels that {target.name} answers, '{target.unknown_label}' for one, is among "
                f"those of the records: {', '.join((pool.classes or ())[:6])}"
            )
        if predicted.max() >= n_classes:  # labels that no record has are all one class more: wrong for each record
            predicted, n_classes = np.minimum(predicted, n_classes), n_classes + 1
        # A label alone: all the weight on one class.
        logits = np.full((*predicted.shape, n_classes), -100.0, dtype=np.float32)
        np.put_along_axis(logits, predicted[..., None], 0.0, axis=-1)
        return logits[:, None]
    answers = [target.logits(query(pool.batch())) for query in query_set(queries)]
    return np.stack(answers, axis=1)[:, None]
