"""Nasr's attack on outputs: a network with a branch each for the outputs, the label and the loss."""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.attacks.learned import classifier, pairs
from seepage.errors import InputError
from seepage.signals.functions import softplus
from seepage.signals.view import View

TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class OutputsNetwork(Attack):
    """s(x) = f(log p, one-hot y, log of the loss), each mean over queries; high for members.

    Branches k-32-16 (outputs), k-16 (label) and 1-16 (loss), side by side through 32 and 16 to one log-odds; ReLU.

    Options:
        train_on: "references": pairs of a record and a reference; "known": records whose membership in the target is
            known, with the target's own answers, as HAMP evaluates.
        per_class: a network for each class; only with references.

    Deviations from HAMP's code: a sixteenth or less of its widths (1024-512-64, 128-64, 1-k-64 and 256-128-64-1), for
    there are thousands of pairs to learn from, not tens of thousands; log-probabilities, which are its logits but for
    a constant a record; the logarithm of the loss, for the loss saturates at 0; cross-entropy and L-BFGS instead of
    squared error and Adam; within each class members weigh as much as non-members. Its script labels members 0 and
    non-members 1, so that what it prints as the TPR of this attack finds non-members: here members are high.

    Reference: Nasr et al. 2019 (arXiv 1812.00910), black-box inputs (their gradients and layers are not used);
    Chen & Pattabiraman 2024 (arXiv 2307.01610), `attack.py` of github.com/DependableSystemsLab/MIA_defense_HAMP.
    """

    train_on: Literal["references", "known"] = "references"
    per_class: bool = False

    learns = True
    source = "Nasr et al. 2019 (arXiv 1812.00910), black-box inputs; network as in Chen & Pattabiraman 2024, smaller"

    def __post_init__(self):
        super().__post_init__()
        if self.per_class and self.train_on == "known":
            raise InputError("OutputsNetwork: per_class needs train_on='references': known records are too few a class")

    @property
    def title(self) -> str:
        return f"Network on outputs{', per class' if self.per_class else ''}" + (
            ", from known records" if self.train_on == "known" else ""
        )

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"labels", "known" if self.train_on == "known" else "in-references"})

    @property
    def least_known(self) -> int:
        return 20 if self.train_on == "known" else 0

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        outputs = pairs.answers(view)
        k = outputs.shape[-1]
        branches = [(slice(0, k), (32, 16)), (slice(k, 2 * k), (16,)), (slice(2 * k, 2 * k + 1), (16,))]
        fit = functools.partial(classifier.fit, branches=branches, hidden=(32, 16))

        def features(rows: np.ndarray, models: np.ndarray) -> np.ndarray:
            return inputs_of(outputs[rows, models], view.labels[rows])

        if self.train_on == "references":
            return pairs.score_by_references(
                view, features, fit, per_class=self.per_class, by_label=not self.per_class, rng=rng
            )
        known = np.flatnonzero(view.known != -1)
        members = view.known[known] == 1
        weights = pairs.balanced(view.labels[known], members)
        target = np.full(view.n_samples, view.target_column)
        classify = fit(features(known, target[known]), members, weights=weights, rng=rng)
        return classify(features(np.arange(view.n_samples), target))


def inputs_of(outputs: np.ndarray, labels: np.ndarray) -> Float64[np.ndarray, "rows inputs"]:
    """log p, one-hot label and log loss of outputs (rows, queries, classes), mean over queries."""
    log_odds = pairs.log_odds(outputs)
    phi = np.take_along_axis(log_odds, labels[:, None, None], axis=-1)
    log_loss = np.log(np.maximum(softplus(-phi), TINY))
    log_p = -softplus(-log_odds)
    hot = pairs.one_hot(labels, outputs.shape[-1])
    return np.concatenate([log_p.mean(axis=1), hot, log_loss.mean(axis=1)], axis=1)
