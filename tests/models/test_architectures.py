"""The architectures are the published ones, and train stacked as they train alone; so does their dropout."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from seepage.errors import InputError
from seepage.models.architectures import ARCHITECTURES, build
from seepage.models.dropout import SeededDropout, replace_dropout, seed_dropout

torch.set_num_threads(1)

CIFAR = (3, 32, 32)
SMALL = {
    "mlp": {"hidden": (16, 8), "activation": "tanh", "dropout": 0.3},
    "cnn": {"widths": (4, 8), "convolutions": 2, "dropout": 0.3},
    "resnet18": {"width": 4},
    "wideresnet": {"depth": 10, "widen": 1, "dropout": 0.3},
    "densenet-bc": {"depth": 10, "growth": 4, "dropout": 0.2},
    "vgg16-bn": {"width": 4},
    "facenet64": {"width": 4},
    "ir152": {"width": 2},
    "efficientnet-lite0": {"dropout": 0.3},
}


@pytest.mark.parametrize(
    ("name", "options", "n_parameters"),
    [
        ("resnet18", {}, 11_173_962),
        ("vgg16-bn", {}, 14_723_136 + 2 * 512 + 5_130),
        ("resnet18", {"stem": "imagenet"}, 11_689_512 - 990 * 513),  # torchvision's, with 10 classes instead of 1000
        ("wideresnet", {"depth": 28, "widen": 2}, 1_467_610),
        ("wideresnet", {"depth": 16, "widen": 4}, 2_748_890),
        ("wideresnet", {"depth": 28, "widen": 10}, 36_479_194),
        ("densenet-bc", {"depth": 100, "growth": 12, "compression": 0.5}, 769_162),
    ],
)
def test_parameter_counts_are_the_published_ones(name, options, n_parameters):
    with torch.device("meta"):
        model = build(name, CIFAR, 10, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("input_shape", [(1, 8, 8), (1, 28, 28), CIFAR])
def test_logits_are_the_head_of_the_features(name, input_shape):
    model = build(name, input_shape, 7, **SMALL[name]).eval()
    x = torch.randn(2, *input_shape)
    features = model.features(x)
    assert model(x).shape == (2, 7)
    assert features.shape == (2, model.head.in_features)
    torch.testing.assert_close(model.head(features), model(x))


@pytest.mark.parametrize(("name", "stages"), [("facenet64", (3, 4, 14, 3)), ("ir152", (3, 8, 36, 3))])
def test_the_first_block_of_a_stage_halves_the_image(name, stages):
    with torch.device("meta"):
        model = build(name, (3, 64, 64), 10, width=2).eval()
        x, sides = model.input_layer(torch.zeros(1, 3, 64, 64)), []
        for block in model.body:
            x = block(x)
            sides.append(x.shape[-1])
    assert sides == [64 >> stage for stage, n in enumerate(stages, 1) for _ in range(n)]


def test_the_stem_of_imagenet_halves_the_image_twice():
    with torch.device("meta"):
        model = build("resnet18", (3, 64, 64), 10, width=2, stem="imagenet").eval()
        stem = model.stem(torch.zeros(1, 3, 64, 64))
        assert (stem.shape[-1], model.pool(stem).shape[-1]) == (32, 16)


def test_mlp_takes_records_of_any_shape():
    for shape in [(5,), (2, 3), (1, 4, 4)]:
        assert build("mlp", shape, 3)(torch.zeros(4, *shape)).shape == (4, 3)


def test_cnn_without_batch_norm_has_biases_instead():
    layers = list(build("cnn", (1, 8, 8), 3, widths=(4,), batch_norm=False).modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in layers)
    assert all(layer.bias is not None for layer in layers if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("mpl", (4,), 2), {}, "did you mean 'mlp'"),
        (("mlp", (4,), 2), {"hiden": (3,)}, "did you mean 'hidden'"),
        (("mlp", (4,), 2), {"activation": "gelu"}, "relu, tanh"),
        (("mlp", (4,), 1), {}, "at least 2 classes"),
        (("cnn", (28, 28), 2), {}, r"\(channels, height, width\)"),
        (("cnn", (1, 4, 4), 2), {}, "sides of 8 or more"),
        (("cnn", (1, 8, 8), 2), {"convolutions": 0}, "at least 1 convolution"),
        (("wideresnet", CIFAR, 2), {"depth": 27}, r"6 n \+ 4"),
        (("densenet-bc", CIFAR, 2), {"compression": 2.0}, "share of channels kept"),
        (("mlp", (4,), 2), {"dropout": 1.5}, "from 0 to 1"),
        (("resnet18", CIFAR, 2), {"stem": "imagnet"}, "did you mean 'imagenet'"),
        (("vgg16-bn", (28, 28), 2), {}, r"vgg16-bn expects images of shape \(channels, height, width\)"),
        (("ir152", (28,), 2), {}, r"ir152 expects images of shape \(channels, height, width\)"),
    ],
)
def test_a_wrong_name_or_option_says_what_is_right(arguments, options, message):
    with pytest.raises(InputError, match=message):
        build(*arguments, **options)


def loss_and_buffers(base, parameters, buffers, x, y):
    logits = functional_call(base, (parameters, buffers), (x,))
    return F.cross_entropy(logits, y), (logits, buffers)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_stack_of_models_trains_as_each_does_alone(name):
    """Logits, gradients, running statistics and dropout counters, over two steps, with vmap's randomness forbidden."""
    torch.manual_seed(0)
    shape = (3, 16, 16)
    # In float64, or the statistics of so few records in so many layers make more of the sums' order than is said here.
    models = [build(name, shape, 5, **SMALL[name]).double().train() for _ in range(3)]
    for number, model in enumerate(models):
        seed_dropout(model, number)
    alone = copy.deepcopy(models)
    parameters, buffers = stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")

    def step(parameters, buffers, x, y):
        return grad(loss_and_buffers, argnums=1, has_aux=True)(base, parameters, buffers, x, y)

    for _ in range(2):
        x, y = torch.randn(3, 6, *shape, dtype=torch.float64), torch.randint(5, (3, 6))
        gradients, (logits, buffers) = vmap(step, randomness="error")(parameters, buffers, x, y)
        for number, model in enumerate(alone):
            model.zero_grad()
            expected = model(x[number])
            F.cross_entropy(expected, y[number]).backward()
            torch.testing.assert_close(logits[number], expected, atol=1e-5, rtol=1e-5)
            for key, parameter in model.named_parameters():
                if parameter.requires_grad:
                    torch.testing.assert_close(gradients[key][number], parameter.grad, atol=1e-5, rtol=1e-4)
            for key, buffer in model.named_buffers():
                torch.testing.assert_close(buffers[key][number], buffer, atol=1e-5, rtol=1e-5)


def masks(seed, n_calls, n_elements=20_000, p=0.3, salt=0):
    """Which values are kept, (calls, elements)."""
    layer = SeededDropout(p)
    seed_dropout(layer, seed)
    layer.salt = salt
    return torch.stack([layer(torch.ones(n_elements)) != 0 for _ in range(n_calls)]).numpy()


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_dropout_keeps_the_stated_share_and_the_mean(p):
    """Within 5 standard errors, over all elements and within each call; kept values are scaled by 1 / (1 - p)."""
    kept = masks(1, 100, p=p)
    assert abs(kept.mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / kept.size)
    assert abs(kept.mean(axis=1) - (1 - p)).max() < 5 * math.sqrt(p * (1 - p) / kept.shape[1])
    # A call's counts vary as independent draws do: a chi-squared with one degree of freedom a call.
    spread = ((kept.mean(axis=1) - (1 - p)) ** 2).sum() * kept.shape[1] / (p * (1 - p))
    assert abs(spread - 100) < 5 * math.sqrt(200)
    layer = SeededDropout(p)
    values = layer(torch.full((1000,), 2.0)).unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 2 / (1 - p)]))


def test_dropout_masks_are_uncorrelated():
    """Between calls, seeds, layers, and elements at any of the strides that a matrix or an image has."""
    p, n_elements = 0.5, 20_000
    base = masks(7, 60, n_elements, p)
    rows = [base, *(masks(seed, 1, n_elements, p) for seed in range(100, 120))]
    rows += [masks(7, 1, n_elements, p, salt=salt) for salt in range(1, 20)]
    centred = np.concatenate(rows) - 0.5
    correlations = (centred @ centred.T / (n_elements * 0.25))[np.triu_indices(len(centred), 1)]
    assert abs(correlations).max() < 5.5 / math.sqrt(n_elements)
    assert abs(correlations.std() * math.sqrt(n_elements) - 1) < 0.1

    elements = base - 0.5
    for lag in [1, 2, 3, 8, 16, 32, 64, 128, 256, 784, 1024, 4096, 8192]:
        products = elements[:, lag:] * elements[:, :-lag] * 4
        assert abs(products.mean()) < 5 / math.sqrt(products.size), lag
    # An element is kept as often as any other: no column of the batch is favoured over 2,000 calls.
    counts = masks(3, 2000, 500, p).sum(axis=0)
    assert abs(((counts - 1000) ** 2 / 500).sum() - 500) < 5 * math.sqrt(1000)


def test_dropout_draws_the_same_masks_in_every_chunk():
    layer = SeededDropout(0.4)
    x = torch.randn(5, 8, 30)
    seeds = torch.arange(5) * 1_000_003
    run = vmap(lambda state, x: (functional_call(layer, state, (x,)), state), randomness="error")
    whole, after = run({"seed": seeds, "calls": torch.arange(5)}, x)
    assert after["calls"].tolist() == [1, 2, 3, 4, 5]
    first, _ = run({"seed": seeds[:2], "calls": torch.arange(2)}, x[:2])
    torch.testing.assert_close(first, whole[:2], rtol=0, atol=0)
    for number in range(5):
        layer.seed.copy_(seeds[number])
        layer.calls.fill_(number)
        torch.testing.assert_close(layer(x[number]), whole[number], rtol=0, atol=0)


def test_dropout_limits():
    x = torch.randn(4, 6)
    assert torch.equal(SeededDropout(0.0)(x), x)
    assert torch.equal(SeededDropout(1.0)(x), torch.zeros(4, 6))
    resting = SeededDropout(0.5).eval()
    assert torch.equal(resting(x), x)
    assert resting.calls == 0
    assert not resting.state_dict()


def test_seed_and_layer_cannot_be_swapped():
    assert not np.array_equal(masks(3, 1, 1000, salt=5), masks(5, 1, 1000, salt=3))


def test_channel_dropout_drops_channels_whole():
    kept = SeededDropout(0.5, channels=True)(torch.ones(20, 30, 4, 4)) != 0
    assert torch.equal(kept.all(dim=(2, 3)), kept.any(dim=(2, 3)))
    assert 0.3 < kept.float().mean() < 0.7


def test_seeding_repeats_the_masks_and_tells_layers_apart():
    model = nn.Sequential(SeededDropout(0.5), SeededDropout(0.5))
    draws = []
    for seed in [3, 3, 4, torch.Generator().manual_seed(3)]:
        seed_dropout(model, seed)
        draws.append((model[0](torch.ones(1000)), model[1](torch.ones(1000))))
    assert torch.equal(draws[0][0], draws[1][0])
    assert torch.equal(draws[0][1], draws[1][1])
    assert not torch.equal(draws[0][0], draws[0][1])
    assert not torch.equal(draws[0][0], draws[2][0])
    assert not torch.equal(draws[0][0], draws[3][0])


def test_replace_dropout_swaps_the_layers_of_a_copy():
    class Own(nn.Dropout):
        """Somebody's subclass may do anything: it stays."""

    shared = nn.Dropout(0.2)
    user = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared, nn.Dropout2d(0.3).eval()), "c": Own(0.1)})
    swapped = replace_dropout(user)
    assert type(user["a"]) is nn.Dropout
    assert type(swapped["a"]) is SeededDropout
    assert swapped["a"] is swapped["b"][0]
    assert (swapped["a"].p, swapped["b"][1].p, swapped["b"][1].channels) == (0.2, 0.3, True)
    assert swapped["a"].salt != swapped["b"][1].salt
    assert swapped["a"].training
    assert not swapped["b"][1].training
    assert type(swapped["c"]) is Own
    assert type(replace_dropout(nn.Dropout(0.1))) is SeededDropout
