import dataclasses

import numpy as np
import pytest

from seepage.attacks.lira import LiRA
from seepage.attacks.multi_signal_lira import MultiSignalLiRA
from seepage.errors import InputError
from seepage.signals.view import View
from tests.attacks.planted import auc, planted
from tests.reference import multi_signal_lira as naive

VIEW, MEMBERS = planted(leak=2.0)
AUDITED = ~VIEW.population
every_mode = pytest.mark.parametrize("mode", ["online", "offline"])
every_variance = pytest.mark.parametrize("variance", ["residual", "per_sample"])


def score(attack, view=VIEW):
    return attack.score(view, rng=np.random.default_rng(0))


def random_view(rng, signals, n=40, references=9, queries=2, constant=()):
    """Correlated signals, ragged masks, records without one side or the other."""
    mixing = rng.normal(size=(len(signals), len(signals)))
    values = rng.normal(size=(n, 1 + references, queries, len(signals))) @ mixing * rng.lognormal(size=(n, 1, 1, 1))
    kind = rng.integers(0, 3, (n, references))
    kind[0], kind[1], kind[2] = 2, 0, 1
    kind[3, :] = 2
    kind[3, :2] = 0, 1
    named = {name: np.ascontiguousarray(values[..., j]) for j, name in enumerate(signals)}
    target = {name: v[:, 0] for name, v in named.items()}
    others = {name: v[:, 1:] for name, v in named.items()}
    return View.from_signals(target, others, reference_in=kind == 0, reference_out=kind == 1), values


@every_mode
@every_variance
@pytest.mark.parametrize("centre", ["median", "mean"])
def test_one_signal_is_the_ordinary_attack(mode, variance, centre):
    for signal in ("scaled-logit", "hinge"):
        one = MultiSignalLiRA(mode, variance=variance, centre=centre, signals=(signal,))
        plain = LiRA(mode, variance=variance, centre=centre, signal=signal)
        np.testing.assert_allclose(score(one), score(plain), rtol=1e-12, atol=1e-12)
        ragged, _ = random_view(np.random.default_rng(1), (signal,))
        np.testing.assert_allclose(score(one, ragged), score(plain, ragged), rtol=1e-12, atol=1e-12)


@every_mode
@every_variance
@pytest.mark.parametrize("centre", ["median", "mean"])
@pytest.mark.parametrize("signals", [("scaled-logit",), ("scaled-logit", "hinge")])
def test_agrees_with_the_naive_implementation(mode, variance, centre, signals):
    view, values = random_view(np.random.default_rng(2), signals)
    expected = naive.multi_signal_lira(
        values[:, 0], values[:, 1:], view.reference_in, view.reference_out, mode=mode, variance=variance, centre=centre
    )
    attack = MultiSignalLiRA(mode, variance=variance, centre=centre, signals=signals)
    np.testing.assert_allclose(score(attack, view), expected, rtol=1e-8, atol=1e-8)


@every_mode
def test_agrees_with_the_naive_implementation_on_signals_of_outputs(mode):
    view, _ = planted(leak=1.0, n_samples=60, n_references=6, seed=5)
    names = ("scaled-logit", "hinge", "entropy")
    stacked = [view.signals[name] if name != "entropy" else -np.log(view.signals[name]) for name in names]
    values = np.stack(stacked, axis=-1)
    expected = naive.multi_signal_lira(
        values[:, 0], values[:, 1:], view.reference_in, view.reference_out, mode=mode, variance="residual",
        centre="median",
    )  # fmt: skip
    np.testing.assert_allclose(score(MultiSignalLiRA(mode), view), expected, rtol=1e-8, atol=1e-8)


def test_blocks_change_nothing(monkeypatch):
    view, _ = random_view(np.random.default_rng(3), ("scaled-logit", "hinge"))
    for variance in ("residual", "per_sample"):
        attack = MultiSignalLiRA(variance=variance, signals=("scaled-logit", "hinge"))
        whole = score(attack, view)
        with monkeypatch.context() as patch:
            patch.setattr("seepage.signals.functions.BLOCK_VALUES", 50)
            np.testing.assert_allclose(score(attack, view), whole, rtol=1e-9)


@every_variance
@pytest.mark.parametrize(("mode", "least"), [("online", 0.93), ("offline", 0.93)])
def test_a_planted_leak_is_found(mode, least, variance):
    assert auc(score(MultiSignalLiRA(mode, variance=variance))[AUDITED], MEMBERS[AUDITED]) > least


@every_mode
@every_variance
def test_a_target_that_saw_nothing_gives_chance(mode, variance):
    view, members = planted(leak=2.0, target_leak=0.0, seed=3)  # standard error of the AUC 0.019
    scores = score(MultiSignalLiRA(mode, variance=variance), view)[~view.population]
    assert abs(auc(scores, members[~view.population]) - 0.5) < 0.055


def two_signals(leaks, n=1500, references=8, noise=0.97):
    """Two signals whose errors are correlated by `noise`, raised by `leaks` in members: (view, members)."""
    rng = np.random.default_rng(4)
    members = rng.random(n) < 0.5
    is_in = rng.permuted(np.tile(np.arange(references) < references // 2, (n, 1)), axis=1)
    seen = np.column_stack([members, is_in])[..., None]
    errors = rng.multivariate_normal([0, 0], [[1, noise], [noise, 1]], (n, 1 + references))
    values = (errors + seen * np.array(leaks))[:, :, None]
    target = {name: values[:, 0, :, j] for j, name in enumerate(("scaled-logit", "hinge"))}
    others = {name: values[:, 1:, :, j] for j, name in enumerate(("scaled-logit", "hinge"))}
    return View.from_signals(target, others, reference_in=is_in, reference_out=~is_in), members


def test_two_signals_find_what_neither_shows():
    # the leak is 0.5 deviations of one signal, but two of what the other leaves of it
    view, members = two_signals([0.5, 0.0])
    both = auc(score(MultiSignalLiRA(signals=("scaled-logit", "hinge")), view), members)
    alone = auc(score(LiRA(variance="residual"), view), members)
    assert alone < 0.68
    assert both > 0.8


def test_offline_accuses_only_what_is_higher():
    view, members = two_signals([-3.0, -3.0], noise=0.5)
    assert auc(score(MultiSignalLiRA("offline", signals=("scaled-logit", "hinge")), view), members) < 0.1


def test_offline_is_a_rate_of_false_alarms_where_nothing_leaks():
    # exp(score) is uniform for correlated Gaussian signals, so that a tenth lies below 0.1
    view, _ = two_signals([0.0, 0.0], references=40)
    rates = np.exp(score(MultiSignalLiRA("offline", signals=("scaled-logit", "hinge"), centre="mean"), view))
    for level in (0.1, 0.5, 0.9):
        assert abs((rates < level).mean() - level) < 0.045


def test_a_signal_given_twice_is_no_more_evidence():
    view, members = planted(leak=2.0, n_classes=2, seed=6)  # two classes: the hinge is the scaled logit
    one = score(MultiSignalLiRA(signals=("scaled-logit",)), view)[~view.population]
    two = score(MultiSignalLiRA(signals=("scaled-logit", "hinge")), view)[~view.population]
    assert np.isfinite(two).all()
    assert np.abs(two - one).max() < 0.02 * np.abs(one).max()
    assert abs(auc(two, members[~view.population]) - auc(one, members[~view.population])) < 0.001


@every_mode
@every_variance
def test_constant_signals_and_infinities(mode, variance):
    attack = MultiSignalLiRA(mode, variance=variance, signals=("scaled-logit", "hinge"))
    view, _ = random_view(np.random.default_rng(7), ("scaled-logit", "hinge"))
    flat = {"scaled-logit": view.signals["scaled-logit"], "hinge": np.full_like(view.signals["hinge"], 0.1)}
    flat["hinge"][:, 0] = 0.1 + 1e-9  # the target differs by what no reference says anything of
    alone = MultiSignalLiRA(mode, variance=variance, signals=("scaled-logit",))
    np.testing.assert_array_equal(
        score(attack, dataclasses.replace(view, signals=flat)), score(alone, dataclasses.replace(view, signals=flat))
    )
    constant = {name: np.ones_like(values) for name, values in view.signals.items()}
    np.testing.assert_array_equal(score(attack, dataclasses.replace(view, signals=constant)), np.zeros(40))
    infinite = {name: values.copy() for name, values in view.signals.items()}
    infinite["hinge"][5, :3], infinite["scaled-logit"][6, 2] = -np.inf, np.inf
    assert np.isfinite(score(attack, dataclasses.replace(view, signals=infinite))).all()


@every_mode
@every_variance
def test_the_order_of_the_records_plays_no_part(mode, variance):
    signals = ("scaled-logit", "hinge")
    view, values = random_view(np.random.default_rng(8), signals)
    order = np.random.default_rng(9).permutation(40)
    shuffled = View.from_signals(
        {name: values[order, 0, :, j] for j, name in enumerate(signals)},
        {name: values[order, 1:, :, j] for j, name in enumerate(signals)},
        reference_in=view.reference_in[order],
        reference_out=view.reference_out[order],
    )
    attack = MultiSignalLiRA(mode, variance=variance, signals=signals)
    np.testing.assert_allclose(score(attack, shuffled), score(attack, view)[order], rtol=1e-9, atol=1e-12)


def test_options_are_checked():
    for signals in ((), ("scaled-logit", "scaled-logit"), ("confidence",)):
        with pytest.raises(InputError, match="different ones of scaled-logit, hinge, loss"):
            MultiSignalLiRA(signals=signals)
    with pytest.raises(InputError, match="residual, per_sample"):
        MultiSignalLiRA(variance="official")
    view, _ = random_view(np.random.default_rng(1), ("scaled-logit", "hinge", "entropy"), references=2)
    single = dataclasses.replace(view, reference_in=np.eye(40, 2, dtype=bool), reference_out=~np.eye(40, 2, dtype=bool))
    with pytest.raises(InputError, match="at least 2 IN references"):
        score(MultiSignalLiRA(), single)
