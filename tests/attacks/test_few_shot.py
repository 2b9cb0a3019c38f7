import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from seepage.attacks.few_shot import Episodes, LaplacianShot, SimpleShot, TransductiveTuning, laplacian_shot
from seepage.attacks.few_shot.support import drawn, outputs, select, squared_distances
from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.models.target import TargetModel
from seepage.signals.view import View
from tests.attacks.planted import auc, planted
from tests.attacks.trained import trained
from tests.reference import few_shot as naive

KNNS, STRENGTHS = (3, 5, 7, 9, 11, 13, 15), (1.5, 1.7, 2.0, 2.2, 2.5, 2.7, 2.9)


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(features, known=None, **fields):
    """A view of features alone: the outputs say nothing."""
    n = len(features)
    logits = np.zeros((n, 1, 1, 2), np.float32)
    features = np.asarray(features, np.float32)
    return View.from_logits(logits, np.zeros(n, int), target_column=0, features=features, known=known, **fields)


def world(shift=0.0, n=300, n_known=60, n_dims=6, seed=0):
    """Features off the origin; members' lie `shift` further along one direction."""
    generator = rng(seed)
    members = generator.permutation(n) < n // 2
    features = generator.normal(3.0, 1.0, (n, n_dims)) + shift * members[:, None]
    known = np.full(n, -1)
    for side in (0, 1):
        known[np.flatnonzero(members == side)[: n_known // 2]] = side
    return flat(features, known), members


def episode(view, n_episodes=1, shots=5, n_validation=8, n_queries=20, seed=1):
    """Episodes of any rows: which of them are members is for the scores to follow, not for the test."""
    generator = rng(seed)
    told = 2 * (shots + n_validation)
    rows = np.stack([generator.permutation(view.n_samples)[: told + n_queries] for _ in range(n_episodes)])
    pairs = rows[:, :told].reshape(n_episodes, 2, -1)
    return Episodes(pairs[..., :shots], pairs[..., shots:], rows[:, told:])


def vectors(view, rows, number=0):
    return [[view.features[side] for side in part[number]] for part in rows[:2]] + [view.features[rows.queries[number]]]


class Network(nn.Module):
    """What the second implementation does by hand, with room for dropout."""

    def __init__(self, n_dims, n_classes, dropout=0.0):
        super().__init__()
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(n_dims, n_classes)

    def forward(self, x):
        return self.linear(self.dropout(x))


def live(shift=0.0, n_dims=5, n_classes=4, seed=0, **options):
    """A view with records and a live linear target."""
    view, members = world(shift, n_dims=n_dims, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Network(n_dims, n_classes, **options).double()
    records = Pool(view.features, view.labels, n_classes=n_classes)
    return dataclasses.replace(view, records=records, model=TargetModel.wrap(network)), members


# second implementations


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("how", ["cl2n", "l2n", "none", "queries"])
def test_nearest_mean_agrees_with_loops(shots, how):
    view, _ = world(0.4)
    rows = episode(view, 3, shots=shots)
    scores = SimpleShot(shots, transform=how, rule="mean").score_episodes(view, rows, rng=rng())
    for number in range(3):
        support, _, queries = naive.transform(*vectors(view, rows, number), how)
        np.testing.assert_allclose(scores[number], naive.nearest_mean(support, queries), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shots", [1, 2, 5, 10])
@pytest.mark.parametrize("mode", ["corrected", "official"])
def test_weighted_neighbours_agree_with_loops(shots, mode):
    view, _ = world(0.4)
    rows = episode(view, 4, shots=shots)
    scores = SimpleShot(shots, mode, rule="neighbours").score_episodes(view, rows, rng=rng())
    how = {"corrected": "cl2n", "official": "queries"}[mode]
    for number in range(4):
        parts = naive.transform(*vectors(view, rows, number), how)
        expected = naive.neighbours(*parts, mode == "official")
        np.testing.assert_allclose(scores[number], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("shots", [1, 4])
@pytest.mark.parametrize("mode", ["corrected", "official"])
def test_laplacian_agrees_with_loops(shots, mode):
    view, _ = world(0.4, n_dims=3)
    rows = episode(view, 3, shots=shots, n_queries=17)
    scores = LaplacianShot(shots, mode).score_episodes(view, rows, rng=rng())
    official = mode == "official"
    for number in range(3):
        parts = naive.transform(*vectors(view, rows, number), "none" if official else "cl2n")
        expected = naive.laplacian_shot(
            *parts,
            all_points=official,
            knns=KNNS,
            strengths=STRENGTHS if official else (0.0, *STRENGTHS),
            official=official,
        )
        np.testing.assert_allclose(scores[number], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("strength", "knn"), [(0.01, 5), (0.1, 3), (0.5, 5), (1.0, 3)])
def test_updates_stop_where_loops_stop(strength, knn):
    # the first of these stop at once, some of the last go on to the end
    view, _ = world(0.4, n_dims=3)
    rows = episode(view, 3, shots=4, n_queries=17)
    attack = LaplacianShot(4, strengths=(strength,), neighbours=(knn,))
    scores = attack.score_episodes(view, rows, rng=rng())
    for number in range(3):
        support, _, queries = naive.transform(*vectors(view, rows, number), "cl2n")
        expected = naive.laplacian(*naive.points_of(support, False), queries, knn, strength)
        np.testing.assert_allclose(scores[number], expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("on", ["logits", "probabilities", "sorted"])
@pytest.mark.parametrize("mode", ["corrected", "official"])
@pytest.mark.parametrize("rate", [1e-3, 3e-2])
def test_tuning_agrees_with_gradients_by_hand(on, mode, rate):
    view, _ = live(0.5)
    rows = episode(view, 2, shots=3)
    options = {"temperatures": (1.0, 4.0, 9.0), "epochs": 12, "patience": 2}
    attack = TransductiveTuning(3, mode, head=on, learning_rate=rate, **options)
    scores = attack.score_episodes(view, rows, rng=rng())
    linear = view.model.module.linear
    for number in range(2):
        expected = naive.transductive(
            linear.weight.detach().numpy(),
            linear.bias.detach().numpy(),
            *[np.asarray(part, np.float64) for part in vectors(view, rows, number)],
            rate=rate,
            on=on,
            official=mode == "official",
            **options,
        )
        np.testing.assert_allclose(scores[number], expected, rtol=1e-7, atol=1e-9)


# limiting cases


def test_one_shot_is_the_nearest_point():
    view, _ = world(0.5)
    rows = episode(view, 5, shots=1)
    scores = SimpleShot(1, transform="none").score_episodes(view, rows, rng=rng())
    for number in range(5):
        support, _, queries = vectors(view, rows, number)
        nearer = [((x - support[1][0]) ** 2).sum() < ((x - support[0][0]) ** 2).sum() for x in queries]
        np.testing.assert_array_equal(scores[number] > 0, nearer)


def test_without_a_pull_the_laplacian_is_the_soft_assignment():
    view, _ = world(0.5)
    rows = episode(view, 4)
    alone = LaplacianShot(5, strengths=(0.0,)).score_episodes(view, rows, rng=rng())
    np.testing.assert_allclose(alone, SimpleShot(5).score_episodes(view, rows, rng=rng()), atol=1e-12)
    unary = rng().random((2, 9, 3))
    empty = laplacian_shot.graph(np.zeros((2, 9, 0), int), np.zeros(2, int))
    np.testing.assert_array_equal(laplacian_shot.settled(unary, empty, np.ones((2, 1, 1))), -unary)


def test_neighbours_pull_a_record_to_their_side():
    # the last query lies half-way between the means; its two neighbours are members' for certain
    unary = np.array([[[9.0, 0.0], [9.0, 0.0], [1.0, 1.0]]])
    near = np.array([[[1, 2], [0, 2], [0, 1]]])
    u = laplacian_shot.settled(unary, laplacian_shot.graph(near, np.array([2])), np.full((1, 1, 1), 1.5))
    assert u[0, 2, 1] - u[0, 2, 0] == pytest.approx(3.0, abs=1e-3)


def test_a_single_query_has_no_neighbours():
    view, _ = world(1.0)
    rows = episode(view, 2, n_queries=1)
    expected = SimpleShot(5).score_episodes(view, rows, rng=rng())
    np.testing.assert_allclose(LaplacianShot(5).score_episodes(view, rows, rng=rng()), expected, atol=1e-12)


def test_nearest_points_are_the_same_in_one_block_and_in_many(monkeypatch):
    points = rng().normal(size=(2, 50, 4))
    expected = laplacian_shot.nearest(points, 6)
    for number, query in itertools.product(range(2), range(50)):
        distances = ((points[number] - points[number, query]) ** 2).sum(axis=1)
        distances[query] = np.inf
        np.testing.assert_array_equal(expected[number, query], distances.argsort()[:6])
    monkeypatch.setattr(laplacian_shot, "BLOCK_VALUES", 700)
    np.testing.assert_array_equal(laplacian_shot.nearest(points, 6), expected)


def test_distances_far_from_the_origin_keep_their_digits():
    points, to = rng().random((1, 4, 3)) + 1e6, rng(1).random((1, 2, 3)) + 1e6
    expected = ((points[:, :, None] - to[:, None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(squared_distances(points, to), expected, rtol=1e-8)


# the choice of options


def test_the_choice_is_by_members_found_without_a_false_positive():
    outside = [0.0, 1.0, 2.0]
    better_area = [outside, [1.5, 1.6, 2.5]]  # 1 found
    more_found = [outside, [0.0, 2.5, 2.6]]  # 2 found
    pairs = np.array([better_area, more_found, more_found, better_area])[:, None]
    assert select(pairs, "corrected").tolist() == [1]
    assert select(pairs, "official").tolist() == [2]


def test_ties_are_broken_by_the_area_then_by_the_first():
    one, higher = [[0.0, 1.0], [0.5, 3.0]], [[0.0, 1.0], [1.0, 3.0]]
    pairs = np.array([one, higher, higher, one])[:, None]
    assert select(pairs, "corrected").tolist() == [1]
    assert select(pairs, "official").tolist() == [3]


@pytest.mark.parametrize("attack", [SimpleShot(5, rule="neighbours", transform="none"), LaplacianShot(5, "official")])
def test_options_are_chosen_before_anything_is_known_of_the_queries(attack, monkeypatch):
    seen = []
    chosen_by = {SimpleShot: "simple_shot", LaplacianShot: "laplacian_shot"}[type(attack)]
    path = f"seepage.attacks.few_shot.{chosen_by}.select"
    monkeypatch.setattr(path, lambda scores, mode: seen.append(scores) or select(scores, mode))
    view, _ = world(0.5)
    rows = episode(view, 3)
    attack.score_episodes(view, rows, rng=rng())
    attack.score_episodes(view, rows._replace(queries=rows.queries[:, ::-1][:, 3:]), rng=rng())
    np.testing.assert_array_equal(*seen)


# leaks


VECTOR_LEARNERS = [SimpleShot(1), SimpleShot(5), SimpleShot(10), LaplacianShot(5), LaplacianShot(5, "official")]
VECTOR_LEARNERS += [SimpleShot(5, rule="neighbours"), SimpleShot(5, "official", transform="none")]


@pytest.mark.parametrize("attack", VECTOR_LEARNERS, ids=lambda attack: attack.title)
def test_a_planted_separation_is_found_with_members_high(attack):
    view, members = world(2.0)
    scores = attack.score(view, rng=rng())
    assert auc(scores[view.audited], members[view.audited]) > 0.85


def test_the_codes_defect_hides_a_leak_that_is_there():
    # queries at length 1 beside a support far from the origin: one and the same point is nearest to all of them
    view, _ = world(2.0)
    assert set(SimpleShot(5, "official").score(view, rng=rng())[view.audited]) == {-1.0}


@pytest.mark.parametrize("mode", ["corrected", "official"])
def test_tuning_finds_a_planted_separation(mode):
    view, members = live(4.0)
    scores = TransductiveTuning(10, mode).score(view, rng=rng())
    assert auc(scores[view.audited], members[view.audited]) > 0.85


@pytest.mark.parametrize("attack", [SimpleShot(5), LaplacianShot(5)], ids=lambda attack: attack.title)
def test_members_that_are_the_image_of_non_members_are_not_told_apart(attack):
    # every query has a twin on the other side, and so has every record that is told
    view, _ = world()
    half = view.features[:60]
    rows = episode(flat(half), shots=5, n_validation=8, n_queries=30)
    twins = flat(np.concatenate([half, half]))
    support, validation = (np.stack([part[0, 0], part[0, 0] + 60])[None] for part in rows[:2])
    queries = np.concatenate([rows.queries, rows.queries + 60], axis=1)
    scores = attack.score_episodes(twins, Episodes(support, validation, queries), rng=rng())[0]
    np.testing.assert_allclose(scores, 0.0, atol=1e-9)


OUTPUT_LEARNERS = [SimpleShot(5, space="outputs"), LaplacianShot(5, space="outputs")]


def with_known(view, members, n=60):
    known = np.full(view.n_samples, -1)
    for side in (0, 1):
        known[np.flatnonzero(~view.population & (members == side))[: n // 2]] = side
    return dataclasses.replace(view, known=known, audited=None)


@pytest.mark.parametrize("attack", OUTPUT_LEARNERS, ids=lambda attack: attack.title)
def test_outputs_alone_find_a_leak_and_nothing_where_there_is_none(attack):
    view, members = planted(leak=2.0)
    view = with_known(view, members)
    scores = [attack.score(view, rng=rng(seed)) for seed in range(10)]
    assert np.mean([auc(s[view.audited], members[view.audited]) for s in scores]) > 0.7
    view, members = planted(leak=2.0, target_leak=0.0, seed=3)
    view = with_known(view, members)
    scores = [attack.score(view, rng=rng(seed)) for seed in range(10)]
    assert np.mean([auc(s[view.audited], members[view.audited]) for s in scores]) == pytest.approx(0.5, abs=0.06)


def test_outputs_have_the_true_label_first_and_keep_their_order_near_one():
    view, _ = planted(leak=2.0)
    values, logits = outputs(view, "corrected"), view.outputs[:, 0].astype(np.float64).mean(axis=1)
    for record in range(20):
        others = np.delete(logits[record], view.labels[record])
        row = np.array([logits[record, view.labels[record]], *sorted(others, reverse=True)])
        np.testing.assert_allclose(values[record], row - row.mean(), atol=1e-6)
    saturated = np.zeros((3, 1, 1, 2), np.float32)
    saturated[:, 0, 0, 0] = [50.0, 60.0, 70.0]
    view = View.from_logits(saturated, np.zeros(3, int), target_column=0)
    assert (view.target("confidence") == 1.0).all()
    assert (np.diff(outputs(view, "corrected")[:, 0]) > 1).all()


# the harness


EVERY = [
    SimpleShot(5),
    SimpleShot(1, space="outputs"),
    SimpleShot(5, "official"),
    LaplacianShot(5),
    LaplacianShot(5, "official", space="outputs"),
    TransductiveTuning(1, epochs=5),
    TransductiveTuning(5, "official", epochs=5, temperatures=(7.0, 13.0)),
]
every_attack = pytest.mark.parametrize("attack", EVERY, ids=lambda attack: attack.title)


@every_attack
def test_scores_of_a_trained_target_and_of_nobody_else(attack):
    view, _ = trained()
    scores = attack.score(view, rng=rng())
    assert np.isfinite(scores[view.audited]).all()
    assert np.isnan(scores[~view.audited]).all()
    np.testing.assert_array_equal(scores, attack.score(view, rng=rng()))


@every_attack
def test_the_order_of_the_records_plays_no_part(attack):
    view, _ = trained()
    order = rng(1).permutation(view.n_samples)
    moved = dataclasses.replace(
        view,
        signals={name: values[order] for name, values in view.signals.items()},
        **{
            name: getattr(view, name)[order]
            for name in ("labels", "reference_in", "reference_out", "population", "known", "audited")
        },
        gradient_norm=None,
        outputs=view.outputs[order],
        features=view.features[order],
        records=view.records.subset(order),
    )
    np.testing.assert_allclose(attack.score(moved, rng=rng()), attack.score(view, rng=rng())[order], rtol=1e-9)


@every_attack
def test_a_target_that_saw_none_of_them_gives_chance(attack):
    # standard error of the AUC for 120 against 120 is 0.037, of a mean over draws of the known somewhat less
    view, members = trained(leak=False)
    scores = [attack.score(view, rng=rng(seed))[view.audited] for seed in range(3)]
    assert np.mean([auc(s, members[view.audited]) for s in scores]) == pytest.approx(0.5, abs=0.1)


@every_attack
def test_one_view_is_one_episode_and_episodes_know_nothing_of_each_other(attack):
    view, _ = trained()
    generator = rng(3)
    rows = drawn(view, attack._order(view), attack.shots, 15, generator)
    expected = attack.score_episodes(view, rows, rng=generator)[0]
    np.testing.assert_array_equal(attack.score(view, rng=rng(3))[rows.queries[0]], expected)
    if isinstance(attack, TransductiveTuning):
        return
    several = episode(view, 4, shots=attack.shots)
    together = attack.score_episodes(view, several, rng=rng())
    for number in range(4):
        alone = attack.score_episodes(view, several.part(slice(number, number + 1)), rng=rng())
        np.testing.assert_allclose(together[number], alone[0], rtol=1e-9, atol=1e-12)


@every_attack
def test_identical_records_get_identical_scores(attack):
    view, _ = trained()
    view = dataclasses.replace(
        view,
        features=np.full_like(view.features, 0.1),
        outputs=np.full_like(view.outputs, 0.1),
        labels=np.zeros_like(view.labels),
        records=Pool(np.full_like(view.records.inputs, 3), np.zeros_like(view.labels), n_classes=10, scale=1 / 16),
    )
    scores = attack.score(view, rng=rng())[view.audited]
    # a network answers in float32, not to the last digit the same in every place of a batch
    atol = 1e-6 if isinstance(attack, TransductiveTuning) else 1e-12
    np.testing.assert_allclose(scores, scores[0], rtol=0, atol=atol)


@every_attack
def test_too_few_known_records_are_refused(attack):
    view, _ = trained()
    known = np.full(view.n_samples, -1)
    few = attack.least_known
    assert few == attack.shots + 5
    for side in (0, 1):
        known[np.flatnonzero(view.known == side)[: few - side]] = side
    with pytest.raises(InputError, match=f"needs {few} known members"):
        attack.score(dataclasses.replace(view, known=known), rng=rng())
    known[np.flatnonzero(view.known == 1)[:few]] = 1
    assert np.isfinite(attack.score(dataclasses.replace(view, known=known), rng=rng())[view.audited]).all()


@every_attack
def test_nobody_is_scored_where_nobody_is_audited(attack):
    view, _ = trained()
    nobody = dataclasses.replace(view, audited=np.zeros(view.n_samples, dtype=bool))
    assert np.isnan(attack.score(nobody, rng=rng())).all()


@pytest.mark.parametrize("mode", ["corrected", "official"])
def test_tuning_leaves_the_target_as_it_was(mode):
    view, _ = live(1.0, dropout=0.3)
    module = view.model.module
    module.train()
    module.linear.eval()
    module.linear.bias.requires_grad_(False)
    before, numbers = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    attack = TransductiveTuning(3, mode, learning_rate=0.1)
    scores = attack.score(view, rng=rng())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert (module.training, module.linear.training) == (True, False)
    assert module.linear.bias.requires_grad is False
    assert all(parameter.grad is None for parameter in module.parameters())
    assert view.model.n_queries == 0
    assert torch.equal(numbers, torch.get_rng_state())
    np.testing.assert_array_equal(attack.score(view, rng=rng()), scores)


def test_an_audit_tunes_once_and_sees_no_more_than_the_queries_asked_for(monkeypatch):
    from seepage.attacks.few_shot import tuning

    seen, started = [], []
    entropy, start = tuning._entropy, tuning.TwoClasses.__init__
    monkeypatch.setattr(tuning, "_entropy", lambda logits: seen.append(len(logits)) or entropy(logits))
    monkeypatch.setattr(tuning.TwoClasses, "__init__", lambda *given: started.append(1) or start(*given))
    view, _ = live()
    scores = TransductiveTuning(3, queries=17, epochs=2).score(view, rng=rng())
    assert set(seen) == {17}
    assert len(started) == 1
    assert np.isfinite(scores[view.audited]).all()


def test_batch_normalisation_takes_part_in_official_mode_alone():
    view, _ = live()
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    view = dataclasses.replace(view, model=TargetModel.wrap(module))
    rows = episode(view, shots=1, n_queries=30)
    fewer = rows._replace(queries=rows.queries[:, :10])
    same = []
    for mode in ("corrected", "official"):
        attack = TransductiveTuning(1, mode, epochs=1, learning_rate=1e-9)
        scores = [attack.score_episodes(view, given, rng=rng())[0, :10] for given in (rows, fewer)]
        same.append(np.allclose(*scores, atol=1e-5))
    assert same == [True, False]


def test_a_module_with_one_output_has_two_classes():
    view, members = live(2.0, n_classes=2)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        single = nn.Sequential(nn.Linear(5, 1), nn.Flatten(0))
    single[0].weight.data.fill_(1.0)
    single[0].bias.data.fill_(-20.0)  # half-way between the sides
    attack = TransductiveTuning(5, head="logits")  # the sides differ in the class, not in how sure the answer is
    scores = attack.score(dataclasses.replace(view, model=TargetModel.wrap(single)), rng=rng())
    assert auc(scores[view.audited], members[view.audited]) > 0.85


def test_needs_and_access_follow_the_space():
    assert (SimpleShot(1).access, SimpleShot(1).needs) == (Access.WEIGHTS, {"known", "features"})
    assert (LaplacianShot(1, space="outputs").access, LaplacianShot(1, space="outputs").needs) == (
        Access.PROBABILITIES,
        {"known", "labels"},
    )
    assert LaplacianShot(1, "official", space="outputs").needs == {"known"}  # no label has a place in it
    assert (TransductiveTuning().access, TransductiveTuning().needs) == (Access.WEIGHTS, {"known", "model", "records"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SimpleShot(0), "at least 1"),
        (lambda: SimpleShot(5, "fixed"), "corrected, official"),
        (lambda: SimpleShot(5, space="logits"), "features, outputs"),
        (lambda: SimpleShot(5, rule="median"), "mean, neighbours"),
        (lambda: LaplacianShot(5, transform="centre"), "cl2n, l2n, none, queries"),
        (lambda: LaplacianShot(5, clusters="some"), "means, all"),
        (lambda: LaplacianShot(5, strengths=()), "strengths"),
        (lambda: LaplacianShot(5, neighbours=(0,)), r"neighbours\[0\] must be a whole number of at least 1"),
        (lambda: TransductiveTuning(5, temperatures=(0.0,)), "above 0"),
        (lambda: TransductiveTuning(5, head="features"), "logits, probabilities"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_features_that_are_not_finite_are_refused():
    view, _ = world()
    view.features[np.flatnonzero(view.audited)[0], 0] = np.inf
    with pytest.raises(InputError, match="NaN or infinity"):
        SimpleShot(5).score(view, rng=rng())
