"""SimpleShot on signals that are the same for all classes: how peaked an answer is, not where."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from seepage.attacks.few_shot.support import JIMENEZ, Episodes, FewShot, best_thresholds
from seepage.models.access import Access
from seepage.signals.view import View

MOST = 1e9  # beyond it a value says no more, and the others would lose their digits beside it
CONSTANT = 1e-12  # a spread of less, beside the largest value, is rounding


@dataclass(frozen=True)
class SignalShot(FewShot):
    """s(x) = sum_d w_d z_d(x) - t,   w_d = max(0, mean over IN of z_d - mean over OUT of z_d) / sum of these.

    z_d is signal d, higher for a surer answer, at mean 0 and standard deviation 1 over the known and the audited
    records together (in an episode its own records), whoever was a member:

        labels            log-odds of the label, -log entropy, gap between the label's logit and the largest other one
        without labels    log-odds of the most probable class, -log entropy, gap of the two largest logits
        gradients         besides, for each layer, -log of the norm of the loss's gradient with respect to its weights,
                          for the label, or without labels for the predicted one

    Without the signs this is the nearest-mean rule of SimpleShot in direction m_in - m_out. Membership is a matter of
    how peaked the answer is. A learner on features or logits as they are sees classes instead and stays at chance. The
    weights are never negative because training makes answers surer, not less sure: a few records would turn a sign by
    chance. Where all are 0, as where the sides were exchanged, the signals weigh the same.

    t is the threshold of best balanced accuracy on all known records, so that a score above 0 says member; see
    `best_thresholds`. The known records buy that threshold. They buy no power: the order of the records is that of the
    loss, or of the largest probability, to within noise.

    Options:
        shots: known records on each side that the weights are learned from, drawn at random; None: all. All known
            records set the threshold.
        labels: whether the attacker knows the records' labels.
        gradients: whether it can compute gradients.

    A signal that is constant counts for nothing. A zero (an entropy, a gradient that ran out of digits) is read as
    the smallest value above zero among the records, and what lies beyond +-1e9 as that.

    Deviations: the source has features or logits as they are, and a threshold half-way between the means; signals,
    signs and threshold are ours.

    Reference: Jimenez-Lopez et al. 2025 (arXiv 2503.09365); Wang et al. 2019 (arXiv 1911.04623), section 3.
    """

    labels: bool = True
    gradients: bool = False

    source = f"{JIMENEZ} with SimpleShot of Wang et al. 2019 (arXiv 1911.04623), on signals of our own"

    @property
    def title(self) -> str:
        remarks = {
            f"{self.shots}-shot": self.shots is not None,
            "label-free": not self.labels,
            "with gradients": self.gradients,
        }
        return ", ".join(["FeS-MIA SimpleShot on signals", *(remark for remark, holds in remarks.items() if holds)])

    @property
    def access(self) -> Access:
        return Access.GRADIENTS if self.gradients else Access.PROBABILITIES

    @property
    def needs(self) -> frozenset[str]:
        needs = {"known": True, "labels": self.labels, "model": self.gradients, "records": self.gradients}
        return frozenset(need for need, holds in needs.items() if holds)

    @property
    def least_known(self) -> int:
        return self.shots or 1

    def n_dims(self, view: View) -> int:
        return self.signals(view).shape[1]

    def score_episodes(
        self, view: View, rows: Episodes, *, rng: np.random.Generator
    ) -> Float64[np.ndarray, "episodes queries"]:
        values = self.signals(view)
        support, known = values[rows.support], values[np.concatenate([rows.support, rows.validation], axis=2)]
        support = known if self.shots is None else support
        return decided(support[:, 0], support[:, 1], known[:, 0], known[:, 1], values[rows.queries])

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        """One episode with all known records, as many as there are on each side."""
        values, order = self.signals(view), self._order(view)
        sides = [rng.permutation(order[view.known[order] == side]) for side in (0, 1)]
        known, support = ([values[side[:n]][None] for side in sides] for n in (None, self.shots))
        scores = np.full(view.n_samples, np.nan)
        scores[view.audited] = decided(*support, *known, values[view.audited][None])[0]
        return scores

    def signals(self, view: View) -> Float64[np.ndarray, "samples signals"]:
        """The signals of all records, higher for a surer answer; mean over queries."""
        odds, gap = ("scaled-logit", "hinge") if self.labels else ("top-log-odds", "top-gap")
        columns = [view.target(odds), minus_log(view.target("entropy")), view.target(gap)]
        values = np.stack([column.mean(axis=1) for column in columns], axis=1)
        if self.gradients:
            values = np.concatenate([values, minus_log(view.layer_gradient_norms(of_label=self.labels))], axis=1)
        return values


def decided(
    support_out: Float64[np.ndarray, "episodes shots_out signals"],
    support_in: Float64[np.ndarray, "episodes shots_in signals"],
    known_out: Float64[np.ndarray, "episodes known_out signals"],
    known_in: Float64[np.ndarray, "episodes known_in signals"],
    queries: Float64[np.ndarray, "episodes queries signals"],
) -> Float64[np.ndarray, "episodes queries"]:
    """The scores of `SignalShot`; the support is among the known."""
    held = np.clip(np.concatenate([known_out, known_in, queries], axis=1), -MOST, MOST)
    centre, spread = held.mean(axis=1, keepdims=True), held.std(axis=1, keepdims=True)
    varies = spread > CONSTANT * np.abs(held).max(axis=1, keepdims=True)

    def z(values: np.ndarray) -> np.ndarray:
        return np.where(varies, (np.clip(values, -MOST, MOST) - centre) / np.where(varies, spread, 1.0), 0.0)

    weights = np.maximum(0.0, z(support_in).mean(axis=1) - z(support_out).mean(axis=1))
    weights = np.where(weights.any(axis=1, keepdims=True), weights, 1.0)
    weights = (weights / weights.sum(axis=1, keepdims=True))[..., None]
    outside, inside, asked = ((z(part) @ weights)[..., 0] for part in (known_out, known_in, queries))
    return asked - best_thresholds(outside, inside)[:, None]


def minus_log(values: Float64[np.ndarray, "samples columns"]) -> Float64[np.ndarray, "samples columns"]:
    """-log of numbers of at least 0, zeros as the smallest number above zero in their column."""
    least = np.where(values > 0, values, np.inf).min(axis=0, initial=np.inf)
    return -np.log(np.maximum(values, np.where(np.isfinite(least), least, 1.0)))
