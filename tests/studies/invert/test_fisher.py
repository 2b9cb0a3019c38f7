"""Fisher information of layers: a worked model, a second implementation, and what it must not be mistaken for."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from seepage.errors import InputError
from seepage.inversion.base import Attempt, Budget
from seepage.inversion.gmi import GMI
from seepage.inversion.gradient import GradientInversion
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.pixels import Pixels
from seepage.schema.inversion import FisherCurve
from seepage.studies.invert import fisher as code
from seepage.studies.invert.fisher import (
    LayerInformation,
    VanishedGradient,
    curve,
    fisher,
    layer_information,
    path_information,
    ratio,
)
from tests.reference import fisher as reference
from tests.report.test_fisher_plot import made


def rng(seed=0):
    return np.random.default_rng(seed)


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(12, 5),
    )


def drawn(n=9, seed=1, side=8, classes=5):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, side, side, generator=source), torch.arange(n) % classes


def test_a_linear_model_by_hand():
    model = nn.Linear(2, 3)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        model.bias.zero_()
    images, labels = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 1, 2])
    found = layer_information(model, images, labels)
    # the gradient of -log p_y by W is (p - onehot_y) x^T: its mean square is |p - onehot|^2 |x|^2 / 6
    for row, (image, label) in enumerate(zip(images.numpy().astype(float), labels.tolist(), strict=True)):
        scores = np.array([image[0], image[1], 0.0])
        p = np.exp(scores) / np.exp(scores).sum()
        difference = p - np.eye(3)[label]
        expected = (difference**2).sum() * (image**2).sum() / 6
        assert found.per_sample[row, 0] == pytest.approx(expected, rel=1e-6)
    assert found.per_sample[1, 0] == 0  # an image of zeros moves no weight
    assert (found.names, found.parameters) == (("weight",), (6,))


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_the_second_implementation_agrees_in_any_batches(batch):
    images, labels = drawn()
    found = layer_information(net(), images, labels, batch=batch)
    np.testing.assert_allclose(found.per_sample, reference.layer_information(net(), images, labels), rtol=2e-5)
    assert found.names == ("0", "4", "7")
    assert found.parameters == (36, 108, 60)
    share, _, _ = curve(found, rng=rng())
    np.testing.assert_allclose(share, reference.share(found.per_sample.tolist()), rtol=1e-12)


def test_it_is_not_the_square_of_the_mean_gradient():
    """Two images whose gradients cancel: the square of their mean is zero, their information is not."""
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.zero_()
    images, labels = torch.ones(2, 1), torch.tensor([0, 1])
    (mean,) = torch.autograd.grad(nn.functional.cross_entropy(model(images), labels), model.weight)
    assert mean.square().mean() == 0
    assert layer_information(model, images, labels).per_sample.tolist() == [[0.25], [0.25]]


class Choosing(nn.Module):
    """Looks at values to decide what to do, which cannot be batched."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(64, 5), nn.Linear(64, 5)

    def forward(self, x):
        return self.a(x.flatten(1)) if x.mean().item() > 0.5 else self.b(x.flatten(1))


def test_a_model_that_cannot_be_batched_is_asked_image_by_image():
    images, labels = drawn(20)
    first = (images.mean((1, 2, 3)) > 0.5).numpy()
    assert 0 < first.sum() < 20
    found = layer_information(Choosing(), images, labels)
    assert ((found.per_sample[:, 0] > 0) == first).all()
    assert ((found.per_sample[:, 1] > 0) == ~first).all()
    plain = layer_information(nn.Sequential(nn.Flatten(), Choosing().a), images, labels)
    np.testing.assert_allclose(found.per_sample[first, 0], plain.per_sample[first, 0], rtol=1e-6)


def test_the_loop_gives_what_the_batch_gives(monkeypatch):
    images, labels = drawn()
    batched = layer_information(net(), images, labels)

    def refuse(*args, **kwargs):
        def fails(*inputs):
            raise RuntimeError("no batches")

        return fails

    monkeypatch.setattr(code, "vmap", refuse)
    looped = layer_information(net(), images, labels)
    np.testing.assert_allclose(looped.per_sample, batched.per_sample, rtol=1e-5)


def test_the_model_is_not_touched_and_frozen_weights_count():
    model = net().train()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    images, labels = drawn()
    found = layer_information(model, images, labels)
    assert (found.per_sample[:, 0] > 0).all()
    assert model.training
    assert model[1].training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == [False, False] + [True] * 6
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    np.testing.assert_array_equal(layer_information(model.eval(), images, labels).per_sample, found.per_sample)


def test_bytes_are_the_same_images():
    images, labels = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8), torch.arange(4)
    as_floats = layer_information(net(), images.float() / 255, labels).per_sample
    np.testing.assert_allclose(layer_information(net(), images, labels).per_sample, as_floats, rtol=1e-6)


def test_a_sure_answer_still_has_its_gradient():
    """p_0 = 1 / (1 + e^-30) is 1 in float32; the gradient by W is +- e^-30 x, in both rows."""
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[15.0], [-15.0]]))
    found = layer_information(model, torch.ones(1, 1), torch.tensor([0]))
    assert found.per_sample[0, 0] / np.exp(-60) == pytest.approx(1, rel=0.02)


def test_every_image_counts_the_same_in_classes_of_any_size():
    values = np.array([[1.0, 3.0], [2.0, 2.0], [5.0, 1.0], [4.0, 0.0], [1.0, 1.0]])
    information = LayerInformation(("a", "b"), (3, 4), values)
    share, _, _ = curve(information, rng=rng(), classes=[7, 7, 7, 2, 2])
    np.testing.assert_allclose(share, np.array([13, 7]) / 20)


def test_layers_that_share_a_weight_are_one():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[3].weight = model[1].weight
    images, labels = drawn(3, side=2, classes=3)
    found = layer_information(model, images, labels)
    assert found.names == ("1",)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(images[:1]), labels[:1]), model[1].weight)
    assert found.per_sample[0, 0] == pytest.approx(float(gradient.square().mean()), rel=1e-5)


class Painter:
    """A prior of 6 numbers an image, whose penalty is not the target's business."""

    name, slope, device = "painter", 1.0, torch.device("cpu")

    def __init__(self):
        torch.manual_seed(5)
        self.weight = torch.randn(6, 64) / 6

    def draw(self, rngs):
        return torch.stack([torch.from_numpy(one.standard_normal(6)).float() for one in rngs])

    def images(self, codes, labels):
        return torch.sigmoid(codes @ self.weight).view(-1, 1, 8, 8)

    def penalty(self, images, labels):
        return images.square().sum((1, 2, 3))


def attempt(model, prior, n=6, steps=30, classes=5):
    labels = torch.arange(n) % classes
    rngs = [np.random.default_rng([2, place]) for place in range(n)]
    return Attempt(Oracle(model, "weights"), prior, labels, rngs, Budget(steps=steps))


@pytest.mark.parametrize(("attack", "prior"), [(GMI(), Painter()), (GradientInversion(jitter=0), Pixels((1, 8, 8)))])
def test_along_a_path_the_attack_s_own_loss_is_taken_image_by_image(attack, prior):
    model = net().eval()
    kept = {}
    told = replace(attempt(model, prior), watch=lambda step, images, codes: kept.update({step: (images, codes)}))
    attack.run(told)
    assert sorted(kept) == list(range(30))
    found, classes = path_information(attack, attempt(model, prior), steps=(0, 3, 20))
    assert found.names == ("0", "4", "7")
    assert classes.tolist() == 3 * [0, 1, 2, 3, 4, 0]
    expected = []
    for step in (0, 3, 20):
        for place in range(6):
            one = attempt(model, prior)
            one.oracle.module.requires_grad_(True)
            images, codes = (part[place : place + 1] for part in kept[step])
            one = replace(one, labels=one.labels[place : place + 1], rngs=one.rngs[place : place + 1])
            attack.loss(images, codes, one, step).sum().backward()
            layers = [layer for layer in one.oracle.module if isinstance(layer, nn.Conv2d | nn.Linear)]
            expected.append([sum(v**2 for v in layer.weight.grad.flatten().tolist()) / layer.weight.numel()
                             for layer in layers])  # fmt: skip
    np.testing.assert_allclose(found.per_sample, expected, rtol=2e-4)


def test_the_loss_of_the_attack_is_not_the_cross_entropy():
    """Raw logits as the loss: the gradient by the head's weights is the features, however sure the target is."""
    attack, prior, model = Raw(), Painter(), net().eval()
    found, _ = path_information(attack, attempt(model, prior), steps=[0])
    one = attempt(model, prior)
    images = prior.images(prior.draw(one.rngs), one.labels)
    features = model[:-1](images).detach().double()
    np.testing.assert_allclose(found.per_sample[:, 2], features.square().sum(1) / 60, rtol=1e-4)
    other = layer_information(model, images, one.labels)
    assert np.abs(found.per_sample[:, 2] / other.per_sample[:, 2] - 1).min() > 0.05


class Raw(GMI):
    def loss(self, images, codes, attempt, step):
        return -attempt.oracle.logits(images).gather(1, attempt.labels[:, None])[:, 0]


def test_the_path_ends_with_the_budget_and_leaves_the_target_alone():
    model = net().eval()
    one = attempt(model, Painter(), steps=4)
    before = copy.deepcopy(model.state_dict())
    found, _ = path_information(GMI(), one, steps=(1, 3, 20))
    assert len(found.per_sample) == 12
    assert not any(parameter.requires_grad for parameter in one.oracle.module.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(InputError, match=r"no step of \[20\] is within the attack's 4"):
        path_information(GMI(), attempt(model, Painter(), steps=4), steps=[20])


def planted(slope, n_classes=30, each=4, seed=0, spread=0.3):
    """Information whose inversion share over classification share has ln r = slope * layer, and layers of any size."""
    source = np.random.default_rng(seed)
    size = np.array([1e3, 1.0, 1e-2, 5.0])  # of a layer: it is in both curves
    labels = np.repeat(np.arange(n_classes), each)
    hard = np.exp(spread * source.standard_normal(n_classes))[labels, None]  # a class moves both
    noise = np.exp(spread * source.standard_normal((2, len(labels), 4)))
    common = size * hard
    return labels, information(common * noise[0]), information(7 * common * np.exp(slope * np.arange(4)) * noise[1])


@pytest.mark.parametrize("slope", [-0.17, 0.0, 0.4])
def test_a_planted_slope_is_found_whatever_the_size_of_layers(slope):
    labels, classification, inversion = planted(slope)
    found = ratio(classification, labels, inversion, labels, rng=rng())
    assert found.slope.low < slope < found.slope.high
    assert found.slope.high - found.slope.low < 0.12
    assert found.slope.n == 30
    by_share = np.exp(np.log(found.value) - np.log(found.value[0]))
    np.testing.assert_allclose(by_share, np.exp(slope * np.arange(4)), rtol=0.25)
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()
    line = np.polynomial.polynomial.polyfit(np.arange(4), np.log(found.value), 1)  # a second least squares
    assert found.slope.value == pytest.approx(line[1])


def test_what_is_alike_has_the_ratio_one_and_no_slope():
    labels, classification, _ = planted(0.0)
    found = ratio(classification, labels, classification, labels, rng=rng())
    np.testing.assert_allclose([found.value, found.low, found.high], 1)
    assert (found.slope.value, found.slope.low, found.slope.high) == pytest.approx((0, 0, 0))


def test_classes_are_drawn_the_same_for_both_curves():
    """A class that is hard in both moves no ratio: without pairs the interval would be wide."""
    labels, classification, inversion = planted(-0.2, spread=1.0, each=1)
    shuffled = rng(3).permutation(30)
    paired = ratio(classification, labels, inversion, labels, rng=rng())
    hard = information(classification.per_sample * np.exp(2 * rng(1).standard_normal(30))[:, None])
    alike = ratio(hard, labels, hard, labels, rng=rng())
    apart = ratio(hard, labels, information(hard.per_sample[shuffled]), labels, rng=rng())
    assert alike.slope.high - alike.slope.low < 1e-9
    assert apart.slope.high - apart.slope.low > 0.05
    assert paired.slope.low < paired.slope.high


def test_curves_that_cannot_be_compared_are_refused():
    labels, classification, inversion = planted(0.0)
    other = LayerInformation(("x", "1", "2", "3"), (1,) * 4, inversion.per_sample)
    with pytest.raises(InputError, match="two curves of the same layers"):
        ratio(classification, labels, other, labels, rng=rng())
    dead = inversion.per_sample.copy()
    dead[:, 2] = 0
    with pytest.raises(VanishedGradient, match="in every layer"):
        ratio(classification, labels, information(dead), labels, rng=rng())
    one_layer = information(np.ones((10, 1)))
    assert ratio(one_layer, np.arange(10), one_layer, np.arange(10), rng=rng()).slope is None
    few = ratio(classification, labels % 3, inversion, labels % 3, rng=rng())  # of three classes, images are drawn
    assert few.slope.n == 120


def information(values):
    values = np.asarray(values, dtype=np.float64)
    return LayerInformation(tuple(map(str, range(values.shape[1]))), (1,) * values.shape[1], values)


def test_shares_by_hand_and_their_intervals():
    share, low, high = curve(information([[1, 3], [0, 4], [2, 0]]), rng=rng())
    np.testing.assert_allclose(share, [0.3, 0.7])
    assert (low <= share).all()
    assert (share <= high).all()
    share, low, high = curve(information([[1, 3]] * 20), rng=rng())
    np.testing.assert_allclose([share, low, high], [[0.25, 0.75]] * 3)  # images that agree leave no doubt
    wide, narrow = (curve(information([[1, 3], [3, 1]] * n), rng=rng()) for n in (4, 400))
    assert (narrow[2] - narrow[1] < 0.2 * (wide[2] - wide[1])).all()
    close = curve(information([[1, 3], [3, 1]] * 4), rng=rng(), confidence=0.5)
    assert (close[2] - close[1] < wide[2] - wide[1]).all()


def test_whole_classes_are_drawn_anew():
    """Forty images of two classes, alike within each: as few as two independent ones."""
    values = [[1, 3]] * 20 + [[3, 1]] * 20
    by_image = curve(information(values), rng=rng())
    by_class = curve(information(values), rng=rng(), classes=[0] * 20 + [7] * 20)
    np.testing.assert_allclose(by_image[0], by_class[0])
    np.testing.assert_allclose(by_class[1:], [[0.25, 0.25], [0.75, 0.75]])
    assert by_image[1][0] > 0.3


@pytest.mark.slow
def test_the_intervals_cover():
    """Shares of gamma-distributed information: the interval of 90 % covers the true share about that often."""
    source, covered = rng(3), 0
    for _ in range(200):
        values = source.gamma(2.0, [1.0, 2.0], size=(80, 2))
        _, low, high = curve(information(values), rng=source, confidence=0.9)
        covered += low[0] <= 1 / 3 <= high[0]
    assert 165 <= covered <= 195


def test_the_record_of_a_target():
    images, labels = drawn(20)
    others, of = drawn(15, seed=2)
    sides = layer_information(net(), images, labels), labels.numpy(), layer_information(net(), others, of), of.numpy()
    one = fisher(*sides, target="none", attack="gmi", steps=[1, 5], rng=rng())
    assert (one.target, one.attack, one.layers, one.parameters) == ("none", "gmi", ["0", "4", "7"], [36, 108, 60])
    assert (one.n_classification, one.n_inversion, one.steps) == (20, 15, [1, 5])
    for name in ("classification", "inversion"):
        share, low, high = (np.array(getattr(one, name + end)) for end in ("", "_low", "_high"))
        assert share.sum() == pytest.approx(1)
        assert (low <= share).all()
        assert (share <= high).all()
    np.testing.assert_allclose(one.inversion, curve(sides[2], rng=rng())[0])
    np.testing.assert_allclose(one.ratio, np.array(one.inversion) / one.classification)
    assert one.slope.low < one.slope.value < one.slope.high
    assert fisher(*sides, target="none", attack="gmi", steps=[1, 5], rng=rng()) == one
    few = fisher(sides[0], labels.numpy() * 0, *sides[2:], target="none", attack="gmi", rng=rng())
    assert few.classification_low < few.classification_high  # of one class, images are drawn anew
    assert FisherCurve.model_validate(one.model_dump()) == one


def test_a_result_from_before_has_no_ratio():
    one = {name: value for name, value in made("a").model_dump().items() if name not in NEW}
    old = FisherCurve.model_validate(one)
    assert (old.ratio, old.slope, old.steps) == ([], None, [])
    with pytest.raises(ValueError, match="ratio"):
        FisherCurve.model_validate({**one, "ratio": [1.0], "ratio_low": [1.0], "ratio_high": [1.0]})


NEW = ("ratio", "ratio_low", "ratio_high", "slope", "steps")


def test_what_cannot_be_measured_is_said():
    images, labels = drawn()
    with pytest.raises(InputError, match="convolutions or linear layers, got ReLU with none"):
        layer_information(nn.ReLU(), images, labels)
    with pytest.raises(InputError, match="0 images"):
        layer_information(net(), images[:0], labels[:0])
    with pytest.raises(InputError, match=r"labels of shape \(3,\)"):
        layer_information(net(), images, labels[:3])
    with pytest.raises(InputError, match="labels from 0 to 4, got 0 to 5"):
        layer_information(net(), images[:6], torch.arange(6))
    with pytest.raises(InputError, match=r"at least 2 classes, got \(1, 1\)"):
        layer_information(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), images, labels)
    normed = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(64, 5)))
    with pytest.raises(InputError, match="layer '1' to hold its weight"):
        layer_information(normed, images, labels)
    with pytest.raises(VanishedGradient, match="got none that is finite and above 0"):
        curve(information([[0, 0], [0, 0]]), rng=rng())
    with pytest.raises(InputError, match="at least two, got 2 of 1"):
        curve(information([[1, 2], [2, 1]]), rng=rng(), classes=[3, 3])
    with pytest.raises(InputError, match="confidence must lie"):
        curve(information([[1, 2]]), rng=rng(), confidence=95)
