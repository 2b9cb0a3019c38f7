"""The ceiling of a prior: what it can show of real images."""

import numpy as np
import pytest
import torch

from seepage.errors import InputError
from seepage.inversion.base import Budget
from seepage.inversion.priors.base import Prior
from seepage.studies.invert.ceiling import distance, shown_at_best
from tests.studies.invert.judges import SHAPE, shots


class Bases(Prior):
    """Images are mixtures of the first few pixels: of the others it can show nothing."""

    name, image_shape = "bases", SHAPE

    def __init__(self, n):
        self.n = n

    def draw(self, rngs):
        return torch.from_numpy(np.stack([rng.normal(size=self.n).astype(np.float32) for rng in rngs]))

    def images(self, codes, labels):
        empty = codes.new_zeros(len(codes), 12 - self.n)
        return torch.cat([codes, empty], dim=1).view(-1, *SHAPE)


class OfAClass(Bases):
    """The code is one brightness, and the label says of which pixel."""

    def images(self, codes, labels):
        return (codes[:, :1] * torch.eye(12)[labels]).view(-1, *SHAPE)


def rngs(n):
    return [np.random.default_rng([5, place]) for place in range(n)]


LABELS = torch.arange(12)
REAL = shots(LABELS.numpy(), seed=1)


def test_what_a_prior_can_show_is_found():
    made = shown_at_best(Bases(12), REAL, LABELS, rngs(12), Budget(400, 2))
    assert distance(made, REAL).max() < 1e-4


def test_what_a_prior_cannot_show_is_left_out():
    """The best mixture of the first six pixels is these pixels: least squares."""
    made = shown_at_best(Bases(6), REAL, LABELS, rngs(12), Budget(400, 2)).flatten(1)
    real = REAL.flatten(1)
    torch.testing.assert_close(made[:, :6], real[:, :6], atol=0.02, rtol=0)
    assert (made[:, 6:] == 0).all()
    assert (made.argmax(1) == LABELS).tolist() == [True] * 6 + [False] * 6


def test_a_prior_that_knows_classes_is_told_them():
    made = shown_at_best(OfAClass(1), REAL, LABELS, rngs(12), Budget(200, 1)).flatten(1)
    assert (made.argmax(1) == LABELS).all()


def test_more_tries_are_never_farther_and_an_image_stands_alone(monkeypatch):
    once, thrice = (shown_at_best(Bases(12), REAL, LABELS, rngs(12), Budget(5, tries)) for tries in (1, 3))
    assert (distance(thrice, REAL) <= distance(once, REAL)).all()
    assert (distance(thrice, REAL) < distance(once, REAL)).any()
    monkeypatch.setattr("seepage.studies.invert.ceiling.IMAGES_AT_ONCE", 5)
    torch.testing.assert_close(shown_at_best(Bases(12), REAL, LABELS, rngs(12), Budget(5, 3)), thrice)


@pytest.mark.usefixtures("wrong_shapes")
def test_each_image_has_a_label_and_a_generator():
    with pytest.raises(InputError, match="a label and a generator for each image"):
        shown_at_best(Bases(12), REAL, LABELS[:3], rngs(12))
