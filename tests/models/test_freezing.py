"""What is frozen does not change, counts are the published ones, and the traps of TL-DMI's code are no traps here."""

import copy
import pickle

import pytest
import torch
from torch import nn

from seepage.errors import InputError
from seepage.models.architectures import build
from seepage.models.freezing import FrozenBatchNorm, freeze, layers, n_trained

torch.set_num_threads(1)
FACES = (3, 64, 64)


def on_paper(name, n_classes=1000, **options):
    """The architecture without memory for its weights."""
    with torch.device("meta"):
        return build(name, FACES, n_classes, **options)


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(),
        nn.Linear(64, 2),
    )  # fmt: skip


def step(module, seed=1):
    """One step of SGD in training mode, with weight decay."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.1, weight_decay=0.01)
    module.train()
    module(5 * torch.randn(6, 1, 8, 8, generator=generator) + 2).square().sum().backward()
    optimiser.step()
    return module


@pytest.mark.parametrize(
    ("upto", "n"),
    [
        (0, 16_774_184),
        ("body.22", 15_036_392),
        ("body.26", 13_855_208),
        ("body.29", 11_494_376),
        ("body.32", 9_133_544),
        ("body.42", 2_051_048),
    ],
)
def test_vgg16_has_the_counts_of_figure_1_iii(upto, n):
    """16.77, 15.04, 13.86, 11.49, 9.13 and 2.05 million: conv k is 9 c_in c_out + c_out, its norm 2 c_out."""
    module = on_paper("vgg16-bn")
    if upto:
        freeze(module, upto)
    assert n_trained(module) == n
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    places = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    end = int(upto.removeprefix("body.")) if upto else -1
    convolutions = zip(places, widths, widths[1:], strict=False)
    by_hand = sum(9 * a * b + b + 2 * b for place, a, b in convolutions if place > end)
    assert n == by_hand + 2048 + 2048 * 1000 + 1000  # the head's norm has no bias to train


@pytest.mark.parametrize("upto", [3, "body.4", 0.5])
def test_vgg16_has_torchvision_s_numbers(upto):
    module = on_paper("vgg16-bn")
    kinds = [type(layer) for layer in module.body]
    assert len(kinds) == 44
    assert [place for place, kind in enumerate(kinds) if kind is nn.MaxPool2d] == [6, 13, 23, 33, 43]
    assert kinds[26] is nn.ReLU
    assert layers(module)[:3] == ["body.0", "body.1", "body.3"]
    assert layers(module)[-2:] == ["norm", "head"]
    frozen = freeze(module, upto)
    assert (
        frozen[-1] == {3: "body.3", "body.4": "body.4", 0.5: "body.21"}[upto]
    )  # half of 28 layers: conv7 and its norm


@pytest.mark.parametrize(("upto", "n"), [(0, 11_689_512), ("blocks.4", 10_087_400), ("blocks.5", 8_906_728)])
def test_resnet18_has_the_counts_of_the_ppa_experiments(upto, n):
    """11.69, 10.09 (layer3.1, layer4, fc) and 8.91 million (layer4, fc)."""
    module = on_paper("resnet18", stem="imagenet")
    if upto:
        freeze(module, upto)
    assert n_trained(module) == n


def ir_block(a, b):
    """Norm, conv, PReLU, conv, norm, and a projection with its norm where the width changes."""
    return 2 * a + 9 * a * b + b + 9 * b * b + 2 * b + (a * b + 2 * b if a != b else 0)


def ir_blocks(stages):
    widths = [64 * 2**stage for stage, n in enumerate(stages) for _ in range(n)]
    return [ir_block(a, b) for a, b in zip([64, *widths], widths, strict=False)]


OUTPUT = 2 * 512 + 512 * 4 * 4 * 512 + 512 + 2 * 512 + 512 * 1000 + 1000


@pytest.mark.parametrize(
    ("name", "stages", "upto", "left"), [("ir152", (3, 8, 36, 3), 46, 3), ("facenet64", (3, 4, 14, 3), 5, 18)]
)
def test_ir_networks_are_frozen_up_to_and_including_the_published_block(name, stages, upto, left):
    module = on_paper(name)
    blocks = ir_blocks(stages)
    assert len(module.body) == len(blocks) == sum(stages)
    whole = 3 * 9 * 64 + 2 * 64 + 64 + sum(blocks) + OUTPUT
    assert n_trained(module) == whole
    freeze(module, f"body.{upto}")
    assert n_trained(module) == sum(blocks[-left:]) + OUTPUT
    # The traps: a misspelt flag leaves the input layer trained, and "starts unfreezing" is one off.
    assert not any(p.requires_grad for p in module.input_layer.parameters())
    assert not any(p.requires_grad for p in module.body[upto].parameters())
    assert all(p.requires_grad for p in module.body[upto + 1].parameters())
    assert all(p.requires_grad for p in module.output_layer.parameters())
    assert isinstance(module.input_layer[1], FrozenBatchNorm)
    assert not isinstance(module.output_layer[0], FrozenBatchNorm)


def test_statistics_of_frozen_norms_stay_and_those_of_others_do_not():
    module = small()
    frozen = freeze(module, "1")
    assert frozen == ["0", "1"]
    before = copy.deepcopy(module.state_dict())
    after = step(module).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"3.{n}" for n in ("weight", "bias")} | {f"6.{n}" for n in ("weight", "bias")} | {
        f"4.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


def test_a_norm_that_is_only_told_not_to_take_gradients_would_leak_its_statistics():
    """What the released code does, and why it is not enough."""
    module = small()
    for layer in module[:2]:
        layer.requires_grad_(False)
    before = module[1].running_mean.clone()
    assert not torch.equal(step(module)[1].running_mean, before)


def test_a_frozen_norm_normalises_by_its_statistics_in_training_mode_too():
    module = small()
    freeze(module, 2)
    module[1].running_mean.fill_(0.5)
    module[1].running_var.fill_(4.0)
    x = torch.randn(3, 3, 4, 4)
    expected = (x - 0.5) / (4 + 1e-5) ** 0.5
    torch.testing.assert_close(module.train()[1](x), expected)
    assert module.training
    assert not module[1].training
    assert module[4].training


def test_a_norm_is_frozen_at_once_and_not_when_the_module_is_next_told_to_train():
    module = small().train()
    freeze(module, 2)
    before = module[1].running_mean.clone()
    module[1](torch.randn(3, 3, 4, 4) + 5)
    assert torch.equal(module[1].running_mean, before)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_stay_frozen_and_keep_the_state_s_names(copied):
    module = small()
    names = list(module.state_dict())
    freeze(module, 2)
    other = copied(module)
    assert list(other.state_dict()) == names
    before = copy.deepcopy(other.state_dict())
    after = step(other).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in names if name[0] in "01")
    assert isinstance(other[1], nn.BatchNorm2d)
    small().load_state_dict(after)
    assert freeze(other, 2) == ["0", "1"]  # once more changes nothing
    assert not other.train()[1].training


@pytest.mark.parametrize(
    ("upto", "frozen"),
    [
        (0, 0), (1, 1), (5, 5), (0.0, 0), (1.0, 5), (0.19, 0), (0.2, 1), (0.39, 1), (0.6, 3), ("0", 1), ("2", 2),
        ("4", 4), ("6", 5),
    ],
)  # fmt: skip
def test_names_numbers_and_shares(upto, frozen):
    module = small()
    held = layers(module)
    assert held == ["0", "1", "3", "4", "6"]
    freeze(module, upto)
    still = [name for name in held if not next(dict(module.named_modules())[name].parameters()).requires_grad]
    assert still == held[:frozen]


def test_a_share_is_rounded_down_from_what_it_means_and_not_from_its_bits():
    """0.29 times 100 is 28.999999999999996."""
    module = nn.Sequential(*(nn.Linear(1, 1) for _ in range(100)))
    assert len(freeze(module, 0.29)) == 29
    assert len(freeze(module, 0.299)) == 29


def test_a_block_is_frozen_with_all_that_is_in_it_and_nothing_that_starts_with_its_name():
    module = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False)) for _ in range(12)))
    assert freeze(module, "1") == ["0", "0.0", "0.1", "1", "1.0", "1.1"]
    assert isinstance(module[1][1], FrozenBatchNorm)  # it has no parameters, and statistics all the same
    assert n_trained(module) == 10 * 6


@pytest.mark.parametrize(
    ("upto", "says"),
    [
        ("body.62", "did you mean 'body.6'"),
        ("features.26", "unknown layer to freeze up to"),
        ("", "unknown layer"),
        (29, r"how many of the 28 layers .* got 29"),
        (-1, "got -1"),
        (1.5, r"share of them \(a float from 0 to 1\), got 1.5"),
        (True, "got True"),
    ],
)
def test_layers_that_are_not_there_are_refused(upto, says):
    with pytest.raises(InputError, match=says):
        freeze(on_paper("vgg16-bn"), upto)
