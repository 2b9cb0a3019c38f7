"""LiRA: the likelihood ratio between "trained with this record" and "trained without it"."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import log_ndtr

from seepage.attacks import references
from seepage.attacks.base import Attack
from seepage.signals.view import View

LEAST_DEVIATION = 1e-30  # added to every standard deviation, as in the official code
LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class LiRA(Attack):
    """Gaussians fitted to each record's signal phi over the IN and over the OUT references.

        online              s = mean_q [ log N(phi; mu_in, sd_in^2) - log N(phi; mu_out, sd_out^2) ]
        offline, one-sided  s = mean_q log Phi( (phi - mu_out) / sd_out )
        offline, two-sided  s = mean_q [ -log N(phi; mu_out, sd_out^2) ]

    The mean is over queries; each query has Gaussians of its own.

    Options:
        mode: "online" uses IN and OUT references, "offline" only OUT ones.
        side: for offline. "one" is the paper's test (1 - Pr[Z > phi]); "two" is the official code, where
            a very low phi counts as a member too.
        variance: "per_sample", over the record's references; "residual", one for all records, of phi minus the
            record's centre, IN and OUT apart (TensorFlow Privacy, `fix_variance=True`); "official", one for all
            records, of phi itself with the spread between records in it, and online the IN value for both sides
            (the LiRA code, `fix_variance=True`).
        centre: mu is the "median" over references (official code) or the "mean" (LeakPro, SACRO-ML).
        signal: phi, the "scaled-logit" or the "hinge".

    Which names reproduce which figures (Google's README, CIFAR-10, 16 models; AUC and TPR at 0.1 % FPR):

        lira-online                           .6676   1.69 %
        lira-online-fixed-variance-official   .6856   5.93 %
        lira-offline-official                 .5488   1.30 %
        lira-offline-fixed-variance-official  .5549   2.99 %

    The one-sided score ties at 0 beyond 38 standard deviations: with two or three OUT references, whose per-sample
    deviations can be tiny, take a fixed variance.

    lira-offline and the two -fixed-variance names without -official have no figures there: they are the paper's
    one-sided test and TensorFlow Privacy's variance.

    Deviations from the official code: every reference counts where the code cuts all records to the smallest common
    number of IN and of OUT values. A centre without references, or a per-sample deviation from fewer than two, is the
    mean over the records that have it (TensorFlow Privacy does so for none, and takes a deviation from one value as 0).

    Reference: Carlini et al. 2022 (arXiv 2112.03570), section IV, algorithm 1; code research/mi_lira_2021 and
    privacy_tests/membership_inference_attack/advanced_mia.py of github.com/tensorflow/privacy.
    """

    mode: Literal["online", "offline"] = "online"
    side: Literal["one", "two"] = "one"
    variance: Literal["per_sample", "residual", "official"] = "per_sample"
    centre: Literal["median", "mean"] = "median"
    signal: Literal["scaled-logit", "hinge"] = "scaled-logit"

    source = "Carlini et al. 2022 (arXiv 2112.03570), section IV"

    @property
    def title(self) -> str:
        side = " two-sided" if self.mode == "offline" and self.side == "two" else ""
        variance = {"per_sample": "", "residual": ", fixed variance", "official": ", official fixed variance"}
        return f"LiRA {self.mode}{side}{variance[self.variance]}"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"labels", "in-references" if self.mode == "online" else "out-references"})

    @property
    def least_references(self) -> int:
        return 1 if self.variance == "official" else 2  # a deviation takes two

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        phi, phi_references = view.target(self.signal), view.references(self.signal)
        centre_out, deviation_out = self._gaussian(phi_references, view.reference_out, "OUT")
        if self.mode == "offline":
            z = (phi - centre_out) / deviation_out
            return (log_ndtr(z) if self.side == "one" else -_log_density(z, deviation_out)).mean(axis=1)
        centre_in, deviation_in = self._gaussian(phi_references, view.reference_in, "IN")
        if self.variance == "official":
            deviation_out = deviation_in
        log_in = _log_density((phi - centre_in) / deviation_in, deviation_in)
        log_out = _log_density((phi - centre_out) / deviation_out, deviation_out)
        return (log_in - log_out).mean(axis=1)

    def _gaussian(
        self,
        phi: Float64[np.ndarray, "samples references queries"],
        mask: Bool[np.ndarray, "samples references"],
        of: str,
    ) -> tuple[Float64[np.ndarray, "samples queries"], Float64[np.ndarray, "samples queries"]]:
        """Centre and standard deviation over the references in `mask`."""
        centre = references.filled((references.median if self.centre == "median" else references.mean)(phi, mask))
        if self.variance != "official":
            references.check_enough(mask, of, f"{self.title}: a standard deviation")
        if self.variance == "per_sample":
            deviation = references.filled(references.standard_deviation(phi, mask))
        else:
            residual_from = centre if self.variance == "residual" else None
            deviation = np.full(centre.shape, references.pooled_standard_deviation(phi, mask, residual_from))
        return centre, deviation + LEAST_DEVIATION


def _log_density(z: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """log N(phi; mu, sd^2) with z = (phi - mu) / sd."""
    return -0.5 * (z * z + LOG_2_PI) - np.log(deviation)
