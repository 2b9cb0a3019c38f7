import dataclasses
import functools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from seepage.attacks.learned import classifier, pairs
from seepage.attacks.learned.classifier import fit
from seepage.attacks.learned.nasr import OutputsNetwork, inputs_of
from seepage.attacks.learned.rank_only import RankOnly, features_of_ranks
from seepage.attacks.learned.shadow_classifier import ShadowClassifier
from seepage.attacks.learned.top_k import TopScores, top_scores
from seepage.errors import InputError
from seepage.signals.view import View
from tests.attacks.planted import auc, planted
from tests.attacks.trained import trained
from tests.reference import learned as naive

# the attack, and the least AUC on a planted leak of 2 that the best threshold on the scaled logit finds with 0.78
ATTACKS = {
    "shokri": (ShadowClassifier(), 0.74),
    "shokri-global": (ShadowClassifier(per_class=False), 0.74),
    "salem-top-3": (TopScores(), 0.74),
    "nasr": (OutputsNetwork(), 0.74),
    "nasr-per-class": (OutputsNetwork(per_class=True), 0.72),
    "nasr-known": (OutputsNetwork("known"), 0.7),
    "rank-only": (RankOnly(), 0.55),
}
every_attack = pytest.mark.parametrize("name", ATTACKS)
from_references = pytest.mark.parametrize("name", [name for name in ATTACKS if name != "nasr-known"])


def with_known(world, n_known=120):
    """The world with the membership of its first records known."""
    view, members = world
    known = np.where(np.arange(view.n_samples) < n_known, members, -1).astype(np.int8)
    return dataclasses.replace(view, known=known, audited=None), members


VIEW, MEMBERS = with_known(planted(leak=2.0, n_samples=640, n_references=4))


def score(name, view=VIEW):
    return ATTACKS[name][0].score(view, rng=np.random.default_rng(0))


def judged(scores, view, members):
    return auc(scores[view.audited], members[view.audited])


def with_outputs(view, outputs):
    """The view with other outputs in place of its own."""
    made = View.from_logits(outputs, view.labels, target_column=view.target_column)
    return dataclasses.replace(view, signals=made.signals, outputs=outputs)


def rows_of(view, rows):
    arrays = ("labels", "reference_in", "reference_out", "population", "known", "audited")
    parts = {name: getattr(view, name)[rows] for name in arrays}
    return dataclasses.replace(with_outputs(view, view.outputs), signals={}, outputs=view.outputs[rows],
                               gradient_norm=None, **parts)  # fmt: skip


@every_attack
def test_a_planted_leak_is_found_with_members_high(name):
    assert judged(score(name), VIEW, MEMBERS) > ATTACKS[name][1]


@every_attack
def test_a_leak_of_real_models_is_found_with_members_high(name):
    # 240 digits, 3 labels in 10 of them wrong; standard error of the AUC at chance 0.037
    view, members = trained()
    least = {"rank-only": 0.7, "salem-top-3": 0.55}.get(name, 0.62)
    assert judged(score(name, view), view, members) > least


@every_attack
def test_a_target_that_saw_nothing_gives_chance(name):
    # the references leak, the target does not; standard error of the AUC for 330 against 330 is 0.022
    view, members = with_known(planted(leak=2.0, target_leak=0.0, n_samples=1000, n_references=4, seed=3), 90)
    assert abs(judged(score(name, view), view, members) - 0.5) < 0.066


@every_attack
def test_scores_are_finite_and_the_same_every_time(name):
    scores = score(name)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, score(name))


@every_attack
@pytest.mark.parametrize("most", [20_000, 700])
def test_the_order_of_the_records_plays_no_part(name, most, monkeypatch):
    # with 700 pairs at most some are drawn
    monkeypatch.setattr(pairs, "MOST_ROWS", most)
    monkeypatch.setattr(pairs, "MOST_OF_A_CLASS", most // 4)
    order = np.random.default_rng(1).permutation(VIEW.n_samples)
    np.testing.assert_allclose(score(name, rows_of(VIEW, order)), score(name)[order], rtol=1e-10, atol=1e-10)


@from_references
def test_unequal_counts_and_absent_references_give_a_score(name):
    rng = np.random.default_rng(2)
    keep = rng.random(VIEW.reference_in.shape) < 0.5
    keep[:20] = False
    keep[20:40] &= VIEW.reference_in[20:40]
    keep[40:60] &= VIEW.reference_out[40:60]
    view = dataclasses.replace(VIEW, reference_in=VIEW.reference_in & keep, reference_out=VIEW.reference_out & keep)
    scores = score(name, view)
    assert np.isfinite(scores).all()
    assert judged(scores, view, MEMBERS) > 0.6


@every_attack
def test_a_handful_of_records_and_a_class_on_one_side_give_a_score(name):
    view, _ = with_known(planted(leak=2.0, n_samples=80, n_references=2, n_classes=5, seed=1), 60)
    first = view.labels == 0
    view = dataclasses.replace(view, reference_in=view.reference_in & ~first[:, None], known=None, audited=None)
    known = np.full(80, -1, dtype=np.int8)
    known[:60] = np.where(first[:60], 0, np.arange(60) % 2)
    known[(known == 0) & view.population] = -1
    view = dataclasses.replace(view, known=known, audited=None)
    assert np.isfinite(score(name, view)).all()


@every_attack
def test_outputs_that_say_nothing_give_the_same_score_even_where_labels_do(name):
    # class 0 is rarely IN and class 1 rarely OUT: the label would tell the references apart, and no target
    rng = np.random.default_rng(5)
    rare = rng.random(VIEW.reference_in.shape) < 0.8
    view = dataclasses.replace(
        with_outputs(VIEW, np.ones_like(VIEW.outputs)),
        reference_in=VIEW.reference_in & ~(rare & (VIEW.labels == 0)[:, None]),
        reference_out=VIEW.reference_out & ~(rare & (VIEW.labels == 1)[:, None]),
    )
    np.testing.assert_array_equal(score(name, view), np.zeros(view.n_samples))


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "rank-only"])
def test_saturated_outputs_keep_their_order(name):
    # float32 probabilities of 1 everywhere: only the other classes' 1e-15 ... 1e-25 tell members apart
    phi = VIEW.signals["scaled-logit"] + 45.0
    others = np.full((*phi.shape, 2), np.log(0.5)) - phi[..., None]
    outputs = np.concatenate([np.zeros((*phi.shape, 1)), others], axis=-1).astype(np.float32)
    view = dataclasses.replace(VIEW, labels=np.zeros_like(VIEW.labels))
    view = with_outputs(view, outputs)
    assert (view.target("confidence") == 1.0).all()
    assert judged(score(name, view), view, MEMBERS) > 0.7


@pytest.mark.parametrize("name", ["nasr-known", "nasr", "shokri-global"])
def test_members_are_the_positive_class(name):
    """HAMP's script labels members 0 for this network, so that what it calls TPR finds non-members."""
    scores = score(name)
    assert scores[MEMBERS & VIEW.audited].mean() > scores[~MEMBERS & VIEW.audited].mean() + 0.5
    turned = dataclasses.replace(
        VIEW,
        known=np.where(VIEW.known == -1, -1, 1 - VIEW.known),
        reference_in=VIEW.reference_out & ~VIEW.population[:, None],
        reference_out=VIEW.reference_in,
    )
    assert judged(score(name, turned), VIEW, MEMBERS) < 0.3


def test_scalar_signals_alone_are_refused():
    flags = np.arange(8).reshape(4, 2) % 2 == 0
    view = View.from_signals({"loss": np.ones((4, 1))}, {"loss": np.ones((4, 2, 1))}, reference_in=flags,
                             reference_out=~flags)  # fmt: skip
    with pytest.raises(InputError, match=r"use View\.from_logits"):
        ShadowClassifier().score(view, rng=np.random.default_rng(0))


# --- what the attacks look at ---


def test_the_top_scores_know_neither_labels_nor_classes():
    rng = np.random.default_rng(1)
    shuffled = rng.permuted(VIEW.outputs, axis=-1)
    other = dataclasses.replace(with_outputs(VIEW, shuffled), labels=rng.permutation(VIEW.labels))
    np.testing.assert_allclose(score("salem-top-3", other), score("salem-top-3"), rtol=1e-9, atol=1e-9)


def test_features_agree_with_the_naive_ones():
    rng = np.random.default_rng(3)
    outputs, labels = rng.normal(0, 4, (20, 2, 5)), rng.integers(0, 5, 20)
    outputs[0, 0] = [50.0, -60.0, 0.0, 0.0, -700.0]
    for row, logits in enumerate(outputs.tolist()):
        np.testing.assert_allclose(pairs.log_odds(outputs)[row], [naive.log_odds(q) for q in logits], rtol=1e-9)
        for k in (1, 3, 5, 9):
            np.testing.assert_allclose(top_scores(outputs, k)[row], naive.top_scores(logits, k), rtol=1e-9)
        expected = naive.network_inputs(logits, labels[row])
        np.testing.assert_allclose(inputs_of(outputs, labels)[row], expected, rtol=1e-9, atol=1e-12)


def test_features_of_ranks_agree_with_the_naive_ones(monkeypatch):
    monkeypatch.setattr("seepage.signals.functions.BLOCK_VALUES", 300)
    rng = np.random.default_rng(4)
    outputs = rng.integers(-3, 4, (12, 7, 2, 6)).astype(np.float32) + np.eye(6)[0]  # ties, but never of all
    kind = rng.integers(0, 3, (12, 6))
    kind[0], kind[1], kind[2] = 2, 0, [0, 1, 1, 2, 2, 2]
    view = View.from_logits(
        outputs, rng.integers(0, 6, 12), target_column=3, reference_columns=[0, 1, 2, 4, 5, 6],
        reference_in=kind == 0, reference_out=kind == 1,
    )  # fmt: skip
    table = features_of_ranks(view)
    for row in range(12):
        out, inside = view.reference_columns[kind[row] == 1], view.reference_columns[kind[row] == 0]
        for model in range(7):
            expected = naive.rank_features(outputs[row].tolist(), view.labels[row], model, out, inside)
            np.testing.assert_allclose(table[row, model], expected, atol=2e-9)


@pytest.mark.parametrize("most", [20_000, 700])
def test_only_the_ranking_counts(most, monkeypatch):
    monkeypatch.setattr(pairs, "MOST_ROWS", most)
    rng = np.random.default_rng(6)
    # an increasing function of its own for every record, model and query: other values in the same order
    values = np.cumsum(rng.lognormal(0, 2, VIEW.outputs.shape), axis=-1) - rng.uniform(0, 50, (640, 5, 2, 1))
    place = VIEW.outputs.argsort(axis=-1).argsort(axis=-1)
    increasing = np.take_along_axis(values, place, axis=-1)
    assert (increasing.argmax(axis=-1) == VIEW.outputs.argmax(axis=-1)).all()
    np.testing.assert_array_equal(score("rank-only", with_outputs(VIEW, increasing)), score("rank-only"))
    assert judged(score("salem-top-3", with_outputs(VIEW, increasing)), VIEW, MEMBERS) < 0.58


def test_a_class_with_few_pairs_takes_the_classifier_of_all(monkeypatch):
    rare = np.flatnonzero(VIEW.labels == 3)[4:]
    labels = VIEW.labels.copy()
    labels[rare] = 2
    view = dataclasses.replace(VIEW, labels=labels)
    trained_on = []

    def counting(features, members, **options):
        trained_on.append(len(members))
        return fit(features, members, **options)

    monkeypatch.setattr(classifier, "fit", counting)
    scores = score("shokri", view)
    assert np.isfinite(scores).all()
    made = pairs.reference_pairs(view)
    counts = [int((labels[made.rows] == label).sum()) for label in range(3)]
    assert trained_on == [*counts, made.rows.size]
    assert not VIEW.population[made.rows].any()


# --- the network ---


def sample(n=400, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(1, 2, (n, d))
    members = x @ rng.normal(size=d) + rng.logistic(size=n) > 1
    return x, members


def trained_on(x, members, **options):
    return fit(x, members, **{"hidden": (), "steps": 2000} | options, rng=np.random.default_rng(0))


def test_without_layers_it_is_a_logistic_regression():
    x, members = sample()
    weights = np.random.default_rng(1).uniform(0, 3, len(x))
    shares = weights / (2 * np.where(members, weights[members].sum(), weights[~members].sum()))
    others = sample(seed=2)[0]
    for l2 in (1e-3, 0.1):
        ours = trained_on(x, members, weights=weights, l2=l2)(others)
        by_newton = naive.logistic_regression(x, members, shares, l2)(others)
        np.testing.assert_allclose(ours, by_newton, rtol=1e-3, atol=1e-3)
        standard = (x - x.mean(axis=0)) / x.std(axis=0)
        peer = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=5000).fit(standard, members, sample_weight=shares)
        theirs = peer.decision_function((others - x.mean(axis=0)) / x.std(axis=0))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_a_hidden_layer_learns_what_no_line_separates():
    x = np.random.default_rng(1).normal(size=(600, 2))
    members = x[:, 0] * x[:, 1] > 0
    assert auc(trained_on(x, members)(x), members) < 0.6
    assert auc(trained_on(x, members, hidden=(16,), steps=200)(x), members) > 0.97


def test_branches_see_their_own_columns_and_meet():
    x = np.random.default_rng(1).normal(size=(600, 2))
    members = x[:, 0] * x[:, 1] > 0
    apart = [(slice(0, 1), (8,)), (slice(1, 2), (8,))]
    # branches alone make a sum of functions of one column each: no product
    alone = trained_on(x, members, branches=apart)
    grid = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    values = alone(grid)
    np.testing.assert_allclose(values[0] - values[1], values[2] - values[3], atol=1e-9)
    assert auc(trained_on(x, members, branches=apart, hidden=(16,), steps=300)(x), members) > 0.95


def test_the_order_of_the_rows_and_rows_without_weight_play_no_part():
    x, members = sample()
    others, order = sample(seed=3)[0], np.random.default_rng(4).permutation(400)
    weights = np.where(np.arange(400) < 300, 1.0, 0.0)
    fitted = functools.partial(fit, hidden=(8,), most_rows=200)
    expected = fitted(x, members, rng=np.random.default_rng(5))(others)
    found = fitted(x[order], members[order], rng=np.random.default_rng(5))(others)
    np.testing.assert_array_equal(found, expected)
    fewer = fit(x[:300], members[:300], rng=np.random.default_rng(5))(others)
    np.testing.assert_array_equal(fit(x, members, weights=weights, rng=np.random.default_rng(5))(others), fewer)
    assert not np.array_equal(fitted(x, members, rng=np.random.default_rng(6))(others), expected)


def test_both_sides_weigh_the_same():
    x, members = sample()
    keep = ~members | (np.cumsum(members) % 4 == 0)
    # a quarter of the members, each four times as heavy in effect: the log-odds stay near 0 where both are as likely
    all_of_them, fewer = trained_on(x, members)(x), trained_on(x[keep], members[keep])(x)
    assert abs(np.mean(all_of_them - fewer)) < 0.2


def test_log_odds_do_not_saturate():
    x = np.linspace(-1, 1, 200)[:, None]
    log_odds = trained_on(x, x[:, 0] > 0)(np.array([[10.0], [100.0], [1000.0]]))
    assert (np.diff(log_odds) > 50).all()


def test_infinite_and_constant_columns():
    x, members = sample()
    clean = trained_on(x, members)(x)
    constant, other = (np.column_stack([x, np.full(400, value)]) for value in (0.1, 9.0))
    log_odds = trained_on(constant, members, hidden=(8,), steps=20)
    np.testing.assert_array_equal(log_odds(other), log_odds(constant))
    np.testing.assert_allclose(trained_on(constant, members)(constant), clean, atol=1e-3)
    infinite = x.copy()
    infinite[0, 0], infinite[1, 0] = np.inf, -np.inf
    bounded = x.copy()
    bounded[0, 0], bounded[1, 0] = x[2:, 0].max(), x[2:, 0].min()
    np.testing.assert_array_equal(trained_on(infinite, members)(infinite), trained_on(bounded, members)(bounded))
    only = np.column_stack([x, np.full(400, np.inf)])
    assert np.isfinite(trained_on(only, members)(only)).all()


@pytest.mark.usefixtures("wrong_shapes")
def test_what_cannot_be_learned_from_is_refused():
    x, members = sample()
    with pytest.raises(InputError, match="members and non-members to learn from: got 400 and 0"):
        trained_on(x, np.ones(400, dtype=bool))
    with pytest.raises(InputError, match="without NaN"):
        trained_on(np.where(x > 0, x, np.nan), members)
    with pytest.raises(InputError, match="expected features"):
        trained_on(x, members[:-1])
    with pytest.raises(InputError, match="not negative"):
        trained_on(x, members, weights=np.full(400, -1.0))


def test_weights_balance_members_within_each_label():
    labels, members = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([1, 0, 0, 0, 1, 0, 1], dtype=bool)
    np.testing.assert_allclose(pairs.balanced(labels, members), [2, 2 / 3, 2 / 3, 2 / 3, 1, 1, 0])
    np.testing.assert_array_equal(pairs.balanced(np.array([0, 1]), np.array([True, False])), [1, 1])


def test_options_are_checked():
    with pytest.raises(InputError, match="per_class needs"):
        OutputsNetwork("known", per_class=True)
    with pytest.raises(InputError, match="references, known"):
        OutputsNetwork("shadow")
    with pytest.raises(InputError, match="k must be a whole number of at least 1"):
        TopScores(k=0)
    view, _ = with_known(planted(leak=2.0, n_samples=200), 30)
    with pytest.raises(InputError, match="needs 20 known members"):
        OutputsNetwork("known").score(view, rng=np.random.default_rng(0))
