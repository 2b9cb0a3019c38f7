"""The ranking of the classes alone, for defences that keep it and change everything else."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float64
from scipy.stats import rankdata

from seepage.attacks.base import Attack
from seepage.attacks.learned import classifier, pairs
from seepage.signals.functions import row_blocks
from seepage.signals.view import View

DIGITS = 9  # what rounding leaves of a sum must not look like a feature


@dataclass(frozen=True)
class RankOnly(Attack):
    """s(x) = f(how a model ranks the classes of x, beside how the references rank them), f trained on references.

    Five features of a record and a model, each mean over queries; r_c is a class's rank, 0 for the highest score, tied
    classes taking their mean rank; rho is the correlation of two models' ranks (Spearman's):

        a = log(1 + r_y)
        a less its mean over the record's OUT references, and over its IN references
        the mean rho with the OUT references less the mean rho among these, and the same for IN

    A model is never compared with itself, so the features of a reference do not give away on which side it is. What
    takes more references than a record has is 0. Any strictly increasing function of a record's scores leaves the
    attack as it is.

    Options:
        hidden: widths of the classifier's layers.

    Reference: none; it is what HAMP (arXiv 2307.01610, output modification), which keeps the order of the scores and
    replaces their values, leaves to an attacker beside the label.
    """

    hidden: tuple[int, ...] = (16,)

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "in-references"})
    title = "Ranking alone"
    learns = True
    source = "our own, against defences that keep the ranking, as HAMP does (arXiv 2307.01610)"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        table = features_of_ranks(view)
        return pairs.score_by_references(
            view,
            lambda rows, models: table[rows, models],
            functools.partial(classifier.fit, hidden=self.hidden),
            per_class=False,
            by_label=False,
            rng=rng,
            order_by=np.column_stack([table.reshape(view.n_samples, -1), view.labels]),
        )


def features_of_ranks(view: View) -> Float64[np.ndarray, "samples models features"]:
    """The five features of every record beside every model."""
    outputs = pairs.answers(view)
    n_samples, n_models, n_queries, n_classes = outputs.shape
    masks = np.zeros((2, n_samples, n_models), dtype=bool)
    masks[0][:, view.reference_columns], masks[1][:, view.reference_columns] = view.reference_out, view.reference_in
    table = np.empty((n_samples, n_models, 5))
    for rows in row_blocks(n_samples, n_models * (n_queries * n_classes + n_models)):
        ranks = rankdata(-outputs[rows].astype(np.float64), axis=-1) - 1
        of_label = np.take_along_axis(ranks, view.labels[rows, None, None, None], axis=-1)[..., 0]
        a = np.log1p(of_label).mean(axis=-1)
        rho = _correlation(ranks)
        parts = [a, *(_excess_over(a, mask[rows]) for mask in masks), *(_agreement(rho, mask[rows]) for mask in masks)]
        table[rows] = np.round(np.stack(parts, axis=-1), DIGITS) + 0.0
    return table


def _correlation(ranks: Float64[np.ndarray, "samples models queries classes"]) -> np.ndarray:
    """(samples, models, models) correlation of the ranks, mean over queries; 0 where a model ties all classes."""
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    unit = centred / np.where(norm > 0, norm, 1.0)
    n_samples, n_models, n_queries, _ = ranks.shape
    unit = unit.reshape(n_samples, n_models, -1)
    return unit @ unit.transpose(0, 2, 1) / n_queries


def _excess_over(a: Float64[np.ndarray, "samples models"], mask: Bool[np.ndarray, "samples models"]) -> np.ndarray:
    """a less its mean over the other models in `mask`; 0 without any."""
    others = mask.sum(axis=1, keepdims=True) - mask
    total = (a * mask).sum(axis=1, keepdims=True) - a * mask
    return np.where(others > 0, a - total / np.maximum(others, 1), 0.0)


def _agreement(rho: np.ndarray, mask: Bool[np.ndarray, "samples models"]) -> Float64[np.ndarray, "samples models"]:
    """Mean rho with the other models in `mask`, less the mean among these; 0 with fewer than two."""
    others = mask.sum(axis=1, keepdims=True) - mask
    apart = np.where(np.eye(mask.shape[1], dtype=bool), 0.0, rho)
    with_others = np.einsum("smn,sn->sm", apart, mask.astype(np.float64))
    among = (with_others * mask).sum(axis=1, keepdims=True) - 2 * with_others * mask
    n_pairs = others * (others - 1)
    excess = with_others / np.maximum(others, 1) - among / np.maximum(n_pairs, 1)
    return np.where(n_pairs > 0, excess, 0.0)
