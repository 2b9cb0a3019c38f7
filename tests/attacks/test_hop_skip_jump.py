"""The search finds the nearest point of boundaries that are known, within its budget."""

import numpy as np
import pytest

from seepage.attacks.label_only.hop_skip_jump import _directions, hop_skip_jump
from tests.reference.hop_skip_jump import distance

N = 25


def asked_with(beyond):
    """An `ask` for one boundary for all, and a list of (questions, owners) of every call."""
    calls = []

    def ask(questions, owners):
        assert questions.dtype == np.float32
        assert len(questions) == len(owners) > 0
        calls.append((questions.copy(), owners.copy()))
        return beyond(questions)

    return ask, calls


def plane(n_values, seed=0):
    """Records on the near side of a plane, starts on its far side, and their distances to it."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=n_values)
    w /= np.linalg.norm(w)

    def beyond(points):
        return points @ w + 0.2 < 0

    records = rng.normal(size=(N, n_values))
    records += (np.maximum(0, 0.1 - (records @ w + 0.2)))[:, None] * w
    starts = rng.normal(size=(N, n_values))
    starts -= (np.maximum(0, starts @ w + 0.2) + 1)[:, None] * w
    return beyond, records.astype(np.float32), starts.astype(np.float32), records @ w + 0.2


def search(beyond, records, starts, seed=3, **options):
    ask, calls = asked_with(beyond)
    return hop_skip_jump(ask, records, starts, rng=np.random.default_rng(seed), **options), calls


@pytest.mark.parametrize(
    ("n_values", "budget", "most"), [(2, 1000, 1.01), (20, 1000, 1.05), (20, 5000, 1.01), (64, 5000, 1.03)]
)
def test_the_distance_to_a_plane_is_found(n_values, budget, most):
    beyond, records, starts, true = plane(n_values)
    found, _ = search(beyond, records, starts, budget=budget)
    ratio = found.distances / true
    assert ratio.min() >= 1 - 1e-5
    assert ratio.max() < most


@pytest.mark.parametrize("inside", [True, False])
def test_the_distance_to_a_sphere_is_found_from_either_side(inside):
    rng = np.random.default_rng(1)
    unit = rng.normal(size=(N, 15))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    radii = rng.uniform(0.5, 1.8, N) if inside else rng.uniform(2.2, 4, N)
    far = 5.0 if inside else 0.3
    starts = np.roll(unit, 1, axis=0) * far

    def beyond(points):
        return (np.linalg.norm(points, axis=1) > 2) == inside

    found, _ = search(beyond, (unit * radii[:, None]).astype(np.float32), starts.astype(np.float32), budget=5000)
    ratio = found.distances / abs(radii - 2)
    assert ratio.min() >= 1 - 1e-5
    assert np.median(ratio) < 1.03
    assert ratio.max() < 1.1


@pytest.mark.parametrize("budget", [60, 300, 1000])
def test_points_lie_beyond_and_were_asked_within_the_budget(budget):
    beyond, records, starts, _ = plane(12)
    found, calls = search(beyond, records, starts, budget=budget)
    assert beyond(found.points).all()
    np.testing.assert_allclose(found.distances, np.linalg.norm(found.points - records.astype(float), axis=1))
    owners = np.concatenate([owners for _, owners in calls])
    np.testing.assert_array_equal(np.bincount(owners, minlength=N), found.n_asked)
    assert found.n_asked.max() <= budget
    assert found.n_asked.min() > budget - 30  # 11 for halving, 5 spare, and too few directions
    for record in range(3):
        asked = np.concatenate([questions[owners == record] for questions, owners in calls])
        assert (asked == found.points[record]).all(axis=1).any()


def test_the_budget_holds_where_no_step_succeeds():
    # beyond is only a small ball around each start: every step out of it fails, however short
    rng = np.random.default_rng(0)
    records, starts = rng.normal(size=(2, N, 8)).astype(np.float32)
    calls = []

    def ask(questions, owners):
        calls.append(owners)
        return np.linalg.norm(questions - starts[owners], axis=1) < 1e-3

    for budget in (60, 200, 500):
        calls.clear()
        found = hop_skip_jump(ask, records, starts, budget=budget, rng=rng)
        np.testing.assert_array_equal(np.bincount(np.concatenate(calls), minlength=N), found.n_asked)
        assert found.n_asked.max() <= budget
        assert (np.linalg.norm(found.points - starts, axis=1) < 1e-3).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_where_all_directions_look_alike_their_sum_is_taken(sign):
    unit = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    towards = _directions(
        lambda questions, owners: np.full(len(questions), sign > 0),
        np.zeros((1, 6), dtype=np.float32),
        np.array([0]),
        np.array([40]),
        np.array([0.1]),
        unit,
        (-np.inf, np.inf),
    )
    expected = sign * unit.sum(axis=0)
    np.testing.assert_allclose(towards[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_a_budget_for_nothing_leaves_the_starts():
    beyond, records, starts, _ = plane(12)
    found, calls = search(beyond, records, starts, budget=5)
    np.testing.assert_array_equal(found.points, starts)
    assert not calls
    assert not found.n_asked.any()


def test_more_questions_bring_no_point_further():
    beyond, records, starts, _ = plane(30)
    distances = [search(beyond, records, starts, budget=budget)[0].distances for budget in (150, 600, 2400)]
    assert (distances[0] >= distances[1] - 1e-9).all()
    assert (distances[1] > distances[2]).all()


def test_company_plays_no_part():
    beyond, records, starts, _ = plane(16)
    together, _ = search(beyond, records, starts, budget=800)
    for record in range(4):
        alone, _ = search(beyond, records[[record]], starts[[record]], budget=800)
        np.testing.assert_allclose(alone.distances, together.distances[[record]], rtol=1e-4)
        assert alone.n_asked == together.n_asked[record]


def test_questions_stay_within_the_values_that_are_allowed():
    # the nearest point beyond x_0 + x_1 > 1.5 from (0.9, 0.1) in the unit square is (1, 0.5), not (1.15, 0.35)
    records = np.array([[0.9, 0.1]], dtype=np.float32)
    starts = np.ones((1, 2), dtype=np.float32)
    found, calls = search(lambda points: points.sum(axis=1) > 1.5, records, starts, budget=3000, value_range=(0.0, 1.0))
    questions = np.concatenate([questions for questions, _ in calls])
    assert questions.min() >= 0
    assert questions.max() <= 1
    np.testing.assert_allclose(found.distances, np.hypot(0.1, 0.4), rtol=0.05)


@pytest.mark.parametrize("kind", ["plane", "sphere"])
def test_a_search_of_one_record_alone_finds_the_same_distances(kind):
    beyond, records, starts, _ = plane(10, seed=4)
    if kind == "sphere":  # seen from outside
        records, starts = 4 * records / np.linalg.norm(records, axis=1, keepdims=True), starts / 20

        def beyond(points):
            return np.linalg.norm(points, axis=1) < 2.0

    found, _ = search(beyond, records, starts, budget=1600)
    for record in range(6):
        naive, _ = distance(
            lambda point: bool(beyond(point[None])[0]),
            records[record].astype(float),
            starts[record],
            steps=6,
            directions=100,
            seed=record,
        )
        assert found.distances[record] == pytest.approx(naive, rel=0.03)
