"""Per-sample gradients, each clipped to a norm, and summed: the part of DP-SGD that costs."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.func import grad, vmap

# Per-sample gradients are as large as the model, each, so few are held at once.
GRADIENT_BYTES = 64 << 20


def per_sample_clipped_sum(
    loss: Callable[..., Tensor],
    parameters: dict[str, Tensor],
    records: tuple[Tensor, ...],
    mask: Bool[Tensor, " batch"],
    max_norm: float,
    *,
    vectorised: bool = True,
) -> dict[str, Tensor]:
    """The sum of the records' gradients, each clipped over all parameters together, for any loss of one record.

        sum_i mask_i g_i min(1, C / ||g_i||),  g_i = d loss(parameters, record_i) / d parameters

    It works under `vmap` over models.

    Args:
        loss: (parameters, one value from each tensor in `records`, without the batch axis) -> a scalar. What is
            random in it (a latent draw, a mask) is handed in as one of the records.
        parameters: what the gradient is taken by; anything else that the loss needs, it closes over.
        records: tensors (batch, ...).
        mask: (batch,) false for padding.
        max_norm: C > 0.
        vectorised: take the gradients of many records in one call; otherwise, for modules that cannot be batched over
            (GRU), one by one.

    Returns:
        A tensor for each parameter.
    """
    n_records = len(mask)
    n_bytes = sum(p.numel() * p.element_size() for p in parameters.values())
    at_once = max(1, GRADIENT_BYTES // max(1, n_bytes))
    gradients = vmap(grad(loss), in_dims=(None, *(0 for _ in records))) if vectorised else _one_by_one(grad(loss))
    total: dict[str, Tensor] = {}
    for start in range(0, n_records, at_once):
        cut = slice(start, start + at_once)
        with warnings.catch_warnings():  # torch batches over some operators by a loop of its own, as it should here
            warnings.filterwarnings("ignore", message="There is a performance drop")
            each = gradients(parameters, *(record[cut] for record in records))
        squares = sum(g.flatten(1).square().sum(1) for g in each.values())
        factors = clipping_factors(squares, mask[cut], max_norm)
        part = {name: torch.tensordot(factors, g, dims=1) for name, g in each.items()}
        total = {name: total[name] + part[name] for name in part} if total else part
    return total


def _one_by_one(gradient: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """`vmap` of the gradient over the records by a plain loop."""

    def gradients(parameters: dict[str, Tensor], *records: Tensor) -> dict[str, Tensor]:
        each = [gradient(parameters, *one) for one in zip(*records, strict=True)]
        return {name: torch.stack([one[name] for one in each]) for name in parameters}

    return gradients


def clipping_factors(
    squared_norms: Float[Tensor, " batch"], mask: Bool[Tensor, " batch"], max_norm: float
) -> Float[Tensor, " batch"]:
    """mask_i min(1, C / ||g_i||)."""
    return mask * (max_norm / squared_norms.sqrt().clamp(min=max_norm))
