"""PLG-MI, PPA, MIRROR with and without gradients, BREP-MI and VMI: their parts against naive ones, their budgets, and
that an image is the same whichever others are made beside it."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from seepage.errors import InputError
from seepage.inversion.base import Attempt, Budget
from seepage.inversion.brep_mi import BREPMI, repelled
from seepage.inversion.candidates import ROUND, best_of
from seepage.inversion.descent import Descent
from seepage.inversion.mirror import MIRROR
from seepage.inversion.mirror_genetic import GeneticMIRROR, parents, share_of_first
from seepage.inversion.objectives import cross_entropy, log_confidence, max_margin, poincare
from seepage.inversion.optimisers import Adam, GradientDescent
from seepage.inversion.oracle import Oracle
from seepage.inversion.plg_mi import PLGMI
from seepage.inversion.ppa import PPA
from seepage.inversion.priors.base import Prior
from seepage.inversion.spread import Spread
from seepage.inversion.views import views
from seepage.inversion.vmi import VMI, kl_to_standard
from seepage.models.access import Access, AccessError
from seepage.models.target import TargetModel
from tests.reference import inversion_search as naive

SHAPE, CLASSES, LATENT = (1, 4, 4), 4, 6
ATTACKS = {
    "plg-mi": PLGMI(),
    "ppa": PPA(lr=0.05, views=5),
    "mirror": MIRROR(),
    "mirror-genetic": GeneticMIRROR(population=12),
    "brep-mi": BREPMI(points=8),
    "vmi": VMI(lr=0.1),
}
BUDGET = Budget(steps=25, restarts=2, queries=300)


class Linear(Prior):
    """Images sigmoid(A z + b)."""

    name = "linear"
    image_shape = SHAPE

    def __init__(self, slope=1.0):
        rng = np.random.default_rng(3)
        self.slope = slope
        self.a, self.b = rng.normal(size=(16, LATENT)).astype(np.float32), rng.normal(size=16).astype(np.float32)

    def draw(self, rngs):
        p = torch.from_numpy(np.stack([rng.standard_normal(LATENT, dtype=np.float32) for rng in rngs]))
        return nn.functional.leaky_relu(p, self.slope)

    def images(self, codes, labels):
        return (codes @ torch.from_numpy(self.a.T) + torch.from_numpy(self.b)).sigmoid().view(-1, *SHAPE)


def network():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
    rng = np.random.default_rng(4)
    with torch.no_grad():
        net[1].weight.copy_(torch.from_numpy(3 * rng.normal(size=(CLASSES, 16))))
        net[1].bias.copy_(-net[1].weight.sum(1) / 2)
    return net


TARGET, PRIOR = network(), Linear()


def attempt(attack, labels=(0, 1, 2, 3, 1), budget=BUDGET, *, first=0, prior=PRIOR, target=TARGET):
    oracle = Oracle(TargetModel.wrap(target, access=attack.access), attack.access)
    known = attack.learn(oracle, prior, torch.zeros(0, *SHAPE, dtype=torch.uint8), seed=1)
    rngs = [np.random.default_rng([8, first + image]) for image in range(len(labels))]
    return Attempt(oracle, prior, torch.tensor(labels), rngs, budget, known)


@torch.no_grad()
def confidence(images, labels):
    return log_confidence(TARGET(images), torch.as_tensor(labels))


# What every attack does


@pytest.mark.parametrize("name", ATTACKS)
def test_an_image_does_not_depend_on_those_beside_it(name):
    attack, labels = ATTACKS[name], (0, 1, 2, 3, 1)
    together = attack.reconstruct(attempt(attack))
    assert together.shape == (5, *SHAPE)
    assert not together.requires_grad
    for image, label in enumerate(labels):
        alone = attack.reconstruct(attempt(attack, (label,), first=image))
        torch.testing.assert_close(alone[0], together[image], atol=1e-5, rtol=0)
    assert not torch.allclose(together[1], together[4], atol=1e-3)  # of one class, and yet each has its own generator


@pytest.mark.parametrize("name", ATTACKS)
def test_the_target_is_surer_than_of_random_codes(name):
    attack, labels = ATTACKS[name], [0, 1, 2, 3] * 5
    task = attempt(attack, labels, Budget(steps=100, queries=300))
    images, merit = attack.run(task)
    assert merit.isfinite().all()
    start = PRIOR.images(PRIOR.draw([np.random.default_rng([9, image]) for image in range(20)]), None)
    assert confidence(images, labels).mean() > confidence(start, labels).mean() + 1.0


@pytest.mark.parametrize("queries", [1, 2, 3, 9, 10, 47, 300])
@pytest.mark.parametrize("name", ["mirror-genetic", "brep-mi"])
def test_attacks_without_gradients_never_ask_more_than_they_may(name, queries):
    for image, label in enumerate((0, 1, 2, 3)):
        task = attempt(ATTACKS[name], (label,), Budget(steps=50, queries=queries), first=image)
        images, _ = ATTACKS[name].run(task)
        assert 0 < task.oracle.n_queries <= queries
        assert images.shape == (1, *SHAPE)


def test_attacks_without_gradients_do_without_logits():
    for name, level in (("mirror-genetic", Access.PROBABILITIES), ("brep-mi", Access.LABEL)):
        task = attempt(ATTACKS[name])  # the target gives no more than the attack declares
        assert task.oracle.access is level
        with pytest.raises(AccessError):
            task.oracle.logits(torch.zeros(1, *SHAPE))


def test_the_choice_of_a_start_asks_no_more_than_it_may():
    for attack, each in ((PPA(views=3), 11 // 2 * 2 + 2 + 3), (MIRROR(), 11 + 2 + 1)):
        task = attempt(attack, budget=Budget(steps=2, queries=11))
        attack.run(task)
        assert task.oracle.n_queries == 5 * each


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "plg-mi"])
def test_codes_may_have_any_shape(name):
    class Folded(Linear):
        def draw(self, rngs):
            return super().draw(rngs).view(-1, 2, LATENT // 2)

        def images(self, codes, labels):
            return super().images(codes.flatten(1), labels)

    folded = ATTACKS[name].reconstruct(attempt(ATTACKS[name], prior=Folded()))
    torch.testing.assert_close(folded, ATTACKS[name].reconstruct(attempt(ATTACKS[name])), atol=1e-5, rtol=0)


# Objectives


def test_the_margin_by_hand():
    logits = torch.tensor([[1.0, 5.0, 2.0]] * 3, requires_grad=True)
    margins = max_margin(logits, torch.tensor([0, 1, 2]))
    assert margins.tolist() == [4.0, -3.0, 3.0]
    (gradient,) = torch.autograd.grad(margins.sum(), logits)
    assert gradient.tolist() == [[-1, 1, 0], [0, -1, 1], [0, 1, -1]]


def test_the_poincare_distance_by_hand():
    # u = (.75, .25, 0), v = (.9999, 0, 0): ||u - v||^2 = .12495001, 1 - ||u||^2 = .375, 1 - ||v||^2 = .00019999
    expected = math.acosh(1 + 2 * 0.12495001 / (0.375 * 0.00019999))
    assert poincare(torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(expected, rel=1e-4)


def test_objectives_agree_with_the_naive_ones():
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(20, 5)))
    labels = torch.arange(20) % 5
    for ours, theirs in ((max_margin, naive.max_margin), (poincare, naive.poincare)):
        expected = [theirs(row, label) for row, label in zip(logits.tolist(), labels.tolist(), strict=True)]
        np.testing.assert_allclose(ours(logits, labels), expected, rtol=1e-9)


def test_the_poincare_distance_is_finite_at_the_edge_of_the_ball():
    logits = torch.tensor([[0.0, 7.0], [0.0, 0.0]], requires_grad=True)
    distances = poincare(logits, torch.tensor([1, 1]))
    assert distances.isfinite().all()
    assert torch.autograd.grad(distances.sum(), logits)[0].isfinite().all()


# Where a search begins


def test_the_best_of_some_candidates_is_that_of_all_in_a_row():
    task = attempt(MIRROR())
    number = 2 * ROUND + 5

    def score(images, labels):
        return log_confidence(TARGET(images), labels)

    codes, scores = best_of(task, number, score, keep=3)
    for image, label in enumerate(task.labels.tolist()):
        rng = np.random.default_rng([8, image])
        tried = [PRIOR.draw([rng]) for _ in range(number)]
        by_score = sorted(tried, key=lambda code: -confidence(PRIOR.images(code, None), [label]).item())
        torch.testing.assert_close(codes[image], torch.cat(by_score[:3]))
        assert scores[image].tolist() == sorted(scores[image].tolist(), reverse=True)


def test_ppa_starts_where_image_and_mirror_image_are_of_the_class():
    task = attempt(PPA(), budget=Budget(queries=81))
    (start,) = PPA().start(task)
    for image, label in enumerate(task.labels.tolist()):
        rng = np.random.default_rng([8, image])

        def score(code, label=label):
            made = PRIOR.images(code, None)
            both = [confidence(seen, [label]).exp().item() for seen in (made, torch.flip(made, [3]))]
            return sum(both) / 2

        best = naive.best_code([PRIOR.draw([rng]) for _ in range(40)], score)
        torch.testing.assert_close(start[image], best[0])


def test_ppa_likes_an_image_by_the_mean_probability_of_its_views():
    attack = PPA(views=4)
    task = attempt(attack, (2,))
    image = PRIOR.images(PRIOR.draw([np.random.default_rng(0)]), None)
    rng = np.random.default_rng([8, 0])
    shares = [confidence(views(image, [rng], scale=(0.5, 0.9), ratio=(0.8, 1.2)), [2]).exp().item() for _ in range(4)]
    assert attack.merit(image, task).item() == pytest.approx(sum(shares) / 4, rel=1e-5)


def test_losses_are_those_of_the_views():
    task, images = attempt(PLGMI()), PRIOR.images(PRIOR.draw([np.random.default_rng(i) for i in range(5)]), None)
    rngs = [np.random.default_rng([8, image]) for image in range(5)]
    options = {"scale": (0.8, 1.0), "ratio": (1.0, 1.0), "jitter": 0.2, "degrees": 5.0}
    expected = sum(max_margin(TARGET(views(images, rngs, **options)), task.labels) for _ in range(2))
    torch.testing.assert_close(PLGMI().loss(images, None, task, 0), expected)
    task = attempt(MIRROR())
    both = torch.stack([cross_entropy(TARGET(seen), task.labels) for seen in (images, images.flip(3))])
    losses = torch.stack([MIRROR().loss(images, None, task, 0) for _ in range(20)])
    nearest = (losses[:, None] / 10 - both).abs()
    assert nearest.amin(1).max() < 1e-4
    assert (nearest.argmin(1).float().mean(0) - 0.5).abs().max() < 0.4  # both come up, for every image


def test_ppa_descends_on_the_distance_of_upright_crops():
    task, images = attempt(PPA()), PRIOR.images(PRIOR.draw([np.random.default_rng(i) for i in range(5)]), None)
    rngs = [np.random.default_rng([8, image]) for image in range(5)]
    crops = views(images, rngs, scale=(0.9, 1.0), ratio=(1.0, 1.0), flip=0.0)
    torch.testing.assert_close(PPA().loss(images, None, task, 0), poincare(TARGET(crops), task.labels))
    assert PPA().update == Adam(0.005, betas=(0.1, 0.1))
    assert PPA().own == Budget(steps=70, restarts=4, queries=100)


@pytest.mark.parametrize("kind", [PLGMI, PPA, MIRROR])
def test_half_of_the_views_are_mirrored_or_none(kind, monkeypatch):
    asked = []

    def upright(images, rngs, **options):
        asked.append(options["flip"])
        return images

    monkeypatch.setattr(f"{kind.__module__}.views", upright)
    kind().run(attempt(kind(), (1,), Budget(steps=2, queries=8)))
    assert set(asked) - {0.0} == {0.5}
    asked.clear()
    kind(flip=0.0).run(attempt(kind(), (1,), Budget(steps=2, queries=8)))
    assert set(asked) == {0.0}


def test_ppa_without_mirrors_starts_at_the_best_of_twice_as_many_codes():
    attack = PPA(flip=0.0)
    task = attempt(attack, budget=Budget(queries=10))
    (start,) = attack.start(task)
    assert task.oracle.n_queries == 5 * 10
    for image, label in enumerate(task.labels.tolist()):
        rng = np.random.default_rng([8, image])

        def score(code, label=label):
            return confidence(PRIOR.images(code, None), [label]).item()

        torch.testing.assert_close(start[image], naive.best_code([PRIOR.draw([rng]) for _ in range(10)], score)[0])


# Where it is made


@pytest.mark.parametrize("name", ["plg-mi", "ppa", "mirror", "vmi"])
def test_everything_is_made_where_prior_and_target_are(name):
    """On the meta device, which has no numbers and mixes with the CPU as little as a GPU does."""
    prior = Linear()
    prior.device = torch.device("meta")
    prior.draw = lambda rngs: Linear.draw(prior, rngs).to("meta")
    a, b = (torch.from_numpy(part).to("meta") for part in (prior.a.T, prior.b))
    prior.images = lambda codes, labels: (codes @ a + b).sigmoid().view(-1, *SHAPE)
    oracle = Oracle(TARGET, "weights", "meta")
    known = ATTACKS[name].learn(oracle, prior, torch.zeros(0, *SHAPE, dtype=torch.uint8), seed=1)
    labels, rngs = torch.tensor([0, 1], device="meta"), [np.random.default_rng(image) for image in range(2)]
    images = ATTACKS[name].reconstruct(Attempt(oracle, prior, labels, rngs, Budget(2, 2, 10), known))
    assert images.device.type == "meta"
    assert images.shape == (2, *SHAPE)


# The spread of codes


def test_the_deviation_is_that_of_the_draws_and_not_an_estimate_from_them():
    """The source divides by the number of codes."""
    rng = np.random.default_rng(0)
    one, other = (PRIOR.draw([rng]) for _ in range(2))
    spread = Spread.of(PRIOR, seed=0, draws=2)
    torch.testing.assert_close(spread.deviation, (one - other)[0].abs() / 2)


def test_the_spread_is_that_before_the_activation():
    prior = Linear(slope=0.2)
    spread = Spread.of(prior, seed=0)
    torch.testing.assert_close(spread.mean, torch.zeros(LATENT), atol=0.06, rtol=0)
    torch.testing.assert_close(spread.deviation, torch.ones(LATENT), atol=0.06, rtol=0)
    codes = prior.draw([np.random.default_rng(5)] * 50)
    torch.testing.assert_close(spread.codes(spread.units(codes)), codes)
    by_hand = Spread(torch.tensor([1.0, -1.0]), torch.tensor([2.0, 0.5]), 0.2)
    torch.testing.assert_close(by_hand.codes(torch.tensor([1.0, 1.0])), torch.tensor([3.0, -0.1]))
    torch.testing.assert_close(by_hand.units(torch.tensor([3.0, -0.1])), torch.tensor([1.0, 1.0]))


def test_a_coordinate_that_never_varies_does_not_divide_by_zero():
    class Still(Linear):
        def draw(self, rngs):
            return super().draw(rngs) * torch.tensor([0.0] + [1.0] * (LATENT - 1)) + 2

    spread = Spread.of(Still(), seed=0, draws=50)
    assert spread.deviation[0] == 1
    assert spread.units(torch.full((LATENT,), 2.0))[0] == 0


@pytest.mark.parametrize("slope", [1.0, 0.2])
def test_mirror_holds_codes_to_one_deviation(slope):
    task = attempt(MIRROR(), prior=Linear(slope))
    codes = 2 * Linear(slope).draw([np.random.default_rng(5)] * 5)
    (held,) = MIRROR().project([codes], task)
    spread = task.known
    for code, ours in zip(codes.tolist(), held.tolist(), strict=True):
        theirs = naive.clipped(code, spread.mean.tolist(), spread.deviation.tolist(), slope)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(held, codes)
    (start,) = MIRROR().start(task)
    assert spread.units(start).abs().max() <= 1 + 1e-5


# The best along the path


@dataclass(frozen=True)
class Uphill(Descent):
    """Goes the wrong way, so that the first image is the best."""

    title: ClassVar[str] = "uphill"
    source: ClassVar[str] = "none"
    prior: ClassVar[str] = "gan"
    own: ClassVar[Budget] = Budget()

    @property
    def update(self):
        return GradientDescent(0.1)

    def loss(self, images, codes, attempt, step):
        return cross_entropy(attempt.oracle.logits(images), attempt.labels) * (1 - 2 * (step > 0))


class Kept(Uphill):
    keeps_best: ClassVar[bool] = True

    def loss(self, images, codes, attempt, step):
        least = -codes.sum(1)  # a step of 0.1 adds 0.1 to every coordinate
        return least if step < 3 else 100.0 + least


def test_the_image_of_the_smallest_loss_is_kept():
    task = attempt(Kept(), budget=Budget(steps=10))
    images, merit = Kept().run(task)
    codes = PRIOR.draw([np.random.default_rng([8, image]) for image in range(5)])
    torch.testing.assert_close(images, PRIOR.images(codes + 0.2, None))
    torch.testing.assert_close(merit, confidence(images, task.labels))
    last, _ = Uphill().run(attempt(Uphill(), budget=Budget(steps=10)))
    assert (confidence(last, task.labels) < confidence(PRIOR.images(codes, None), task.labels)).any()


def test_mirror_keeps_the_best_and_not_the_last():
    (start,) = MIRROR().start(attempt(MIRROR()))
    images, _ = MIRROR().run(attempt(MIRROR(), budget=replace(BUDGET, steps=1)))  # one loss is measured, at the start
    torch.testing.assert_close(images, PRIOR.images(start, None))


# Breeding


def test_parents_are_drawn_as_their_probabilities():
    fitness = torch.tensor([[0.5, 0.25, 0.25]]).log()
    draws = torch.tensor([[0.0, 0.4999, 0.5001, 0.7499, 0.7501, 0.99999]])
    assert parents(fitness, draws).tolist() == [[0, 0, 1, 1, 2, 2]]


def test_the_fitter_parent_gives_more_except_in_the_official_code():
    first, second = torch.tensor([[-1.0]]), torch.tensor([[-3.0]])
    assert share_of_first(first, second).item() == pytest.approx(math.exp(-1) / (math.exp(-1) + math.exp(-3)))
    assert share_of_first(first, second, "official").item() == pytest.approx(0.25)


@pytest.mark.parametrize("crossover", ["fitness", "official"])
def test_children_agree_with_the_naive_ones(crossover):
    attack = GeneticMIRROR(mutation=0.3, size=0.5, crossover=crossover)
    rng = np.random.default_rng(6)
    units = rng.uniform(-1, 1, (3, 7, LATENT)).astype(np.float32)
    fitness = np.log(rng.uniform(0.05, 1, (3, 7)))
    ours = attack.children(
        torch.from_numpy(units), torch.from_numpy(fitness), [np.random.default_rng([2, image]) for image in range(3)]
    )
    assert ours.shape == (3, 6, LATENT)
    for image in range(3):
        rng = np.random.default_rng([2, image])
        theirs = naive.children(
            units[image].tolist(), fitness[image].tolist(), rng, mutation=0.3, size=0.5, crossover=crossover
        )
        np.testing.assert_allclose(ours[image], theirs, atol=1e-6)
    assert ours.abs().max() <= 1


def test_without_mutation_children_are_made_of_their_parents_alone():
    units = torch.rand(2, 5, LATENT) * 2 - 1
    born = GeneticMIRROR(mutation=0.0).children(
        units, torch.full((2, 5), -1.0), [np.random.default_rng(i) for i in range(2)]
    )
    for image in range(2):
        for j in range(LATENT):
            assert set(born[image, :, j].tolist()) <= set(units[image, :, j].tolist())


def test_its_own_budget_is_that_of_the_source():
    members, generations, candidates = GeneticMIRROR().plan(GeneticMIRROR.own)
    assert (members, generations, candidates) == (100, 100, 100_000)


def test_generations_never_lose_the_fittest_and_end_when_it_is_enough():
    attack = replace(ATTACKS["mirror-genetic"], enough=1.0)
    few = attack.run(attempt(attack, budget=Budget(steps=1, queries=600)))[1]
    many_task = attempt(attack, budget=Budget(steps=20, queries=600))
    images, many = attack.run(many_task)
    _, generations, candidates = attack.plan(many_task.budget)
    assert many_task.oracle.n_queries == 5 * (candidates + 11 * generations)
    assert many.mean() > few.mean()
    torch.testing.assert_close(many, confidence(images, many_task.labels), atol=1e-4, rtol=1e-4)
    easy = replace(attack, enough=1e-6)
    task = attempt(easy, budget=Budget(steps=20, queries=600))
    easy.run(task)
    assert task.oracle.n_queries == 5 * candidates


# Repulsion


def test_a_step_of_repulsion_by_hand():
    units, directions = torch.zeros(1, 2), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    inside = torch.tensor([[False, True]])
    # the step is R / 3 = 1, and of two points only the one outside counts
    assert repelled(units, directions, inside, torch.tensor([3.0])).tolist() == [[-0.5, 0.0]]
    assert repelled(units, directions, inside, torch.tensor([3.0]), False).tolist() == [[-0.5, 0.5]]
    assert repelled(units, directions, inside, torch.tensor([30.0])).tolist() == [[-1.5, 0.0]]
    assert repelled(units, directions, inside, torch.tensor([30.0]), bound=1.0).tolist() == [[-1.0, 0.0]]


def test_points_in_the_class_do_not_move_the_code():
    units, directions = torch.rand(2, 3), torch.randn(2, 4, 3)
    everywhere = torch.ones(2, 4, dtype=torch.bool)
    torch.testing.assert_close(repelled(units, directions, everywhere, torch.tensor([2.0, 50.0])), units)


def test_repulsion_agrees_with_the_naive_one():
    rng = np.random.default_rng(3)
    units, directions = rng.normal(size=(4, 5)), rng.normal(size=(4, 8, 5))
    inside, radius = rng.random((4, 8)) < 0.5, rng.uniform(1, 20, 4)
    for repulsion_only in (True, False):
        ours = repelled(*map(torch.from_numpy, (units, directions, inside, radius)), repulsion_only)
        for i in range(4):
            theirs = naive.repelled(units[i], directions[i], inside[i], radius[i], repulsion_only)
            np.testing.assert_allclose(ours[i], theirs, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"patience": 3}, {"queries": 100}, {"repulsion_only": False, "growth": 1.1}])
def test_the_search_agrees_with_the_naive_one(options):
    queries = options.pop("queries", 10**6)
    attack = BREPMI(points=16, radius=0.6, **options)
    labels = (0, 1, 2, 3, 1)
    task = attempt(attack, labels, Budget(steps=40, queries=queries))
    images, merit = attack.run(task)
    is_found, starts, asked = attack.begin(attempt(attack, labels, task.budget))
    assert is_found.all()
    for image, label in enumerate(labels):
        one = attempt(attack, (label,), task.budget, first=image)
        attack.begin(one)  # the generator stands where the search goes on

        def is_in(u, label=label):
            codes = task.known.codes(torch.tensor(np.array(u), dtype=torch.float32))
            with torch.no_grad():
                return TARGET(PRIOR.images(codes[None], None)).argmax(1).item() == label

        u, radius, _ = naive.brep(
            is_in,
            starts[image].tolist(),
            one.rngs[0],
            40,
            points=16,
            queries=queries - asked[image].item(),
            **{"radius": 0.6, **options},
        )
        expected = PRIOR.images(task.known.codes(torch.tensor(u, dtype=torch.float32))[None], None)
        torch.testing.assert_close(images[image], expected[0], atol=1e-4, rtol=0)
        assert merit[image].item() == pytest.approx(radius, rel=1e-5)
    assert len(set(merit.tolist())) > 1


def test_it_begins_and_ends_in_the_class_and_within_the_bounds():
    attack = ATTACKS["brep-mi"]
    task = attempt(attack)
    is_found, units, _ = attack.begin(task)
    assert is_found.all()
    assert units.abs().max() <= 1.5
    images, _ = attack.run(attempt(attack))
    with torch.no_grad():
        assert TARGET(images).argmax(1).tolist() == [0, 1, 2, 3, 1]


@pytest.mark.parametrize(("inside", "grows"), [(28, False), (29, True)])
def test_a_sphere_grows_when_more_than_seven_in_eight_points_are_in_the_class(inside, grows):
    class Sphere(BREPMI):
        def is_in(self, attempt, units, labels):
            return (torch.arange(units.shape[1]) < inside).expand(units.shape[:2])

    _, merit = Sphere().run(attempt(Sphere(), (0,), Budget(steps=1, queries=1000)))
    assert merit.item() == pytest.approx(2.6 if grows else 2.0)


def test_a_step_out_of_the_class_is_refused():
    class Cornered(BREPMI):
        def is_in(self, attempt, units, labels):
            inside = super().is_in(attempt, units, labels)
            return inside if units.shape[1] == ROUND else torch.zeros_like(inside)

    attack = Cornered(points=8)
    _, units, _ = attack.begin(attempt(attack))
    task = attempt(attack)
    images, _ = attack.run(task)
    torch.testing.assert_close(images, PRIOR.images(task.known.codes(units), None))


@pytest.mark.parametrize(("more", "steps"), [(8, 0), (9, 1), (17, 1), (18, 2)])
def test_a_step_that_cannot_be_paid_for_is_not_begun(more, steps):
    attack = BREPMI(points=8)
    task = attempt(attack, budget=Budget(steps=50, queries=ROUND + more))
    attack.run(task)
    assert task.oracle.n_queries == 5 * (ROUND + 9 * steps)  # each class is found in the first round


def test_a_class_that_no_code_reaches_is_given_up_and_liked_least():
    class Never(BREPMI):
        def is_in(self, attempt, units, labels):
            return super().is_in(attempt, units, labels) & (labels != 2)[:, None]

    task = attempt(Never(), (2, 0), Budget(steps=3, queries=70))
    images, merit = Never().run(task)
    assert merit[0] == -math.inf
    assert merit[1] > 0
    rng = np.random.default_rng([8, 0])
    last = [PRIOR.draw([rng]) for _ in range(70)][-1]
    codes = task.known.codes(task.known.units(last).clamp(-1.5, 1.5))
    torch.testing.assert_close(images[:1], PRIOR.images(codes, None))


# The variational variant


def test_the_divergence_by_hand_and_against_its_definition():
    assert kl_to_standard(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0.0, 0.0]
    assert kl_to_standard(torch.tensor([[2.0]]), torch.tensor([[0.0]])).item() == pytest.approx(2.0)
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    ours = kl_to_standard(torch.from_numpy(mean), torch.from_numpy(log_variance))
    for i in range(3):
        assert ours[i].item() == pytest.approx(naive.kl_to_standard(mean[i], log_variance[i]), rel=1e-6)


def test_codes_are_draws_of_the_distribution_and_begin_as_the_priors():
    attack = VMI()
    task = attempt(attack, [0] * 4000)
    mean, log_variance = attack.start(task)
    assert not mean.any()
    assert not log_variance.any()
    units = task.known.units(attack.codes([mean + 3, log_variance + 2 * math.log(0.5)], task))
    torch.testing.assert_close(units.mean(0), torch.full((LATENT,), 3.0), atol=0.05, rtol=0)
    torch.testing.assert_close(units.std(0), torch.full((LATENT,), 0.5), atol=0.03, rtol=0)


def test_the_divergence_holds_the_distribution_and_without_it_the_distribution_narrows():
    ended = {}

    class Watched(VMI):
        def project(self, variables, attempt):
            ended[self.weight] = variables
            return variables

    for weight in (0.0, 1e4):
        Watched(lr=0.05, weight=weight).run(attempt(VMI(), [0, 1, 2, 3] * 10, Budget(steps=80)))
    free, held = ended[0.0], ended[1e4]
    assert held[0].abs().mean() < 0.05
    assert held[1].abs().mean() < 0.05
    assert free[0].abs().mean() > 0.5
    assert free[1].mean() < -0.1


# Options


@pytest.mark.parametrize(
    ("attack", "options", "complaint"),
    [
        (PLGMI, {"lr": 0.0}, "lr"),
        (PPA, {"lr": -1.0}, "lr"),
        (PPA, {"views": 0}, "views"),
        (PPA, {"flip": 1.1}, "PPA: flip must be a number from 0 to 1"),
        (PLGMI, {"flip": -0.1}, "PLGMI: flip"),
        (MIRROR, {"flip": True}, "MIRROR: flip"),
        (MIRROR, {"bound": 0.0}, "bound"),
        (MIRROR, {"weight": math.nan}, "weight"),
        (GeneticMIRROR, {"population": 1}, "population"),
        (GeneticMIRROR, {"mutation": 1.1}, "mutation"),
        (GeneticMIRROR, {"size": -0.1}, "size"),
        (GeneticMIRROR, {"enough": 0.0}, "enough"),
        (GeneticMIRROR, {"crossover": "offical"}, "did you mean 'official'"),
        (BREPMI, {"points": 0}, "points"),
        (BREPMI, {"patience": 1.5}, "patience"),
        (BREPMI, {"growth": 1.0}, "growth"),
        (BREPMI, {"radius": 0.0}, "radius"),
        (VMI, {"lr": 0.0}, "lr"),
        (VMI, {"weight": -1.0}, "weight"),
    ],
)
def test_what_they_cannot_be_made_with(attack, options, complaint):
    with pytest.raises(InputError, match=complaint):
        attack(**options)
