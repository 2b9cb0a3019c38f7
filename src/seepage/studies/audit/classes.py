"""One numbering of the classes for the records of all sides and for the model that is audited."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from seepage.data import Pool
from seepage.data.labels import (
    Values,
    are_codes,
    few,
    is_number,
    key,
    label_values,
    number_together,
    ordered,
    spelt_as,
    value_of,
)
from seepage.errors import InputError
from seepage.models.target import TargetModel

Arrays = tuple[Any, Any]
OTHER = "(another class)"


def pools_of(given: Mapping[str, Arrays | Pool | Any]) -> tuple[list[Pool], bool]:
    """A pool of each list of records, their classes numbered together, so that one that lacks a class shifts nothing.

    A tuple, or a list of two, is a pair of inputs and labels. Everything else that is no pool is inputs without labels.

    Returns:
        The pools; and whether class numbers may be their places in the order of the classes.

    Raises:
        InputError: a pair's labels are None, or some of the lists have labels and others have none.
    """
    without = [name for name, records in given.items() if _has_no_labels(records, name)]
    if 0 < len(without) < len(given):
        labelled = [name for name in given if name not in without]
        raise InputError(
            f"audit: {_few(labelled)} have labels and {_few(without)} have none: give them for all, as pairs (inputs, "
            "labels) or pools, or for none"
        )
    if without:
        return [one if isinstance(one, Pool) else _inputs_alone(one, name) for name, one in given.items()], True
    values, by_position = [], False
    for name, records in given.items():
        if isinstance(records, Pool):
            values.append(values_of(records, f"audit: {name}"))
            by_position = True
            continue
        try:
            values.append(label_values(records[1]))
        except InputError as error:
            raise InputError(f"audit: the labels of {name}: {error}") from None
        by_position |= values[-1].order is not None or values[-1].n_classes is not None
    pools = []
    for (name, records), numbered in zip(given.items(), number_together(values), strict=True):
        own = {"classes": numbered.classes, "n_classes": numbered.n_classes}
        if isinstance(records, Pool):
            pools.append(replace(records, labels=numbered.labels, **own))
        else:
            pools.append(Pool(records[0], numbered.labels, name=name, **own))
    return pools, by_position


def _has_no_labels(records: Any, name: str) -> bool:
    """Whether these are records without labels.

    Raises:
        InputError: they are neither that, nor a pair, nor a pool.
    """
    if isinstance(records, Pool):
        return records.labels is None
    is_pair = isinstance(records, (tuple, list)) and len(records) == 2
    if (isinstance(records, str | bytes | Mapping | tuple) and not is_pair) or not hasattr(records, "__len__"):
        raise InputError(
            f"audit: {name} must be a pair (inputs, labels), inputs alone where there are no labels, or a Pool, got "
            f"{type(records).__name__}" + (f" of {len(records)}" if isinstance(records, tuple) else "")
        )
    if is_pair and records[1] is None:
        raise InputError(
            f"audit: the labels of {name} are None: give them, or, where nobody knows them, the inputs alone "
            f"({name}=inputs), on all sides"
        )
    return not is_pair


def _inputs_alone(inputs: Any, name: str) -> Pool:
    try:
        return Pool(inputs, name=name)
    except InputError as error:
        raise InputError(f"audit: {name}, taken as inputs without labels: {error}") from None


def values_of(pool: Pool, what: str) -> Values:
    """A pool's labels as they were before they were numbered."""
    if pool.labels is None:
        raise InputError(f"{what} need labels")
    if pool.classes is None:
        return Values(pool.labels, n_classes=pool.n_classes)
    return Values(np.array(pool.classes)[pool.labels], pool.classes)


def named_alike(target: TargetModel, pool: Pool, by_position: bool) -> tuple[TargetModel, Pool]:
    """The model and the records under one numbering of the classes, where one of them names its classes.

    Classes go by their values: what an estimator calls 90001 is the label 90001, and "True" and "1.0" are 1.
    The records keep their numbers where they can; a class that only the model has, or only the records, is one more.

    Args:
        target: the model; what it calls its classes is `target.classes`.
        pool: records with labels.
        by_position: whether the class numbers 0, 1, ... of named classes are a name for them too.

    Raises:
        InputError: no label is among the model's classes.
    """
    if target.classes is None:
        if target.outputs != "labels" or pool.classes is None:
            return target, pool
        places = {str(place): place for place in range(pool.n_classes)} if by_position else {}
        by_value = {value_of(name): at for at, name in enumerate(pool.classes)}
        if len(by_value) == pool.n_classes:
            places |= by_value
        return target.looking_up(places | {name: at for at, name in enumerate(pool.classes)}, pool.n_classes), pool
    of_records = pool.classes or [str(number) for number in range(pool.n_classes)]
    of_model = spelt_as(target.classes, of_records)
    numbers = np.array([int(name) if is_number(name) else -1 for name in of_model])
    if pool.classes is None:
        present = np.unique(pool.labels)
        largest, n_different = max(int(numbers.max()), pool.n_classes - 1), len(np.union1d(numbers, present))
        if numbers.min() >= 0 and np.isin(numbers, present).any() and not are_codes(largest, n_different):
            n_classes = max(2, largest + 1)
            return target.numbered(numbers, n_classes), _with(pool, pool.labels, None, n_classes)
        names = [str(label) for label in present.tolist()]
    else:
        names = list(pool.classes)
    place = {name: index for index, name in enumerate(names)}
    own = np.array([place.get(name, -1) for name in of_model])
    if (own < 0).any() and by_position and pool.classes is not None and _are_places(numbers, pool.n_classes):
        return target.numbered(numbers, pool.n_classes), pool
    if (own < 0).all():
        raise InputError(
            f"audit: no label is among the classes of {target.name}: labels {_few(names)}; its classes "
            f"{_few(of_model)}: give the labels that the model was trained on"
        )
    if pool.classes is None:
        together = ordered({*names, *of_model})
        place = {name: index for index, name in enumerate(together)}
        labels = np.array([place[name] for name in names])[np.searchsorted(present, pool.labels)]
    else:
        together = (*names, *ordered(set(of_model) - set(names)))
        place = {name: index for index, name in enumerate(together)}
        labels = pool.labels
    columns = np.array([place[name] for name in of_model], dtype=np.int64)
    return target.numbered(columns, max(2, len(together))), _with(pool, labels, together, len(together))


def in_columns(pool: Pool, target: TargetModel, n_columns: int) -> Pool:
    """The records under class numbers that are the columns of the model's answers.

    Raises:
        InputError: the model has no column for a label, or nothing says which column a named class is.
    """
    if pool.n_classes == n_columns:
        return pool
    if pool.classes is None:
        if pool.labels.max() >= n_columns:
            row = int(pool.labels.argmax())
            raise InputError(
                f"audit: record {row} has label {pool.labels[row]}, but the model answers for {n_columns} classes "
                f"(labels 0 to {n_columns - 1}): number them from 0, or give the model those that it was trained on"
            )
        return _with(pool, pool.labels, None, n_columns)
    if target.classes is not None or target.outputs == "labels":
        return _with(pool, pool.labels, (*pool.classes, *[OTHER] * (n_columns - pool.n_classes)), n_columns)
    if all(map(is_number, pool.classes)) and max(map(int, pool.classes)) < n_columns:
        return _with(pool, np.array(list(map(int, pool.classes)))[pool.labels], None, n_columns)
    raise InputError(
        f"audit: the labels are of {pool.n_classes} classes ({_few(pool.classes)}), {target.name} answers for "
        f"{n_columns}: give as labels the numbers of its columns, 0 to {n_columns - 1}"
    )


def _with(pool: Pool, labels: np.ndarray, classes: tuple[str, ...] | None, n_classes: int) -> Pool:
    same = classes == pool.classes and n_classes == pool.n_classes and labels is pool.labels
    return pool if same else replace(pool, labels=labels, classes=classes, n_classes=n_classes)


def _are_places(numbers: np.ndarray, n_classes: int) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() < n_classes)


def _few(names: Any) -> str:
    return few([key(name) for name in names])
