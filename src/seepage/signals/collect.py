"""Train the models of a run, unit by unit, and keep what they answer.

A unit is a chunk of trainings plus their signals. Its key names everything that its content depends on:

- the *training key* of each model (recipe without its wrapper, pool, membership column, root seed) gives the model's
  seed;
- the *unit key* adds the wrapper, the version of this package, the engine, the chunk and the outputs kept.

A wrapper changes no training: where a weights cache is given, models lie there under their training keys, and recipes
that differ in nothing but the wrapper share them.
"""

import functools
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import nn

from seepage.data import Pool
from seepage.errors import InputError, StorageError, TrainingError
from seepage.models.device import choose_device
from seepage.models.held_out import HeldOut
from seepage.models.plan import check_plan, n_cores, one_thread, plan
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.train import train_models, wrapped
from seepage.models.trial import is_recipe
from seepage.outside import from_outside
from seepage.runs import Executor, Inline, Processes
from seepage.runs.executor import check_workers
from seepage.runs.manifest import Manifest
from seepage.runs.plan import Plan
from seepage.runs.progress import Watch
from seepage.runs.store import Like, Store, digest, weights_key
from seepage.signals.queries import Query
from seepage.signals.queries import queries as query_set
from seepage.version import __version__
from seepage.writing import temporary_folder

_EVALUATION_BATCH = 1024
# Above this the collected logits stay in a memory-mapped file.
_IN_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Collection:
    """What the models of one run answered, and how they were trained."""

    logits: Float32[np.ndarray, "samples models queries classes"]
    columns: Bool[np.ndarray, "samples models"]
    plan: Plan
    seconds: float  # of all trainings: those of this call, and what resumed ones took in theirs
    n_resumed: int
    trainings: str  # digest of all that the models follow from: recipe, pool, memberships, seed
    modules: dict[int, nn.Module] = field(default_factory=dict)  # those that were asked for (`live`)


@dataclass(frozen=True)
class TrainUnit:
    """The task: train the models of a unit, ask them about every record, commit the answers."""

    recipe: Recipe
    pool: Pool
    columns: Bool[np.ndarray, "samples models"]
    seeds: tuple[int, ...]
    held_out: HeldOut
    weights_cache: Path | None
    keys: tuple[str, ...]
    engine: str
    device: str
    queries: str
    folder: Path
    kept: frozenset[int]  # the models whose weights are kept

    @functools.cached_property
    def records(self) -> Records:
        return Records.of(self.pool, self.device)

    def __call__(self, unit: dict[str, Any], report) -> dict[str, float]:
        start = time.perf_counter()
        models = unit["models"]
        members = [np.flatnonzero(self.columns[:, model]) for model in models]
        with one_thread():
            modules = self._modules(models, members, lambda fraction: report(0.95 * fraction))
            with from_outside("a model that was trained by the recipe could not answer", TrainingError):
                logits = np.stack([answers(module, self.records, self.queries) for module in modules])
        folder = Store(self.folder)
        seconds = time.perf_counter() - start
        for model, module in zip(models, modules, strict=True):
            if model in self.kept:
                folder.write(weights_key(unit["key"], model), _weights(module), {})
        folder.write(unit["key"], {"logits": logits}, {"models": models, "seconds": seconds})
        return {"seconds": seconds}

    def _modules(self, models: list[int], members: list[np.ndarray], report) -> list[nn.Module]:
        """The trained models as they answer, those that the cache has not trained again."""
        seeds = [self.seeds[model] for model in models]
        how = {"held_out": self.held_out, "engine": self.engine, "report": report}
        if self.weights_cache is None:
            return train_models(self.recipe, self.records, members, seeds, **how)
        cache, bare = Store(self.weights_cache), replace(self.recipe, wrapper=None)
        like = _like(bare, self.pool)
        made_by = {"version": __version__}
        weights = {model: cache.find(_cache_key(self.keys[model]), like, made_by) for model in models}
        weights = {model: None if found is None else found.arrays for model, found in weights.items()}
        new = [place for place, model in enumerate(models) if weights[model] is None]
        if new:
            made = train_models(bare, self.records, [members[p] for p in new], [seeds[p] for p in new], **how)
            for place, module in zip(new, made, strict=True):
                weights[models[place]] = _weights(module)
                cache.write(_cache_key(self.keys[models[place]]), weights[models[place]], made_by)
        modules = [_rebuilt(bare, self.pool, weights[model]).to(self.device) for model in models]
        return wrapped(self.recipe, modules, self.records, members, seeds, self.held_out)


@torch.no_grad()
def answers(module: nn.Module, records: Records, queries: str) -> Float32[np.ndarray, "samples queries classes"]:
    """A trained model's logits for every record of the pool and every query."""
    found = []
    for query in query_set(queries):
        parts = []
        for start in range(0, len(records.inputs), _EVALUATION_BATCH):
            at = torch.arange(start, min(start + _EVALUATION_BATCH, len(records.inputs)), device=records.inputs.device)
            inputs = records.batch(at)
            if query != Query():
                inputs = torch.from_numpy(np.ascontiguousarray(query(inputs.cpu().numpy()))).to(inputs.device)
            parts.append(module(inputs).float().cpu().numpy())
        found.append(np.concatenate(parts))
    return np.stack(found, axis=1)


def training_keys(
    recipe: Recipe, pool: Pool, columns: np.ndarray, root_seed: int, held_out: HeldOut | None = None
) -> list[str]:
    """One key a column; equal keys train equal models."""
    recipe = replace(recipe, wrapper=None)
    rest = [root_seed, *([(held_out or HeldOut()).fingerprint(recipe.uses)] if recipe.uses else [])]
    return [
        digest([recipe.fingerprint, pool.fingerprint, digest(np.packbits(column).tolist()), *rest])
        for column in columns.T
    ]


def seed_of(key: str) -> int:
    return int(key[:15], 16)


def _cache_key(training_key: str) -> str:
    return training_key[:32]


def collect(
    recipe: Recipe,
    pool: Pool,
    columns: Bool[np.ndarray, "samples models"],
    *,
    root_seed: int,
    held_out: HeldOut | None = None,
    queries: str = "none",
    folder: str | os.PathLike | None = None,
    keep_weights: bool = False,
    live: Sequence[int] = (),
    weights_cache: str | os.PathLike | None = None,
    engine: str | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    device: str | None = None,
    replay: Plan | None = None,
    progress: bool = False,
    title: str = "training",
) -> Collection:
    """Train one model per membership column and keep every model's logits on every record.

    Args:
        recipe: how each model is trained.
        pool: the records, with labels.
        columns: (samples, models), true where a record is a member of a model's training set.
        root_seed: seeds of the trainings derive from it and from what is trained, not from order.
        held_out: rows that no model is trained on, for recipes that make use of some.
        queries: name of the query set to ask (`seepage.signals.queries.QUERIES`).
        folder: where finished units are kept, so that a killed run goes on; None for a temporary one.
        keep_weights: keep each model's weights in the folder too.
        live: models to give back as modules, by number; their weights are kept in the folder.
        weights_cache: a folder of trained models that runs share; see above.
        engine, workers: fix a part of the plan instead of timing it.
        executor: where units run; by default in this process or in local processes, as planned.
        device: "cpu" or "cuda"; by default the GPU where there is one.
        replay: a plan to follow instead of timing this machine; `workers` may still be others, the bits are the same.
            Models that the weights cache has are taken from there, whatever their plan was.
        progress: show a bar with the time left.

    Raises:
        InputError: columns that are not the pool's, queries that its records do not allow, or a recipe with a
            callable of one's own and no `version`, in a lasting folder; a plan that cannot be replayed here.
        StorageError: the folder holds another run, or cannot be written.
        TrainingError: a training diverged or a worker died three times.
    """
    is_recipe(recipe, "collect")
    columns = np.asarray(columns)
    check_workers(workers, "collect")
    if columns.ndim != 2 or len(columns) != len(pool) or not columns.shape[1] or columns.dtype != bool:
        raise InputError(
            f"collect: columns must be bool of shape ({len(pool)}, models), one row for each record of the pool; "
            f"got {columns.dtype} of shape {columns.shape}"
        )
    if folder is not None and not recipe.is_registered and not recipe.version:
        raise InputError(
            "a run folder needs to know when your own model or objective changes: give Recipe(..., version='1') "
            "and change the version whenever that code changes"
        )
    for query in query_set(queries):
        query(pool.inputs[:1])  # records that cannot be asked so are refused before anything is trained
    if replay is not None:
        if engine is not None or device not in (None, replay.device):
            raise InputError("collect: replay brings engine and device: leave them out")
        check_plan(replay, recipe, columns.shape[1], "leave replay out, or replay a result of this very audit")
        device = replay.device
    device = choose_device(device)
    start = time.perf_counter()
    with ExitStack() as stack:
        store = Store(folder or stack.enter_context(temporary_folder()))
        held_out = held_out or HeldOut()
        keys = training_keys(recipe, pool, columns, root_seed, held_out)
        identity = {
            "recipe": recipe.describe(),
            "pool": pool.fingerprint,
            "trainings": digest(keys),
            "seed": root_seed,
            "queries": queries,
            "weights kept": True if keep_weights else sorted(live),
            "version": __version__,
        }
        chosen = replay
        if chosen is None and store.manifest() is None:
            members = [np.flatnonzero(column) for column in columns.T]
            chosen = plan(recipe, Records.of(pool, device), members, held_out=held_out, engine=engine, workers=workers)
        rest = {} if chosen is None else {"plan": asdict(chosen), "units": _units(keys, chosen, identity)}
        manifest = store.start(identity, rest)
        chosen, units = manifest.plan, _units(keys, manifest.plan, identity)
        _check_units(store, manifest, units, replay)
        check_plan(chosen, recipe, len(keys), f"choose another folder than {store.path}")
        chosen = replace(chosen, workers=min(chosen.workers, n_cores()) if workers is None else workers)
        kept = frozenset(range(len(keys)) if keep_weights else live)
        task = TrainUnit(
            recipe, pool, columns, tuple(map(seed_of, keys)), held_out,
            None if weights_cache is None else Path(weights_cache).absolute(), tuple(keys), chosen.engine,
            chosen.device, queries, store.path.absolute(), kept,
        )  # fmt: skip
        gathered = Gathered(store, len(pool), len(keys), len(query_set(queries)))
        like = _like(recipe, pool) if kept else {}
        took = {unit["key"]: gathered.take(unit) if _has_weights(store, unit, kept, like) else None for unit in units}
        missing = [unit for unit in units if took[unit["key"]] is None]
        before = sum(seconds for seconds in took.values() if seconds is not None)
        executor = executor or (Processes(chosen.workers) if chosen.workers > 1 and len(missing) > 1 else Inline())
        failed = from_outside(f"{title}: {type(executor).__name__} could not carry out the trainings", TrainingError)
        carried_out = set()
        with Watch(title, units, missing, show=progress) as watch, failed:
            for position, _ in executor.map(task, missing, watch.update):
                watch.done(position)
                carried_out.add(position)
        if len(carried_out) < len(missing):
            raise TrainingError(
                f"{title}: {type(executor).__name__}.map ended after {len(carried_out)} of {len(missing)} units: "
                "expected it to yield (position, what the task returned) for every unit"
            )
        for unit in missing:
            gathered.take(unit)
        logits = gathered.logits()
        unit_of = {model: unit["key"] for unit in units for model in unit["models"]}
        modules = {
            model: _rebuilt(recipe, pool, store.read(weights_key(unit_of[model], model)).arrays) for model in live
        }
    seconds = time.perf_counter() - start + before / max(1, chosen.workers)
    return Collection(logits, columns, chosen, seconds, len(units) - len(missing), digest(keys), modules)


def _weights(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.cpu().numpy() for name, tensor in module.state_dict().items()}


def _like(recipe: Recipe, pool: Pool) -> Like:
    """What the weights of a trained model must be."""
    weights = _weights(recipe.skeleton(tuple(pool.inputs.shape[1:]), pool.n_classes))
    return {name: (str(values.dtype), values.shape) for name, values in weights.items()}


def _has_weights(folder: Store, unit: dict[str, Any], kept: frozenset[int], like: Like) -> bool:
    """Whether the weights that are kept of a finished unit are there too."""
    wanted = kept.intersection(unit["models"])
    return all(folder.find(weights_key(unit["key"], model), like) is not None for model in sorted(wanted))


def _rebuilt(recipe: Recipe, pool: Pool, weights: dict[str, np.ndarray]) -> nn.Module:
    module = recipe.skeleton(tuple(pool.inputs.shape[1:]), pool.n_classes)
    module.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    return module.eval()


def _units(keys: Sequence[str], plan: Plan, identity: dict[str, Any]) -> list[dict[str, Any]]:
    units = []
    for start in range(0, len(keys), plan.chunk):
        models = list(range(start, min(start + plan.chunk, len(keys))))
        content = [[keys[model] for model in models], plan.engine, plan.device, identity]
        units.append({"key": digest(content)[:32], "models": models})
    return units


def _check_units(folder: Store, manifest: Manifest, units: list[dict], replay: Plan | None) -> None:
    """That the manifest's units are those that follow from what is trained and how."""
    if [unit.model_dump() for unit in manifest.units] != units:
        raise StorageError(
            f"the manifest in {folder.path} was changed: its units are not those that its plan and this run give. "
            "Choose another folder, or delete this one to start again"
        )
    plans = [(one.engine, one.chunk, one.device) for one in (manifest.plan, replay) if one is not None]
    if len(set(plans)) > 1:
        raise StorageError(
            f"{folder.path} holds a run that was started with another plan than the one to replay. "
            "Choose another folder, or leave replay out"
        )


class Gathered:
    """The answers of all models, put together unit by unit as they are found sound."""

    def __init__(self, folder: Store, n_samples: int, n_models: int, n_queries: int):
        self._folder, self._n_samples, self._n_queries = folder, n_samples, n_queries
        self._logits: np.ndarray | None = None  # (samples, models, queries, classes)
        self._is_there = np.zeros(n_models, dtype=bool)

    def take(self, unit: dict[str, Any]) -> float | None:
        """Take a unit's answers; the seconds that they took, or None where the file is missing or damaged."""
        models = unit["models"]
        n_classes = None if self._logits is None else self._logits.shape[3]
        like = {"logits": ("float32", (len(models), self._n_samples, self._n_queries, n_classes))}
        found = self._folder.find(unit["key"], like, {"models": models}, {"seconds": float})
        if found is None:
            return None
        part = found.arrays["logits"]
        if self._logits is None:
            self._logits = self._empty(part.shape[3])
        self._logits[:, models] = part.swapaxes(0, 1)
        self._is_there[models] = True
        return found.about["seconds"]

    def _empty(self, n_classes: int) -> np.ndarray:
        shape = (self._n_samples, len(self._is_there), self._n_queries, n_classes)
        if 4 * np.prod(shape, dtype=np.int64) <= _IN_MEMORY_BYTES:
            return np.full(shape, np.nan, dtype=np.float32)
        with tempfile.TemporaryFile(dir=self._folder.path) as file:  # the map outlives it
            logits = np.memmap(file, dtype=np.float32, shape=shape)
        logits[:] = np.nan
        return logits

    def logits(self) -> Float32[np.ndarray, "samples models queries classes"]:
        """The answers of all models.

        Raises:
            StorageError: some are not there.
        """
        if not self._is_there.all():
            raise StorageError(
                f"answers of {int((~self._is_there).sum())} of {len(self._is_there)} models are not there although "
                f"they were just written to {self._folder.path}: check that disk, then run the same command again"
            )
        return self._logits
