"""A world in which the leak is known, because it was put there."""

import numpy as np

from seepage.signals.view import View


def planted(
    *,
    leak: float,
    target_leak: float | None = None,
    n_samples: int = 1200,
    n_references: int = 16,
    n_queries: int = 2,
    n_classes: int = 4,
    seed: int = 0,
) -> tuple[View, np.ndarray]:
    """A view and the target's membership. Training on a record raises its scaled logit by `leak`.

    Each record is in half of the references and, by a coin flip, in the target; the last quarter is a population that
    no model saw.
    """
    rng = np.random.default_rng(seed)
    population = np.arange(n_samples) >= n_samples * 3 // 4
    members = (rng.random(n_samples) < 0.5) & ~population
    is_in = (rng.permuted(np.tile(np.arange(n_references), (n_samples, 1)), axis=1) < n_references // 2) & (
        ~population[:, None]
    )
    raised = np.concatenate(
        [members[:, None] * (leak if target_leak is None else target_leak), is_in * leak], axis=1, dtype=np.float64
    )
    phi = rng.normal(0.5, 1.5, (n_samples, 1)) + raised + rng.normal(0, 0.7, raised.shape)
    phi = phi[..., None] + rng.normal(0, 0.3, (*phi.shape, n_queries))
    labels = rng.integers(0, n_classes, n_samples)
    logits = np.log(rng.dirichlet(np.full(n_classes - 1, 3.0), phi.shape))  # the other classes: logsumexp 0
    logits = np.concatenate([phi[..., None], logits], axis=-1)
    place = (np.arange(n_classes) - labels[:, None]) % n_classes  # the true label's logit goes to its place
    logits = np.take_along_axis(logits, place[:, None, None], axis=-1)
    view = View.from_logits(
        logits.astype(np.float32),
        labels,
        target_column=0,
        reference_columns=np.arange(1, n_references + 1),
        reference_in=is_in,
        reference_out=~is_in,
        population=population,
        gradient_norm=(1 / (1 + np.exp(phi[:, 0, 0]))) * rng.lognormal(0, 0.1, n_samples),
    )
    return view, members


def auc(scores: np.ndarray, members: np.ndarray) -> float:
    """Share of (member, non-member) pairs in the right order, ties for half."""
    inside, outside = scores[members][:, None], scores[~members][None]
    return float(((inside > outside) + 0.5 * (inside == outside)).mean())
