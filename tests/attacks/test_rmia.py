import tracemalloc

import numpy as np
import pytest
from scipy.special import expit, logit

from seepage.attacks.rmia import RMIA
from seepage.signals.view import View
from tests.reference import rmia as naive


def world(n_queries, seed=0):
    rng = np.random.default_rng(seed)
    p, references = rng.uniform(0.02, 0.98, (80, n_queries)), rng.uniform(0.02, 0.98, (80, 7, n_queries))
    population = np.arange(80) >= 60
    kind = rng.integers(0, 3, (80, 7))  # in, out, left out
    kind[population] = np.maximum(kind[population], 1)
    kind[:2], kind[2:4] = 2, 0
    return p, references, kind == 0, kind == 1, population


def score(attack, p, references, is_in, is_out, population):
    if attack.signal == "confidence":
        target, others, name = logit(p), logit(references), "scaled-logit"
    else:
        target, others, name = p, references, "taylor-softmax"
    view = View.from_signals(
        {name: target}, {name: others}, reference_in=is_in, reference_out=is_out, population=population
    )
    return attack.score(view, rng=np.random.default_rng(0))


@pytest.mark.parametrize("signal", ["confidence", "taylor-softmax"])
@pytest.mark.parametrize(("queries", "n_queries"), [("mean", 1), ("mean", 3), ("majority", 3), ("majority", 2)])
@pytest.mark.parametrize(("a", "gamma"), [(0.3, 1.0), (0.0, 2.0), (1.0, 0.7)])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_agrees_with_the_naive_implementation(mode, a, gamma, queries, n_queries, signal):
    attack = RMIA(mode, a=a, gamma=gamma, signal=signal, queries=queries)
    expected = naive.rmia(*world(n_queries), mode=mode, a=a, gamma=gamma, queries=queries)
    np.testing.assert_allclose(score(attack, *world(n_queries)), expected, atol=1e-9)


def test_majority_in_blocks_changes_nothing(monkeypatch):
    attack = RMIA("offline", queries="majority")
    whole = score(attack, *world(3))
    monkeypatch.setattr("seepage.signals.functions.BLOCK_VALUES", 50)
    np.testing.assert_array_equal(score(attack, *world(3)), whole)


def test_a_population_record_meets_itself_with_ratio_one():
    # LR(z, z) = 1 >= gamma = 1, so the least population record wins against itself alone
    p, references, is_in, is_out, population = world(1)
    scores = score(RMIA("offline"), p, references, is_in, is_out, population)
    np.testing.assert_allclose(np.sort(scores[population]), np.arange(1, 21) / 20)


def test_offline_with_a_one_is_the_plain_ratio_to_the_out_references():
    p, references, is_in, _, population = world(1)
    is_out = np.ones_like(is_in)
    scores = score(RMIA("offline", a=1.0), p, references, ~is_out, is_out, population)
    ratio = (p / references.mean(axis=1))[:, 0]
    np.testing.assert_allclose(scores, (ratio[population] <= ratio[:, None]).mean(axis=1))


def test_online_is_what_offline_approximates_where_the_approximation_holds():
    rng = np.random.default_rng(1)
    p_out = rng.uniform(0.1, 0.9, (200, 4, 1))
    a, is_in = 0.3, np.tile(np.arange(8) < 4, (200, 1))
    references = np.concatenate([a * p_out + 1 - a, p_out], axis=1)
    population = np.arange(200) >= 100
    is_in[population] = False
    is_out = np.tile(np.arange(8) >= 4, (200, 1))
    p = rng.uniform(0.1, 0.9, (200, 1))
    online, offline = (
        score(RMIA(mode, a=a), p, references, is_in, is_out, population) for mode in ("online", "offline")
    )
    np.testing.assert_allclose(online, offline, atol=1e-9)


def test_probabilities_that_round_to_one_keep_their_order():
    # 1 - p from 1e-17 to 1e-25, all 1.0 in float64
    phi = np.linspace(40, 60, 50)[:, None]
    assert (expit(phi) == 1.0).all()
    view = View.from_signals(
        {"scaled-logit": phi},
        {"scaled-logit": np.full((50, 2, 1), 80.0)},
        reference_out=np.ones((50, 2), bool),
        population=np.arange(50) % 2 == 0,
    )
    scores = RMIA("offline").score(view, rng=np.random.default_rng(0))
    np.testing.assert_allclose(scores, (np.arange(50) // 2 + 1) / 25)


def test_hopeless_probabilities_give_no_nan():
    phi = np.array([[-2000.0], [-1000.0], [5.0], [2000.0]])
    view = View.from_signals(
        {"scaled-logit": phi},
        {"scaled-logit": np.full((4, 2, 1), -1500.0)},
        reference_out=np.ones((4, 2), bool),
        population=np.array([False, False, False, True]),
    )
    assert np.isfinite(RMIA("offline", a=1.0).score(view, rng=np.random.default_rng(0))).all()


def test_many_records_against_a_large_population_need_no_matrix():
    rng = np.random.default_rng(0)
    n = 100_000
    view = View.from_signals(
        {"scaled-logit": rng.normal(size=(2 * n, 1))},
        {"scaled-logit": rng.normal(size=(2 * n, 2, 1))},
        reference_out=np.ones((2 * n, 2), bool),
        population=np.arange(2 * n) >= n,
    )
    tracemalloc.start()
    try:
        RMIA("offline").score(view, rng=rng)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1e9  # bytes; the matrix would hold 10^10 values
