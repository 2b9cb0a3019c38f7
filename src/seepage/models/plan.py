"""The planner: times a few steps of each engine on the real recipe and takes the faster."""

import os
import time
from collections.abc import Sequence

import numpy as np
import torch

from seepage.errors import InputError, TrainingError, unknown_name
from seepage.models.engines import BLOCK, ENGINES, Single, Stacked, Training
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.outside import from_outside
from seepage.runs.executor import check_workers
from seepage.runs.plan import Plan

# Under this many seconds of training in one process, starting workers costs more than they save.
WORTH_A_WORKER_S = 5.0
_TIMED_S = 0.2
_WARM_UP_STEPS = 2


def check_plan(plan: Plan, recipe: Recipe, n_models: int, otherwise: str) -> None:
    """That this machine can follow the plan, which was made elsewhere, for `n_models` models of `recipe`.

    Raises:
        InputError: it cannot; `otherwise` says what to do then.
    """
    check_workers(plan.workers, "the plan")
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"the plan trains on the device 'cuda', and there is none here: {otherwise}")
    if (plan.engine == "procedure") != (recipe.procedure is not None) or plan.chunk > n_models:
        raise InputError(
            f"the plan trains {plan.chunk} models at a time by the engine '{plan.engine}', which does not suit "
            f"{n_models} models of this recipe: {otherwise}"
        )


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan(
    recipe: Recipe,
    records: Records,
    columns: Sequence[np.ndarray],
    *,
    held_out: HeldOut | None = None,
    engine: str | None = None,
    chunk: int | None = None,
    workers: int | None = None,
) -> Plan:
    """Choose engine, chunk and number of workers for training one model per column.

    Args:
        recipe: what to train.
        records: the pool's records, on the device where training will run.
        columns: member indices, one array a model.
        held_out: rows that no model is trained on.
        engine, chunk, workers: fix a part of the plan instead of choosing it.

    Raises:
        InputError: there is no such engine, no such number of workers, or the model cannot be stacked and must be.
        TrainingError: the recipe failed in a step that was timed.
    """
    check_workers(workers, "plan")
    if engine is not None and engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    device = records.inputs.device.type
    if recipe.procedure is not None:
        return _plan_procedure(recipe, len(columns), device, engine, chunk, workers)
    if engine == "procedure":
        raise InputError("engine 'procedure' is for recipes that have one: leave the engine to the planner")
    with from_outside("the recipe's model could not be built and asked", TrainingError):
        limit = min(len(columns), chunk or len(columns), _chunk_limit(recipe, records, columns[0]))
    single_s = stacked_s = None
    size, why = 1, ""
    with one_thread(), from_outside("the recipe failed while its training steps were timed", TrainingError):
        if engine != "stacked":
            single_s = _seconds_per_step(Single(recipe, records, columns[:1], [0], held_out))
        if engine != "single":
            try:
                size, stacked_s = _best_stack(
                    recipe, records, columns, held_out, limit, single_s, fixed=chunk is not None
                )
            except (RuntimeError, NotImplementedError) as error:
                why = f"the model cannot be stacked: {(str(error) or type(error).__name__).splitlines()[0][:200]}"
                if engine == "stacked":
                    raise InputError(f"{why}; leave the engine to the planner, or choose 'single'") from error
    if engine is None:
        engine = "stacked" if stacked_s is not None and stacked_s < single_s else "single"
    size = size if engine == "stacked" else 1
    step_s = stacked_s if engine == "stacked" else single_s
    n_steps = sum(recipe.epochs * len(column) / recipe.batch_size for column in columns)
    if workers is None:
        alone_s = step_s * n_steps
        workers = 0 if device != "cpu" or alone_s < WORTH_A_WORKER_S or len(columns) == 1 else n_cores()
    if engine == "stacked" and chunk is None:
        # As many units as keep every worker busy to the end.
        n_units = -(-len(columns) // size)
        n_units = -(-n_units // max(1, workers)) * max(1, workers)
        size = -(-len(columns) // min(n_units, len(columns)))
    why = why or f"{engine} is the faster on this recipe and machine"
    return Plan(engine, size, min(workers, -(-len(columns) // size)), device, stacked_s, single_s, why)


class one_thread:
    """Run torch with one thread inside, and with as many as before afterwards."""

    def __enter__(self):
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *exception):
        torch.set_num_threads(self.threads)


def _plan_procedure(recipe, n_models: int, device: str, engine, chunk, workers) -> Plan:
    """A procedure is not timed: it may be many trainings, and says itself how many models it trains together."""
    if engine not in (None, "procedure"):
        raise InputError(f"a recipe with a procedure trains by it, not by the engine '{engine}': leave the engine out")
    if workers is None:
        workers = 0 if device != "cpu" or n_models == 1 else n_cores()
    size = min(chunk or recipe.procedure.chunk, -(-n_models // max(1, workers)))
    why = f"{type(recipe.procedure).__name__} trains by itself"
    return Plan("procedure", size, min(workers, -(-n_models // size)), device, None, None, why)


def _best_stack(
    recipe, records, columns, held_out, limit: int, single_s: float | None, *, fixed: bool
) -> tuple[int, float]:
    # On a CPU larger stacks have left the cache; on a GPU they fill it.
    most = min(limit, 512 if records.inputs.is_cuda else 32)
    sizes = [limit] if fixed else sorted({most, *(2**k for k in range(2, 10) if 2**k <= most)})
    times: dict[int, float] = {}
    for size in sizes:
        times[size] = _seconds_per_step(Stacked(recipe, records, columns[:size], range(size), held_out)) / size
        if times[size] > 1.1 * min(times.values()):
            break  # larger stacks have left the cache: they only get slower
        if single_s is not None and times[size] > 1.3 * single_s:
            break  # a stack that loses by so much has kernels that do not stack, such as convolutions on a CPU
    # The smallest that is as good as any: it leaves most of the cache to the other workers.
    size = min(size for size in times if times[size] <= 1.05 * min(times.values()))
    return size, times[size]


def _seconds_per_step(training: Training) -> float:
    """Median over blocks of steps, after a warm-up, on about a fifth of a second."""

    def timed() -> float:
        start = time.perf_counter()
        training.step()
        if training.records.inputs.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    warm_up = [timed()]
    while len(warm_up) < _WARM_UP_STEPS and training.steps_left:
        warm_up.append(timed())
    # A step that takes seconds has told enough.
    n_steps = 0 if warm_up[-1] > 1 else min(training.steps_left, BLOCK, max(3, int(_TIMED_S / warm_up[-1])))
    return float(np.median([timed() for _ in range(n_steps)] or warm_up[-1:]))


def _chunk_limit(recipe: Recipe, records: Records, column: np.ndarray) -> int:
    """Models that fit into a quarter of the free memory: weights, gradients, state, activations."""
    module = recipe.build(records.input_shape, records.n_classes, 0).to(records.inputs.device).eval()
    activations = 0

    def count(layer, inputs, output) -> None:
        nonlocal activations
        if isinstance(output, torch.Tensor):
            activations += output.numel() * output.element_size()

    hooks = [layer.register_forward_hook(count) for layer in module.modules() if not list(layer.children())]
    one = torch.from_numpy(np.asarray(column[:1]))
    with torch.no_grad():
        module(records.batch(one.to(records.inputs.device)))
    for hook in hooks:
        hook.remove()
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    inputs = 4 * int(np.prod(records.input_shape))
    # Weights, their gradient and two moments, with room for temporaries; each activation and its gradient.
    per_model = 6 * weights + recipe.batch_size * (3 * activations + 2 * inputs)
    sharers = 1 if records.inputs.is_cuda else n_cores()
    return max(1, int(free_bytes(records.inputs.device) / 4 / sharers / per_model))


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30
