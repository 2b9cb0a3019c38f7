import dataclasses

import numpy as np
import pytest

from seepage import metrics
from seepage.attacks import ATTACKS
from seepage.attacks.base import Attack
from seepage.attacks.few_shot import LaplacianShot, SignalShot, SimpleShot, TransductiveTuning
from seepage.errors import InputError
from seepage.studies.audit import episodes as protocol
from seepage.studies.audit.episodes import episodes
from tests.attacks.planted import planted
from tests.attacks.test_few_shot import world
from tests.attacks.trained import trained


def rng(seed=0):
    return np.random.default_rng(seed)


@dataclasses.dataclass(frozen=True)
class Spy(Attack):
    """Scores by the row's number and keeps what it was shown."""

    shown: list
    needs = frozenset({"known"})
    least_known = 20
    title = "spy"
    source = "a test"

    def _score(self, view, *, rng):
        self.shown.append((view.known.copy(), view.audited.copy()))
        return np.arange(view.n_samples, dtype=np.float64)


@pytest.mark.parametrize("attack", [SimpleShot(5), LaplacianShot(1)], ids=lambda attack: attack.title)
def test_a_planted_separation_is_found_in_episodes(attack):
    result = episodes(attack, *world(2.0), n_episodes=100, rng=rng())
    assert result.auc.low > 0.8
    assert result.log_mia_a.low > result.chance_a
    assert result.log_mia_b.low > result.chance_b
    assert result.accuracy.low > 0.55


@pytest.mark.parametrize(
    "attack", [SimpleShot(5), SimpleShot(5, "official"), LaplacianShot(5), LaplacianShot(1, "official")]
)
def test_episodes_of_a_target_that_saw_nothing_give_chance(attack):
    # members and others are of one distribution, so the mean over enough of them is 1/2; the interval covers the draw
    # of the episodes, and 4 half-widths beside that the draw of 2,000 records
    result = episodes(attack, *world(0.0, n=2000), n_episodes=300, rng=rng())
    assert abs(result.auc.value - 0.5) < 2 * (result.auc.high - result.auc.low)
    assert abs(result.accuracy.value - 0.5) < 2 * (result.accuracy.high - result.accuracy.low) + 1e-9
    # a random ranking has no ties; ties find fewer
    assert result.log_mia_a.value < result.chance_a + 0.05
    assert result.log_mia_b.value < result.chance_b + 0.05


def test_random_scores_have_the_chance_values():
    class Coin(Spy):
        def _score(self, view, *, rng):
            return rng.random(view.n_samples)

    result = episodes(Coin([]), *world(), n_episodes=600, rng=rng())
    for name, expected in {"auc": 0.5, "log_mia_a": result.chance_a, "log_mia_b": result.chance_b}.items():
        estimate = getattr(result, name)
        assert estimate.value == pytest.approx(expected, abs=1.5 * (estimate.high - estimate.low) / 2)
    assert result.chance_a == pytest.approx(0.178, abs=1e-3)
    assert result.chance_b == pytest.approx(0.588, abs=1e-3)
    assert result.accuracy is None


def test_an_attack_is_told_what_it_may_know_and_nothing_of_the_queries():
    view, members = planted(leak=2.0, n_samples=400)
    spy = Spy([])
    result = episodes(spy, view, members, n_episodes=7, n_validation=12, n_queries=9, rng=rng())
    assert len(spy.shown) == 7
    for known, audited in spy.shown:
        assert [(known[members] == 1).sum(), (known[~members] == 0).sum()] == [20, 20]
        assert [(audited & members).sum(), (audited & ~members).sum()] == [9, 9]
        assert (known[audited] == -1).all()
        assert not (view.population & (audited | (known != -1))).any()
    assert (result.n_validation, result.n_queries, result.false_positives_allowed) == (12, 9, 3)
    assert len({audited.tobytes() for _, audited in spy.shown}) == 7


@pytest.mark.parametrize("attack", [SimpleShot(5), LaplacianShot(3)])
def test_answers_that_are_turned_round_turn_the_scores_round(attack):
    """A learner goes by what it is told of support and validation: told the other way round, it finds the others."""
    view, members = world(1.0)
    result = episodes(attack, view, members, n_episodes=60, rng=rng())
    assert episodes(attack, view, ~members, n_episodes=60, rng=rng(1)).auc.value == pytest.approx(
        result.auc.value, abs=0.1
    )


IN_ONE_PASS = [SimpleShot(5), SimpleShot(5, space="outputs"), LaplacianShot(5, "official")]
IN_ONE_PASS += [SignalShot(1), SignalShot(labels=False), SignalShot(5, gradients=True)]


@pytest.mark.parametrize("attack", IN_ONE_PASS, ids=lambda attack: attack.title)
def test_many_at_a_time_are_what_they_are_one_by_one(attack, monkeypatch):
    view, members = trained()
    done = []
    whole = episodes(attack, view, members, n_episodes=25, rng=rng(), progress=lambda *count: done.append(count))
    assert done == [(25, 25)]
    n_records = 2 * ((attack.shots or 0) + 30)
    monkeypatch.setattr(protocol, "BLOCK_VALUES", 10 * n_records * attack.n_dims(view))
    parts = episodes(attack, view, members, n_episodes=25, rng=rng(), progress=lambda *count: done.append(count))
    assert done[1:] == [(10, 25), (20, 25), (25, 25)]
    for name, values in whole.by_episode.items():
        np.testing.assert_array_equal(parts.by_episode[name], values)


def test_numbers_of_an_episode_are_those_of_the_metrics(monkeypatch):
    kept = []
    result_of = protocol._result
    monkeypatch.setattr(protocol, "_result", lambda *given: kept.append(given) or result_of(*given))
    result = episodes(SimpleShot(5), *world(1.0), n_episodes=20, n_queries=11, rng=rng())
    for number in range(20):
        inside, outside = (scores[number] for scores in kept[0][:2])
        scores, members = np.concatenate([inside, outside]), np.arange(22) < 11
        assert result.by_episode["auc"][number] == pytest.approx(metrics.auc(scores, members), abs=1e-12)
        for regime in ("a", "b"):
            expected = metrics.log_mia(scores, members, regime, rng=rng()).value
            assert result.by_episode[f"log_mia_{regime}"][number] == pytest.approx(expected, abs=1e-12)
        assert result.by_episode["accuracy"][number] == pytest.approx(((scores > 0) == members).mean())


def test_the_interval_is_of_the_mean_over_episodes():
    result = episodes(SimpleShot(5), *world(1.0), n_episodes=30, rng=rng())
    for name, values in result.by_episode.items():
        estimate, half = getattr(result, name), 1.96 * np.std(values, ddof=1) / np.sqrt(30)
        assert estimate.value == pytest.approx(np.mean(values))
        assert (estimate.low, estimate.high) == pytest.approx((np.mean(values) - half, np.mean(values) + half))
        assert estimate.n == 30


def test_all_non_members_may_be_accused_where_few_are_judged():
    result = episodes(SimpleShot(5), *world(), n_episodes=3, n_queries=2, rng=rng())
    assert result.false_positives_allowed == 2
    assert result.log_mia_b.value == result.chance_b == 1.0


def test_the_same_generator_gives_the_same_episodes():
    first, again, other = (
        episodes(LaplacianShot(5), *world(1.0), n_episodes=10, rng=rng(seed)).by_episode["auc"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_tuning_and_plain_attacks_go_episode_by_episode():
    view, members = trained()
    done = []
    tuning = TransductiveTuning(5, epochs=2, temperatures=(7.0,))
    result = episodes(tuning, view, members, n_episodes=3, rng=rng(), progress=lambda *count: done.append(count))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert result.auc.n == 3
    loss = episodes(ATTACKS["loss"], view, members, n_episodes=40, rng=rng())
    assert loss.auc.low > 0.6
    assert loss.accuracy is None


def test_signals_find_what_the_loss_finds_in_episodes_too():
    view, members = trained()
    loss = episodes(ATTACKS["loss"], view, members, n_episodes=100, rng=rng()).auc.value
    for attack in (SignalShot(1), SignalShot()):
        result = episodes(attack, view, members, n_episodes=100, rng=rng())
        assert result.auc.value == pytest.approx(loss, abs=0.04)
        assert result.accuracy.low > 0.55


def test_too_few_records_are_refused():
    view, members = world(n=60)
    with pytest.raises(InputError, match=r"takes 35 members and 35 non-members .*: there are 30 and 30"):
        episodes(SimpleShot(5), view, members, rng=rng())
    with pytest.raises(InputError, match="at least 2 episodes"):
        episodes(SimpleShot(5), view, members, n_episodes=1, rng=rng())
    with pytest.raises(InputError, match="penultimate features"):
        episodes(SimpleShot(5), *planted(leak=1.0), n_episodes=2, rng=rng())
