import numpy as np
import pytest
import torch

from seepage.errors import InputError
from seepage.studies.invert import baselines
from tests.studies.invert.judges import N_CLASSES, SHAPE, Noise, Pixels


def rngs(n, seed=0):
    return [np.random.default_rng([seed, place]) for place in range(n)]


def test_chance_is_one_over_the_classes():
    hits, classes = baselines.chance(np.array([4, 4, 1]), 8)
    assert hits.tolist() == [0.125] * 3
    assert classes.tolist() == [4, 4, 1]


def test_the_wrong_class_is_the_next_of_those_attacked():
    labels = np.array([2, 7, 7, 9])
    hits, classes = baselines.wrong_class(np.array([7, 9, -1, 2]), labels)
    assert classes.tolist() == [7, 9, 9, 2]
    assert hits.tolist() == [True, True, False, True]
    assert baselines.wrong_class(labels, np.full(4, 3)) is None


def test_for_images_that_know_nothing_the_wrong_class_is_as_frequent_as_the_right_one():
    labels = np.tile(np.arange(N_CLASSES), 500)
    noise = baselines.random_codes(Noise(), torch.from_numpy(labels), rngs(len(labels)))
    answers, _ = Pixels().look(noise)
    hits, _ = baselines.wrong_class(answers.argmax(1), labels)
    assert hits.mean() == pytest.approx(1 / 12, abs=0.012)
    assert (answers.argmax(1) == labels).mean() == pytest.approx(1 / 12, abs=0.012)


def test_a_random_code_is_the_prior_alone_and_depends_on_its_own_generator(monkeypatch):
    labels = torch.arange(6)
    together = baselines.random_codes(Noise(), labels, rngs(6))
    assert torch.equal(together[3:4], baselines.random_codes(Noise(), labels[3:4], rngs(6)[3:4]))
    monkeypatch.setattr(baselines, "IMAGES_AT_ONCE", 2)
    assert torch.equal(together, baselines.random_codes(Noise(), labels, rngs(6)))


def test_a_random_public_image_is_one_of_those_and_depends_on_its_own_generator():
    public = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, *SHAPE)
    found = baselines.random_public(public, rngs(40))
    assert set((found[:, 0, 0, 0] * 255).round().int().tolist()) == set(range(5))
    assert torch.equal(found[7:9], baselines.random_public(public, rngs(40)[7:9]))
    with pytest.raises(InputError, match="no public image"):
        baselines.random_public(public[:0], rngs(1))


def test_no_baseline_asks_the_target():
    assert list(baselines.ABOUT) == ["chance", "random-code", "random-public", "wrong-class", "null-target"]
    assert set(baselines.TARGET_FREE) == {"pixels", "gan"}
