"""EfficientNet-Lite0: the published shapes, TensorFlow's padding, the published weights and what they answer."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from seepage.data import Pool
from seepage.data.weights import WEIGHTS
from seepage.defences import find_defence
from seepage.defences.tl_dmi import transferred
from seepage.errors import DataFileError, InputError, UnsafeFileError
from seepage.models.architectures import EfficientNetLite0, build
from seepage.models.architectures.efficientnet import SameConv2d, own_names
from seepage.models.freezing import freeze, layers, n_trained
from seepage.models.pretrained import PRETRAINED, pretrained_file, read_pretrained
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.train import train_models

torch.set_num_threads(1)

# Repeats, kernel, stride, expansion, channels in and out, as the published table has them.
PUBLISHED = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]
PALACE, DAISY = 698, 985  # classes of ImageNet


def on_paper(*arguments, **options):
    with torch.device("meta"):
        return build("efficientnet-lite0", *arguments, **options)


def published_names(state):
    """The names that the published file has, by the inverse of nothing in the product: spelt out anew."""
    parts = {"expand": "_expand_conv", "depthwise": "_depthwise_conv", "project": "_project_conv"}
    parts |= {"expand_norm": "_bn0", "depthwise_norm": "_bn1", "project_norm": "_bn2"}
    top = {"stem": "_conv_stem", "stem_norm": "_bn0", "last": "_conv_head", "last_norm": "_bn1", "head": "_fc"}
    renamed = {}
    for name, value in state.items():
        first, *rest = name.split(".")
        if first == "blocks":
            renamed[f"_blocks.{rest[0]}.{parts[rest[1]]}.{rest[2]}"] = value
        else:
            renamed[".".join([top[first], *rest])] = value
    return renamed


def test_parameters_and_shapes_are_the_published_ones():
    model = on_paper((3, 224, 224), 1000).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_652_008
    rows = [
        (kernel, stride if first == 0 else 1, expansion, n_in if first == 0 else n_out, n_out)
        for n, kernel, stride, expansion, n_in, n_out in PUBLISHED
        for first in range(n)
    ]
    assert len(model.blocks) == len(rows) == 16
    x, side = model.stem(torch.zeros(1, 3, 224, 224, device="meta")), 112
    assert x.shape == (1, 32, 112, 112)
    for block, (kernel, stride, expansion, n_in, n_out) in zip(model.blocks, rows, strict=True):
        x, side = block(x), side // stride
        assert x.shape == (1, n_out, side, side)
        assert block.depthwise.kernel_size == (kernel, kernel)
        assert block.depthwise.stride == (stride, stride)
        assert block.depthwise.groups == block.depthwise.out_channels == n_in * expansion
        assert block.has_shortcut == (stride == 1 and n_in == n_out)
    assert side == 7
    assert {norm.eps for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (8, 5, 2), (9, 5, 2), (1, 3, 2), (6, 3, 1)]
)
def test_same_padding_begins_where_tensorflow_begins(side, kernel, stride):
    """Pixel by pixel: the window of output i begins at i stride - zeros // 2, where all windows together just fit."""
    torch.manual_seed(0)
    conv = SameConv2d(2, 2, kernel, stride, groups=2)
    x = torch.randn(1, 2, side, side)
    n_out = int(np.ceil(side / stride))
    zeros = max((n_out - 1) * stride + kernel - side, 0)
    expected = np.zeros((2, n_out, n_out))
    for channel in range(2):
        for i in range(n_out):
            for j in range(n_out):
                for a in range(kernel):
                    for b in range(kernel):
                        row, column = i * stride - zeros // 2 + a, j * stride - zeros // 2 + b
                        if 0 <= row < side and 0 <= column < side:
                            weight = conv.weight[channel, 0, a, b].item()
                            expected[channel, i, j] += weight * x[0, channel, row, column].item()
    np.testing.assert_allclose(conv(x)[0].detach().numpy(), expected, atol=1e-5)


def test_bytes_127_and_255_are_0_and_1_inside():
    model = build("efficientnet-lite0", (1, 32, 32), 3).eval()
    given = []
    model.stem.register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0]))
    model(torch.tensor([0.0, 127 / 255, 1.0]).view(3, 1, 1, 1).expand(3, 1, 32, 32))
    assert given[0].shape == (3, 3, 32, 32)
    torch.testing.assert_close(given[0][:, 0, 0, 0], torch.tensor([-127 / 128, 0.0, 1.0]))


def test_grey_is_answered_like_the_same_in_colour():
    model = build("efficientnet-lite0", (1, 32, 32), 3).eval()
    x = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(model(x), model(x.expand(-1, 3, -1, -1)))


def test_a_side_resizes_inside_and_lets_gradients_out():
    model = build("efficientnet-lite0", (1, 28, 28), 3, side=64).eval()
    x = torch.rand(2, 1, 28, 28, requires_grad=True)
    by_hand = build("efficientnet-lite0", (1, 64, 64), 3).eval()
    by_hand.load_state_dict(model.state_dict())
    large = nn.functional.interpolate(x, (64, 64), mode="bilinear")
    torch.testing.assert_close(model(x), by_hand(large))
    (gradient,) = torch.autograd.grad(model(x).sum(), x)
    assert gradient.shape == x.shape
    assert (gradient != 0).any(dim=(1, 2, 3)).all()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 32, 32), {}, "1 or 3 channels, got 2"),
        ((32, 32), {}, r"efficientnet-lite0 expects images of shape \(channels, height, width\)"),
        ((1, 28, 28), {"side": 0}, "side is a number of pixels or None, got 0"),
        ((1, 28, 28), {"side": 64.0}, "side is a number of pixels or None, got 64.0"),
    ],
)
def test_what_is_no_image_and_what_is_no_side_is_refused(shape, options, message):
    with pytest.raises(InputError, match=message):
        build("efficientnet-lite0", shape, 3, **options)


def test_a_number_of_frozen_layers_counts_blocks():
    model = build("efficientnet-lite0", (1, 32, 32), 60)
    assert layers(model) == [f"blocks.{place}" for place in range(16)]
    whole = n_trained(model)
    stem = 3 * 32 * 9 + 2 * 32
    first = 32 * 9 + 2 * 32 + 32 * 16 + 2 * 16
    freeze(model, 1)
    assert n_trained(model) == whole - stem - first
    freeze(model, 16)
    assert n_trained(model) == 320 * 1280 + 2 * 1280 + 1280 * 60 + 60
    half = build("efficientnet-lite0", (1, 32, 32), 60)
    freeze(half, 0.5)
    assert not any(parameter.requires_grad for parameter in half.blocks[7].parameters())
    assert all(parameter.requires_grad for parameter in half.blocks[8].parameters())
    with pytest.raises(InputError, match=r"how many of the 16 blocks \(an int\)"):
        freeze(half, 17)


def test_frozen_statistics_stay_in_training():
    model = build("efficientnet-lite0", (1, 16, 16), 4)
    freeze(model, 3)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items() if name.endswith("running_mean")}
    model(torch.rand(4, 1, 16, 16)).sum().backward()
    moved = {name for name, value in before.items() if not torch.equal(value, model.state_dict()[name])}
    frozen = {"stem_norm", *(f"blocks.{place}.{norm}" for place in range(3) for norm in
              ("expand_norm", "depthwise_norm", "project_norm"))}  # fmt: skip
    assert moved == set(before) - {f"{name}.running_mean" for name in frozen}
    assert moved


def test_published_names_fit_and_ours_stay():
    model = build("efficientnet-lite0", (3, 32, 32), 5)
    theirs = published_names(model.state_dict())
    assert "_blocks.3._bn1.running_var" in theirs
    assert list(own_names(theirs)) == list(model.state_dict())
    assert list(own_names(model.state_dict())) == list(model.state_dict())


def test_a_file_of_weights_is_read_whatever_its_names(tmp_path):
    from safetensors.torch import save_file

    model = build("efficientnet-lite0", (1, 28, 28), 5, side=32)
    torch.save(published_names(model.state_dict()), tmp_path / "theirs.pth")
    save_file(model.state_dict(), tmp_path / "ours.safetensors")
    for name in ("theirs.pth", "ours.safetensors"):
        state = read_pretrained(tmp_path / name)
        torch.testing.assert_close(state, dict(model.state_dict()), rtol=0, atol=0)
        tuned = transferred((1, 28, 28), 9, EfficientNetLite0, state, 11)
        assert tuned.head.out_features == 9
        torch.testing.assert_close(tuned.blocks[15].project.weight, model.blocks[15].project.weight, rtol=0, atol=0)


def test_what_holds_no_weights_is_refused(tmp_path):
    with pytest.raises(DataFileError, match=r"there is no file nowhere.pth .*or one of efficientnet-lite0"):
        pretrained_file("nowhere.pth")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataFileError, match="no model file"):
        read_pretrained(tmp_path / "table.csv")
    torch.save(build("mlp", (4,), 2), tmp_path / "module.pth")
    with pytest.raises(UnsafeFileError):
        read_pretrained(tmp_path / "module.pth")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"no plain weights \(pickle\): save them with"):
        read_pretrained(tmp_path / "old.pth")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="expected a state dict"):
        read_pretrained(tmp_path / "list.pth")


def test_named_weights_have_a_checksum_and_an_architecture():
    for name in PRETRAINED:
        assert WEIGHTS[name].file.checksum.startswith("sha256:")
        on_paper((3, 64, 64), 10)


def test_published_weights_are_a_source_of_pre_training_that_needs_no_population():
    assert find_defence("tl-dmi", freeze=3, pretrain="efficientnet-lite0").uses == frozenset()
    with pytest.raises(InputError, match="did you mean 'efficientnet-lite0'"):
        find_defence("tl-dmi", pretrain="efficientnet_lite0")
    with pytest.raises(InputError, match="leave pretraining_epochs= out"):
        find_defence("tl-dmi", pretrain="efficientnet-lite0", pretraining_epochs=2)


@pytest.mark.slow
def test_frozen_blocks_are_the_published_ones_after_training():
    rng = np.random.default_rng(0)
    pool = Pool(rng.integers(0, 256, (12, 1, 16, 16), dtype=np.uint8), np.arange(12) % 3, scale=1 / 255)
    plain = Recipe(model=functools.partial(EfficientNetLite0, side=32), epochs=1, batch_size=4)
    recipe = find_defence("tl-dmi", freeze=11, pretrain="efficientnet-lite0").apply(plain)
    (trained,) = train_models(recipe, Records.of(pool), [np.arange(12)], [0])
    published, found = read_pretrained("efficientnet-lite0"), trained.state_dict()
    same = {name for name in published if name in found and torch.equal(published[name], found[name])}
    frozen = {name for name in found if name.startswith(("stem", *(f"blocks.{place}." for place in range(11))))}
    assert frozen <= same
    assert not any(name.endswith(".weight") for name in same - frozen)
    assert found["head.weight"].shape == (3, 1280)


@pytest.mark.slow
def test_the_published_weights_know_a_palace_and_a_daisy():
    """The two photographs that ship with scikit-learn: a palace in Beijing, a flower like a daisy."""
    from sklearn.datasets import load_sample_images

    model = build("efficientnet-lite0", (3, 224, 224), 1000).eval()
    model.load_state_dict(read_pretrained("efficientnet-lite0"))
    found = []
    for photograph in load_sample_images().images:
        left = (photograph.shape[1] - photograph.shape[0]) // 2
        square = torch.tensor(photograph[:, left : left + photograph.shape[0]]).movedim(2, 0)[None] / 255
        with torch.no_grad():
            found.append(model(nn.functional.interpolate(square, (224, 224), mode="bilinear", antialias=True)).argmax())
    assert found == [PALACE, DAISY]
