"""What the audited model may be: each adapter turns one kind of model into batches of NumPy arrays in and out.

A torch module has a file of its own (module.py), because it alone has gradients and weights.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from jaxtyping import Int64

from seepage.data.labels import are_codes, is_number, key
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.models.outputs import SMALLEST_PROBABILITY
from seepage.models.sandbox import Sandbox

LOG_OF_ZERO = float(np.log(SMALLEST_PROBABILITY))  # how far below the others a class is that a model never saw


class Adapter(ABC):
    """One audited model.

    Attributes:
        kind: "module", "estimator", "lightgbm", "xgboost", "onnx" or "callable".
        name: of its class or function.
        outputs: what `answer` returns: "logits", "probabilities" or "labels".
        n_classes: where the model says so itself.
        classes: the name (`seepage.data.labels.key`) of each column's class, or of the labels, where it says so.
        n_parameters: where it can be counted.
        takes_float32: whether it computes on float32, whatever it is given.
        column_names: of the table that it was fitted on, where it knows them.
    """

    kind: str
    name: str
    outputs: str
    n_classes: int | None = None
    classes: tuple[str, ...] | None = None
    n_parameters: int | None = None
    takes_float32: bool = False
    column_names: tuple[str, ...] | None = None

    @property
    def ceiling(self) -> Access:
        """The most that this model can give."""
        return {"labels": Access.LABEL, "probabilities": Access.PROBABILITIES, "logits": Access.LOGITS}[self.outputs]

    @property
    def gives_probabilities(self) -> bool:
        """Whether it tells probabilities themselves, not scores from which they follow."""
        return self.outputs == "probabilities"

    @abstractmethod
    def answer(self, batch: np.ndarray) -> Any:
        """The model's outputs for one batch, unchecked."""

    def _narrowing(self, ask: Callable[[np.ndarray], Any], batch: np.ndarray) -> Any:
        """The answer to a batch, as float64 if it is; what cannot compute on that (torch inside) gets float32 from then
        on. An error that goes away when it is asked again as before had another cause, and is the model's own."""
        if batch.dtype != np.float64:
            return ask(batch)
        if self.takes_float32:
            return ask(batch.astype(np.float32))
        try:
            return ask(batch.copy())
        except Exception as error:
            with np.errstate(over="ignore"), contextlib.suppress(Exception):
                answer = ask(batch.astype(np.float32))
                try:
                    ask(batch)
                except Exception:
                    self.takes_float32 = True
                    return answer
            raise error

    def answer_for_labels(self, batch: np.ndarray) -> Any:
        """Outputs whose largest are the labels; by default the outputs."""
        return self.answer(batch)

    def asked(self) -> AbstractContextManager[None]:
        """The state in which the model must be while it answers."""
        return nullcontext()

    def fingerprint(self) -> str | None:
        """SHA-256 of the model's weights, where it has some that can be read."""
        return None

    def is_untrained(self) -> bool:
        """Whether it surely still has the weights that it was made with; False where nothing shows it."""
        return False


class Estimator(Adapter):
    """Anything with scikit-learn's `predict_proba`, which includes the scikit-learn classes of the booster libraries;
    declared to return logits, it is asked for its `decision_function`, where it has one.

    Column j of its answer is the class `classes_[j]`. Whole numbers from 0 say which column of ours that is, and one
    that the model never saw gets the probability zero; classes of other kinds keep the order of `classes_`.
    """

    kind = "estimator"

    def __init__(self, model: Any, n_classes: int | None, outputs: str = "probabilities"):
        self.name, self.outputs = type(model).__name__, outputs
        self._ask = model.predict_proba if outputs == "probabilities" else model.decision_function
        self.column_names = _column_names(getattr(model, "feature_names_in_", None))
        self._columns: np.ndarray | None = None
        self.classes = _class_names(model, self.name)
        if self.classes is None:
            return
        numbers = [int(name) if is_number(name) else -1 for name in self.classes]
        if min(numbers) < 0 or are_codes(max(numbers), len(numbers)):
            numbers = list(range(len(numbers)))
        self._columns = np.array(numbers, dtype=np.int64)
        self.n_classes = max(max(numbers) + 1, n_classes or 0, 2)

    def numbered(self, columns: Int64[np.ndarray, " columns"], n_classes: int) -> Estimator:
        """The same model with its own column j as column `columns[j]` of `n_classes`."""
        other = copy.copy(self)
        other._columns, other.n_classes = columns, n_classes
        return other

    def answer(self, batch: np.ndarray) -> Any:
        with warnings.catch_warnings():
            # Fitted on a data frame: the columns are the same ones, only their names are gone.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            answer = self._narrowing(self._ask, _rows(batch))
        if self._columns is None:
            return answer
        answer = np.asarray(answer, dtype=np.float64)
        if answer.ndim == 1 and len(self._columns) == 2 and self.outputs == "logits":
            answer = np.stack([np.zeros(len(answer)), answer], axis=1)
        if answer.ndim != 2 or answer.shape[1] != len(self._columns):
            raise InputError(f"{self.name} has {len(self._columns)} classes but answered with the shape {answer.shape}")
        if self.n_classes == len(self._columns) and (self._columns == np.arange(self.n_classes)).all():
            return answer
        unseen = 0.0 if self.outputs == "probabilities" else answer.max(axis=1, keepdims=True) + LOG_OF_ZERO
        filled = np.full((len(answer), self.n_classes), unseen)
        filled[:, self._columns] = answer
        return filled


class Predictor(Adapter):
    """Anything with `predict`: labels, unless it is declared to return scores."""

    kind = "estimator"

    def __init__(self, model: Any, outputs: str):
        self.name, self.outputs = type(model).__name__, outputs
        self._model = model
        self.classes = _class_names(model, self.name) if outputs == "labels" else None
        self.column_names = _column_names(getattr(model, "feature_names_in_", None))

    def answer(self, batch: np.ndarray) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return self._narrowing(self._model.predict, _rows(batch) if self.outputs == "labels" else batch)


class Function(Adapter):
    """A callable, inputs -> array."""

    kind = "callable"

    def __init__(self, function: Callable[[np.ndarray], Any], outputs: str):
        self.name, self.outputs = getattr(function, "__name__", type(function).__name__), outputs
        self._function = function

    def answer(self, batch: np.ndarray) -> Any:
        return self._narrowing(self._function, batch)


class LightGBM(Adapter):
    """A `lightgbm.Booster`, asked for its raw scores, which do not saturate as its probabilities do."""

    kind = "lightgbm"
    outputs = "logits"

    def __init__(self, booster: Any):
        self.name = "Booster"
        self._booster = booster
        self.column_names = _column_names(booster.feature_name())
        text = booster.model_to_string(num_iteration=1)
        n_rounds = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
        self._scale = lightgbm_scale(text, n_rounds)

    def answer(self, batch: np.ndarray) -> np.ndarray:
        return self._scale * np.asarray(self._booster.predict(_rows(batch), raw_score=True))

    def fingerprint(self) -> str:
        return hashlib.sha256(self._booster.model_to_string().encode()).hexdigest()


class XGBoost(Adapter):
    """An `xgboost.Booster`, asked for its margins, which do not saturate as its probabilities do."""

    kind = "xgboost"
    outputs = "logits"

    def __init__(self, booster: Any):
        self.name = "Booster"
        self._booster = booster
        self.column_names = _column_names(booster.feature_names)
        objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
        if objective not in ("binary:logistic", "binary:logitraw", "multi:softprob", "multi:softmax"):
            raise InputError(
                f"this XGBoost model was trained for '{objective}', expected a classification objective that gives "
                "probabilities: wrap a callable and declare its outputs"
            )

    def answer(self, batch: np.ndarray) -> np.ndarray:
        import xgboost

        rows = _rows(batch)
        try:
            return self._booster.inplace_predict(rows, predict_type="margin", validate_features=False)
        except xgboost.core.XGBoostError:  # linear boosters are asked in one way only
            names = self._booster.feature_names
            return self._booster.predict(xgboost.DMatrix(rows, feature_names=names), output_margin=True)

    def fingerprint(self) -> str:
        return hashlib.sha256(bytes(self._booster.save_raw())).hexdigest()


class Sandboxed(Adapter):
    """A model file that is open in a child process."""

    def __init__(self, sandbox: Sandbox, kind: str, outputs: str):
        self.name = self.kind = kind
        self.outputs = outputs
        self._sandbox = sandbox
        self._scale = lightgbm_scale(sandbox.facts["header"], sandbox.facts["rounds"]) if kind == "lightgbm" else 1.0
        self.takes_float32 = sandbox.facts.get("dtype") in ("float32", "float16")
        self.column_names = _column_names(sandbox.facts.get("columns"))

    def answer(self, batch: np.ndarray) -> np.ndarray:
        return self._scale * self._sandbox.predict(batch)


def lightgbm_scale(text: str, n_rounds: int) -> float:
    """What a raw score is multiplied by to be a logit: the sigmoid's slope of a binary model, over the number of rounds
    where a model averages its trees (`boosting="rf"`), whose raw scores are sums.

    Args:
        text: of the model, whose head says what it is.
        n_rounds: boosting rounds that answer.

    >>> lightgbm_scale("tree\\nobjective=binary sigmoid:0.5\\naverage_output", 10)
    0.05
    >>> lightgbm_scale("tree\\nobjective=multiclass num_class:3", 10)
    1.0
    """
    head = text.partition("feature_names=")[0].splitlines()
    objective = next((line[10:] for line in head if line.startswith("objective=")), "")
    name, *settings = objective.split() or [""]
    if name not in ("binary", "multiclass"):
        raise InputError(
            f"this LightGBM model was trained for '{name or 'an unknown objective'}', expected 'binary' or "
            "'multiclass': of another objective that gives probabilities wrap a callable and declare its outputs; a "
            "regression cannot be audited"
        )
    slope = next((float(entry[8:]) for entry in settings if entry.startswith("sigmoid:")), 1.0)
    return slope / n_rounds if "average_output" in head else slope


def _class_names(model: Any, name: str) -> tuple[str, ...] | None:
    """The classes of an estimator by name, in the order of its columns."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        return None
    if isinstance(classes, list) and any(np.ndim(of_one) for of_one in classes):
        raise InputError(f"{name} predicts {len(classes)} outputs at once: wrap a callable that returns one")
    classes = np.asarray(classes)
    if classes.ndim != 1 or classes.size == 0:
        raise InputError(f"the classes of {name} are an array of shape {classes.shape}, expected one value a class")
    names = tuple(map(key, classes.tolist()))
    if len(set(names)) < len(names):
        raise InputError(f"the classes of {name} are not distinct: {', '.join(names[:5])}")
    return names


def _column_names(names: Any) -> tuple[str, ...] | None:
    """Names of columns that somebody gave; not those that a library makes up (Column_0, f0, 0)."""
    names = None if names is None else tuple(map(str, names))
    return None if not names or all(re.fullmatch(r"(Column_|f|x)?\d+", name) for name in names) else names


def _rows(batch: np.ndarray) -> np.ndarray:
    """Tabular models take one row of features a record."""
    return batch if batch.ndim == 2 else batch.reshape(len(batch), -1)
