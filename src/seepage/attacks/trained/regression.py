"""What a score is for records like this one: its mean and deviation, or its quantiles, learnt from records.

Scores are in units of their own deviation. Fewer than `LEAST_RECORDS` records teach no more than their scores' own
distribution.
"""

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor, nn

from seepage.attacks.learned.pairs import one_hot
from seepage.attacks.trained import population
from seepage.models.architectures import CNN, MLP
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe
from seepage.signals.view import View

LEAST_RECORDS = 20
HELD_OUT = 5  # one in so many says when to stop
PATIENCE = 10  # passes without improvement
LOG_DEVIATIONS = (-3.0, 3.0)  # of a record's deviation, in deviations of all scores

Fitted = Callable[[np.ndarray], np.ndarray]


def gaussian_loss(outputs: Float[Tensor, "batch 2"], scores: Float[Tensor, " batch"]) -> Tensor:
    """log sigma + (s - mu)^2 / (2 sigma^2), mean over the batch; the outputs are mu and log sigma.

    Deviation from the source: log sigma is kept within `LOG_DEVIATIONS`, or a score that is met twice has no minimum.
    """
    log_sigma = outputs[:, 1].clamp(*LOG_DEVIATIONS)
    return (log_sigma + 0.5 * torch.exp(-2 * log_sigma) * (scores - outputs[:, 0]).square()).mean()


def pinball_loss(taus: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """tau max(s - q, 0) + (1 - tau) max(q - s, 0), mean over the batch and the taus; the outputs are q."""

    def loss(outputs: Float[Tensor, "batch taus"], scores: Float[Tensor, " batch"]) -> Tensor:
        excess = scores[:, None] - outputs
        return torch.maximum(taus.to(outputs) * excess, (taus.to(outputs) - 1) * excess).mean()

    return loss


def of_records(
    view: View,
    known: Int64[np.ndarray, " known"],
    scores: Float64[np.ndarray, " known"],
    rows: Int64[np.ndarray, " rows"],
    *,
    taus: Float64[np.ndarray, " taus"] | None,
    options: Any,
    rng: np.random.Generator,
) -> Float64[np.ndarray, "rows outputs"]:
    """What the scores of `rows` should be, by those of the known ones: mu and log sigma, or, with `taus`,
    the quantiles, which may cross.

    Args:
        known, scores: rows of the view to learn from, in an order that does not depend on where they stand.
        options: `QuantileRegression`'s.
    """
    if len(known) < LEAST_RECORDS:
        own = np.array([scores.mean(), np.log(scores.std())]) if taus is None else np.quantile(scores, taus)
        return np.tile(own, (len(rows), 1))
    shape = view.records.inputs.shape[1:]
    trees = options.regressor == "trees" or (options.regressor == "auto" and len(shape) == 1)
    as_they_are = population.inputs_of(view, by=None if trees else known)

    def inputs(of: np.ndarray) -> np.ndarray:
        if not (options.label or trees):
            return as_they_are(of)
        parts = [as_they_are(of).reshape(len(of), -1)]
        if options.label:
            parts.append(one_hot(view.labels[of], view.n_classes).astype(np.float32))
        return np.concatenate(parts, axis=1)

    if trees and taus is None:
        fitted = gaussian_trees(inputs(known), scores, iterations=options.iterations, rng=rng)
    elif trees:
        fitted = pinball_trees(inputs(known), scores, taus, iterations=options.iterations, rng=rng)
    else:
        architecture = MLP
        if population.is_image(view):
            architecture = functools.partial(WithLabel, image_shape=shape) if options.label else CNN
        objective = gaussian_loss if taus is None else pinball_loss(torch.from_numpy(taus))
        optimiser = Adam(options.lr, weight_decay=options.weight_decay, decoupled=True)
        recipe = Recipe(
            architecture, optimiser, epochs=options.epochs, batch_size=options.batch_size, objective=objective
        )
        fitted = network(recipe, inputs(known), scores, 2 if taus is None else len(taus), rng=rng)
    return fitted(inputs(rows))


def network(
    recipe: Recipe,
    inputs: Float32[np.ndarray, "records *shape"],
    scores: Float64[np.ndarray, " records"],
    n_outputs: int,
    *,
    rng: np.random.Generator,
) -> Fitted:
    """A network as it was after the pass that was best on a fifth of the records, held out."""
    seed, order = int(rng.integers(2**62)), rng.permutation(len(inputs))
    held, learnt = order[: len(order) // HELD_OUT], order[len(order) // HELD_OUT :]
    labels = scores.astype(np.float32)
    truth, asked = torch.from_numpy(labels[held]), inputs[held]
    best, best_epoch, epoch, kept = math.inf, 0, 0, None

    def after_epoch(module: nn.Module) -> bool:
        nonlocal best, best_epoch, epoch, kept
        epoch += 1
        loss = recipe.objective(torch.from_numpy(population.answers(module, asked)), truth).item()
        if loss < best:
            best, best_epoch, kept = loss, epoch, copy.deepcopy(module.state_dict())
        return epoch - best_epoch >= PATIENCE

    module = population.train(recipe, inputs[learnt], labels[learnt], n_outputs, seed=seed, after_epoch=after_epoch)
    module.load_state_dict(kept)
    return lambda others: population.answers(module, others).astype(np.float64)


def gaussian_trees(inputs: np.ndarray, scores: np.ndarray, *, iterations: int, rng: np.random.Generator) -> Fitted:
    """mu from boosted trees; log sigma from trees on the squared residuals of records that those of mu did not see.

    Columns of the answer: mu and log sigma. The second fit is of the gamma deviance, whose minimum is the mean.
    """
    seed, parts = int(rng.integers(2**31)), np.array_split(rng.permutation(len(inputs)), 5)
    squares = np.empty(len(inputs))
    for part in parts:
        rest = np.setdiff1d(np.arange(len(inputs)), part)
        mean = _trees("squared_error", iterations, len(rest), seed).fit(inputs[rest], scores[rest])
        squares[part] = (scores[part] - mean.predict(inputs[part])) ** 2
    squares = np.maximum(squares, math.exp(2 * LOG_DEVIATIONS[0]))
    mean = _trees("squared_error", iterations, len(inputs), seed).fit(inputs, scores)
    square = _trees("gamma", iterations, len(inputs), seed).fit(inputs, squares)
    return lambda others: np.stack([mean.predict(others), 0.5 * np.log(square.predict(others))], axis=1)


def pinball_trees(
    inputs: np.ndarray, scores: np.ndarray, taus: np.ndarray, *, iterations: int, rng: np.random.Generator
) -> Fitted:
    """Boosted trees for each tau."""
    seed = int(rng.integers(2**31))
    trees = [_trees("quantile", iterations, len(inputs), seed, quantile=tau).fit(inputs, scores) for tau in taus]
    return lambda others: np.stack([one.predict(others) for one in trees], axis=1)


def _trees(loss: str, iterations: int, n_records: int, seed: int, **options):
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        loss=loss,
        max_iter=iterations,
        max_leaf_nodes=8,
        min_samples_leaf=min(20, max(1, n_records // 10)),
        early_stopping=n_records >= 5 * LEAST_RECORDS,
        validation_fraction=1 / HELD_OUT,
        random_state=seed,
        **options,
    )


class WithLabel(nn.Module):
    """A convolutional network whose head sees the label too: inputs are flat images with a one-hot label behind."""

    def __init__(self, input_shape: tuple[int, ...], n_outputs: int, image_shape: tuple[int, ...]):
        super().__init__()
        self.image_shape, self.n_pixels = image_shape, math.prod(image_shape)
        self.body = CNN(image_shape, n_outputs)
        self.head = nn.Linear(self.body.head.in_features + input_shape[0] - self.n_pixels, n_outputs)
        self.body.head = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        images = x[:, : self.n_pixels].reshape(-1, *self.image_shape)
        label = x[:, self.n_pixels :]
        # As large as the features are: what the label tells should not take longer to learn than what they do.
        return self.head(torch.cat([self.body(images), label * label.shape[1] ** 0.5], dim=1))
