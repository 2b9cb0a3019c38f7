"""Both engines train the model that a plain torch loop trains, whoever else is in the stack."""

import functools
import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import seepage.models.engines as engines
from seepage import CNN, MLP, SGD, Adam, Cosine, Pool, Recipe, Steps
from seepage.errors import InputError, TrainingError
from seepage.models.engines import BLOCK, Single, Stacked
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import Constant
from seepage.models.recipe import Augmentation, BestValidation, StopAt
from seepage.models.records import Records
from seepage.models.stopping import validation_accuracy
from tests.reference import training as naive

# Largest difference of a weight or running statistic, all of them of order one, after up to 100 steps. Measured on
# these cases: 5e-7 between the engines and 9e-7 against the loop, float32 sums in another order.
TOLERANCE = 5e-6

RNG = np.random.default_rng(0)
FLAT = Pool(RNG.normal(size=(120, 10)).astype(np.float32), RNG.integers(0, 3, 120))
IMAGES = Pool(RNG.integers(0, 256, (48, 2, 4, 4), dtype=np.uint8), RNG.integers(0, 3, 48), scale=1 / 255)
SHARES = (0.2, 0.5, 0.52, 0.9, 0.3)
SEEDS = (11, 2**59 + 1, 33, 44, 55)

OPTIM, LR = torch.optim, torch.optim.lr_scheduler
SMALL = functools.partial(MLP, hidden=(13,))
CONV = functools.partial(CNN, widths=(3, 5))


@dataclass(frozen=True)
class Case:
    recipe: Recipe
    optimiser: object  # the same, as torch makes it
    scheduler: object = None
    pool: Pool = FLAT


def recipe(model, optimiser, schedule=Constant(), **options):  # noqa: B008 - a frozen value
    return Recipe(model, optimiser, schedule, **{"epochs": 6.5, "batch_size": 8, **options})


CASES = {
    "sgd": Case(recipe(SMALL, SGD(0.1, momentum=0.0)), lambda p: OPTIM.SGD(p, 0.1)),
    "momentum": Case(
        recipe(SMALL, SGD(0.1, weight_decay=0.01)), lambda p: OPTIM.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)
    ),
    "nesterov, cosine": Case(
        recipe(SMALL, SGD(0.1, weight_decay=0.01, nesterov=True), Cosine()),
        lambda p: OPTIM.SGD(p, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
        lambda o: LR.CosineAnnealingLR(o, 6.5),
    ),
    "adam, steps": Case(
        recipe(SMALL, Adam(0.01, weight_decay=0.01), Steps((2, 4), 0.3)),
        lambda p: OPTIM.Adam(p, 0.01, weight_decay=0.01),
        lambda o: LR.MultiStepLR(o, [2, 4], 0.3),
    ),
    "adamw, cosine": Case(
        recipe(SMALL, Adam(0.01, weight_decay=0.1, decoupled=True), Cosine()),
        lambda p: OPTIM.AdamW(p, 0.01, weight_decay=0.1),
        lambda o: LR.CosineAnnealingLR(o, 6.5),
    ),
    "stop": Case(recipe(SMALL, Adam(0.01), stop=StopAt(0.55)), lambda p: OPTIM.Adam(p, 0.01)),
    "dropout": Case(
        recipe(functools.partial(MLP, hidden=(13, 7), dropout=0.4), Adam(0.01)), lambda p: OPTIM.Adam(p, 0.01)
    ),
    "batch norm": Case(
        recipe(CONV, SGD(0.05), Cosine()),
        lambda p: OPTIM.SGD(p, 0.05, momentum=0.9),
        lambda o: LR.CosineAnnealingLR(o, 6.5),
        pool=IMAGES,
    ),
    # One model is alone in the stack at the end: its convolutions then get what the augmentation laid out.
    "augmentation": Case(
        recipe(CONV, SGD(0.05), augmentation=Augmentation(shift=1)),
        lambda p: OPTIM.SGD(p, 0.05, momentum=0.9),
        pool=IMAGES,
    ),
    "augmented vectors": Case(
        recipe(SMALL, Adam(0.01), augmentation=Augmentation(flip=False, shift=2)),
        lambda p: OPTIM.Adam(p, 0.01),
        pool=IMAGES,
    ),
    "batch larger than a training set": Case(
        recipe(SMALL, SGD(0.1), Cosine(), batch_size=70),
        lambda p: OPTIM.SGD(p, 0.1, momentum=0.9),
        lambda o: LR.CosineAnnealingLR(o, 6.5),
    ),
}


def rising(logits, labels, epoch):
    """An objective that weighs the loss by the pass."""
    return (1 + epoch) * -logits.log_softmax(1).gather(1, labels.unsqueeze(1)).mean()


MOMENTUM = functools.partial(OPTIM.SGD, lr=0.1, momentum=0.9)
HELD_OUT = HeldOut(validation=np.arange(0, 120, 3))
CASES |= {
    "mixup": Case(recipe(SMALL, SGD(0.1), mixup=0.4), MOMENTUM),
    "mixed images": Case(recipe(CONV, SGD(0.05), mixup=1.0), lambda p: OPTIM.SGD(p, 0.05, momentum=0.9), pool=IMAGES),
    "one order, momentum forgotten": Case(recipe(SMALL, SGD(0.1), shuffle=False, reset_optimiser=True), MOMENTUM),
    "objective of the epoch": Case(recipe(SMALL, SGD(0.02), objective=rising), lambda p: OPTIM.SGD(p, 0.02, 0.9)),
    "best epoch": Case(recipe(SMALL, SGD(0.1), stop=BestValidation()), MOMENTUM),
    "patience": Case(recipe(SMALL, SGD(0.1), epochs=20, stop=BestValidation(patience=2)), MOMENTUM),
}


@cache
def columns(n_records):
    rng = np.random.default_rng(8)
    return [np.flatnonzero(rng.random(n_records) < share) for share in SHARES]


def single(recipe, records, column, seed):
    return Single(recipe, records, [column], [seed], HELD_OUT).run()[0]


@cache
def trained(name):
    """The models of a case: stacked, one by one, by the plain loop; and the steps that the loop took."""
    case = CASES[name]
    records, recipe = Records.of(case.pool), case.recipe
    members = columns(len(case.pool))
    stacked = Stacked(recipe, records, members, SEEDS, HELD_OUT).run()
    validated = isinstance(recipe.stop, BestValidation)
    alone = [single(recipe, records, column, seed) for column, seed in zip(members, SEEDS, strict=True)]
    looped = [
        naive.train(
            recipe.build(records.input_shape, records.n_classes, seed),
            case.optimiser,
            torch.from_numpy(case.pool.batch()),
            records.labels,
            column,
            seed=seed,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            scheduler=case.scheduler,
            augmentation=recipe.augmentation,
            stop=recipe.stop.accuracy if isinstance(recipe.stop, StopAt) else None,
            validation=HELD_OUT.validation if validated else None,
            patience=recipe.stop.patience if validated else None,
            mixup=recipe.mixup,
            shuffle=recipe.shuffle,
            reset_optimiser=recipe.reset_optimiser,
            objective=rising if recipe.objective is rising else None,
        )
        for column, seed in zip(members, SEEDS, strict=True)
    ]
    return stacked, alone, [module for module, _ in looped], [n_steps for _, n_steps in looped]


def difference(one, other):
    """Largest over weights and buffers; models of equal keys only."""
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    return max(float((one[key].double() - other[key].double()).abs().max()) for key in one)


def same(one, other):
    return difference(one, other) == 0


@pytest.mark.parametrize("name", CASES)
def test_the_one_by_one_engine_is_the_plain_loop(name):
    _, alone, looped, _ = trained(name)
    assert max(map(difference, alone, looped)) < TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_the_stacked_engine_is_the_one_by_one_engine(name):
    stacked, alone, _, _ = trained(name)
    assert max(map(difference, stacked, alone)) < TOLERANCE
    assert not any(module.training for module in (*stacked, *alone))


def test_the_cases_are_hard_enough():
    """Models finish at different steps, some after the first block, and none is where it started."""
    _, _, looped, n_steps = trained("adam, steps")
    assert len(set(n_steps)) == len(n_steps)
    assert min(n_steps) < BLOCK < max(n_steps)
    starts = [CASES["adam, steps"].recipe.build((10,), 3, seed) for seed in SEEDS]
    assert min(map(difference, looped, starts)) > 0.05
    stopped = trained("stop")[3]
    n_early = sum(at < end for at, end in zip(stopped, n_steps, strict=True))
    assert 0 < n_early < len(SEEDS)
    one, other = (module.state_dict() for module in trained("batch norm")[0][:2])
    running = [key for key in one if "running" in key]
    assert len(running) == 4
    assert min(float((one[key] - other[key]).abs().max()) for key in running) > 1e-3


@pytest.mark.parametrize("name", ["momentum", "stop", "dropout", "augmentation"])
def test_registered_architectures_are_replayed_from_a_trace(name, monkeypatch):
    programs, trace = [], engines.traced
    monkeypatch.setattr(engines, "traced", lambda *given: programs.append(trace(*given)) or programs[-1])
    case = CASES[name]
    training = Stacked(replace(case.recipe, epochs=1), Records.of(case.pool), columns(len(case.pool)), SEEDS)
    training.run()
    assert len(programs) > 1  # once at the start, and once for each cut
    assert None not in programs


@pytest.mark.parametrize("name", ["momentum", "dropout", "augmentation"])
@pytest.mark.parametrize("order", [(3,), (4, 1, 0)], ids=str)
def test_a_model_does_not_depend_on_its_company(name, order):
    case, stacked = CASES[name], trained(name)[0]
    members = columns(len(case.pool))
    models = Stacked(case.recipe, Records.of(case.pool), [members[m] for m in order], [SEEDS[m] for m in order]).run()
    assert max(difference(module, stacked[m]) for m, module in zip(order, models, strict=True)) < TOLERANCE


@pytest.mark.parametrize("engine", [Single, Stacked])
@pytest.mark.parametrize("name", ["momentum", "dropout", "augmentation"])
def test_the_same_training_twice_is_the_same_bit_for_bit(name, engine):
    case = CASES[name]
    recipe, records, column = replace(case.recipe, epochs=1), Records.of(case.pool), columns(len(case.pool))[1]
    first, again, other = (engine(recipe, records, [column], [seed]).run()[0] for seed in (7, 7, 8))
    assert same(first, again)
    assert difference(first, other) > 1e-3


@pytest.mark.parametrize("engine", [Single, Stacked])
def test_a_learning_rate_of_zero_leaves_the_initial_weights(engine):
    still = recipe(SMALL, SGD(0.0))
    module = engine(still, Records.of(FLAT), [np.arange(30)], [5]).run()[0]
    assert same(module, still.build((10,), 3, 5))


@pytest.mark.parametrize("engine", [Single, Stacked])
def test_an_empty_column_is_refused(engine):
    with pytest.raises(InputError, match="at least one member"):
        engine(recipe(SMALL, SGD()), Records.of(FLAT), [np.array([], int)], [5])


def test_the_one_by_one_engine_takes_one_model():
    with pytest.raises(InputError, match="trains one model, got 2"):
        Single(recipe(SMALL, SGD()), Records.of(FLAT), [np.arange(3)] * 2, [1, 2])


@pytest.mark.parametrize("engine", [Single, Stacked])
def test_vectors_cannot_be_shifted(engine):
    with pytest.raises(InputError, match=r"augmentation needs images .*, got records of shape \(10,\)"):
        engine(recipe(SMALL, SGD(), augmentation=Augmentation()), Records.of(FLAT), [np.arange(3)], [1])


@pytest.mark.parametrize("engine", [Single, Stacked])
def test_a_training_that_diverges_is_an_error(engine):
    wild = Recipe(SMALL, SGD(1e30), epochs=2, batch_size=8)
    with pytest.raises(TrainingError, match=r"diverged.*smaller learning rate"):
        engine(wild, Records.of(FLAT), [np.arange(40)], [1]).run()


@pytest.mark.parametrize("engine", [Single, Stacked])
def test_progress_goes_up_to_where_it_ends(engine):
    heard = []
    engine(recipe(SMALL, SGD(), batch_size=2), Records.of(FLAT), [np.arange(60)], [1]).run(heard.append)
    assert heard == sorted(heard)
    assert len(heard) == 195 // BLOCK
    assert 0 < heard[0] < heard[-1] <= 1


@pytest.mark.parametrize("threshold", [1e-9, 1.0])
@pytest.mark.parametrize("engine", [Single, Stacked])
def test_a_stopping_rule_that_always_or_never_holds(engine, threshold):
    """Always: as one epoch (80 records in batches of 8). Never, on labels that are noise: as without it."""
    ended = engine(recipe(SMALL, SGD(), epochs=4, stop=StopAt(threshold)), Records.of(FLAT), [np.arange(80)], [1])
    plain = engine(recipe(SMALL, SGD(), epochs=1 if threshold < 1 else 4), Records.of(FLAT), [np.arange(80)], [1])
    assert same(ended.run()[0], plain.run()[0])


@pytest.mark.parametrize("largest_is_easy", [True, False])
def test_each_model_stops_by_its_own_accuracy(largest_is_easy):
    """Whichever models are left when the stack is cut, in the middle of a pass, their counts of hits go on."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(125, 10)).astype(np.float32)
    labels = np.where(np.arange(125) < 80, inputs[:, 0] > 0, rng.random(125) < 0.5).astype(int)
    easy, hard = (np.arange(80), np.arange(80, 125)) if largest_is_easy else (np.arange(20), np.arange(30, 125))
    members = [easy, hard, hard[::2]]
    stopping, records = recipe(SMALL, Adam(0.02), epochs=12, stop=StopAt(0.85)), Records.of(Pool(inputs, labels))
    trainings = [Single(stopping, records, [column], [seed]) for seed, column in enumerate(members)]
    together = Stacked(stopping, records, members, range(3))
    while together.steps_left:
        for model in together.running:
            trainings[model].step()
        together.step()
        for place, model in enumerate(together.order):
            if model in together.running:
                ours, theirs = together.accuracy, trainings[model].accuracy
                assert (ours.hits[place], ours.seen[place]) == (theirs.hits[0], theirs.seen[0])
    assert [training.steps_left for training in trainings] == [0, 0, 0]
    assert len({training.steps_done for training in trainings}) == 3
    alone = [training.models()[0] for training in trainings]
    assert max(map(difference, together.models(), alone)) < TOLERANCE


class Unused(nn.Module):
    """Has a parameter that its logits do not depend on."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.head, self.spare = nn.Linear(input_shape[0], n_classes), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(x)


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        width = input_shape[0]
        self.first, self.second, self.head = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, n_classes),
        )
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.head(self.second(self.first(x).relu()))


class Frozen(nn.Module):
    """Random features that are not trained."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.features, self.head = nn.Linear(input_shape[0], 8).requires_grad_(False), nn.Linear(8, n_classes)

    def forward(self, x):
        return self.head(self.features(x).relu())


class Transposed(nn.Module):
    """Keeps its weight as (inputs, outputs), and as a view that is not contiguous."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_classes, input_shape[0]).t() / 3)

    def forward(self, x):
        return nn.functional.linear(x, self.weight.t())


class Alternating(nn.Module):
    """Does something else in every other call."""

    period, factor = 2, 2.0

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.head, self.calls = nn.Linear(input_shape[0], n_classes), 0

    def forward(self, x):
        self.calls += 1
        return self.head(x) * (self.factor if self.calls % self.period == 0 else 1.0)


class Late(Alternating):
    """Does the same for longer than any check can look, then something else once."""

    period = 29


class Centred(nn.Module):
    """Assigns its running mean anew in each call, where BatchNorm updates it in place."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.head = nn.Linear(input_shape[0], n_classes)
        self.register_buffer("mean", torch.zeros(input_shape))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + x.detach().mean(0)
        return self.head(x - self.mean)


OWN = {kind.__name__: kind for kind in (Unused, Tied, Frozen, Transposed, Centred, Alternating, Late)}


@pytest.mark.parametrize("name", OWN)
def test_models_of_a_users_own_train_as_in_the_plain_loop(name, monkeypatch):
    programs, trace = [], engines.traced
    monkeypatch.setattr(engines, "traced", lambda *given: programs.append(trace(*given)) or programs[-1])
    own, records = Recipe(OWN[name], SGD(0.05), epochs=4, batch_size=8, version="1"), Records.of(FLAT)
    members = columns(len(FLAT))
    stacked = Stacked(own, records, members, SEEDS).run()
    for column, seed, module in zip(members, SEEDS, stacked, strict=True):
        start = own.build(records.input_shape, records.n_classes, seed)
        looped, _ = naive.train(
            own.build(records.input_shape, records.n_classes, seed),
            lambda parameters: OPTIM.SGD([p for p in parameters if p.requires_grad], 0.05, momentum=0.9),
            records.inputs, records.labels, column, seed=seed, epochs=4, batch_size=8,
        )  # fmt: skip
        assert difference(module, looped) < TOLERANCE
        assert difference(single(own, records, column, seed), looped) < TOLERANCE
        for key, value in module.state_dict().items():
            if "spare" in key or "features" in key:
                assert torch.equal(value, start.state_dict()[key])
    assert all((program is None) == issubclass(OWN[name], Alternating) for program in programs)


class Forgetful(nn.Module):
    """Does something else in every other call, and keeps count where nobody sees it."""

    calls = itertools.count()

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.head = nn.Linear(input_shape[0], n_classes)

    def forward(self, x):
        return self.head(x) * (1.0 + next(self.calls) % 2)


def test_a_trace_must_agree_on_what_it_was_not_traced_on(monkeypatch):
    programs, trace = [], engines.traced
    monkeypatch.setattr(engines, "traced", lambda *given: programs.append(trace(*given)) or programs[-1])
    Stacked(Recipe(Forgetful, SGD(0.1), epochs=1, batch_size=8), Records.of(FLAT), [np.arange(30)] * 2, [1, 2]).run()
    assert programs == [None]


class MixedLayouts(nn.Module):
    """Uses a convolution's weight in another memory layout than it has in the one-by-one engine."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.first, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(64, n_classes)

    def forward(self, x):
        x = nn.functional.conv2d(x.contiguous(), self.first.weight.contiguous(), self.first.bias, padding=1)
        return self.head(x.flatten(1))


def test_a_gradient_in_another_layout_than_its_weight_steps_it_right():
    own, records, column = Recipe(MixedLayouts, SGD(0.05), epochs=3, batch_size=8), Records.of(IMAGES), np.arange(30)
    looped, _ = naive.train(
        own.build((2, 4, 4), 3, 5), CASES["batch norm"].optimiser, torch.from_numpy(IMAGES.batch()), records.labels,
        column, seed=5, epochs=3, batch_size=8,
    )  # fmt: skip
    assert difference(single(own, records, column, 5), looped) < TOLERANCE
    assert difference(Stacked(own, records, [column], [5]).run()[0], looped) < TOLERANCE


class Noisy(nn.Module):
    """Draws from torch's global generator in its forward pass."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.head = nn.Linear(input_shape[0], n_classes)

    def forward(self, x):
        return self.head(nn.functional.dropout(x, 0.5, self.training))


def test_a_model_that_draws_from_the_global_generator_is_the_same_each_time():
    own, records, column = Recipe(Noisy, SGD(0.05), epochs=2, batch_size=8), Records.of(FLAT), np.arange(30)
    torch.manual_seed(1)
    first = single(own, records, column, 5)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after), "the caller's generator was moved"
    assert same(single(own, records, column, 5), first)
    assert difference(single(own, records, column, 6), first) > 1e-3
    with pytest.raises(RuntimeError, match="random"):
        Stacked(own, records, [column], [5]).run()


def test_patience_ends_a_training_before_its_last_step_and_gives_back_the_best_epoch():
    _, alone, _, n_steps = trained("patience")
    all_steps = [int(np.ceil(20 * len(column) / 8)) for column in columns(len(FLAT))]
    assert any(taken < whole for taken, whole in zip(n_steps, all_steps, strict=True))
    records, rows = Records.of(FLAT), torch.from_numpy(HELD_OUT.validation)
    last = single(replace(CASES["patience"].recipe, stop=None, epochs=n_steps[1] * 8 / len(columns(120)[1])),
                  records, columns(120)[1], SEEDS[1])  # fmt: skip
    assert validation_accuracy(alone[1], records, rows) > validation_accuracy(last, records, rows)


def test_choosing_the_epoch_needs_validation_records():
    for engine in (Single, Stacked):
        with pytest.raises(InputError, match="needs validation records"):
            engine(CASES["best epoch"].recipe, Records.of(FLAT), [np.arange(9)], [1])


def plain_loss(logits, labels, epoch=None):
    truth = (labels.unsqueeze(1) == torch.arange(3)).to(logits.dtype)
    return -(logits.log_softmax(1) * truth).sum(1).mean() * (1 if epoch is None else 1 + epoch)


def careful(logits, labels):
    return plain_loss(logits, labels)


def careless(logits, labels):
    """It uses its arguments as scratch paper afterwards."""
    loss = plain_loss(logits, labels)
    labels.zero_()
    logits.detach().zero_()
    return loss


def careful_by_epoch(logits, labels, epoch):
    return plain_loss(logits, labels, epoch)


def careless_by_epoch(logits, labels, epoch):
    loss = plain_loss(logits, labels, epoch)
    labels.zero_()
    epoch.zero_()
    return loss


@pytest.mark.parametrize("pair", [(careful, careless), (careful_by_epoch, careless_by_epoch)], ids=["plain", "epoch"])
@pytest.mark.parametrize("options", [{}, {"mixup": 0.5}, {"stop": StopAt(0.5)}], ids=["plain", "mixup", "stop"])
@pytest.mark.parametrize("engine", [Single, Stacked])
def test_an_objective_that_changes_what_it_is_given_trains_the_same_models(engine, options, pair):
    columns = [np.flatnonzero(np.random.default_rng(seed).random(len(FLAT)) < 0.5) for seed in SEEDS[:2]]
    both = []
    for objective in pair:
        how = recipe(SMALL, SGD(0.1), objective=objective, **options)
        runs = (
            [(columns, SEEDS[:2])] if engine is Stacked else [([c], [s]) for c, s in zip(columns, SEEDS, strict=False)]
        )
        both.append([m for members, seeds in runs for m in engine(how, Records.of(FLAT), members, seeds).run()])
    for one, other in zip(*both, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
