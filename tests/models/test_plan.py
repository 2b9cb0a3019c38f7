"""The planner takes the faster engine that can train the model, and says why."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

import seepage.models.plan as planner
from seepage import MLP, Adam, Pool, Recipe
from seepage.errors import InputError
from seepage.models.plan import n_cores, one_thread, plan
from seepage.models.records import Records
from seepage.runs.plan import Plan

RNG = np.random.default_rng(0)
RECORDS = Records.of(Pool(RNG.normal(size=(60, 5)).astype(np.float32), RNG.integers(0, 3, 60)))
COLUMNS = [np.arange(10 + k, 40 + k) for k in range(6)]
RECIPE = Recipe(MLP, epochs=2, batch_size=8)


class Branching(nn.Module):
    """Python decides by a value, which no transform can follow."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.head = nn.Linear(input_shape[0], n_classes)

    def forward(self, x):
        return self.head(x) if x.sum() > 0 else -self.head(x)


class CumulativeNorm(nn.Module):
    """BatchNorm with a cumulative average reads its counter."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(input_shape[0], momentum=None), nn.Linear(input_shape[0], n_classes)

    def forward(self, x):
        return self.head(self.norm(x))


class Noisy(nn.Module):
    """Draws from the global generator, whose numbers depend on the stack."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.head = nn.Linear(input_shape[0], n_classes)

    def forward(self, x):
        return self.head(x + torch.randn_like(x))


@pytest.fixture
def timed(monkeypatch):
    """Say how long a step of an engine takes: by its name, in seconds for each model of the stack."""

    def settle(single, stacked):
        def seconds(training):
            is_single = isinstance(training, planner.Single)
            return single if is_single else stacked(len(training.streams)) * len(training.streams)

        monkeypatch.setattr(planner, "_seconds_per_step", seconds)

    return settle


def test_both_engines_are_timed_and_the_faster_is_taken():
    chosen = plan(RECIPE, RECORDS, COLUMNS)
    assert chosen.single_step_s > 0
    assert chosen.stacked_step_s > 0
    faster = "stacked" if chosen.stacked_step_s < chosen.single_step_s else "single"
    assert chosen.engine == faster
    assert chosen.why == f"{faster} is the faster on this recipe and machine"
    assert (chosen.workers, chosen.device) == (0, "cpu")
    assert Plan(**asdict(chosen)) == chosen


@pytest.mark.parametrize(("stacked_s", "engine"), [(0.5e-3, "stacked"), (1.1e-3, "single")])
def test_the_measured_times_decide(timed, stacked_s, engine):
    timed(1e-3, lambda size: stacked_s * (6 / size) ** 0.4)
    chosen = plan(RECIPE, RECORDS, COLUMNS)
    assert (chosen.engine, chosen.single_step_s) == (engine, 1e-3)
    assert chosen.stacked_step_s == pytest.approx(stacked_s)
    assert chosen.chunk == (6 if engine == "stacked" else 1)


def test_stacks_grow_until_they_get_slower(timed):
    timed(1.0, lambda size: {4: 3e-3, 8: 1e-3, 16: 2e-3, 32: 1e-4}[size])
    chosen = plan(RECIPE, RECORDS, COLUMNS * 8)
    assert chosen.stacked_step_s == pytest.approx(1e-3)
    assert chosen.chunk == 8


def test_a_small_stack_that_loses_clearly_ends_the_search(timed):
    """Convolutions on a CPU: timing ever larger stacks would cost more than it could save."""
    tried = []
    timed(1e-3, lambda size: tried.append(size) or 2e-3)
    assert plan(RECIPE, RECORDS, COLUMNS * 8).engine == "single"
    assert tried == [4]


@pytest.mark.parametrize("model", [Branching, CumulativeNorm, Noisy])
def test_a_model_that_cannot_be_stacked_is_trained_one_by_one(model):
    chosen = plan(Recipe(model, epochs=2, batch_size=8), RECORDS, COLUMNS)
    assert (chosen.engine, chosen.chunk, chosen.stacked_step_s) == ("single", 1, None)
    assert chosen.why.startswith("the model cannot be stacked: vmap")
    with pytest.raises(InputError, match=r"the model cannot be stacked: vmap.*choose 'single'"):
        plan(Recipe(model, epochs=2, batch_size=8), RECORDS, COLUMNS, engine="stacked")


@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_an_engine_that_is_asked_for_is_not_compared(engine):
    chosen = plan(RECIPE, RECORDS, COLUMNS, engine=engine, chunk=2, workers=3)
    assert (chosen.engine, chosen.chunk) == (engine, 1 if engine == "single" else 2)
    assert chosen.workers == 3
    assert (chosen.single_step_s is None) == (engine == "stacked")
    assert (chosen.stacked_step_s is None) == (engine == "single")


def test_an_engine_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="unknown engine 'stackd': did you mean 'stacked'"):
        plan(RECIPE, RECORDS, COLUMNS, engine="stackd")


def test_an_empty_column_is_refused():
    with pytest.raises(InputError, match="at least one member"):
        plan(RECIPE, RECORDS, [np.array([], int), *COLUMNS])


def test_workers_are_started_where_they_save_time(timed):
    timed(1e-3, lambda size: 1e-3)
    short = plan(RECIPE, RECORDS, COLUMNS)
    assert short.workers == 0
    long = Recipe(MLP, epochs=10_000, batch_size=8)
    assert plan(long, RECORDS, COLUMNS).workers == min(n_cores(), 6)
    assert plan(long, RECORDS, COLUMNS[:1]).workers == 0


@pytest.mark.parametrize(("n_models", "workers", "chunk"), [(6, 0, 6), (6, 2, 3), (5, 2, 3), (6, 4, 2), (2, 8, 1)])
def test_every_worker_has_a_unit(timed, n_models, workers, chunk):
    timed(1e-2, lambda size: 1e-3 / size)
    chosen = plan(RECIPE, RECORDS, (COLUMNS * 2)[:n_models], engine="stacked", workers=workers)
    assert chosen.chunk == chunk
    assert chosen.workers == min(workers, -(-n_models // chunk))


def test_stacks_stay_within_the_free_memory(timed, monkeypatch):
    timed(1e-2, lambda size: 1e-3 / size)
    weights = 4 * (5 * 128 + 128 + 128 * 3 + 3)
    per_model = 6 * weights + 8 * (3 * 4 * (5 + 128 + 128 + 3) + 2 * 4 * 5)
    for room, expected in [(20, 6), (2, 2), (0, 1)]:
        monkeypatch.setattr(planner, "free_bytes", lambda device, room=room: 4 * n_cores() * (room * per_model + 1))
        assert plan(RECIPE, RECORDS, COLUMNS, engine="stacked").chunk == expected


def test_a_training_shorter_than_the_timing_is_planned():
    chosen = plan(Recipe(MLP, Adam(), epochs=0.01, batch_size=8), RECORDS, COLUMNS[:1])
    assert chosen.chunk == 1


def test_the_number_of_threads_is_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(InputError), one_thread():
            raise InputError("in the middle")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
