import numpy as np
import pytest
import torch

from seepage.errors import InputError
from seepage.inversion import baselines
from seepage.inversion.oracle import Oracle
from seepage.models.access import AccessError
from seepage.models.target import TargetModel
from tests.inversion.judges import N_CLASSES, SHAPE, Noise, Pixels, Target, shots


def rngs(n, seed=0):
    return [np.random.default_rng([seed, place]) for place in range(n)]


def oracle(access="probabilities"):
    return Oracle(Target(), access)


def test_chance_is_one_over_the_classes():
    hits, classes = baselines.chance(np.array([4, 4, 1]), 8)
    assert hits.tolist() == [0.125] * 3
    assert classes.tolist() == [4, 4, 1]


def test_the_wrong_class_is_the_next_of_those_attacked():
    labels = np.array([2, 7, 7, 9])
    answers, _ = Pixels().look(shots([7, 9, 7, 2]))
    hits, classes = baselines.wrong_class(answers, labels)
    assert classes.tolist() == [7, 9, 9, 2]
    assert hits.tolist() == [True, True, False, True]
    assert baselines.wrong_class(answers, np.full(4, 3)) is None


def test_for_images_that_know_nothing_the_wrong_class_is_as_frequent_as_the_right_one():
    labels = np.tile(np.arange(N_CLASSES), 500)
    noise = baselines.random_codes(Noise(), torch.from_numpy(labels), rngs(len(labels)))
    answers, _ = Pixels().look(noise)
    hits, _ = baselines.wrong_class(answers, labels)
    assert hits.mean() == pytest.approx(1 / 12, abs=0.012)
    assert (answers.argmax(1) == labels).mean() == pytest.approx(1 / 12, abs=0.012)


def test_a_random_code_is_the_prior_alone_and_depends_on_its_own_generator(monkeypatch):
    labels = torch.arange(6)
    together = baselines.random_codes(Noise(), labels, rngs(6))
    assert torch.equal(together[3:4], baselines.random_codes(Noise(), labels[3:4], rngs(6)[3:4]))
    monkeypatch.setattr(baselines, "IMAGES_AT_ONCE", 2)
    assert torch.equal(together, baselines.random_codes(Noise(), labels, rngs(6)))


def test_the_best_random_code_is_the_one_that_the_target_is_surest_of():
    labels, asked = torch.arange(N_CLASSES).repeat(2), oracle()
    found = baselines.best_of_random(asked, Noise(), labels, rngs(24), 50)
    assert asked.n_queries == 24 * 50
    assert (asked.labels(found) == labels).float().mean() > 0.9
    codes = [rng.random(SHAPE, dtype=np.float32) for rng in rngs(24)[5:6] for _ in range(50)]
    sure = Target()(torch.from_numpy(np.stack(codes))).log_softmax(1)[:, 5]
    assert torch.equal(found[5], torch.from_numpy(codes[int(sure.argmax())]))


def test_more_codes_make_a_better_best():
    labels = torch.arange(N_CLASSES).repeat(4)

    def sureness(number):
        images = baselines.best_of_random(oracle(), Noise(), labels, rngs(48), number)
        return oracle().log_probabilities(images).gather(1, labels[:, None]).mean()

    assert sureness(1) < sureness(10) < sureness(100)


def test_of_a_target_with_labels_alone_one_with_the_label_is_taken():
    labels = torch.arange(N_CLASSES)
    asked = Oracle(TargetModel.wrap(Target(), access="label"), "label")
    found = baselines.best_of_random(asked, Noise(), labels, rngs(12), 150)
    assert (asked.labels(found) == labels).all()


def test_the_nearest_public_images_are_those_that_the_target_is_surest_of():
    public = torch.zeros(4, *SHAPE, dtype=torch.uint8)
    for place, (pixel, value) in enumerate([(2, 100), (2, 250), (5, 30), (2, 200)]):
        public[place].flatten()[pixel] = value
    asked = oracle()
    found = baselines.public_nearest(asked, public, torch.tensor([2, 5, 2, 2, 2, 2]))
    order = [int((public.float() / 255 - image).abs().flatten(1).sum(1).argmin()) for image in found]
    assert order == [1, 2, 3, 0, 2, 1]  # from the first again after the last
    assert float(found.max()) == pytest.approx(250 / 255)
    assert asked.n_queries == 4


def test_what_cannot_be_done_is_said():
    with pytest.raises(InputError, match="one random code or more"):
        baselines.best_of_random(oracle(), Noise(), torch.arange(2), rngs(2), 0)
    with pytest.raises(InputError, match="no public image"):
        baselines.public_nearest(oracle(), torch.zeros(0, *SHAPE, dtype=torch.uint8), torch.arange(2))
    with pytest.raises(AccessError):
        baselines.public_nearest(oracle("label"), torch.zeros(2, *SHAPE, dtype=torch.uint8), torch.arange(2))
