"""Where and how the work of a verb is done: one value that every verb takes as `run=`."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from seepage.errors import InputError
from seepage.outside import check_kinds
from seepage.randomness import Seed
from seepage.runs.executor import Executor, check_workers
from seepage.schema.saved import MOST_WORKERS


@dataclass(frozen=True)
class Run:
    """Folder, seed and machine of a run. It changes no question, only where, how fast and from which random numbers.

    Attributes:
        folder: keeps models, scores, the result and its pages; a run that was killed goes on there. None keeps nothing.
        seed: everything random derives from it; in Python a generator too, from which a seed is drawn and
            recorded.
        device: where models are trained; by default on the GPU where there is one.
        engine: how models are trained: stacked or single; by default the faster one, by a trial.
        workers: processes that train; 0: this one alone; by default as many as suit.
        executor: maps units of work over machines; None: local processes.
        progress: show progress bars.
        keep_weights: keep the weights of the models that are trained.
        weights_cache: a folder of trained models that runs share: recipes that differ in the wrapper alone train once.
        replay: the result (result.json or its folder) of the same run on another machine: models are trained as there,
            so that the numbers are the same to the last bit.
        command: what reproduces this run, for the report.
        config: the configuration that it came from, recorded as it is.
    """

    folder: str | os.PathLike | None = None
    seed: Seed = 0
    device: Literal["cpu", "cuda"] | None = None
    engine: Literal["stacked", "single"] | None = None
    workers: Annotated[int, Ge(0), Le(MOST_WORKERS)] | None = None
    executor: Executor | None = None
    progress: bool = False
    keep_weights: bool = False
    weights_cache: str | os.PathLike | None = None
    replay: str | os.PathLike | None = None
    command: str | None = None
    config: Mapping[str, Any] | None = None


def check_run(run: Run, where: str, *, uses: Collection[str] | None = None) -> None:
    """Check the kinds of its values, before anything is made of them.

    Args:
        where: the verb.
        uses: what the verb makes use of; None: of everything.

    Raises:
        InputError: one is of another kind, or is given and of no use.
    """
    for field in fields(run):
        value = getattr(run, field.name)
        if uses is not None and field.name not in uses and value is not field.default and value != field.default:
            raise InputError(
                f"{where}: Run({field.name}=...) is of no use here: leave it out, {where} knows {', '.join(uses)}"
            )
    check_kinds(
        where,
        folder=(run.folder, str | os.PathLike | None),
        weights_cache=(run.weights_cache, str | os.PathLike | None),
        replay=(run.replay, str | os.PathLike | None),
        engine=(run.engine, str | None),
        device=(run.device, str | None),
        command=(run.command, str | None),
        config=(run.config, Mapping | None),
        keep_weights=(run.keep_weights, bool),
        progress=(run.progress, bool),
    )
    check_workers(run.workers, where)
