"""One model, from a recipe, a pool and its members."""

import numpy as np
import pytest
import torch

import seepage
from seepage import MLP, SGD, Pool, Recipe
from seepage.errors import InputError, TrainingError
from tests.reference import training as naive

RNG = np.random.default_rng(0)
POOL = Pool(RNG.normal(size=(50, 4)).astype(np.float32), RNG.integers(0, 3, 50))
MEMBERS = np.arange(50) % 3 == 0
RECIPE = Recipe(MLP, SGD(0.1, momentum=0.0), epochs=3, batch_size=4)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_it_is_the_plain_loop_on_the_members_with_one_drawn_seed():
    module = seepage.train(RECIPE, POOL, MEMBERS, rng=np.random.default_rng(4), device="cpu")
    seed = int(np.random.default_rng(4).integers(2**62))
    looped, _ = naive.train(
        RECIPE.build((4,), 3, seed), lambda p: torch.optim.SGD(p, 0.1), torch.from_numpy(POOL.inputs), POOL.labels,
        np.flatnonzero(MEMBERS), seed=seed, epochs=3, batch_size=4,
    )  # fmt: skip
    assert not module.training
    torch.testing.assert_close(weights(module), weights(looped), rtol=0, atol=5e-6)


def test_records_that_are_no_members_have_no_influence():
    other = Pool(np.where(MEMBERS[:, None], POOL.inputs, 1e6).astype(np.float32), np.where(MEMBERS, POOL.labels, 2))
    ours, theirs = (seepage.train(RECIPE, pool, MEMBERS, rng=np.random.default_rng(4)) for pool in (POOL, other))
    assert torch.equal(weights(ours), weights(theirs))


def test_a_generator_trains_another_model_each_time():
    rng = np.random.default_rng(4)
    assert not torch.equal(*(weights(seepage.train(RECIPE, POOL, MEMBERS, rng=rng)) for _ in range(2)))


def test_progress_is_reported():
    heard = []
    recipe = Recipe(MLP, epochs=20, batch_size=1)
    seepage.train(recipe, POOL, MEMBERS, rng=np.random.default_rng(0), report=heard.append)
    assert heard
    assert all(0 < fraction <= 1 for fraction in heard)


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("members", "says"),
    [
        (MEMBERS[:-1], r"bool of shape \(50,\).*got bool of shape \(49,\)"),
        (np.flatnonzero(MEMBERS), r"got int64 of shape \(17,\)"),
        (MEMBERS.astype(int), r"got int64 of shape \(50,\)"),
        (MEMBERS[:, None], r"shape \(50, 1\)"),
        (np.zeros(50, bool), "at least one member"),
    ],
    ids=["short", "indices", "integers", "two axes", "nobody"],
)
def test_members_must_be_a_mask_over_the_pool(members, says):
    with pytest.raises(InputError, match=says):
        seepage.train(RECIPE, POOL, members, rng=np.random.default_rng(0))


def test_divergence_is_an_error():
    wild = Recipe(MLP, SGD(1e30), epochs=2, batch_size=8)
    with pytest.raises(TrainingError, match="diverged"):
        seepage.train(wild, POOL, MEMBERS, rng=np.random.default_rng(0))
