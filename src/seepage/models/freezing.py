"""Freezing the first layers of a module: neither their weights nor their running statistics change any more."""

from __future__ import annotations

import functools
import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from seepage.errors import InputError, unknown_name
from seepage.models.architectures.classifier import Classifier


def layers(module: nn.Module) -> list[str]:
    """Names of what a number of frozen layers counts, in order of definition.

    These are the layers that hold parameters of their own: convolutions, norms, linear ones. An architecture that
    consists of blocks may name those instead (`Classifier.freezing_units`).

    >>> layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3)))
    ['0', '2']
    """
    if _has_units(module):
        return list(module.freezing_units)
    return [name for name, layer in module.named_modules() if _own(layer)]


def freeze(module: nn.Module, upto: str | int | float) -> list[str]:
    """Freeze everything that is defined up to and including a layer, in place.

    Frozen parameters take no gradient. A frozen BatchNorm stays in eval mode, also when the module is told to train:
    otherwise its running statistics would be those of the new records. It becomes an instance of a subclass of its own
    class, with the same state, and stays one in copies.

    Args:
        module: any; what matters is the order in which its layers are *defined*, which need not be that in which they
            are called.
        upto: the name of a layer or of a block of layers, "body.26"; or how many of `layers`, an int; or which share of
            them, a float, rounded down. What is defined before the first of them is frozen with it.

    Returns:
        Names of all submodules that were frozen, those without parameters too.

    Raises:
        InputError: there is no such layer, or a number that cannot be.

    Reference: the loop over `i <= freeze_layers` in models/classify.py of github.com/hosytuyen/TL-DMI (Ho et al. 2024,
    arXiv 2405.05588). Deviation: there the statistics of frozen BatchNorms go on changing, and so do the input layers
    of FaceNet64 and IR152, whose flag is misspelt.
    """
    names = dict(module.named_modules())
    if isinstance(upto, str):
        if upto not in names or not upto:
            raise unknown_name("layer to freeze up to,", upto, [name for name in names if name])
        last = upto
    else:
        held = layers(module)
        n = _count(upto, len(held), "blocks" if _has_units(module) else "layers with parameters")
        if n == 0:
            return []
        last = held[n - 1]
    order = list(names)
    # A block's own layers follow it in this order, and whatever is defined after it comes after those.
    end = max(place for place, name in enumerate(order) if name == last or name.startswith(f"{last}."))
    frozen = order[: end + 1]
    for name in frozen:
        for parameter in _own(names[name]):
            parameter.requires_grad_(False)
        if isinstance(names[name], _BatchNorm):
            names[name].__class__ = _frozen(type(names[name]))
            names[name].eval()
    return [name for name in frozen if name]


def n_trained(module: nn.Module) -> int:
    """Parameters that take gradients: |theta_C| of transfer learning."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


class FrozenBatchNorm:
    """What a frozen BatchNorm has before its own class: it cannot be told to train."""

    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)

    def __reduce__(self):
        return _unpickled, (type(self).__bases__[1], self.__dict__)


@functools.cache
def _frozen(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    if issubclass(kind, FrozenBatchNorm):
        return kind
    return type(f"Frozen{kind.__name__}", (FrozenBatchNorm, kind), {"__module__": __name__})


def _unpickled(kind: type[_BatchNorm], state: dict) -> _BatchNorm:
    layer = _frozen(kind).__new__(_frozen(kind))
    layer.__dict__.update(state)
    return layer


def _own(layer: nn.Module) -> list[nn.Parameter]:
    return list(layer.parameters(recurse=False))


def _has_units(module: nn.Module) -> bool:
    return isinstance(module, Classifier) and bool(module.freezing_units)


def _count(upto: int | float, n_layers: int, kind: str) -> int:
    """How many layers, of so many of this kind, a number or a share of them is."""
    if isinstance(upto, float) and 0 <= upto <= 1:
        return math.floor(upto * n_layers + 1e-9)  # 0.29 of 100 are 29
    if isinstance(upto, int) and not isinstance(upto, bool) and 0 <= upto <= n_layers:
        return upto
    raise InputError(
        f"freeze: expected the name of a layer, how many of the {n_layers} {kind} (an int), or which "
        f"share of them (a float from 0 to 1), got {upto!r}"
    )
