"""A recipe: everything needed to train one more model the same way.

A procedure trains by a recipe, and a recipe may hold one: so both stand here.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from seepage.errors import InputError
from seepage.models.dropout import replace_dropout, seed_dropout
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import SGD, Adam, Constant, Optimiser, Schedule
from seepage.models.records import Records
from seepage.models.wrapper import Wrapper
from seepage.options import Options

Factory = Callable[[tuple[int, ...], int], nn.Module]
Objective = Callable[[Tensor, Tensor], Tensor]


# What a description leaves out where it is not used.
OPTIONAL = ("mixup", "shuffle", "reset_optimiser", "procedure", "wrapper", "version")


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a batch: logits (batch, classes), labels (batch,) -> a scalar."""
    # What F.cross_entropy computes, without its passes over the batch for ignored labels.
    return -logits.log_softmax(1).gather(1, labels.unsqueeze(1)).mean()


@dataclass(frozen=True)
class Augmentation(Options):
    """Random horizontal flips and shifts of up to `shift` pixels (zero padding) for images (C, H, W)."""

    flip: bool = True
    shift: Annotated[int, Ge(0)] = 4


@dataclass(frozen=True)
class StopAt(Options):
    """Stop a model at the end of the first epoch in which its training accuracy reached `accuracy`.

    The accuracy is that of the batches as they were trained on, as in the usual training loop.
    """

    accuracy: Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class BestValidation(Options):
    """Keep the weights of the epoch that classifies most validation records rightly.

    Attributes:
        patience: stop after so many epochs in a row without a gain; None trains to the end.
        least_gain: an epoch counts as better where its accuracy is higher than the best so far by more than this.
    """

    patience: Annotated[int, Ge(1)] | None = None
    least_gain: Annotated[float, Ge(0), Lt(1)] = 0.0


@dataclass(frozen=True)
class Procedure(ABC):
    """How models are trained instead of plainly. Its fields are its options: numbers and text.

    Attributes:
        uses: which held-out records it needs, of "validation" and "population".
        chunk: how many models it trains together, where that is faster.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    chunk: ClassVar[int] = 1

    def repeated(self, seed: int) -> Procedure:
        """The procedure as the repetition of a study with that seed uses it: for those that make something once for
        several models, so that another repetition makes it anew."""
        del seed
        return self

    def try_on(self, recipe: Recipe, records: Records) -> None:
        """Raise where such models cannot be trained so; called with two records before a run begins.

        Args:
            recipe: of a plain training, with a batch size of at most two.
            records: two of the pool's.
        """
        del recipe, records

    @abstractmethod
    def train(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        held_out: HeldOut,
        report: Callable[[float], None],
    ) -> list[nn.Module]:
        """One model for each column of member rows, in eval mode, of the architecture that the recipe builds.

        Args:
            recipe: of each plain training; it has no procedure and no wrapper.
            records: the pool, where the engines train.
            columns: rows of the members of each model.
            seeds: one a model: everything that is random in its training derives from it, so that the same model is
                made whichever others are trained beside it.
            held_out: rows that no model is trained on.
            report: told the share that is done, from 0 to 1.
        """


@dataclass(frozen=True)
class Recipe(Options):
    """Model factory, objective, optimiser and schedule: what a model is trained with.

    Attributes:
        model: called with (input shape, number of classes), returns a module that gives logits. A
            registered architecture (`seepage.MLP`), one with options
            (`functools.partial(seepage.MLP, hidden=(256,))`) or your own callable.
        optimiser: `SGD(...)` or `Adam(...)`.
        schedule: `Constant()`, `Cosine()` or `Steps(milestones, gamma)`; it acts at epoch starts.
        epochs: passes over the members. Batches are cut from one endless stream of permutations, all of
            size `batch_size`, so a training takes ceil(epochs * members / batch_size) steps.
        batch_size: records a step, at most ten times the members (64 is always possible).
        objective: (logits, labels) -> scalar loss of a batch, its mean over the batch. One with a further argument
            `epoch` is also told the pass (an int64 scalar) in which the step began.
        augmentation: random flips and shifts of images, or None.
        stop: a rule that ends a model's training early or chooses its epoch, or None.
        mixup: alpha of mixup, or 0: each batch is mixed with itself in reverse order, x = m x_i + (1 - m) x_j, and so
            is its loss; m ~ Beta(alpha, alpha) is drawn anew for every step.
        shuffle: draw every pass in a new order; otherwise one order is drawn and kept.
        reset_optimiser: begin every pass without momentum, as code does that makes a new optimiser each epoch.
        procedure: what trains the models instead of plain steps, or None.
        wrapper: what the trained models answer through, or None.
        version: for a model or objective of your own: change it whenever its code changes. A run folder
            needs it to know that a stored model is still the one that the recipe describes.
    """

    model: Factory
    optimiser: Optimiser = field(default_factory=Adam)
    schedule: Schedule = field(default_factory=Constant)
    epochs: Annotated[float, Gt(0)] = 50
    batch_size: Annotated[int, Ge(1)] = 64
    objective: Objective = cross_entropy
    augmentation: Augmentation | None = None
    stop: StopAt | BestValidation | None = None
    mixup: Annotated[float, Ge(0)] = 0.0
    shuffle: bool = True
    reset_optimiser: bool = False
    procedure: Procedure | None = None
    wrapper: Wrapper | None = None
    version: str = ""

    def __post_init__(self):
        super().__post_init__()
        if not callable(self.model):
            raise InputError(f"Recipe: model must be callable as model(input_shape, n_classes), got {self.model!r}")
        if not callable(self.objective):
            raise InputError(f"Recipe: objective must be callable as objective(logits, labels), got {self.objective!r}")
        if self.reset_optimiser and not isinstance(self.optimiser, SGD):
            raise InputError("Recipe: reset_optimiser goes with SGD, whose momentum it resets")

    def build(self, input_shape: tuple[int, ...], n_classes: int, seed: int) -> nn.Module:
        """A fresh model whose initial weights and dropout masks are drawn from `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.model(tuple(input_shape), n_classes)
        if not isinstance(module, nn.Module):
            raise InputError(f"Recipe: model(...) must return a torch.nn.Module, got {type(module).__name__}")
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError(
                "Recipe: model(...) must return a module in Python, got TorchScript, whose layers cannot be reached: "
                "return the module that it was compiled from"
            )
        module = replace_dropout(module)
        seed_dropout(module, seed)
        return module

    def skeleton(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """What a trained model's state can be loaded into: built, and wrapped where the recipe says so."""
        module = self.build(input_shape, n_classes, 0)
        return module if self.wrapper is None else self.wrapper.around(module, tuple(input_shape), n_classes)

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON values; equal descriptions train equal models."""
        parts = {f.name: (getattr(self, f.name), f.default) for f in dataclasses.fields(self)}
        return {n: _plain(value) for n, (value, default) in parts.items() if n not in OPTIONAL or value != default}

    @property
    def uses(self) -> frozenset[str]:
        """Which held-out records a training with it needs, of "validation" and "population"."""
        chooses = frozenset({"validation"}) if isinstance(self.stop, BestValidation) else frozenset()
        return chooses.union(*(part.uses for part in (self.procedure, self.wrapper) if part is not None))

    @property
    def is_registered(self) -> bool:
        """Whether the description alone says what is trained: no callable of the user's own is in it."""
        parts = [type(part) for part in (self.procedure, self.wrapper) if part is not None]
        callables = [*_within(self.model), *_within(self.objective), *parts]
        return all(_module(f).startswith("seepage.") for f in callables)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the description, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()


def _unwrap(function: Callable) -> Callable:
    return function.func if isinstance(function, functools.partial) else function


def _within(function: Callable) -> list[Callable]:
    """A callable and those that it was given beforehand."""
    given = (*function.args, *function.keywords.values()) if isinstance(function, functools.partial) else ()
    return [function, *(inner for value in given if callable(value) for inner in _within(value))]


def _module(function: Callable) -> str:
    return getattr(_unwrap(function), "__module__", "")


def _name(function: Callable) -> Any:
    inner = _unwrap(function)
    name = f"{_module(function)}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"
    if inner is function:
        return name
    given = {"arguments": _plain(function.args)} if function.args else {}
    return {"call": name, **given, "options": _plain(function.keywords)}


def _plain(value: Any) -> Any:
    """What JSON gives back for a value: tuples are lists there."""
    if dataclasses.is_dataclass(value):
        return {"kind": type(value).__name__, **_plain(dataclasses.asdict(value))}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if callable(value):
        return _name(value)
    if not isinstance(value, (str, int, float, type(None))):
        raise InputError(
            f"Recipe: options must be numbers, text, lists or functions, so that it can be kept: got {value!r}"
        )
    return value
