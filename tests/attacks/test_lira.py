import numpy as np
import pytest

from seepage.attacks.lira import LiRA
from seepage.errors import InputError
from seepage.signals.view import View
from tests.reference import lira as naive

RNG = np.random.default_rng(0)


def score(attack, phi, references, is_in, is_out, signal="scaled-logit"):
    view = View.from_signals({signal: phi}, {signal: references}, reference_in=is_in, reference_out=is_out)
    return attack.score(view, rng=RNG)


def ragged(groups_in, groups_out):
    """Lists of (models, queries) arrays as one array and two masks."""
    n_queries = groups_in[0].shape[1]
    width = max(map(len, groups_in)) + max(map(len, groups_out))
    references = np.full((len(groups_in), width, n_queries), 99.0)
    is_in, is_out = np.zeros((2, len(groups_in), width), dtype=bool)
    for i, (inside, outside) in enumerate(zip(groups_in, groups_out, strict=True)):
        references[i, : len(inside)] = inside
        references[i, width - len(outside) :] = outside
        is_in[i, : len(inside)] = True
        is_out[i, width - len(outside) :] = True
    return references, is_in, is_out


# advanced_mia_test.py of TensorFlow Privacy: four records, the last without any reference, and OUT = -IN.
PHI = np.array([[1.0], [0], [0], [0]])
IN = [np.array([[-1], [1.0]]), np.array([[0], [2.0]]), np.array([[0], [20.0]]), np.empty((0, 1))]
OUT = [-group for group in IN]
PER_SAMPLE = [1.41893853, 1.41893853, 3.72152363, 2.72537178]
RESIDUAL = [2.69682468, 2.69682468, 4.15270703, 2.87983121]


@pytest.mark.parametrize("centre", ["median", "mean"])
@pytest.mark.parametrize(("variance", "expected"), [("per_sample", PER_SAMPLE), ("residual", RESIDUAL)])
def test_vectors_of_tensorflow_privacy(variance, expected, centre):
    # its 'out' score is log p_out with members low; ours is -log p_out with members high
    offline = LiRA("offline", side="two", variance=variance, centre=centre)
    np.testing.assert_allclose(score(offline, PHI, *ragged(IN, OUT)), expected, atol=1e-8)
    # its 'in' score, -log p_in with members low, is had by calling the IN references OUT
    np.testing.assert_allclose(score(offline, PHI, *ragged(OUT, IN)), expected, atol=1e-8)
    online = LiRA("online", variance=variance, centre=centre)
    np.testing.assert_allclose(score(online, PHI, *ragged(IN, OUT)), np.zeros(4), atol=1e-8)


def test_vector_of_tensorflow_privacy_for_two_queries():
    inside = [np.array([[-1, 0], [1.0, 20]])]
    attack = LiRA("offline", side="two")
    scores = score(attack, np.array([[1.0, 0]]), *ragged(inside, [-inside[0]]))
    np.testing.assert_allclose(scores, [2.57023108], atol=1e-8)


@pytest.mark.parametrize("signal", ["scaled-logit", "hinge"])
@pytest.mark.parametrize("centre", ["median", "mean"])
@pytest.mark.parametrize("variance", ["per_sample", "residual", "official"])
@pytest.mark.parametrize(("mode", "side"), [("online", "one"), ("offline", "one"), ("offline", "two")])
def test_agrees_with_the_naive_implementation(mode, side, variance, centre, signal):
    rng = np.random.default_rng(4)
    phi, references = rng.normal(size=(60, 3)), rng.normal(size=(60, 9, 3)) * rng.lognormal(size=(60, 1, 1))
    kind = rng.integers(0, 3, (60, 9))  # in, out, left out: counts differ, and some records lack one side
    kind[:2] = 2
    is_in, is_out = kind == 0, kind == 1
    attack = LiRA(mode, side=side, variance=variance, centre=centre, signal=signal)
    expected = naive.lira(phi, references, is_in, is_out, mode=mode, side=side, variance=variance, centre=centre)
    np.testing.assert_allclose(score(attack, phi, references, is_in, is_out, signal), expected, rtol=1e-9, atol=1e-9)


def test_blocks_change_nothing(monkeypatch):
    phi, references = RNG.normal(size=(40, 2)), RNG.normal(size=(40, 6, 2))
    is_in = np.tile(np.arange(6) < 3, (40, 1))
    for variance in ("per_sample", "residual", "official"):
        attack = LiRA("online", variance=variance)
        whole = score(attack, phi, references, is_in, ~is_in)
        with monkeypatch.context() as patch:
            patch.setattr("seepage.signals.functions.BLOCK_VALUES", 50)
            np.testing.assert_allclose(score(attack, phi, references, is_in, ~is_in), whole, rtol=1e-12)


def test_identical_in_and_out_say_nothing():
    phi, half = RNG.normal(size=(50, 1)), RNG.normal(size=(50, 8, 1))
    is_in = np.tile(np.arange(16) < 8, (50, 1))
    for variance in ("per_sample", "residual", "official"):
        scores = score(LiRA("online", variance=variance), phi, np.concatenate([half, half], axis=1), is_in, ~is_in)
        np.testing.assert_allclose(scores, 0.0, atol=1e-12)


def test_one_sided_does_not_accuse_a_record_that_the_target_finds_hard():
    references = RNG.normal(size=(3, 10, 1))
    is_out = np.ones((3, 10), dtype=bool)
    phi = np.array([[-8.0], [0.0], [3.0]])
    one = score(LiRA("offline"), phi, references, ~is_out, is_out)
    two = score(LiRA("offline", side="two"), phi, references, ~is_out, is_out)
    assert one.argmin() == 0
    assert two.argmax() == 0


def test_far_tails_keep_their_order():
    # Phi itself would be 0 below -38 standard deviations
    references = np.tile(np.linspace(-1, 1, 10)[None, :, None], (4, 1, 1))
    is_out = np.ones((4, 10), dtype=bool)
    scores = score(LiRA("offline"), np.array([[-1e6], [-1e3], [-50.0], [0.0]]), references, ~is_out, is_out)
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("variance", ["per_sample", "residual"])
def test_single_references_have_no_deviation(variance):
    is_in = np.array([[True, False]] * 5)
    phi, references = RNG.normal(size=(5, 1)), RNG.normal(size=(5, 2, 1))
    with pytest.raises(InputError, match="at least 2 OUT references, and the most that one has is 1"):
        score(LiRA("online", variance=variance), phi, references, is_in, ~is_in)
    assert np.isfinite(score(LiRA("online", variance="official"), phi, references, is_in, ~is_in)).all()
