"""What an audit has at hand, whichever way it was asked for: answers, labels, membership, records."""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from seepage.data import Membership, Pool
from seepage.models.access import Access
from seepage.models.recipe import Factory
from seepage.models.target import TargetModel
from seepage.runs.plan import Plan
from seepage.signals.view import ScalarSignals, View

TRAINED_HERE = "trained by this audit"  # what a target is that the user did not give


@dataclass(frozen=True)
class Training:
    """How the models of the evidence were trained, where we trained them."""

    recipe: dict
    plan: Plan
    seconds: float
    n_models: int


@dataclass(frozen=True, eq=False)
class Evidence:
    """One model's (or several targets') answers beside those of the references.

    Attributes:
        logits: (samples, models, queries, classes) of targets and references.
        labels: (samples,); None where the records have none.
        probabilities: (models,), whose logits are the logarithms of probabilities that it answered; by default none.
        membership: columns and subsets; its columns are those of the targets and of the references.
        target_models, reference_models: which model of `logits` each column belongs to.
        records: the pool, or None where nothing but outputs was given.
        access: what the attacker may ask of the target.
        kind: what the target is, in words.
        n_queries: records sent to the target for `logits`.
        live: the targets themselves, in their order, where there are any to be asked further.
        layer: whose output the features are; None for the penultimate ones.
        features: (samples, features) of the one target, where somebody else computed them.
        gradient_norm: (samples,) of every target, likewise.
        classes: the names of the columns, where there are no records and somebody said them.
        architecture: what references are built with.
    """

    logits: Float[np.ndarray, "samples models queries classes"]
    labels: Int64[np.ndarray, " samples"] | None
    membership: Membership
    target_models: list[int]
    reference_models: list[int]
    access: Access
    kind: str
    n_queries: int
    records: Pool | None = None
    live: Sequence[TargetModel] = ()
    layer: str | None = None
    features: Float32[np.ndarray, "samples features"] | None = None
    gradient_norm: Float64[np.ndarray, " samples"] | None = None
    architecture: Factory | None = None
    fingerprint: str | None = None
    n_parameters: int | None = None
    training: Training | None = None
    unlabelled: frozenset[str] = frozenset()  # of the other non-members, those whose labels nobody knows
    ids: np.ndarray | None = None
    probabilities: Bool[np.ndarray, " models"] | None = None
    classes: tuple[str, ...] | None = None
    signals: ScalarSignals = field(init=False, repr=False)

    def __post_init__(self):
        if self.probabilities is None:
            object.__setattr__(self, "probabilities", np.zeros(self.logits.shape[1], dtype=bool))
        object.__setattr__(self, "signals", ScalarSignals(self.logits, self.labels, self.probabilities))

    @property
    def names(self) -> np.ndarray:
        """(samples,) the records' ids."""
        if self.records is not None:
            return self.records.ids
        return np.arange(self.n_samples).astype(str) if self.ids is None else self.ids

    @property
    def n_samples(self) -> int:
        return len(self.logits)

    @property
    def labelled(self) -> bool:
        """Whether the records have labels."""
        return self.labels is not None

    @property
    def is_trained_here(self) -> bool:
        """Whether the audit itself trained the targets."""
        return self.kind == TRAINED_HERE

    @property
    def correct(self) -> Bool[np.ndarray, "samples models"] | None:
        """Whether each model's first answer (the record as it is) is its label; None where there are no labels."""
        if self.labels is None:
            return None
        return self.logits[:, :, 0].argmax(axis=-1) == self.labels[:, None]

    def ordinary(self, rows: np.ndarray) -> np.ndarray:
        """Which records show how accurate the models are: the audited `rows`, or, where canaries are planted, the rest.

        A wrong label that is got right is no accuracy.
        """
        membership = self.membership
        used = membership.targets.any(axis=1) | membership.population | membership.validation
        used &= ~membership.canaries
        inside = membership.targets[used].any(axis=1)
        return np.flatnonzero(used) if membership.canaries.any() and 0 < inside.sum() < len(inside) else rows

    @property
    def n_references(self) -> int:
        """How many references half of the audited records, or more, have on each of the sides that there are."""
        is_in, is_out = self._typical_counts
        return int(min(is_in, is_out) if is_in > 0 else is_out)

    @property
    def available(self) -> set[str]:
        """What the attacks may need and find here, for half of the audited records or more."""
        is_in, is_out = self._typical_counts
        there = {
            "labels": self.labelled,
            "population": self.membership.population.any(),
            "gradients": self.gradient_norm is not None or (self.labelled and self._gives(Access.GRADIENTS)),
            "known": self.membership.known.any(),
            "records": self.records is not None,
            "features": self.features is not None or self._gives(Access.WEIGHTS),
            "model": bool(self.live),
            "queries": self.logits.shape[2] > 1,
            "out-references": is_out >= 1,
            "in-references": is_in >= 1 and is_out >= 1,
        }
        return {name for name, is_there in there.items() if is_there}

    @property
    def n_known(self) -> int:
        """How many members, and as many non-members, the attacker knows of every target."""
        bits = self.membership.targets[self.membership.known][:, : len(self.target_models)]
        return int(min(bits.sum(axis=0).min(initial=len(bits)), (~bits).sum(axis=0).min(initial=len(bits))))

    @property
    def n_asked(self) -> int:
        """The most records that one target was sent, all attacks together."""
        return max([self.n_queries, *(model.n_queries for model in self.live)])

    def _gives(self, level: Access) -> bool:
        return bool(self.live) and self.live[0].access >= level

    @functools.cached_property
    def _typical_counts(self) -> tuple[float, float]:
        if not self.reference_models:
            return 0, 0
        masks = self.membership.reference_masks(0, rng=np.random.default_rng(0))
        is_in, is_out = (np.median(mask[self.membership.audit].sum(axis=1)) for mask in masks)
        return is_in, is_out

    def views(
        self,
        rows: np.ndarray | None = None,
        needs: Collection[str] = (),
        *,
        others_out: bool = False,
        signals: Callable[[int], tuple[ScalarSignals, np.ndarray | None]] | None = None,
        rng: np.random.Generator,
    ) -> Iterator[View]:
        """What the attacker sees of each target, in order.

        Args:
            rows: the audited records; by default all of the audit.
            needs: what attacks ask for beyond outputs. Features and gradients are computed only for those who do.
            others_out: whether the references count as OUT for other non-members. Where these are not judged they take
                no part, so that no attack learns from them.
            signals: (target) -> signals and labels, where the labels depend on the target.
            rng: evens out the counts of references.
        """
        audited = self.membership.audit
        if rows is not None:
            audited = np.zeros(self.n_samples, dtype=bool)
            audited[rows] = True
        for target, model in enumerate(self.target_models):
            is_in, is_out = self.membership.reference_masks(target, rng=rng)
            if not others_out:
                is_out = is_out & ~self.membership.any_other[:, None]
            of_target, labels = (self.signals, self.labels) if signals is None else signals(target)
            live = self.live[target] if self.live else None
            features, gradient_norm = self.features, self.gradient_norm
            if "features" in needs and features is None and self._gives(Access.WEIGHTS):
                features = live.features(self.records.batch(), self.layer)
            # The loss has no gradient where nobody knows the label.
            if "gradients" in needs and gradient_norm is None and self.labelled and self._gives(Access.GRADIENTS):
                gradient_norm = live.gradient_norm(self.records.batch(), labels)
            yield View(
                of_target,
                labels,
                target_column=model,
                # A model that takes its turn as the target is no reference of its own.
                reference_columns=[m for m in self.reference_models if m != model],
                reference_in=is_in[:, [r for r, m in enumerate(self.reference_models) if m != model]],
                reference_out=is_out[:, [r for r, m in enumerate(self.reference_models) if m != model]],
                population=self.membership.population,
                known=self.membership.known_bits(target),
                audited=audited,
                gradient_norm=gradient_norm,
                features=features,
                records=self.records,
                model=live,
                architecture=self.architecture,
                n_classes=self.logits.shape[-1],
            )
