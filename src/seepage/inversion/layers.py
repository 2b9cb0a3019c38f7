"""What layers inside the target are given: features and statistics that an attack with its weights can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def inputs_of(layers: Iterable[nn.Module]) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """A list that grows while inside: (layer, its input), in the order of the calls, differentiable."""
    seen: list[tuple[nn.Module, Tensor]] = []
    hooks = [layer.register_forward_pre_hook(lambda layer, given: seen.append((layer, given[0]))) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def of_kind(module: nn.Module, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> list[nn.Module]:
    """The layers of that kind in a module, each once."""
    return [layer for layer in module.modules() if isinstance(layer, kind)]
