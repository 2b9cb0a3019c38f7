"""Audits of outputs that somebody else computed: what the arrays must be, and the evidence they make."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from seepage.data import Membership
from seepage.data.files import read_arrays
from seepage.data.labels import Values, is_number, key, label_values, number, value_of
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.models.outputs import labels_from, logits_from
from seepage.studies.audit.evidence import Evidence

_KEYS = ("logits", "probs", "labels", "classes", "membership", "population", "known", "features", "ids")


def evidence_from_outputs(
    outputs: str | os.PathLike | Mapping[str, Any], *, origin: str, access: str | None
) -> Evidence:
    """Evidence from arrays, or from a `.npz` file that holds them.

    Args:
        outputs: `logits` or `probs`, (samples, models, classes), model 0 the target; `labels` (samples,), left
            out where nobody knows them, are the numbers of the right columns (or one-hot rows of them), or values of
            `classes` (classes,), an estimator's `classes_`: what the columns are called, in their order. Where
            `classes` are numbers, labels are always values among them;
            `membership` (samples, models) bool; optionally `population` (samples,) bool, records known to be
            non-members of every model; `known` (samples,) bool, records whose membership in the target the
            attacker knows, which are not audited; `features` (samples, features) of the target; and `ids` (samples,).
        origin: how membership came about: "declared" random or "unknown".
        access: what the attacker sees; by default "logits" or "probabilities", as given.

    Raises:
        InputError: an array is missing, has the wrong shape or values, or nothing is left to audit.
        DataFileError: the file cannot be read.
    """
    if not isinstance(outputs, (str, os.PathLike, Mapping)):
        raise InputError(f"outputs: expected a .npz file or named arrays, got {type(outputs).__name__}")
    arrays = dict(outputs) if isinstance(outputs, Mapping) else read_arrays(outputs)
    if unknown := sorted(set(arrays) - set(_KEYS)):
        raise InputError(f"outputs: unknown array '{unknown[0]}'; there may be: {', '.join(_KEYS)}")
    kinds = [kind for kind in ("logits", "probs") if kind in arrays]
    if len(kinds) != 1:
        raise InputError(f"outputs: expected one of 'logits' and 'probs', got {' and '.join(kinds) or 'neither'}")
    if "membership" not in arrays:
        raise InputError("outputs: the array 'membership' is missing")
    values, as_logits = np.asarray(arrays[kinds[0]]), kinds[0] == "logits"
    if values.ndim != 3:
        raise InputError(f"outputs: '{kinds[0]}' must be (samples, models, classes), got shape {values.shape}")
    try:
        logits = logits_from(values, "logits" if as_logits else "probabilities", say=_name)
    except InputError as error:
        raise InputError(f"outputs: '{kinds[0]}': {error}") from None
    classes = None if "classes" not in arrays else _classes(arrays["classes"], logits.shape[-1])
    labels = _labels(arrays["labels"], classes, logits.shape[-1]) if "labels" in arrays else None
    columns = _mask("membership", arrays["membership"], logits.shape[:2])
    population = _mask("population", arrays.get("population", np.zeros(len(logits), bool)), logits.shape[:1])
    known = _mask("known", arrays.get("known", np.zeros(len(logits), bool)), logits.shape[:1])
    features = _features(arrays["features"], len(logits)) if "features" in arrays else None
    ids = None if "ids" not in arrays else _ids(arrays["ids"])
    for name, values in (("labels", labels), ("ids", ids)):
        if values is not None and values.shape != logits.shape[:1]:
            raise InputError(f"outputs: '{name}' must be (samples,) = {logits.shape[:1]}, got shape {values.shape}")
    membership = Membership(
        references=columns[:, 1:],
        targets=columns[:, :1],
        audit=~population & ~known,
        known=known,
        population=population,
        origin=origin,
    )
    given = Access.LOGITS if as_logits else Access.PROBABILITIES
    if features is not None:  # whoever can read them has the weights
        given = Access.WEIGHTS
    return Evidence(
        logits=logits[:, :, None],
        labels=labels,
        membership=membership,
        target_models=[0],
        reference_models=list(range(1, logits.shape[1])),
        access=given if access is None else min(given, Access.of(access)),
        kind="outputs computed elsewhere",
        n_queries=len(logits),
        features=features,
        ids=ids,
        classes=classes,
        probabilities=np.full(logits.shape[1], not as_logits),
    )


def _name(kind: str) -> str:
    return f"name the array '{'logits' if kind == 'logits' else 'probs'}'"


def _classes(values: Any, n_columns: int) -> tuple[str, ...]:
    """The name of each column's class."""
    classes = tuple(map(key, np.asarray(values).ravel().tolist()))
    if len(classes) != n_columns or len(set(classes)) < n_columns:
        raise InputError(
            f"outputs: 'classes' must name each of the {n_columns} columns, got {len(set(classes))} different names"
        )
    return classes


def _labels(values: Any, classes: tuple[str, ...] | None, n_columns: int) -> np.ndarray:
    """(samples,) the column of each label: by its value among the classes, or as the number of a column."""
    rule = "class numbers 0, 1, ..." + ("" if classes is not None else " (or values of an array 'classes')")
    try:
        found = label_values(values)
        is_text = found.values.dtype.kind == "U"
        are_numbers = classes is not None and all(is_number(value_of(name).removeprefix("-")) for name in classes)
        # One-hot rows say a column, whatever it is called.
        if classes is not None and (is_text or (are_numbers and found.n_classes is None)):
            rule = "values among 'classes', " + ("as these are numbers" if are_numbers else "as they are texts")
            return number(Values(found.values.astype(str)), classes=classes).labels
        if is_text:
            raise InputError(
                f"they are texts ('{found.values[0]}'): give 'classes' too, the names of the columns in their order"
            )
        return labels_from(found.values, n_classes=n_columns)
    except InputError as error:
        raise InputError(f"outputs: the array 'labels' must hold {rule}: {error}") from None


def _features(values: Any, n_samples: int) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or len(values) != n_samples or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise InputError(
            f"outputs: 'features' must be finite numbers of shape ({n_samples}, features), got {values.dtype} "
            f"{values.shape}"
        )
    return values.astype(np.float32)


def _ids(values: Any) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 1:
        missing = [value is None or value != value for value in values.tolist()]  # NaN is not itself
        if any(missing):
            raise InputError(
                f"outputs: 'ids' must name each record, got {values[missing.index(True)]} in record "
                f"{missing.index(True)}: give it one, or leave 'ids' out"
            )
        values = values.astype(str)
        different, counts = np.unique(values, return_counts=True)
        if len(different) < len(values):
            raise InputError(
                f"outputs: 'ids' must be distinct, got {counts.max()} records with id "
                f"'{different[counts.argmax()]}': make them distinct, or leave 'ids' out"
            )
    return values.astype(str)


def _mask(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != shape:
        axes = "(samples, models)" if len(shape) == 2 else "(samples,)"
        raise InputError(f"outputs: '{name}' must be {axes} = {shape}, got shape {values.shape}")
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        raise InputError(f"outputs: '{name}' must be true or false (or 0 and 1), got {values.dtype} values")
    return values.astype(bool)
