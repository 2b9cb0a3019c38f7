"""MI-Face, gradient inversion, GMI, KED-MI and LOMMA: their loops against naive ones, and what is easily got wrong."""

import numpy as np
import pytest
import torch
from torch import nn

import seepage
from seepage.errors import InputError
from seepage.inversion import lomma
from seepage.inversion.base import Attempt, Budget
from seepage.inversion.gmi import GMI
from seepage.inversion.gradient import GradientInversion, distance, shifted, total_variation
from seepage.inversion.ked_mi import KEDMI
from seepage.inversion.layers import inputs_of
from seepage.inversion.lomma import LOMMA, Learned, logit_loss
from seepage.inversion.mi_face import MIFace
from seepage.inversion.objectives import cross_entropy
from seepage.inversion.optimisers import Adam, GradientDescent, Momentum
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.inversion.priors.pixels import Pixels
from seepage.models.target import TargetModel
from tests.reference import inversion as naive

SHAPE, CLASSES, LATENT = (1, 4, 4), 3, 5


class Linear(Prior):
    """Images sigmoid(A z + b), and a linear critic; it keeps the codes that it was shown."""

    name = "linear"

    def __init__(self, shape=SHAPE, spread=1.0):
        rng = np.random.default_rng(3)
        n = int(np.prod(shape))
        self.image_shape, self.spread, self.shown = shape, spread, []
        self.a, self.b, self.critic = rng.normal(size=(n, LATENT)), rng.normal(size=n), rng.normal(size=n)

    def draw(self, rngs):
        return torch.from_numpy(np.stack([self.spread * rng.standard_normal(LATENT) for rng in rngs])).float()

    def images(self, codes, labels):
        self.shown.append(codes.detach().clone())
        flat = codes @ torch.from_numpy(self.a.T).float() + torch.from_numpy(self.b).float()
        return flat.sigmoid().view(-1, *self.image_shape)

    def penalty(self, images, labels):
        return -images.flatten(1) @ torch.from_numpy(self.critic).float()

    def one_image(self, z):
        return 1 / (1 + np.exp(-(self.a @ z + self.b)))


def linear_target(scale=1.0, bias=(0.0, 0.0, 0.0), seed=0):
    rng = np.random.default_rng(seed)
    layer = nn.Linear(int(np.prod(SHAPE)), CLASSES)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(scale * rng.normal(size=tuple(layer.weight.shape))))
        layer.bias.copy_(torch.tensor(bias))
    return nn.Sequential(nn.Flatten(), layer)


def logits_of(module):
    """The linear target on one image, in float64."""
    weight, bias = (p.detach().double().numpy() for p in (module[-1].weight, module[-1].bias))
    return lambda image: weight @ np.ravel(image) + bias


def norm_target(shape=(1, 6, 6)):
    """A convolution, a BatchNorm that remembers something, and a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = nn.Sequential(
            nn.Conv2d(shape[0], 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 16, CLASSES)
        )
        module[1].momentum = None  # it remembers just this batch
        module.train()(torch.rand(20, *shape))
        with torch.no_grad():
            module[-1].weight.mul_(5)
    return module.eval()


def attempt(module, prior, labels=(0, 1, 2), steps=10, restarts=1, known=None, seeds=None):
    seeds = range(len(labels)) if seeds is None else seeds
    rngs = [np.random.default_rng([5, seed]) for seed in seeds]
    return Attempt(Oracle(module, "weights"), prior, torch.tensor(labels), rngs, Budget(steps, restarts), known)


# Updates


def test_two_steps_of_nesterov_on_a_parabola_by_hand():
    update, x = Momentum(0.1, 0.9), torch.tensor([1.0])
    state = update.start(x)
    x, state = update.step(x, x, state, 0)  # v = -0.1
    torch.testing.assert_close(x, torch.tensor([1 - 1.9 * 0.1]))
    x, state = update.step(x, x, state, 1)  # v = -0.09 - 0.081
    torch.testing.assert_close(x, torch.tensor([0.81 + 0.9 * 0.1 - 1.9 * 0.171]))
    plain = 1 - 0.1 - 0.9 * 0.1 - 0.1 * 0.9  # x' = x + v' with the same rate
    assert abs(x.item() - plain) > 0.1


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_nesterov_is_the_textbook_form_seen_from_where_gradients_are_taken(momentum):
    curvature, start = np.array([1.0, 7.0, 0.2]), np.array([1.0, -2.0, 3.0])
    update, x = Momentum(0.05, momentum), torch.from_numpy(start)
    state = update.start(x)
    for step in range(25):
        x, state = update.step(x, torch.from_numpy(curvature) * x, state, step)
    theirs = naive.nesterov(lambda at: curvature * at, start, 0.05, momentum, 25)
    np.testing.assert_allclose(x, theirs, atol=1e-12)


def test_without_momentum_it_is_gradient_descent():
    x, gradient = torch.tensor([1.0, 2.0]), torch.tensor([3.0, -4.0])
    update, plain = Momentum(0.1, 0.0), GradientDescent(0.1)
    torch.testing.assert_close(plain.step(x, gradient, plain.start(x), 0)[0], torch.tensor([0.7, 2.4]))
    torch.testing.assert_close(
        plain.step(x, gradient, (), 0)[0], update.step(x, gradient, update.start(x), 0)[0], rtol=0, atol=1e-7
    )


def test_adam_is_the_naive_one():
    update, theirs, x, y = Adam(0.1), naive.Adam(0.1), torch.tensor([1.0, -3.0], dtype=torch.float64), np.array([1, -3])
    state = update.start(x)
    for step in range(9):
        x, state = update.step(x, x**3, state, step)
        y = theirs.move(y, y**3)
    np.testing.assert_allclose(x, y, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: GradientDescent(0.0), "GradientDescent: lr must be a number above 0, got 0.0"),
        (lambda: Adam(float("nan")), "Adam: lr"),
        (lambda: Momentum(True), "Momentum: lr"),
        (lambda: Momentum(0.1, -0.1), "Momentum: momentum must be a number of at least 0"),
        (lambda: Momentum(0.1, 1.0), "below 1"),
    ],
)
def test_what_updates_cannot_be_made_with(make, complaint):
    with pytest.raises(InputError, match=complaint):
        make()


# MI-Face


@pytest.mark.parametrize(("scale", "lr", "patience"), [(0.3, 0.1, 100), (1.0, 0.5, 4), (2.0, 5.0, 3), (2.0, 5.0, 1)])
@pytest.mark.parametrize("gamma", [0.6, 0.99])
def test_mi_face_is_the_naive_loop_for_each_image(scale, lr, patience, gamma):
    module = linear_target(scale, bias=(0.2, -0.1, 0.6))
    attack = MIFace(lr=lr, gamma=gamma, patience=patience)
    one = attempt(module, Pixels(SHAPE), steps=25)
    images, merit = attack.run(one)
    n_queries = 0
    for label, image in enumerate(images):
        path, costs, best, _ = naive.mi_face(logits_of(module), label, np.zeros(SHAPE), lr, gamma, patience, steps=25)
        np.testing.assert_allclose(image, path[best], atol=1e-4)
        assert merit[label].item() == pytest.approx(-costs[best], abs=1e-4)
        n_queries += len(path)
    assert one.oracle.n_queries == n_queries


def test_the_cases_end_in_every_way_and_not_always_with_the_best():
    ends, best_is_last = set(), set()
    for scale, lr, patience in [(0.3, 0.1, 100), (1.0, 0.5, 4), (2.0, 5.0, 1)]:
        target = logits_of(linear_target(scale, bias=(0.2, -0.1, 0.6)))
        for label in range(CLASSES):
            path, _, best, why = naive.mi_face(target, label, np.zeros(SHAPE), lr, 0.99, patience, 25)
            ends.add(why)
            best_is_last.add(best == len(path) - 1)
    assert ends == {"sure", "no gain", "steps"}
    assert best_is_last == {True, False}


def test_an_unsure_image_goes_on_and_a_sure_one_stops():
    """The rule that ART has the wrong way round: there confidence below 1 % stops and above 1 % goes on."""
    module = linear_target(bias=(8.0, 0.0, 0.0))
    one = attempt(module, Pixels(SHAPE), labels=(0, 1), steps=1000)
    before = module(torch.zeros(2, *SHAPE)).softmax(1).gather(1, one.labels[:, None])[:, 0]
    assert before[0] > 0.99
    assert before[1] < 0.01
    images, merit = MIFace(lr=1.0).run(one)
    assert (images[0] == 0).all()
    assert one.oracle.n_queries > 10
    assert images[1].max() > 0.1
    assert 1 + merit[1].item() > 0.05
    alone = attempt(module, Pixels(SHAPE), labels=(0,), steps=1000)
    MIFace(lr=1.0).run(alone)
    assert alone.oracle.n_queries == 1


def test_gamma_is_a_confidence_and_not_a_cost():
    """A third is far beyond a confidence of 1 %, at which 'cost <= 0.99' would stop."""
    module = linear_target(scale=2.0)
    images, merit = MIFace(lr=0.1, gamma=0.9).run(attempt(module, Pixels(SHAPE), steps=1000))
    assert (merit >= -0.1).all()
    torch.testing.assert_close(module(images).softmax(1).diagonal(), 1 + merit)
    assert (merit < -0.01).any()
    assert (MIFace(lr=1.0, gamma=0.01).run(attempt(module, Pixels(SHAPE), steps=1000))[0] == 0).all()


def test_a_cost_of_nothing_ends_it_even_where_all_confidence_is_asked_for():
    one = attempt(linear_target(scale=0.0, bias=(200.0, 0.0, 0.0)), Pixels(SHAPE), labels=(0,), steps=50)
    MIFace(gamma=1.0).run(one)
    assert one.oracle.n_queries == 1


@pytest.mark.parametrize("patience", [1, 7])
def test_where_nothing_is_gained_it_stops_once_the_window_is_full(patience):
    one = attempt(linear_target(scale=0.0), Pixels(SHAPE), labels=(1,), steps=1000)
    images, merit = MIFace(patience=patience).run(one)
    assert one.oracle.n_queries == patience + 1
    assert merit.item() == pytest.approx(-2 / 3)
    assert (images == 0).all()


def test_it_begins_where_pixels_do_and_restarts_differ_from_noise_alone():
    module, runs = linear_target(scale=0.01), {}
    for start in ("zero", "grey", "noise"):
        one = attempt(module, Pixels(SHAPE, start), labels=(1,), steps=1).repeated(2)
        runs[start], _ = MIFace(lr=1e-6).run(one)
    assert (runs["zero"] < 1e-4).all()
    assert ((runs["grey"] - 0.5).abs() < 1e-4).all()
    assert (runs["noise"][0] - runs["noise"][1]).abs().max() > 0.1


def test_on_digits_mi_face_convinces_a_softmax_regression():
    pool = seepage.load("digits")
    inputs, labels = torch.from_numpy(pool.inputs), torch.from_numpy(pool.labels)
    layer = nn.Linear(64, 10)
    nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(layer.parameters(), 0.05)
    for _ in range(100):
        optimiser.zero_grad()
        nn.functional.cross_entropy(layer(inputs), labels).backward()
        optimiser.step()
    module = nn.Sequential(nn.Flatten(), layer)
    assert (module(torch.zeros(1, 1, 8, 8)).softmax(1) < 0.1).sum() == 9
    images = MIFace().reconstruct(attempt(module, Pixels((1, 8, 8)), labels=tuple(range(10)), steps=2000))
    assert module(images).softmax(1).diagonal().min() > 0.9
    assert images.min() >= 0
    assert images.max() <= 1
    # Pixels that are often dark in a digit are dark in its image: nearer to its mean than to most others'.
    means = torch.stack([inputs[labels == digit].mean(0) for digit in range(10)])
    likeness = torch.corrcoef(torch.cat([means, images.flatten(1)]))[10:, :10]
    assert ((likeness > likeness.diagonal()[:, None]).sum(1) <= 2).all()


# Gradient inversion


def test_total_variation_is_the_naive_one_and_a_flat_image_has_none():
    images = torch.rand(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(total_variation(images), [naive.total_variation(i.numpy()) for i in images], rtol=1e-5)
    corner = torch.zeros(1, 1, 2, 2)
    corner[0, 0, 0, 0] = 2.0  # differs from its right, lower and lower right neighbour; the rising pair is equal
    assert total_variation(corner).item() == pytest.approx(6.0)
    flat = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(total_variation(flat).sum(), flat)
    assert (gradient == 0).all()


def test_statistics_are_those_of_one_image_over_its_positions():
    norm, generator = nn.BatchNorm2d(3), torch.Generator().manual_seed(0)
    norm.running_mean.copy_(torch.rand(3, generator=generator))
    norm.running_var.copy_(torch.rand(3, generator=generator))
    given = torch.randn(4, 3, 5, 6, generator=generator)
    remembered = norm.running_mean.tolist(), norm.running_var.tolist()
    theirs = [naive.statistics(one.double().numpy(), *remembered) for one in given]
    np.testing.assert_allclose(distance(norm, given), theirs, rtol=1e-5)
    norm.running_mean.copy_(given[1].mean((1, 2)))
    norm.running_var.copy_(given[1].var((1, 2), correction=0))
    assert distance(norm, given)[1].item() == pytest.approx(0, abs=1e-6)


def test_every_norm_of_the_target_counts():
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(48, CLASSES)).eval()
    images, one = torch.rand(3, 1, 6, 6), attempt(module, Pixels((1, 6, 6)))
    with_norms, without = (GradientInversion(bn=bn, jitter=0).loss(images, images, one, 0) for bn in (0.7, 0.0))
    first = module[0](images)
    expected = distance(module[1], first) + distance(module[3], module[2](module[1](first)))
    torch.testing.assert_close(with_norms - without, 0.7 * expected)


def test_norms_without_positions_or_memory_have_no_statistics():
    assert (distance(nn.BatchNorm1d(3), torch.rand(2, 3)) == 0).all()
    assert (distance(nn.BatchNorm2d(3, track_running_stats=False), torch.rand(2, 3, 4, 4)) == 0).all()


def test_shifts_go_round_and_each_image_has_its_own():
    images = torch.arange(4 * 2 * 5 * 6.0).view(4, 2, 5, 6)
    moved = shifted(images, [np.random.default_rng(i) for i in range(4)], 2)
    draws = [np.random.default_rng(i).integers(-2, 3, 2) for i in range(4)]
    assert len({tuple(draw) for draw in draws}) > 2
    for before, after, draw in zip(images.numpy(), moved.numpy(), draws, strict=True):
        np.testing.assert_array_equal(after, np.roll(before, tuple(draw), axis=(1, 2)))
    assert shifted(images, [], 0) is images


def test_gradient_inversion_is_the_naive_loop():
    shape, steps = (1, 6, 6), 4
    module = norm_target(shape)
    attack = GradientInversion(lr=0.03, tv=0.3, l2=0.2, bn=0.7, jitter=0)
    images, merit = attack.run(attempt(module, Pixels(shape), labels=(2,), steps=steps))
    conv, norm, last = module[0], module[1], module[4]
    weight, bias, gain, offset, w, b = (
        p.detach().double().numpy() for p in (conv.weight, conv.bias, norm.weight, norm.bias, last.weight, last.bias)
    )
    means, variances = norm.running_mean.double().numpy(), norm.running_var.double().numpy()

    def logits(x):
        made = naive.convolved(x, weight, bias)
        normed = (made - means[:, None, None]) / np.sqrt(variances[:, None, None] + norm.eps)
        return w @ np.maximum(normed * gain[:, None, None] + offset[:, None, None], 0).ravel() + b

    def loss(x):
        off = naive.statistics(naive.convolved(x, weight, bias), means, variances)
        own = -naive.log_confidence(logits(x), 2) + 0.3 * naive.total_variation(x)
        return own + 0.2 * np.sqrt((x**2).sum()) + 0.7 * off

    adam, x = naive.Adam(0.03), np.random.default_rng([5, 0]).random(shape, dtype=np.float32).astype(float)
    for _ in range(steps):
        x = np.clip(adam.move(x, naive.slope(loss, x)), 0, 1)
    np.testing.assert_allclose(images[0], x, atol=1e-3)
    assert merit.item() == pytest.approx(naive.log_confidence(logits(x), 2), abs=1e-3)


def test_gradient_inversion_begins_as_noise_of_each_image():
    prior = Pixels((1, 6, 6))
    (start,) = GradientInversion().start(attempt(norm_target(), prior))
    expected = [np.random.default_rng([5, seed]).random((1, 6, 6), dtype=np.float32) for seed in range(3)]
    np.testing.assert_array_equal(start, expected)


def test_pixels_stay_in_range_and_no_hook_stays_behind():
    module = norm_target()
    one = attempt(module, Pixels((1, 6, 6)), steps=5)
    images, _ = GradientInversion(lr=0.9).run(one)
    assert images.min() == 0
    assert images.max() == 1
    assert not any(layer._forward_pre_hooks for layer in one.oracle.module.modules())
    with pytest.raises(RuntimeError), inputs_of([one.oracle.module[1]]):
        one.oracle.module(torch.zeros(1, 2, 6, 6))
    assert not one.oracle.module[1]._forward_pre_hooks


def test_smoothness_and_statistics_do_what_they_are_for():
    module, start = norm_target(), attempt(norm_target(), Pixels((1, 6, 6)), steps=60)
    rough, _ = GradientInversion(tv=0.0, bn=0.0, jitter=0).run(attempt(module, Pixels((1, 6, 6)), steps=60))
    smooth, _ = GradientInversion(tv=1.0, bn=0.0, jitter=0).run(attempt(module, Pixels((1, 6, 6)), steps=60))
    alike, _ = GradientInversion(tv=0.0, bn=5.0, jitter=0).run(start)
    assert (total_variation(smooth) < 0.5 * total_variation(rough)).all()
    off = [distance(module[1], module[0](images)) for images in (rough, alike)]
    assert (off[1] < 0.5 * off[0]).all()


# GMI


def descended(prior, module, label, weight=100.0):
    """GMI's and KED-MI's loss as a function of one code, in float64."""
    target = logits_of(module)

    def loss(z):
        image = prior.one_image(z)
        return -prior.critic @ image - weight * naive.log_confidence(target(image), label)

    return loss


def test_gmi_is_the_naive_loop():
    module, prior = linear_target(0.5), Linear()
    images, merit = GMI(lr=0.005, momentum=0.8, weight=20.0, clip=0.7).run(attempt(module, prior, steps=6))
    for label in range(CLASSES):
        z = np.random.default_rng([5, label]).standard_normal(LATENT)
        z = naive.gmi(descended(prior, module, label, 20.0), z, 0.005, 0.8, 0.7, 6)
        assert np.abs(z).max() == 0.7
        np.testing.assert_allclose(images[label].ravel(), prior.one_image(z), atol=1e-4)
        sure = naive.log_confidence(logits_of(module)(prior.one_image(z)), label)
        assert merit[label].item() == pytest.approx(sure, abs=1e-3)


def test_codes_of_gmi_are_clamped_after_every_step():
    prior, module = Linear(spread=3.0), linear_target(0.5)
    GMI().run(attempt(module, prior, steps=8))
    assert prior.shown[0].abs().max() > 1  # the draw itself is not
    assert len(prior.shown) == 9
    assert all(codes.abs().max() <= 1 for codes in prior.shown[1:])
    free = Linear(spread=3.0)
    GMI(clip=100.0).run(attempt(module, free, steps=8))
    assert all(codes.abs().max() > 1 for codes in free.shown)


def test_of_five_starts_the_targets_surest_is_kept():
    module, prior = linear_target(0.5), Linear()
    attack, one = GMI(lr=1e-6), attempt(module, prior, labels=(1, 2), steps=1, restarts=5)
    images = attack.reconstruct(one)
    assert images.shape == (2, *SHAPE)
    again = attempt(module, prior, labels=(1, 2), steps=1).repeated(5)
    tried, merit = attack.run(again)
    for place, label in enumerate((1, 2)):
        sure = module(tried[5 * place : 5 * place + 5]).log_softmax(1)[:, label]
        assert len(set(sure.tolist())) == 5
        torch.testing.assert_close(images[place], tried[5 * place + sure.argmax()])
        assert merit[5 * place : 5 * place + 5].argmax() == sure.argmax()


def test_a_try_whose_merit_is_no_number_is_never_the_best():
    class Broken(GMI):
        def run(self, attempt):
            images, _ = super().run(attempt)
            return images, torch.tensor([torch.nan, -7.0, -5.0, -5.0, torch.nan, -torch.inf])

    one = attempt(linear_target(0.5), Linear(), labels=(1, 2), steps=1, restarts=3)
    tried, _ = Broken().run(attempt(linear_target(0.5), Linear(), labels=(1, 2), steps=1).repeated(3))
    torch.testing.assert_close(Broken().reconstruct(one), tried[[2, 3]], rtol=0, atol=0)


# KED-MI


@pytest.mark.parametrize(("clip", "logvar"), [(None, 1.0), (None, 0.0), (0.8, 1.0)])
def test_ked_mi_is_the_naive_loop_and_ends_in_a_draw(clip, logvar):
    module, prior, steps = linear_target(0.5), Linear(), 7
    attack = KEDMI(lr=0.03, weight=10.0, clip=clip, logvar=logvar)
    images, _ = attack.run(attempt(module, prior, steps=steps))
    for label in range(CLASSES):
        rng = np.random.default_rng([5, label])
        rng.standard_normal(LATENT)  # the prior's draw, whose shape alone counts
        noise = np.stack([rng.standard_normal(LATENT, dtype=np.float32) for _ in range(steps + 1)]).astype(float)
        z = naive.ked_mi(descended(prior, module, label, 10.0), noise, 0.03, logvar, clip, steps)
        np.testing.assert_allclose(images[label].ravel(), prior.one_image(z), atol=2e-4)


def test_codes_of_ked_mi_are_clipped_where_asked():
    module, free, clipped = linear_target(0.5), Linear(), Linear()
    KEDMI().run(attempt(module, free, steps=5))
    KEDMI(clip=1.0).run(attempt(module, clipped, steps=5))
    assert all(codes.abs().max() > 1 for codes in free.shown)
    assert all(codes.abs().max() == 1 for codes in clipped.shown)


def test_a_probability_of_nothing_has_a_logarithm_and_no_gradient_that_is_none():
    target = TargetModel.wrap(nn.Sequential(linear_target(500.0), nn.Softmax(1)).eval(), outputs="probabilities")
    oracle, images = Oracle(target, "weights"), torch.rand(4, *SHAPE, requires_grad=True)
    logits = oracle.logits(images)
    assert (target.module(images) == 0).any()
    assert logits.isfinite().all()
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert gradient.isfinite().all()


def test_two_images_of_a_class_are_two_draws():
    images, _ = KEDMI().run(attempt(linear_target(0.5), Linear(), labels=(1, 1), steps=3))
    assert (images[0] - images[1]).abs().max() > 0.01


# LOMMA


def test_the_logit_loss_is_on_raw_logits():
    logits = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.25, 0.0]])
    labels = torch.tensor([2, 1])
    torch.testing.assert_close(logit_loss(logits, labels), torch.tensor([-3.0, -0.25]))
    torch.testing.assert_close(logit_loss(logits + 5, labels), torch.tensor([-8.0, -5.25]))
    torch.testing.assert_close(cross_entropy(logits + 5, labels), cross_entropy(logits, labels))
    moved = logits + torch.tensor([9.0, 0.0, 0.0])  # another class is none of its business
    torch.testing.assert_close(logit_loss(moved, labels), logit_loss(logits, labels))


def learned(n_students):
    students = tuple(linear_target(1.0, seed=10 + place) for place in range(n_students))
    return Learned(students, torch.linspace(0, 1, 16))


@pytest.mark.parametrize("n_students", [0, 2])
@pytest.mark.parametrize("base", ["gmi", "ked-mi"])
def test_lommas_loss_is_the_naive_one(base, n_students):
    module, prior, known = linear_target(0.7), Linear(), learned(n_students)
    attack = LOMMA(base=base, students=n_students, pull=0.6, weight=30.0)
    one = attempt(module, prior, known=known)
    images = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    ours = attack.loss(images, None, one, 0)
    for label in range(CLASSES):
        flat = images[label].double().numpy().ravel()
        of_models = [logits_of(model)(flat) for model in (module, *known.students)]
        identity = naive.lomma(of_models, label, flat, known.mean.tolist(), 0.6)
        assert ours[label].item() == pytest.approx(-prior.critic @ flat + 30.0 * identity, rel=1e-4)


@pytest.mark.parametrize(("base", "same"), [("gmi", GMI(clip=1.0)), ("ked-mi", KEDMI(clip=1.0))])
def test_lomma_moves_as_its_base_does(base, same, monkeypatch):
    module = linear_target(0.7)
    attack = LOMMA(base=base)
    monkeypatch.setattr(LOMMA, "loss", lambda self, *given: same.loss(*given))
    images, _ = attack.run(attempt(module, Linear(), steps=6, known=learned(0)))
    theirs, _ = same.run(attempt(module, Linear(), steps=6))
    torch.testing.assert_close(images, theirs, rtol=0, atol=0)
    assert attack.prior == same.prior
    assert attack.own == Budget(2400, {"gmi": 5, "ked-mi": 1}[base])
    assert attack.title == f"LOMMA + {same.title}"


def digits(n):
    return torch.from_numpy(np.round(255 * seepage.load("digits").inputs[:n].reshape(-1, 1, 8, 8)).astype(np.uint8))


def digit_target():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        module = nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, 3)).eval()
    with torch.no_grad():
        module[-1].weight.mul_(20)
        module[-1].bias.sub_(module(digits(200) / 255).mean(0))  # so that every class is answered
    return module


def test_lomma_learns_students_and_statistics_from_public_images(monkeypatch):
    module, public, shares = digit_target(), digits(200), []
    oracle = Oracle(module, "weights")
    attack = LOMMA(students=2, student_epochs=40)
    known = attack.learn(oracle, Linear((1, 8, 8)), public, seed=1, report=shares.append)
    inputs = public.float() / 255
    assert oracle.n_queries == 200
    torch.testing.assert_close(known.mean, module[2](module[1](module[0](inputs))).mean(0).detach())
    answers = module(inputs)
    assert answers.argmax(1).bincount(minlength=3).max() < 160
    for student in known.students:
        assert not student.training
        assert (student(inputs).argmax(1) == answers.argmax(1)).float().mean() > 0.9
        assert not any(parameter.requires_grad for parameter in student.parameters())
    n_parameters = [sum(p.numel() for p in student.parameters()) for student in known.students]
    assert len(set(n_parameters)) == 2
    assert shares == sorted(shares)
    assert shares[0] < 0.5 < shares[-1] <= 1
    again = attack.learn(Oracle(module, "weights"), Linear((1, 8, 8)), public, seed=1)
    for ours, theirs in zip(again.students, known.students, strict=True):
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        assert all((value == theirs.state_dict()[name]).all() for name, value in ours.state_dict().items())
    monkeypatch.setattr(lomma, "STATISTICS_IMAGES", 100)
    monkeypatch.setattr(lomma, "ASKED_AT_ONCE", 100)
    same = public[:1].expand(200, -1, -1, -1)
    fewer = LOMMA(students=0).learn(Oracle(module, "weights"), Linear((1, 8, 8)), same, seed=1)
    assert fewer.students == ()
    torch.testing.assert_close(fewer.mean, module[2](module[1](module[0](inputs[:1])))[0].detach())
    fewer = LOMMA(students=0).learn(Oracle(module, "weights"), Linear((1, 8, 8)), public, seed=1)
    assert (fewer.mean - known.mean).abs().max() > 0


def test_what_lomma_cannot_do():
    prior = Linear((1, 8, 8))
    with pytest.raises(InputError, match="what its `learn` returned"):
        LOMMA().run(attempt(linear_target(), Linear()))
    with pytest.raises(InputError, match="got none"):
        LOMMA().learn(Oracle(digit_target(), "weights"), prior, digits(0), seed=1)
    without = nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten())
    with pytest.raises(InputError, match="a linear layer"):
        LOMMA().learn(Oracle(without, "weights"), prior, digits(3), seed=1)


# All of them


# Steps are short where they are not Adam's: a code of five coordinates has large gradients.
ATTACKS = {
    "mi-face": (MIFace(lr=0.2), Pixels((1, 6, 6), "noise")),
    "gradient": (GradientInversion(bn=1.0), Pixels((1, 6, 6))),
    "gmi": (GMI(lr=0.004), Linear((1, 6, 6))),
    "ked-mi": (KEDMI(), Linear((1, 6, 6))),
    "lomma-gmi": (LOMMA(lr=0.004), Linear((1, 6, 6))),
    "lomma-ked-mi": (LOMMA(base="ked-mi"), Linear((1, 6, 6))),
}


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("name", ATTACKS)
def test_an_image_does_not_depend_on_those_beside_it(name, restarts):
    attack, prior = ATTACKS[name]
    module = norm_target()
    known = Learned((norm_target(),), torch.zeros(32))
    together = attack.reconstruct(attempt(module, prior, restarts=restarts, known=known, steps=8))
    assert together.shape == (3, 1, 6, 6)
    assert not together.requires_grad
    for label in range(3):
        alone = attempt(module, prior, labels=(label,), restarts=restarts, known=known, steps=8, seeds=[label])
        torch.testing.assert_close(attack.reconstruct(alone)[0], together[label], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_target_grows_surer(name):
    attack, prior = ATTACKS[name]
    module, known, labels = norm_target(), Learned((norm_target(),), torch.zeros(32)), (0, 1, 2) * 8
    few, many = (attack.run(attempt(module, prior, labels, steps, known=known))[1].mean() for steps in (1, 100))
    assert many > few + 0.3 * abs(few)


@pytest.mark.parametrize("name", ATTACKS)
def test_what_an_attack_says_of_itself(name):
    attack, _ = ATTACKS[name]
    assert attack.prior == {"mi": "pixels", "gr": "pixels", "gm": "gan", "ke": "knowledge-gan"}.get(
        name[:2], "knowledge-gan" if name.endswith("ked-mi") else "gan"
    )
    assert attack.title
    assert "20" in attack.source
    assert str(attack.access) == "weights"
    assert all(note.endswith(".") for note in attack.notes)


def test_the_defaults_are_the_sources():
    assert (MIFace.own, GradientInversion.own) == (Budget(5000), Budget(2000))
    assert (GMI.own, KEDMI.own) == (Budget(1500, 5), Budget(2400, 1))
    assert MIFace() == MIFace(lr=0.1, gamma=0.99, patience=100)
    assert GMI() == GMI(lr=0.02, momentum=0.9, weight=100.0, clip=1.0)
    assert KEDMI() == KEDMI(lr=0.02, weight=100.0, logvar=1.0, clip=None)
    assert LOMMA() == LOMMA(base="gmi", students=3, pull=1.0, weight=100.0, lr=0.02, student_epochs=20)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: MIFace(lr=0), "MIFace: lr"),
        (lambda: MIFace(gamma=0.0), "gamma must be a number above 0 and up to 1"),
        (lambda: MIFace(gamma=1.01), "gamma"),
        (lambda: MIFace(patience=0), "patience must be a whole number of at least 1"),
        (lambda: GradientInversion(tv=-1.0), "GradientInversion: tv"),
        (lambda: GradientInversion(jitter=-1), "jitter must be a whole number of at least 0"),
        (lambda: GMI(momentum=1.0), "below 1"),
        (lambda: GMI(weight=-1.0), "GMI: weight"),
        (lambda: GMI(clip=0.0), "GMI: clip"),
        (lambda: KEDMI(lr=-1.0), "KEDMI: lr"),
        (lambda: KEDMI(logvar=float("inf")), "KEDMI: logvar must be a number"),
        (lambda: KEDMI(clip=0.0), "KEDMI: clip"),
        (lambda: LOMMA(base="kedmi"), "did you mean 'ked-mi'"),
        (lambda: LOMMA(students=4), "students must be a whole number from 0 to 3"),
        (lambda: LOMMA(pull=-1.0), "LOMMA: pull"),
        (lambda: LOMMA(student_epochs=0), "LOMMA: student_epochs"),
    ],
)
def test_what_attacks_cannot_be_made_with(make, complaint):
    with pytest.raises(InputError, match=complaint):
        make()
