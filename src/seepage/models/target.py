"""The audited model behind an access level."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from numpy.typing import ArrayLike
from torch import nn

from seepage.data.labels import is_number, key
from seepage.errors import InputError
from seepage.models.access import Access, AccessError
from seepage.models.adapters import Adapter, Estimator, Function, LightGBM, Predictor, Sandboxed, XGBoost
from seepage.models.files import LoadedModel
from seepage.models.module import Module
from seepage.models.outputs import (
    OUTPUTS,
    SIGMOID_EVIDENCE,
    Say,
    labels_from,
    logits_from,
    output_kind,
    undeclared_sigmoid,
)
from seepage.outside import from_outside

BATCH_SIZE = 256


class TargetModel:
    """A model that may be asked no more than the attacker could, and that counts what it is asked.

    Asking leaves the model as it was: a torch module answers in eval mode without gradients, and every submodule is
    put back into its own mode afterwards, also when something goes wrong.

    >>> module = torch.nn.Linear(2, 3)
    >>> target = TargetModel.wrap(module, access="label")
    >>> target.labels(np.zeros((4, 2))).shape, target.n_queries
    ((4,), 4)
    >>> target.logits(np.zeros((4, 2)))
    Traceback (most recent call last):
    ...
    seepage.models.access.AccessError: logits needs access 'probabilities', this target gives 'label': wrap the model \
with access='probabilities' if the attacker you have in mind would have it
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        access: Access,
        n_classes: int | None,
        batch_size: int = BATCH_SIZE,
        declared: bool = True,
        say: Say = OUTPUTS,
        trusted: bool = False,
        file_sha256: str | None = None,
    ):
        self._adapter = adapter
        self._declared, self._say = declared, say
        self._believed = False  # the first answers did not contradict what they were said to be
        self._file_sha256 = file_sha256
        self._batch_size = batch_size
        self.access = access
        self.n_classes = n_classes
        self.n_queries = 0
        self.trusted = trusted
        self._places: dict[str, int] | None = None
        self.unknown_label: str | None = None  # one that it answered and that `looking_up` has no place for

    @classmethod
    def wrap(
        cls,
        model: Any,
        *,
        access: Access | str | None = None,
        outputs: str | None = None,
        n_classes: int | None = None,
        batch_size: int = BATCH_SIZE,
        device: torch.device | str | None = None,
        say: Say = OUTPUTS,
    ) -> "TargetModel":
        """The model behind an access level.

        Args:
            model: a torch module; anything with `predict_proba` or `predict`; a LightGBM or XGBoost booster; what
                `load_model` returned; or a callable, inputs -> array, whose outputs are declared.
            access: "label", "probabilities", "logits", "gradients" or "weights"; by default all that it can give.
            outputs: what it returns: "logits" (a module's and an ONNX graph's default), "probabilities" or "labels".
            n_classes: checked against every answer; by default what the first answer has.
            batch_size: records a call.
            device: answer from a copy of the module on that device. The module itself is never moved.
            say: how the caller's user says what `outputs` is, for advice.

        Raises:
            InputError: the model is of no known kind, or cannot give what is asked of it.
        """
        if outputs is not None:
            output_kind(outputs)
        if batch_size < 1:
            raise InputError(f"expected a batch size of 1 or more, got {batch_size}")
        if n_classes is not None and n_classes < 2:
            raise InputError(f"expected at least 2 classes, got {n_classes}")
        loaded = model if isinstance(model, LoadedModel) else LoadedModel(model, "", "")
        with from_outside(f"cannot audit this {type(loaded.model).__name__}"):
            adapter = _adapt(loaded, outputs, n_classes, device, say)
        if device is not None and not isinstance(adapter, Module):
            raise InputError(f"only a torch module can be put on a device, {adapter.name} is none")
        if None not in (n_classes, adapter.n_classes) and adapter.n_classes != n_classes:
            raise InputError(f"expected a model of {n_classes} classes, {adapter.name} has {adapter.n_classes}")
        level = adapter.ceiling if access is None else Access.of(access)
        if level > adapter.ceiling:
            raise AccessError(
                f"access '{level}' is more than {adapter.name} ({adapter.kind}, returns {adapter.outputs}) can give: "
                f"'{adapter.ceiling}' at most"
            )
        return cls(
            adapter,
            access=level,
            n_classes=n_classes or adapter.n_classes,
            batch_size=batch_size,
            declared=outputs is not None,
            say=say,
            trusted=loaded.trusted,
            file_sha256=loaded.sha256 or None,
        )

    @property
    def kind(self) -> str:
        """ "module", "estimator", "lightgbm", "xgboost", "onnx" or "callable"."""
        return self._adapter.kind

    @property
    def name(self) -> str:
        """The model's class, or the callable's name."""
        return self._adapter.name

    @property
    def outputs(self) -> str:
        """What it returns: "logits", "probabilities" or "labels"."""
        return self._adapter.outputs

    @property
    def classes(self) -> tuple[str, ...] | None:
        """What an estimator calls the class of each column, or its labels (`classes_`); None where it says nothing."""
        return self._adapter.classes

    def numbered(self, columns: Int64[np.ndarray, " columns"], n_classes: int) -> "TargetModel":
        """The estimator under other class numbers: what `classes[j]` names is class `columns[j]` of `n_classes`."""
        if self.outputs == "labels":
            return self.looking_up(dict(zip(self.classes, columns.tolist(), strict=True)), n_classes)
        other = copy.copy(self)
        other._adapter, other.n_classes = self._adapter.numbered(columns, n_classes), n_classes
        return other

    def looking_up(self, places: Mapping[str, int], n_classes: int) -> "TargetModel":
        """A model that answers with labels, each read by its name; one that has none is class `n_classes`."""
        other = copy.copy(self)
        other._places, other.n_classes = dict(places), n_classes
        return other

    @property
    def n_parameters(self) -> int | None:
        """How many weights a torch module has."""
        return self._adapter.n_parameters

    @property
    def gives_probabilities(self) -> bool:
        """Whether its answers are probabilities, whose logarithms `logits` gives."""
        return self._adapter.gives_probabilities

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """Of the table that an estimator or booster was fitted on, where it knows them."""
        return self._adapter.column_names

    @property
    def takes_float32(self) -> bool:
        """Whether it computes on float32, whatever it is given; of a callable that is known after the first answer."""
        return self._adapter.takes_float32

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the weights, or else of the file; None where there is neither."""
        return self._adapter.fingerprint() or self._file_sha256

    @property
    def is_untrained(self) -> bool:
        """Whether a module surely still has the weights that it was made with."""
        return self._adapter.is_untrained()

    @property
    def module(self) -> nn.Module:
        """The torch module itself; what changes it changes the target, so copy it first.

        Raises:
            AccessError: the target does not give its weights.
        """
        self._need(Access.WEIGHTS, "module")
        return self._adapter.module

    def logits(self, inputs: Any) -> Float[np.ndarray, "samples classes"]:
        """Log-odds up to a constant a record: the logits, or, below access 'logits', the logarithms of probabilities.

        Logits come in the model's own precision, float32 or float64, all else in float64. A probability of zero counts
        as 1e-45. Where a module gives logits but the attacker only sees probabilities, they are log-softmax(logits),
        which do not saturate.

        Args:
            inputs: (samples, ...), an array or a memory map.

        Raises:
            AccessError: the target gives labels only.
            InputError: the model cannot take the inputs, or its answers are not what they were declared to be.
        """
        self._need(Access.PROBABILITIES, "logits")
        logits = np.concatenate(self._ask(inputs, self._checked_logits))
        if self._adapter.outputs == "logits" and self.access < Access.LOGITS:
            wide = logits.astype(np.float64)
            wide -= wide.max(axis=1, keepdims=True)
            logits = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
        return logits

    def labels(self, inputs: Any) -> Int64[np.ndarray, "samples"]:
        """The predicted labels; of equal scores the first.

        Raises:
            InputError: the model cannot take the inputs, or its answers are not what they were declared to be.
        """
        if self._adapter.outputs == "labels":
            return np.concatenate(self._ask(inputs, self._checked_labels))

        def largest(*answer: Any) -> np.ndarray:
            return self._checked_logits(*answer).argmax(axis=1)

        return np.concatenate(self._ask(inputs, largest, self._adapter.answer_for_labels))

    def features(self, inputs: Any, layer: str | None = None) -> Float32[np.ndarray, "samples features"]:
        """What a layer of the module gives for each record, flattened.

        Args:
            inputs: (samples, ...).
            layer: a name from `module.named_modules()`; by default what the last linear layer is given (the
                penultimate features).

        Raises:
            AccessError: the target does not give its weights.
            InputError: there is no such layer, or the model cannot take the inputs.
        """
        self._need(Access.WEIGHTS, "features")
        inputs = _array(inputs)
        parts = []
        with self._adapter.asked():
            for start in range(0, len(inputs), self._batch_size):
                batch = np.asarray(inputs[start : start + self._batch_size])
                parts.append(self._call(self._adapter.features, batch, layer))
        return np.concatenate(parts)

    def gradient_norm(self, inputs: Any, labels: ArrayLike) -> Float64[np.ndarray, "samples"]:
        """The L2 norm of the gradient of each record's cross-entropy, over all parameters, in eval mode.

        Args:
            inputs: (samples, ...).
            labels: (samples,), whole numbers from 0.

        Raises:
            AccessError: the target does not give gradients.
            InputError: labels and inputs do not match, or a norm is not finite.
        """
        return self._norms("gradient_norm", inputs, labels)

    def layer_gradient_norms(self, inputs: Any, labels: ArrayLike) -> Float64[np.ndarray, "samples layers"]:
        """As `gradient_norm`, for the parameters of each submodule by themselves (its weight and bias together).

        Layers without parameters have no column. The squares of a row sum to the square of `gradient_norm`.
        """
        return self._norms("layer_gradient_norms", inputs, labels)

    def _norms(self, what: str, inputs: Any, labels: ArrayLike) -> np.ndarray:
        self._need(Access.GRADIENTS, what)
        inputs, labels = _array(inputs), labels_from(labels, n_classes=self.n_classes)
        if len(labels) != len(inputs):
            raise InputError(f"expected one label a record, got {len(labels)} for {len(inputs)} records")
        parts = []
        with self._adapter.asked():
            for start in range(0, len(inputs), self._batch_size):
                batch = np.asarray(inputs[start : start + self._batch_size])
                parts.append(self._call(getattr(self._adapter, what), batch, labels[start : start + len(batch)]))
        norms = np.concatenate(parts)
        finite = np.isfinite(norms).reshape(len(norms), -1).all(axis=1)
        if not finite.all():
            raise InputError(f"the gradient at record {int((~finite).argmax())} is not finite")
        return norms

    def _ask(
        self,
        inputs: Any,
        check: Callable[[Any, int, int], np.ndarray],
        answer: Callable[[np.ndarray], Any] | None = None,
    ) -> list[np.ndarray]:
        inputs = _array(inputs)
        checked = []
        with self._adapter.asked():
            for start in range(0, len(inputs), self._batch_size):
                batch = np.array(inputs[start : start + self._batch_size])  # a copy: some models write into it
                checked.append(check(self._call(answer or self._adapter.answer, batch), len(batch), start))
        return checked

    def _call(self, method: Callable[..., Any], batch: np.ndarray, *arguments: Any) -> Any:
        self.n_queries += len(batch)  # a question that failed was still asked
        with from_outside(f"{self.name} could not answer a batch of shape {batch.shape} ({batch.dtype})"):
            return method(batch, *arguments)

    def _checked_logits(self, answer: Any, n_records: int, first_record: int) -> np.ndarray:
        raw = _answers(answer, n_records, self.name)
        if raw.ndim > 2:
            raise InputError(f"expected outputs of shape (samples, classes) from {self.name}, got {raw.shape}")
        kind = self._adapter.outputs
        logits = logits_from(
            raw, kind, n_classes=self.n_classes, first_record=first_record, say=self._say, doubted=not self._believed
        )
        if n_records >= SIGMOID_EVIDENCE and not self._believed:
            if kind == "logits" and not self._declared:
                undeclared_sigmoid(raw, self._say)
            self._believed = True  # an attack's questions about one record may all lie between 0 and 1
        self.n_classes = logits.shape[1]
        return logits

    def _checked_labels(self, answer: Any, n_records: int, first_record: int) -> np.ndarray:
        raw = _answers(answer, n_records, self.name)
        if raw.ndim == 2 and raw.shape[1] > 1:
            raise InputError(
                f"{self.name} was taken to answer with labels and gave the shape {raw.shape}: "
                f"{self._say('probabilities')} or {self._say('logits')}, whichever these are"
            )
        if self._places is not None:
            if raw.size != n_records:
                raise InputError(f"expected one label a record from {self.name}, got the shape {raw.shape}")
            names = list(map(key, raw.ravel().tolist()))
            self.unknown_label = next((name for name in names if name not in self._places), self.unknown_label)
            return np.array([self._places.get(name, self.n_classes) for name in names], dtype=np.int64)
        if raw.dtype.kind in "OSUT" and all(is_number(key(one)) for one in raw.ravel().tolist()):
            raw = np.array([int(key(one)) for one in raw.ravel().tolist()])
        return labels_from(raw, n_classes=self.n_classes, first_record=first_record)

    def _need(self, level: Access, what: str) -> None:
        if self.access >= level:
            return
        if self._adapter.ceiling < level:
            raise AccessError(
                f"{what} needs access '{level}', {self.name} ({self.kind}) gives '{self._adapter.ceiling}' at most"
            )
        raise AccessError(
            f"{what} needs access '{level}', this target gives '{self.access}': wrap the model with "
            f"access='{level}' if the attacker you have in mind would have it"
        )


def _adapt(loaded: LoadedModel, outputs: str | None, n_classes: int | None, device: Any, say: Say) -> Adapter:
    model = loaded.model
    if isinstance(model, nn.Module):
        return Module(model, outputs or "logits", device)
    if loaded.format == "onnx":
        return Sandboxed(model, "onnx", outputs or "logits")
    library = type(model).__module__.partition(".")[0]
    live_booster = type(model).__name__ == "Booster" and library in ("lightgbm", "xgboost")
    if live_booster or loaded.format == "lightgbm":
        if outputs not in (None, "logits"):
            raise InputError(
                f"a booster is asked for its raw scores, not for {outputs}: {say('logits')}, or say nothing about it"
            )
        if live_booster:
            return LightGBM(model) if library == "lightgbm" else XGBoost(model)
        return Sandboxed(model, "lightgbm", "logits")
    # scikit-learn hides the methods that an estimator lacks behind descriptors: only asking for them tells.
    has = {name: callable(getattr(model, name, None)) for name in ("predict_proba", "decision_function")}
    if has["predict_proba"] and outputs in (None, "probabilities"):
        return Estimator(model, n_classes)
    if has["decision_function"] and outputs == "logits":
        if getattr(model, "decision_function_shape", None) == "ovo" and len(getattr(model, "classes_", ())) > 2:
            raise InputError(f"{type(model).__name__} scores pairs of classes: set decision_function_shape='ovr'")
        return Estimator(model, n_classes, outputs)
    if has["predict_proba"] and outputs == "logits":
        raise InputError(
            f"{type(model).__name__} has no decision_function to be asked for logits: {say('probabilities')}, or wrap "
            "a callable that returns its scores"
        )
    if outputs == "probabilities" and has["decision_function"]:
        raise InputError(f"{type(model).__name__} has no predict_proba: {say('logits')}, or fit it with probabilities")
    if callable(getattr(model, "predict", None)):
        return Predictor(model, outputs or "labels")
    if not callable(model):
        raise InputError(
            f"cannot audit a {type(model).__name__}: expected a torch module, an estimator with predict_proba or "
            "predict, a booster, a loaded model file, or a callable, inputs -> array"
        )
    if outputs is None:
        raise InputError(f"say what the callable returns: {say('logits')}, 'probabilities' or 'labels'")
    return Function(model, outputs)


def _array(inputs: Any) -> np.ndarray:
    """The records as an array; a memory map stays one, so that only a batch of it is read at a time."""
    if isinstance(inputs, torch.Tensor):
        inputs = inputs.detach().cpu()
    if not isinstance(inputs, np.ndarray):
        inputs = np.asarray(inputs)
    if inputs.ndim == 0 or len(inputs) == 0:
        raise InputError(f"expected at least one record, got inputs of shape {inputs.shape}")
    return inputs


def _answers(answer: Any, n_records: int, name: str) -> np.ndarray:
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu().double().numpy()
    if isinstance(answer, np.ma.MaskedArray) and np.ma.getmaskarray(answer).any():
        raise InputError(f"{name} answered with masked values: return an answer for every record and class")
    with from_outside(f"the answer of {name} is not an array"):
        answer = np.asarray(answer)
    if answer.ndim == 0 or len(answer) != n_records:
        raise InputError(f"{name} was asked {n_records} records and answered with the shape {answer.shape}")
    return answer
