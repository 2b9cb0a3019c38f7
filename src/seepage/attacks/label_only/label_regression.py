"""For each record its own regression of membership on which of its augmented copies get the right label."""

from dataclasses import dataclass
from math import inf
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Le
from jaxtyping import Bool, Float64
from scipy.special import expit

from seepage.attacks import references
from seepage.attacks.base import Attack
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.signals.functions import row_blocks, softplus
from seepage.signals.view import View

STEPS = 100  # Newton's method needs about 8
HALVINGS = 30
ROUNDING = 1e-12  # of an objective, so that it does not stop the last steps


@dataclass(frozen=True)
class LabelRegression(Attack):
    """s(x) = w_x . c(x) + b_x: for each record its own logistic regression of membership on the queries' correctness.

    Over the references r of the record, c_r in {0, 1}^queries, y_r = 1 for IN and -1 for OUT,

        w_x, b_x = argmin  C sum_r a_r log(1 + exp(-y_r (w . c_r + b))) + ||w||^2 / 2

    with a_r = 1 where IN and OUT references are as many, and otherwise such that both sides weigh the same: a record's
    counts must not move its score. The score is the log-odds of the probability that the paper scores by.

    A record without IN or without OUT references takes the mean w and b of those that have both.

    Deviation: the weights a_r; scikit-learn's default for them is 1. With equal counts it is the same objective.

    Reference: Aerni, Zhang & Tramer 2024, label-only attack on HAMP, there with the 18 queries of "flip-shift".
    """

    C: Annotated[float, Gt(0), Le(inf)] = 1.0

    access: ClassVar[Access] = Access.LABEL
    needs: ClassVar[frozenset[str]] = frozenset({"labels", "queries", "in-references"})
    title = "Regression on augmented labels, per record"
    source = "Aerni et al. 2024 (arXiv 2404.17399), label-only attack"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        n_in, n_out = (mask.sum(axis=1) for mask in (view.reference_in, view.reference_out))
        both = (n_in > 0) & (n_out > 0)
        if not both.any():
            raise InputError(
                f"the attack '{self.title}' needs a record with at least one IN and one OUT reference, there is none: "
                "train more reference models"
            )
        half = (n_in + n_out) / 2
        weights = view.reference_in * (half / np.maximum(n_in, 1))[:, None]
        weights += view.reference_out * (half / np.maximum(n_out, 1))[:, None]
        correct, features = view.target("correct"), view.references("correct")
        model = np.full((view.n_samples, view.n_queries + 1), np.nan)
        chosen = np.flatnonzero(both)
        for block in row_blocks(len(chosen), features.shape[1] * model.shape[1]):
            rows = chosen[block]
            model[rows] = logistic_regressions(features[rows], view.reference_in[rows], self.C * weights[rows])
        model = references.filled(model)
        return (model[:, :-1] * correct).sum(axis=1) + model[:, -1]


def logistic_regressions(
    features: Float64[np.ndarray, "fits pairs features"],
    members: Bool[np.ndarray, "fits pairs"],
    weights: Float64[np.ndarray, "fits pairs"],
) -> Float64[np.ndarray, "fits features_and_one"]:
    """Many small regressions at once, each with a unit ridge on its weights and none on its intercept, the last column.

    argmin over (w, b) of sum_i weights_i log(1 + exp(-y_i (w . x_i + b))) + ||w||^2 / 2, y = 2 members - 1, by Newton's
    method with steps halved until the objective falls. Every fit needs weight on both sides.
    """
    x = np.concatenate([features, np.ones((*features.shape[:2], 1))], axis=2)
    ridge = np.ones(x.shape[2])
    ridge[-1] = 0.0
    sign = np.where(members, 1.0, -1.0)

    def objective(model: np.ndarray) -> np.ndarray:
        margins = sign * np.einsum("npf,nf->np", x, model)
        return (weights * softplus(-margins)).sum(axis=1) + (ridge * model**2).sum(axis=1) / 2

    model = np.zeros((len(x), x.shape[2]))
    value = objective(model)
    for _ in range(STEPS):
        p = expit(np.einsum("npf,nf->np", x, model))
        gradient = np.einsum("npf,np->nf", x, weights * (p - members)) + ridge * model
        if np.abs(gradient).max() <= 1e-10 * (1.0 + weights.max()):
            break
        curvature = np.matmul((x * (weights * p * (1 - p))[..., None]).transpose(0, 2, 1), x)
        curvature += np.diag(ridge + 1e-12)
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        size = np.ones((len(x), 1))
        for _ in range(HALVINGS):
            worse = objective(model - size * step) > value + ROUNDING * (1 + value)
            if not worse.any():
                break
            size[worse] /= 2
        model = model - np.where(worse[:, None], 0.0, size) * step
        value = objective(model)
    return model
