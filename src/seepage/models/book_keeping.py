"""Clipped sums of per-sample gradients by book-keeping: from activations, without the per-sample gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional as F

from seepage.models.clipping import clipping_factors

# Of a layer's calls, for each record: the squared norm of its parameters' gradient, and from factors (batch,) the sum
# of the gradients, each times its factor, by the parameter's name.
Share = tuple[Tensor, Callable[[Tensor], dict[str, Tensor]]]


class BookKeeping:
    """The clipped sum of one module's gradients from one forward and one backward pass, without per-sample gradients.

    For a layer y = W a + b the record's gradient by W is sum_t g_t a_t^T, with g the gradient by y and t its position
    (a convolution has many, a linear layer one). So

        ||G_i||^2 = sum_{t,u} (a_t . a_u) (g_t . g_u)           and       sum_i c_i G_i = sum_i sum_t (c_i g_t) a_t^T

    g is had by adding a perturbation of zero to every layer's output and differentiating by it. Where there are more
    positions than the weight has entries, G_i itself is the smaller, and it is made.

    Layers with parameters may be Linear, Conv2d, GroupNorm and LayerNorm, each called once; `fits` tells whether a
    module is like that and gives, on the records shown, what `per_sample_clipped_sum` gives. Others take that one.

    Args:
        module: its hooks are used during a call, its weights are not.
        example: (1, ...) any record, to learn the shapes from.

    Reference: Bu et al. 2022, arXiv 2210.00038, sections 2 and 3 (one backward pass, and the choice of the norm's
    form by layer). Deviation: GroupNorm's and LayerNorm's gradients, which are small, are made one by one.
    """

    def __init__(self, module: nn.Module, example: Shaped[Tensor, "1 ..."]):
        self.module = module
        probe = copy.deepcopy(module).eval()  # dropout draws nothing
        layers = {name: layer for name, layer in probe.named_modules() if _trained(layer)}
        self.shapes: dict[str, torch.Size | None] = {}
        self.calls = dict.fromkeys(layers, 0)

        def saw(name: str) -> Callable:
            def hook(layer, given, made):
                self.calls[name] += 1
                plain = len(given) == 1 and isinstance(made, Tensor) and len(given[0]) == 1
                self.shapes[name] = made.shape[1:] if plain else None

            return hook

        for name, layer in layers.items():
            layer.register_forward_hook(saw(name))
        with torch.no_grad():
            probe(example)
        self.layers = {name: module.get_submodule(name) for name, n_calls in self.calls.items() if n_calls}

    @property
    def fits(self) -> bool:
        """Whether each trained parameter is that of one layer of a known kind, called at most once."""
        parameters = [p for layer in self.module.modules() for p in layer.parameters(recurse=False) if p.requires_grad]
        shared = len(parameters) != len(set(parameters))
        known = all(_known(layer) for layer in self.module.modules() if _trained(layer))
        return not shared and known and max(self.calls.values(), default=0) <= 1 and None not in self.shapes.values()

    def __call__(
        self,
        losses: Callable[[Tensor], Float[Tensor, " batch"]],
        parameters: dict[str, Tensor],
        others: dict[str, Tensor],
        inputs: Float[Tensor, "batch ..."],
        mask: Bool[Tensor, " batch"],
        max_norm: float,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The clipped sum by the trained parameters, and `others` (the rest of the state) as the call left it.

        Args:
            losses: the module's outputs -> the loss of each record.
        """

        def total(perturbations: dict[str, Tensor], others: dict[str, Tensor]):
            seen: dict[str, Tensor] = {}

            def perturbed(name: str) -> Callable:
                def hook(layer, given, made):
                    seen[name] = given[0]
                    return made + perturbations[name]

                return hook

            hooks = [layer.register_forward_hook(perturbed(name)) for name, layer in self.layers.items()]
            state = {**parameters, **others}
            try:
                outputs = functional_call(self.module, state, (inputs,))
            finally:
                for hook in hooks:
                    hook.remove()
            return losses(outputs).sum(), (seen, {name: state[name] for name in others})

        zeros = {name: inputs.new_zeros((len(mask), *self.shapes[name])) for name in self.layers}
        by_output, (seen, left) = grad(total, has_aux=True)(zeros, others)
        summed = {name: torch.zeros_like(p) for name, p in parameters.items()}
        shares = {name: KINDS[type(layer)](layer, seen[name], by_output[name]) for name, layer in self.layers.items()}
        factors = clipping_factors(sum(squares for squares, _ in shares.values()), mask, max_norm)
        for name, (_, weighted) in shares.items():
            named = {f"{name}.{part}" if name else part: value for part, value in weighted(factors).items()}
            summed |= {part: value for part, value in named.items() if part in parameters}
        return summed, left


def _trained(layer: nn.Module) -> bool:
    return any(p.requires_grad for p in layer.parameters(recurse=False))


def _known(layer: nn.Module) -> bool:
    plain = not isinstance(layer, nn.Conv2d) or (layer.padding_mode == "zeros" and not isinstance(layer.padding, str))
    return type(layer) in KINDS and plain


def _matrix(layer: nn.Module, a: Tensor, g: Tensor) -> Share:
    """For a weight (groups, out, in) and a bias (groups, out), from a (batch, groups, positions, in) and g alike."""
    squares, weighted = a.new_zeros(len(a)), {}
    if layer.weight.requires_grad:
        if 2 * a.shape[2] ** 2 > a.shape[3] * g.shape[3]:
            each = g.transpose(2, 3) @ a
            squares = squares + each.square().sum((1, 2, 3))
            weighted["weight"] = lambda factors: torch.tensordot(factors, each, dims=1)
        else:
            squares = squares + (_products(a) * _products(g)).sum((1, 2, 3))
            weighted["weight"] = lambda factors: _outer(a, g, factors)
    if layer.bias is not None and layer.bias.requires_grad:
        of_bias = g.sum(2).flatten(1)
        squares = squares + of_bias.square().sum(1)
        weighted["bias"] = lambda factors: factors @ of_bias

    def summed(factors: Tensor) -> dict[str, Tensor]:
        return {name: of(factors).reshape(getattr(layer, name).shape) for name, of in weighted.items()}

    return squares, summed


def _products(x: Tensor) -> Tensor:
    """x_t . x_u, (batch, groups, positions, positions)."""
    return x.square().sum(3, keepdim=True) if x.shape[2] == 1 else x @ x.transpose(2, 3)


def _outer(a: Tensor, g: Tensor, factors: Tensor) -> Tensor:
    """sum_i sum_t (c_i g_t) a_t^T, (groups, out, in)."""
    weighted = (g * factors[:, None, None, None]).transpose(0, 1).flatten(1, 2)
    return weighted.transpose(1, 2) @ a.transpose(0, 1).flatten(1, 2)


def _linear(layer: nn.Linear, a: Tensor, g: Tensor) -> Share:
    return _matrix(layer, a.reshape(len(a), 1, -1, a.shape[-1]), g.reshape(len(g), 1, -1, g.shape[-1]))


def _conv2d(layer: nn.Conv2d, a: Tensor, g: Tensor) -> Share:
    patches = F.unfold(a, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    a, g = (x.reshape(len(x), layer.groups, -1, g[0, 0].numel()).transpose(2, 3) for x in (patches, g))
    return _matrix(layer, a, g)


def _norm(layer: nn.GroupNorm | nn.LayerNorm, a: Tensor, g: Tensor) -> Share:
    """y = weight * z + bias, with z the normalised input."""
    if isinstance(layer, nn.GroupNorm):
        z, axes = F.group_norm(a, layer.num_groups, eps=layer.eps), tuple(range(2, a.ndim))
    else:
        z = F.layer_norm(a, layer.normalized_shape, eps=layer.eps)
        axes = tuple(range(1, a.ndim - len(layer.normalized_shape)))
    made = {"weight": z * g, "bias": g}
    named = dict(layer.named_parameters(recurse=False))
    each = {name: made[name].sum(axes) if axes else made[name] for name, p in named.items() if p.requires_grad}
    squares = sum(value.flatten(1).square().sum(1) for value in each.values())
    return squares, lambda factors: {name: torch.tensordot(factors, value, dims=1) for name, value in each.items()}


KINDS = {nn.Linear: _linear, nn.Conv2d: _conv2d, nn.GroupNorm: _norm, nn.LayerNorm: _norm}
