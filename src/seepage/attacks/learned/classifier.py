"""The one small network that learned attacks train: features of records in, log-odds of membership out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float64

from seepage.errors import InputError
from seepage.signals.functions import row_blocks

if TYPE_CHECKING:  # the table of attacks must not wait for torch
    from torch import Tensor

Branch = tuple[slice, tuple[int, ...]]  # which columns, and the widths of the layers that they go through

MOST_ROWS = 20_000
FLAT = 1e-7  # a loss whose gradient is no larger has nothing to teach
STILL = 1e-12  # a column whose deviation is this small a part of its size is taken as constant


def fit(
    features: Float64[np.ndarray, "rows features"],
    members: Bool[np.ndarray, " rows"],
    *,
    hidden: Sequence[int] = (64,),
    branches: Sequence[Branch] = (),
    weights: Float64[np.ndarray, " rows"] | None = None,
    l2: float = 5e-3,
    steps: int = 50,
    most_rows: int = MOST_ROWS,
    rng: np.random.Generator,
) -> Callable[[Float64[np.ndarray, "others features"]], Float64[np.ndarray, " others"]]:
    """Train a network with ReLU layers to tell members from non-members; what it answers is high for members.

        minimise  sum_i w_i log(1 + exp(-s_i f(x_i))) + l2/2 * sum of all squared weights (not the biases)

    s_i is +1 for members and -1 for others; the w_i of each side add up to 1/2, so that f = 0 means "as likely as
    not". It is minimised with L-BFGS over all rows at once, in float64, from random layers and a last layer of zeros.

    The order of the rows plays no part: they are sorted first. Columns are standardised; an infinity counts as the
    largest (smallest) finite value of its column, and a column that is constant over the rows counts as nothing. Where
    the features say nothing f is exactly 0.

    Args:
        features: (rows, features), no NaN.
        members: (rows,), at least one of each kind.
        hidden: widths of the layers; () is a logistic regression.
        branches: networks of their own for some columns each, whose outputs side by side go to the `hidden` layers;
            () sends all columns there.
        weights: (rows,), not negative; equal by default. Rows that weigh nothing are left out.
        l2: strength of the penalty.
        steps: most iterations of L-BFGS.
        most_rows: of more rows than that, so many are drawn.
        rng: draws the rows and the layers' first weights.

    Returns:
        A function of features (others, features): float64 (others,), the log-odds of membership, not saturated.

    Raises:
        InputError: shapes that do not fit, NaN, or rows of one kind only.

    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> log_odds = fit(x, x[:, 0] > 0, hidden=(), rng=np.random.default_rng(0))
    >>> log_odds(np.array([[-3.0], [0.0], [3.0]])).round(6) + 0.0
    array([-8.233972,  0.      ,  8.233972])
    """
    import torch
    from scipy.optimize import minimize

    features, members, weights = _training_rows(features, members, weights, most_rows, rng)
    standard = _standardiser(features)
    inputs = torch.from_numpy(standard(features))
    sign = torch.from_numpy(np.where(members, 1.0, -1.0))
    shares = torch.from_numpy(weights)
    branches = [(columns, tuple(widths)) for columns, widths in branches] or [(slice(None), ())]
    shapes = _shapes(features.shape[1], branches, tuple(hidden))
    bias = torch.from_numpy(np.concatenate([np.arange(i * o + o) >= i * o for i, o in shapes]))

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(theta, requires_grad=True)
        log_odds = _network(inputs, _layers(parameters, shapes), branches)
        penalty = parameters.masked_fill(bias, 0.0).square().sum()
        loss = -(shares * torch.nn.functional.logsigmoid(sign * log_odds)).sum() + l2 / 2 * penalty
        (gradient,) = torch.autograd.grad(loss, parameters)
        return loss.item(), gradient.numpy()

    found = _start(shapes, rng)
    of_last_layer = objective(found)[1][-sum(shapes[-1]) :]  # the others' gradient is the penalty's, until it moves
    if np.abs(of_last_layer).max() > FLAT:  # else rounding alone would be learned
        options = {"maxiter": steps, "ftol": 1e-10, "gtol": FLAT}
        found = minimize(objective, found, jac=True, method="L-BFGS-B", options=options).x
    trained = list(_layers(torch.from_numpy(found), shapes))

    def log_odds(others: Float64[np.ndarray, "others features"]) -> Float64[np.ndarray, " others"]:
        values = np.empty(len(others))
        for rows in row_blocks(len(others), max(others.shape[1], *(o for _, o in shapes))):
            values[rows] = _network(torch.from_numpy(standard(others[rows])), iter(trained), branches).numpy()
        return values

    return log_odds


def _training_rows(features, members, weights, most_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """The rows that count, in an order that depends on nothing but what they hold; weights of 1/2 on each side."""
    features, members = np.asarray(features, dtype=np.float64), np.asarray(members, dtype=bool)
    weights = np.ones(members.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if features.ndim != 2 or not len(features) == members.size == weights.size or members.ndim != 1:
        raise InputError(
            f"expected features (rows, features), members (rows,) and weights (rows,): "
            f"got {features.shape}, {members.shape} and {weights.shape}"
        )
    if np.isnan(features).any() or not (weights >= 0).all():
        raise InputError("expected features without NaN and weights that are not negative: check the signals")
    order = np.lexsort([weights, members, *features.T])
    order = order[weights[order] > 0]
    if order.size > most_rows:
        order = order[np.sort(rng.choice(order.size, most_rows, replace=False))]
    features, members, weights = features[order], members[order], weights[order]
    if members.all() or not members.any():
        raise InputError(
            f"expected members and non-members to learn from: got {int(members.sum())} and {int((~members).sum())}"
        )
    totals = np.where(members, weights[members].sum(), weights[~members].sum())
    return features, members, weights / (2 * totals)


def _standardiser(features: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Subtract each column's mean and divide by its deviation, as they are in `features`."""
    finite = np.where(np.isfinite(features), features, np.nan)
    none = np.isnan(finite).all(axis=0)
    finite[:, none] = 0.0
    low, high = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)

    def bounded(values: np.ndarray) -> np.ndarray:
        values = np.where(values == -np.inf, low, values)
        return np.where(values == np.inf, high, values)

    kept = bounded(features)
    mean, deviation = kept.mean(axis=0), kept.std(axis=0)
    still = deviation <= STILL * np.abs(kept).max(axis=0)
    slope = np.where(still, 0.0, 1.0 / np.where(still, 1.0, deviation))
    return lambda values: (bounded(np.asarray(values, dtype=np.float64)) - mean) * slope


def _shapes(n_features: int, branches: Sequence[Branch], hidden: tuple[int, ...]) -> list[tuple[int, int]]:
    """(inputs, outputs) of every layer, in the order in which `_network` takes them."""
    shapes, n_joined = [], 0
    for columns, widths in branches:
        size = len(range(*columns.indices(n_features)))
        for width in widths:
            shapes.append((size, width))
            size = width
        n_joined += size
    for width in (*hidden, 1):
        shapes.append((n_joined, width))
        n_joined = width
    return shapes


def _start(shapes: list[tuple[int, int]], rng: np.random.Generator) -> Float64[np.ndarray, " parameters"]:
    """He's normal weights, no biases, and a last layer of zeros: what cannot be told apart then stays at log-odds 0."""
    parts = [np.concatenate([rng.normal(0, np.sqrt(2 / i), i * o), np.zeros(o)]) for i, o in shapes]
    parts[-1][:] = 0.0
    return np.concatenate(parts)


def _layers(parameters: Tensor, shapes: list[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    start = 0
    for n_in, n_out in shapes:
        end = start + n_in * n_out
        yield parameters[start:end].view(n_in, n_out), parameters[end : end + n_out]
        start = end + n_out


def _network(inputs: Tensor, layers: Iterator[tuple[Tensor, Tensor]], branches: Sequence[Branch]) -> Tensor:
    import torch

    ends = []
    for columns, widths in branches:
        values = inputs[:, columns]
        for _ in widths:
            values = torch.relu(_affine(values, next(layers)))
        ends.append(values)
    values = torch.cat(ends, dim=1) if len(ends) > 1 else ends[0]
    *inner, last = layers
    for layer in inner:
        values = torch.relu(_affine(values, layer))
    return _affine(values, last)[:, 0]


def _affine(values: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
    import torch

    weight, bias = layer
    return torch.addmm(bias, values, weight)
