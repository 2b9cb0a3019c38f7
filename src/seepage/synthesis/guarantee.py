"""What is promised about a release, and what is not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from seepage.models.generators.vae import TrainingPrivacy
from seepage.synthesis.labels import WAYS, keep_probability

MOST_EXPONENT = 700.0  # of what a float can hold


@dataclass(frozen=True)
class Guarantee:
    """The promise of one release, or of several of the same records.

    Attributes:
        epsilon: of metric privacy, per unit of distance between codes and per release.
        latent: dimensions of a code.
        clip: bound on a code's norm before the noise, or None.
        releases: of every record; what is spent adds up.
        public: whether the networks were trained on other records than those released.
        shared: how many of the records are among those other ones all the same.
        secret: whether nobody can draw the random numbers again.
        encoded: whether what the values are was read off a table: categories, numbers, or 0/1 columns.
        training: what DP-SGD promises of the networks, where they were trained so.
        measured: whether the networks' training looked at ranges or means of the records without noise.
        labels: one of `seepage.synthesis.labels.WAYS`.
        label_epsilon: of randomised response, per release.
        n_classes: of the labels; 0 where there are none.
    """

    epsilon: float
    latent: int
    clip: float | None
    releases: int
    public: bool
    shared: int
    secret: bool
    encoded: bool
    training: TrainingPrivacy | None
    measured: bool
    labels: str
    label_epsilon: float | None
    n_classes: int

    @property
    def local_epsilon(self) -> float | None:
        """Of local differential privacy of the encoding: two clipped codes are at most 2 clip apart."""
        return None if self.clip is None else 2 * self.clip * self.epsilon * self.releases

    @property
    def is_end_to_end(self) -> bool:
        """Whether the whole release, networks included, has a guarantee for the records: not for their labels, and
        what the sentences take to be public aside."""
        bounded = self.clip is not None and math.isfinite(self.epsilon)
        if not self.secret or math.isinf(self.epsilon):
            return False
        if self.public:
            return not self.shared
        return self.training is not None and not self.measured and bounded and self._of_the_whole[1] < 1

    @property
    def _of_the_whole(self) -> tuple[float, float]:
        """Epsilon and delta of networks by DP-SGD and clipped encoding, for replacing one record's values.

        How many records are released is no secret, so neighbours are pools that differ in one record's values: one
        removed and one added, which is privacy of groups of two for the networks.
        """
        told = self.training
        if told is None:
            return math.inf, 1.0
        growth = math.exp(told.epsilon) if told.epsilon < MOST_EXPONENT else math.inf
        return 2 * told.epsilon + self.local_epsilon, (1 + growth) * told.delta

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it, to be printed with the release."""
        return (
            *self._of_randomness,
            self._of_encoding,
            *self._of_clipping,
            self._of_networks,
            *self._of_table,
            *self._of_releases,
            *self._of_labels,
        )

    @property
    def _of_randomness(self) -> tuple[str, ...]:
        if self.secret:
            return ()
        return (
            "The random numbers come from a seed: whoever knows or guesses it draws the noise again and takes it off. "
            "What follows holds only where nobody can; to release, leave the seed out.",
        )

    @property
    def _of_encoding(self) -> str:
        if math.isinf(self.epsilon):
            return "No noise was added to the codes: the encoding of a record has no guarantee at all."
        length = f"{self.latent / self.epsilon:.3g}"
        return (
            f"Encoding of one record: metric privacy with epsilon {self.epsilon:g} per unit of distance between codes "
            f"(noise of mean length {length} in {self.latent} dimensions). Whoever sees a released record can tell two "
            "originals apart with odds of at most exp(epsilon d), d being the distance of their codes: at most "
            f"e = 2.72 up to d = 1 / epsilon = {1 / self.epsilon:.3g}."
        )

    @property
    def _of_clipping(self) -> tuple[str, ...]:
        if self.clip is None or math.isinf(self.epsilon):
            return ()
        return (
            f"Codes are clipped to a norm of {self.clip:g}, so that this is local differential privacy of a record "
            f"with epsilon {self.local_epsilon:g} over all releases.",
        )

    @property
    def _of_networks(self) -> str:
        if self.public and self.shared:
            return (
                f"{self.shared} of the records are among the public ones that the networks were trained on: for "
                "these the release has NO guarantee."
            )
        if self.public:
            return (
                "The networks were trained on other records, which are taken to be public: the guarantee of the "
                "encoding is that of the whole release."
            )
        if self.training is None:
            return (
                "The networks were trained on these records without differential privacy: the release as a whole has "
                "NO guarantee. What they remember of a record can come out in anybody's. Audit the release."
            )
        told = self.training
        networks = (
            f"The networks were trained on these records by DP-SGD: ({told.epsilon:.3g}, {told.delta:.1e})-"
            "differential privacy of the networks for adding or removing a record (noise "
            f"{told.noise_multiplier:g}, {told.n_steps} steps)."
        )
        if self.measured:
            return f"{networks} But ranges or means were taken from the records without noise: NO guarantee end to end."
        if math.isinf(self.epsilon):
            return f"{networks} What is released of a record itself has none, for there is no noise: NO guarantee."
        if self.local_epsilon is None:
            return (
                f"{networks} The codes are not bounded: what is released of a record itself is protected in distance "
                "alone, and the whole has no epsilon."
            )
        spent, delta = self._of_the_whole
        if delta >= 1:
            return (
                f"{networks} That is too weak to bound the replacing of one record's values (delta would be 1 or "
                "more): NO guarantee end to end. Take more noise, fewer epochs or smaller batches."
            )
        return (
            f"{networks} With the clipped encoding the whole release is ({spent:.4g}, {delta:.1e})-differentially "
            "private for replacing one record's values."
        )

    @property
    def _of_table(self) -> tuple[str, ...]:
        if self.training is None or self.measured or not self.encoded:
            return ()
        return (
            "Taken to be public: the kind and the categories of each column, whether its numbers are whole, and what "
            "they were divided by. Where they were read from these records, as standardising does, that reading has no "
            "guarantee.",
        )

    @property
    def _of_releases(self) -> tuple[str, ...]:
        if self.releases == 1:
            return ()
        return (f"Each record was released {self.releases} times: epsilon {self.epsilon:g} is spent each time.",)

    @property
    def _of_labels(self) -> tuple[str, ...]:
        if not self.n_classes:
            return ()
        if self.labels == "randomised-response":
            keep = keep_probability(self.label_epsilon, self.n_classes)
            return (WAYS[self.labels].format(keep=keep, epsilon=self.label_epsilon),)
        return (WAYS[self.labels],)

    def to_json(self) -> dict[str, Any]:
        """The promise as JSON values."""
        plain = {name: value for name, value in vars(self).items() if name != "training"}
        plain["epsilon"] = None if math.isinf(self.epsilon) else self.epsilon
        plain["training"] = None if self.training is None else dict(vars(self.training))
        return {**plain, "end_to_end": self.is_end_to_end, "sentences": list(self.sentences)}
