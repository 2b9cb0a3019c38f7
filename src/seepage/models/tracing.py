"""A function of tensors as a flat program, replayed without the cost of transforming it anew each time."""

from __future__ import annotations

from collections.abc import Callable

import cloudpickle
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves


def traced(function: Callable, module: nn.Module, arguments: tuple) -> Callable | None:
    """The function, which calls `module`, as a flat program for arguments of these shapes; None where it cannot be.

    A program replays tensor operations alone. A module whose Python code does something else in each call
    would be replayed wrongly, so no call may change a Python attribute of the module, and the program must
    agree with the function on arguments it was not traced on.
    """

    def copies(scale: float) -> tuple:
        # Of all: what an objective of the user's own changes in place must not reach the batch.
        parameters, frozen, buffers, inputs, *rest = arguments
        clone = [{name: t.clone() for name, t in group.items()} for group in (parameters, frozen, buffers)]
        return (*clone, inputs * scale, *(tensor.clone() for tensor in rest))

    try:
        # The tracer counts the arguments of what it is given: a bound method has one more than it takes.
        before = _attributes(module)
        program = make_fx(lambda p, f, b, x, y, e, m: function(p, f, b, x, y, e, m))(*copies(1.0))
        if _attributes(module) != before:
            return None
    except Exception:  # whatever the tracer cannot follow, vmap alone still does (or raises for itself)
        return None
    with torch.no_grad():
        for scale in (0.5, 0.25):
            ours, theirs = tree_leaves(program(*copies(scale))), tree_leaves(function(*copies(scale)))
            if not all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)):
                return None
    return program


def _attributes(module: nn.Module) -> bytes:
    """All that a module's layers hold but their tensors, to see whether a call changed it."""
    tensors = ("_parameters", "_buffers", "_modules")
    layers = [{n: value for n, value in vars(m).items() if n not in tensors} for m in module.modules()]
    return cloudpickle.dumps(layers)
