"""What one attack sees of one target model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from seepage.errors import InputError, unknown_name
from seepage.signals.functions import LABEL_FREE, SIGNALS, log_softmax
from seepage.signals.probabilities import OF_PROBABILITIES

if TYPE_CHECKING:  # an attack's view must not wait for torch
    from seepage.data import Pool
    from seepage.models.target import TargetModel


class ScalarSignals(Mapping[str, np.ndarray]):
    """The scalar signals of a block of outputs, each computed when it is first asked for and then kept.

    Several views (one a target) share one object, so that no signal is computed twice.

    Args:
        logits: float (samples, models, queries, classes), in memory or memory-mapped.
        labels: (samples,); None where nobody knows them, and only the signals of `LABEL_FREE` can be had.
        probabilities: (models,), whose logits are the logarithms of answers that are probabilities; by default none.
    """

    def __init__(
        self,
        logits: Float[np.ndarray, "samples models queries classes"],
        labels: Int[np.ndarray, " samples"] | None,
        probabilities: Bool[np.ndarray, " models"] | None = None,
    ):
        if logits.ndim != 4:
            raise InputError(f"expected logits (samples, models, queries, classes): got shape {logits.shape}")
        self.n_classes = logits.shape[-1]
        self.logits = logits
        self._labels = labels
        self._probabilities = np.zeros(logits.shape[1], dtype=bool) if probabilities is None else probabilities
        self._values: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> Float64[np.ndarray, "samples models queries"]:
        if name not in self._values:
            self._values[name] = self._computed(name)
        return self._values[name]

    def _computed(self, name: str) -> np.ndarray:
        labels = self._labels
        if labels is None:
            check_label_free(name)
            labels = np.zeros(len(self.logits), dtype=np.int64)  # which these signals only count
        forms = (SIGNALS[name], OF_PROBABILITIES.get(name, SIGNALS[name]))
        given = self._probabilities
        if forms[0] is forms[1] or given.all() or not given.any():
            return forms[int(given.all())](self.logits, labels)
        values = np.empty(self.logits.shape[:3])
        for form, models in zip(forms, (~given, given), strict=True):
            values[:, models] = form(self.logits[:, models], labels)
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(SIGNALS)

    def __len__(self) -> int:
        return len(SIGNALS)


class NoLabels:
    """In the place of labels that nobody knows. Using it in any way is an error: no placeholder may pass for them."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise InputError(
            "the records of this view have no labels, and something asked for them: an attack that does must say "
            '"labels" in its needs'
        )

    __getitem__ = __iter__ = __len__ = __array__ = __eq__ = __ne__ = __lt__ = __gt__ = _refuse
    __hash__ = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()


@dataclass(frozen=True, eq=False)
class View:
    """What one attack sees of one target. The answer, the target's own membership, is not in it.

    Args:
        signals: name -> float64 (samples, models, queries), for the target and the references together.
        labels: (samples,) class numbers; None where nobody knows them. Asking for them, or for a signal that they are
            part of, is an error then.
        target_column: which model is the target.
        reference_columns: which models are the references, in the order of the masks' columns.
        reference_in: (samples, references), the record was in that reference's training set.
        reference_out: (samples, references), it was not. Neither where a reference is left out for balance.
        population: (samples,), known non-members of the target and of every reference; never audited.
        known: (samples,), 1 known member of the target, 0 known non-member, -1 unknown (the default); known ones
            are never scored.
        audited: (samples,), the records that will be judged; by default all that are neither population nor known.
            An attack may leave the others without a score.
        gradient_norm: (samples,), norm of the loss's gradient at the target; None where it was not collected.
        features: (samples, features), what the target's last layer sees; None where it was not collected.
        outputs: (samples, models, queries, classes), logits or log-probabilities of all models.
        records: the records themselves.
        model: the live target behind its access level, which counts what it is asked.
        architecture: (input shape, number of classes) -> module, what the references are built with.
        n_classes: by default the largest label plus one, and that of the outputs where there are no labels.
        labelled: False drops the labels, as if nobody knew them.

    Raises:
        InputError: shapes that do not fit, or masks that contradict each other.
    """

    signals: Mapping[str, np.ndarray] = field(repr=False)
    labels: Int[np.ndarray, " samples"] | NoLabels | None = field(repr=False)
    _: KW_ONLY
    target_column: int
    reference_columns: Sequence[int] | Int[np.ndarray, " references"] = field(default=(), repr=False)
    reference_in: Bool[np.ndarray, "samples references"] | None = field(default=None, repr=False)
    reference_out: Bool[np.ndarray, "samples references"] | None = field(default=None, repr=False)
    population: Bool[np.ndarray, " samples"] | None = field(default=None, repr=False)
    known: Int[np.ndarray, " samples"] | None = field(default=None, repr=False)
    audited: Bool[np.ndarray, " samples"] | None = field(default=None, repr=False)
    gradient_norm: Float[np.ndarray, " samples"] | None = field(default=None, repr=False)
    features: Float[np.ndarray, "samples features"] | None = field(default=None, repr=False)
    outputs: Float[np.ndarray, "samples models queries classes"] | None = field(default=None, repr=False)
    records: Pool | None = field(default=None, repr=False)
    model: TargetModel | None = field(default=None, repr=False)
    architecture: Callable[[tuple[int, ...], int], Any] | None = field(default=None, repr=False)
    n_classes: int | None = None
    labelled: bool = True
    _cache: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        has_none = self.labels is None or isinstance(self.labels, NoLabels) or not self.labelled
        labels = None if has_none else np.asarray(self.labels, dtype=np.int64)
        columns = np.asarray(self.reference_columns, dtype=np.int64)
        samples = (_length(self.signals),) if labels is None else labels.shape
        pairs = (*samples, columns.size)
        whole = {
            "labels": NoLabels() if has_none else labels,
            "labelled": labels is not None,
            "reference_columns": columns,
            "reference_in": _shaped("reference_in", self.reference_in, pairs, bool, False),
            "reference_out": _shaped("reference_out", self.reference_out, pairs, bool, False),
            "population": _shaped("population", self.population, samples, bool, False),
            "known": _shaped("known", self.known, samples, np.int8, -1),
        }
        judged = ~whole["population"] & (whole["known"] == -1)
        whole["audited"] = judged if self.audited is None else _shaped("audited", self.audited, samples, bool, False)
        if self.outputs is None and isinstance(self.signals, ScalarSignals):
            whole["outputs"] = self.signals.logits
        if self.gradient_norm is not None:
            whole["gradient_norm"] = _shaped("gradient_norm", self.gradient_norm, samples, np.float64, np.nan)
        if self.n_classes is None:
            of_outputs = 0 if self.outputs is None else self.outputs.shape[-1]
            whole["n_classes"] = of_outputs if labels is None else int(labels.max(initial=0)) + 1
        for name, value in whole.items():
            object.__setattr__(self, name, value)
        self._check()

    @classmethod
    def from_logits(
        cls,
        logits: Float[np.ndarray, "samples models queries classes"],
        labels: Int[np.ndarray, " samples"] | None,
        **arguments,
    ) -> View:
        """A view of one target among `logits`; `arguments` are those of `View`.

        For several targets over the same outputs make one `ScalarSignals` and hand it to each view.
        """
        labels = labels if arguments.get("labelled", True) else None
        return cls(ScalarSignals(logits, labels), labels, n_classes=logits.shape[-1], **arguments)

    @classmethod
    def from_signals(
        cls,
        target: Mapping[str, Float[np.ndarray, "samples queries"]],
        references: Mapping[str, Float[np.ndarray, "samples references queries"]] | None = None,
        *,
        labels: Int[np.ndarray, " samples"] | None = None,
        **arguments,
    ) -> View:
        """A view of scalar signals that are already there: target (samples, queries), references (samples, references,
        queries). Without labels all records are of class 0: whoever made the signals knew the labels, unless
        `labelled=False` says otherwise. The other `arguments` are those of `View`."""
        references = references or {}
        n_samples = len(next(iter(target.values())))
        n_references = next(iter(references.values())).shape[1] if references else 0
        signals = {}
        for name, values in target.items():
            others = references.get(name, np.empty((n_samples, 0, values.shape[1])))
            signals[name] = np.concatenate([np.asarray(values, dtype=np.float64)[:, None], others], axis=1)
        if labels is None:
            labels = np.zeros(n_samples, dtype=np.int64)
        columns = np.arange(1, n_references + 1)
        return cls(signals, labels, target_column=0, reference_columns=columns, **arguments)

    @property
    def n_samples(self) -> int:
        return self.audited.size

    @property
    def available(self) -> frozenset[str]:
        """What attacks may ask for in `needs` and find here."""
        there = {
            "labels": self.labelled,
            "in-references": self.reference_in.any() and self.reference_out.any(),
            "out-references": self.reference_out.any(),
            "population": self.population.any(),
            "gradients": self.gradient_norm is not None,
            "known": (self.known == 1).any() and (self.known == 0).any(),
            "records": self.records is not None,
            "features": self.features is not None,
            "model": self.model is not None,
            "queries": self.n_queries > 1,
        }
        return frozenset(name for name, is_there in there.items() if is_there)

    @property
    def n_queries(self) -> int:
        """How many queries a record the outputs hold."""
        return next(iter(self.signals.values())).shape[2] if self.outputs is None else self.outputs.shape[2]

    @property
    def n_asked(self) -> int:
        """How many records the live target has been sent so far."""
        return 0 if self.model is None else self.model.n_queries

    def target(self, name: str) -> Float64[np.ndarray, "samples queries"]:
        """A signal of the target model."""
        return self._all(name)[:, self.target_column]

    def references(self, name: str) -> Float64[np.ndarray, "samples references queries"]:
        """A signal of the reference models; what the masks leave out is in it too."""
        if name not in self._cache:
            self._cache[name] = _columns(self._all(name), self.reference_columns)
        return self._cache[name]

    def target_log_probabilities(self) -> Float64[np.ndarray, "samples queries classes"]:
        """log p of every class at the target."""
        return self._log_probabilities(self.target_column)

    def layer_gradient_norms(self, *, of_label: bool) -> Float64[np.ndarray, "samples layers"]:
        """By layer of the live target, the norm of the gradient of each record's loss; asked once, then kept.

        Args:
            of_label: of the loss of the record's label; else of the predicted label, and labels play no part.
        """
        key = ("layer gradient norms", of_label)
        if key not in self._cache:
            inputs = self.records.batch()
            labels = self.labels if of_label else self.model.labels(inputs)
            self._cache[key] = self.model.layer_gradient_norms(inputs, labels)
        return self._cache[key]

    def _log_probabilities(self, column: int) -> np.ndarray:
        if self.outputs is None:
            raise InputError("expected a view with outputs, this one was made of scalar signals: use View.from_logits")
        return log_softmax(self.outputs[:, column])

    def _all(self, name: str) -> np.ndarray:
        if name not in self.signals:
            raise unknown_name("signal", name, self.signals)
        if not self.labelled:
            check_label_free(name)
        values = self.signals[name]
        if values.ndim != 3 or values.dtype != np.float64 or len(values) != self.n_samples:
            raise InputError(
                f"expected signal '{name}' as float64 (samples, models, queries) with {self.n_samples} samples: "
                f"got {values.dtype} {values.shape}"
            )
        return values

    def _check(self) -> None:
        if self.target_column in self.reference_columns:
            raise InputError(f"model {self.target_column} cannot be the target and a reference at once")
        if (self.reference_in & self.reference_out).any():
            raise InputError("a record cannot be both in and out of the same reference model's training set")
        if self.reference_in[self.population].any():
            raise InputError(
                "the population must hold non-members only: some of it was used to train a reference model"
            )
        if (self.audited & (self.population | (self.known != -1))).any():
            raise InputError("the population and known records cannot be audited: the attacker knows the answer")
        if self.outputs is not None and len(self.outputs) != self.n_samples:
            raise InputError(f"expected outputs of {self.n_samples} samples: got {len(self.outputs)}")
        for name in ("features", "records"):
            value = getattr(self, name)
            if value is not None and len(value) != self.n_samples:
                raise InputError(f"expected {name} of {self.n_samples} samples: got {len(value)}")
        if (self.known[self.population] == 1).any():
            raise InputError("the population must hold non-members only: some of it is a known member of the target")


def check_label_free(name: str) -> None:
    """Refuse a signal that the label is part of.

    Raises:
        InputError: it is one.
    """
    if name in SIGNALS and name not in LABEL_FREE:
        raise InputError(
            f"the signal '{name}' is about a record's label, and these records have none: use one of "
            f"{', '.join(sorted(LABEL_FREE))}"
        )


def _length(signals: Mapping[str, np.ndarray]) -> int:
    """How many records signals are about."""
    return len(signals.logits if isinstance(signals, ScalarSignals) else next(iter(signals.values())))


def _shaped(name: str, values: np.ndarray | None, shape: tuple[int, ...], dtype: type, default: object) -> np.ndarray:
    if values is None:
        return np.full(shape, default, dtype=dtype)
    if np.shape(values) != shape:
        raise InputError(f"expected {name} of shape {shape}: got {np.shape(values)}")
    return np.asarray(values, dtype=dtype)


def _columns(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """`values[:, columns]`, without a copy where the columns are neighbours."""
    if columns.size and np.array_equal(columns, np.arange(columns[0], columns[0] + columns.size)):
        return values[:, columns[0] : columns[0] + columns.size]
    return values[:, columns]
