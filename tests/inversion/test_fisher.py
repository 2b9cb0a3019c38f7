"""Fisher information of layers: a worked model, a second implementation, and what it must not be mistaken for."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from seepage.errors import InputError
from seepage.inversion import fisher as code
from seepage.inversion.fisher import LayerInformation, VanishedGradient, curve, fisher, layer_information
from tests.reference import fisher as reference


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


def test_another_loss_is_taken_for_inversion_only():
    images, labels = drawn(10)
    same = fisher(net(), images, labels, images, labels, target="a", attack="b", rng=rng())
    assert same.classification == same.inversion
    margin = fisher(net(), images, labels, images, labels, target="a", attack="b", rng=rng(),
                    loss=lambda logits, y: -logits.gather(1, y[:, None])[:, 0])  # fmt: skip
    assert margin.classification == same.classification
    assert np.abs(np.array(margin.inversion) - same.inversion).max() > 1e-3


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
    one = fisher(net(), images, labels, others, of, target="none", attack="gmi", rng=rng())
    assert (one.target, one.attack, one.layers, one.parameters) == ("none", "gmi", ["0", "4", "7"], [36, 108, 60])
    assert (one.n_classification, one.n_inversion) == (20, 15)
    for name in ("classification", "inversion"):
        share, low, high = (np.array(getattr(one, name + end)) for end in ("", "_low", "_high"))
        assert share.sum() == pytest.approx(1)
        assert (low <= share).all()
        assert (share <= high).all()
    np.testing.assert_allclose(one.inversion, curve(layer_information(net(), others, of), rng=rng())[0])
    again = fisher(net(), images, labels, others, of, target="none", attack="gmi", rng=rng())
    assert again == one
    few = fisher(net(), images, labels * 0, others, of, target="none", attack="gmi", rng=rng())
    assert few.classification_low < few.classification_high  # of one class, images are drawn anew


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
