"""Attacks that ask the target which of many images to take."""

import numpy as np
import pytest
import torch

from seepage.errors import InputError
from seepage.inversion.base import Attempt, Budget
from seepage.inversion.catalogue import find_inversion
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors import Pixels
from seepage.models.access import Access, AccessError
from seepage.studies.invert.selection import BestCode, BestPublic, selections
from tests.studies.invert.judges import N_CLASSES, SHAPE, Noise, Target


def rngs(n, seed=0):
    return [np.random.default_rng([seed, place]) for place in range(n)]


def oracle(access="probabilities"):
    return Oracle(Target(), access)


def best_code(asked, labels, number, budget=Budget()):  # noqa: B008 - frozen
    return BestCode(number=number).reconstruct(Attempt(asked, Noise(), labels, rngs(len(labels)), budget))


def best_public(asked, labels, public, budget=Budget()):  # noqa: B008 - frozen
    attack, prior = BestPublic(), Pixels(SHAPE)
    known = attack.learn(asked, prior, public, seed=0)
    return attack.reconstruct(Attempt(asked, prior, labels, rngs(len(labels)), budget, known))


def test_the_best_random_code_is_the_one_that_the_target_is_surest_of():
    labels, asked = torch.arange(N_CLASSES).repeat(2), oracle()
    found = best_code(asked, labels, 50)
    assert asked.n_queries == 24 * 50
    assert (asked.labels(found) == labels).float().mean() > 0.9
    codes = [rng.random(SHAPE, dtype=np.float32) for rng in rngs(24)[5:6] for _ in range(50)]
    sure = Target()(torch.from_numpy(np.stack(codes))).log_softmax(1)[:, 5]
    assert torch.equal(found[5], torch.from_numpy(codes[int(sure.argmax())]))


def test_more_codes_make_a_better_best():
    labels = torch.arange(N_CLASSES).repeat(4)

    def sureness(number):
        images = best_code(oracle(), labels, number)
        return oracle().log_probabilities(images).gather(1, labels[:, None]).mean()

    assert sureness(1) < sureness(10) < sureness(100)


def test_the_best_public_images_are_those_that_the_target_is_surest_of():
    public = torch.zeros(4, *SHAPE, dtype=torch.uint8)
    for place, (pixel, value) in enumerate([(2, 100), (2, 250), (5, 30), (2, 200)]):
        public[place].flatten()[pixel] = value
    asked = oracle()
    found = best_public(asked, torch.tensor([2, 5, 2, 2, 2, 2]), public)
    order = [int((public.float() / 255 - image).abs().flatten(1).sum(1).argmin()) for image in found]
    assert order == [1, 2, 3, 0, 2, 1]  # from the first again after the last
    assert float(found.max()) == pytest.approx(250 / 255)
    assert asked.n_queries == 4


def test_several_tries_are_one_and_cost_no_more():
    asked, labels = oracle(), torch.arange(3)
    one = best_code(asked, labels, 20)
    assert torch.equal(one, best_code(asked, labels, 20, Budget(steps=9, restarts=4)))
    assert asked.n_queries == 2 * 3 * 20


def test_selections_stand_beside_each_generator_and_ask_for_probabilities():
    attacks = [find_inversion(name) for name in ("gmi", "ked-mi", "mi-face")]
    found = selections(attacks, 30, n_public=5)
    assert {name: one.prior for name, one in found.items()} == {
        "best-code": "gan", "best-code-knowledge-gan": "knowledge-gan", "best-public": "pixels",
    }  # fmt: skip
    assert {one.access for one in found.values()} == {Access.PROBABILITIES}
    assert "30 random codes" in found["best-code"].title
    assert list(selections([find_inversion("mi-face")], 30, 0)) == []


def test_what_cannot_be_done_is_said():
    for number in (0, 2.5, True):
        with pytest.raises(InputError, match="number must be a whole number of at least 1"):
            BestCode(number=number)
    with pytest.raises(InputError, match="no public image"):
        best_public(oracle(), torch.arange(2), torch.zeros(0, *SHAPE, dtype=torch.uint8))
    with pytest.raises(AccessError):
        best_public(oracle("label"), torch.arange(2), torch.zeros(2, *SHAPE, dtype=torch.uint8))
