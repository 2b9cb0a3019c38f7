"""TL-DMI: the first layers are learnt on other people's records, and only the last ones on the members."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seepage.defences.base import Defence, with_procedure
from seepage.defences.one_by_one import OneByOne, Report, seeds_from, share
from seepage.errors import DataFileError, InputError
from seepage.models.batches import Records
from seepage.models.freezing import freeze, layers, n_trained
from seepage.models.held_out import HeldOut
from seepage.models.pretrained import pretrained_file, read_pretrained
from seepage.models.recipe import Factory, Recipe, StopAt, cross_entropy
from seepage.models.train import train_models
from seepage.models.wrapper import Wrapped


@dataclass(frozen=True)
class TLDMI(Defence, OneByOne):
    """Transfer learning as a defence against model inversion: T = C o E.

    E and C are pre-trained on population records, labelled with classes of their own. Then the first layers, E, are
    frozen, BatchNorm's statistics with them, and the rest, C, is trained on the members by the recipe. What depends on
    the number of classes, the head, begins anew.

    Options:
        freeze: E: everything up to and including a layer ("body.26"), so many layers with parameters (an int) or that
            share of them (a float, rounded down); 0 freezes nothing, which is transfer learning and no defence. A
            number counts the blocks of efficientnet-lite0.
            `trained_parameters` counts what is left, |theta_C|.
        pretraining_epochs: passes over the population records; None: the recipe's.
        lr: of the training on members; None: the recipe's.
        pretrained: path of a file with the state of the recipe's architecture, for any number of classes
            (.safetensors, or what torch.save makes of it), or "efficientnet-lite0" for the published weights; then
            nothing is pre-trained and no population records are needed.
        sha256: of that file, checked whenever it is read; None: of the file as it is when the defence is applied.

    Reference: S.-T. Ho et al., "Model inversion robustness: can transfer learning help?", CVPR 2024 (arXiv 2405.05588);
    code github.com/hosytuyen/TL-DMI, models/classify.py. Deviations: frozen BatchNorms keep their statistics and the
    input layer is frozen too, see `seepage.models.freezing.freeze`; the epoch is not chosen by test accuracy; the
    recipe's optimiser and schedule, there SGD with momentum 0.9, weight decay 1e-4 and no schedule, for 100 or 200
    epochs.
    """

    freeze: str | int | float = 0.5
    pretraining_epochs: float | None = None
    lr: float | None = None
    pretrained: str | None = None
    sha256: str | None = None

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"freeze": share} for share in (0.9, 0.75, 0.5, 0.25))

    title = "TL-DMI, transfer learning"
    source = "Ho et al. 2024 (arXiv 2405.05588)"

    def __post_init__(self):
        freezes = not isinstance(self.freeze, bool) and (
            (isinstance(self.freeze, str) and self.freeze != "")
            or (isinstance(self.freeze, int) and self.freeze >= 0)
            or (isinstance(self.freeze, float) and 0 <= self.freeze <= 1)
        )
        if not freezes:
            raise InputError(
                "tl-dmi: freeze is the name of a layer, a number of layers (an int) or a share of them (a float from 0 "
                f"to 1), got {self.freeze!r}"
            )
        for name in ("pretraining_epochs", "lr"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 < value < float("inf")):
                raise InputError(f"tl-dmi: {name} must be a positive number or None, got {value!r}")

        if self.pretrained is not None and self.pretraining_epochs is not None:
            raise InputError("tl-dmi: pretrained= is trained already: leave pretraining_epochs= out")
        if self.pretrained is None and self.sha256 is not None:
            raise InputError("tl-dmi: sha256= is that of the file pretrained=: give that too")

    @property
    def uses(self) -> frozenset[str]:
        return frozenset() if self.pretrained else frozenset({"population"})

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "The fewer parameters see the members, the more it protects and the less it learns: judge several.",
            "Population records are trained on, in the frozen layers: they are not protected.",
            "Whoever has the pre-trained model knows the frozen layers.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        if self.pretrained is None or self.sha256 is not None:
            return with_procedure(recipe, self)
        return with_procedure(recipe, replace(self, sha256=_sha256(self.pretrained)))

    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        if self.pretrained is None:
            state = self.pretrain(recipe, records, members, seed, held_out, share(report, 0, 0.5))
            report = share(report, 0.5, 1)
        else:
            state = self._read()
        tuning = replace(
            recipe,
            model=functools.partial(transferred, architecture=recipe.model, state=state, upto=self.freeze),
            optimiser=recipe.optimiser if self.lr is None else replace(recipe.optimiser, lr=self.lr),
        )
        (tuned,) = train_models(tuning, records, [members], [seed], held_out=held_out, engine="single", report=report)
        # An ordinary module again, with nothing frozen that the architecture does not freeze.
        module = recipe.build(records.input_shape, records.n_classes, seed).to(records.inputs.device)
        module.load_state_dict(tuned.state_dict())
        return module.eval()

    def pretrain(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> dict[str, Tensor]:
        """The state of a model that never met a member, after plain training on the population's own classes."""
        rows = _population(held_out, members)
        at = torch.from_numpy(rows).to(records.inputs.device)
        classes, numbers = torch.unique(records.labels[at], return_inverse=True)
        if len(classes) < 2:
            raise InputError("tl-dmi is pre-trained to tell classes apart, and all population records are of one")
        labels = torch.full_like(records.labels, -1)
        labels[at] = numbers.to(labels.dtype)
        lesson = replace(records, labels=labels, n_classes=len(classes))
        plain = replace(
            recipe,
            objective=cross_entropy,
            epochs=recipe.epochs if self.pretraining_epochs is None else self.pretraining_epochs,
            stop=recipe.stop if isinstance(recipe.stop, StopAt) else None,  # validation records are of other classes
        )
        (seed,) = seeds_from(seed, 1)
        (module,) = train_models(plain, lesson, [rows], [seed], engine="single", report=report)
        return module.state_dict()

    def _read(self) -> dict[str, Tensor]:
        found = _sha256(self.pretrained)
        if self.sha256 not in (None, found):
            raise DataFileError(
                f"tl-dmi: {self.pretrained} is not the file that the recipe names: expected SHA-256 {self.sha256}, got "
                f"{found}"
            )
        return read_pretrained(self.pretrained)


def transferred(
    input_shape: tuple[int, ...],
    n_classes: int,
    architecture: Factory,
    state: Mapping[str, Tensor],
    upto: str | int | float,
) -> nn.Module:
    """A new model with pre-trained weights in all but its head, whose first layers are frozen.

    The head is what has another shape for another number of classes.

    Raises:
        InputError: the weights are not those of the architecture, or the head would be frozen as it was drawn.
    """
    module = architecture(input_shape, n_classes)
    own, wider = module.state_dict(), architecture(input_shape, n_classes + 1).state_dict()
    body = {name: value for name, value in own.items() if wider[name].shape == value.shape}
    for name, value in body.items():
        if name not in state or state[name].shape != value.shape:
            came = f"one of shape {tuple(state[name].shape)}" if name in state else "none"
            raise InputError(
                f"tl-dmi: the pre-trained weights do not fit the recipe's architecture: expected '{name}' of shape "
                f"{tuple(value.shape)}, got {came}"
            )
    module.load_state_dict({**own, **{name: state[name] for name in body}})
    frozen = set(freeze(module, upto))
    new = [name for name in own if name not in body and name.rpartition(".")[0] in frozen]
    if new or not n_trained(module):
        raise InputError(
            f"tl-dmi: freeze={upto!r} leaves the head as it was drawn and nothing to train: expected a layer before "
            f"{new[0].rpartition('.')[0] if new else 'the last'}, one of {', '.join(layers(module))}"
        )
    return module


def trained_parameters(recipe: Recipe, module: nn.Module) -> int:
    """How many parameters of a trained model saw its members: |theta_C| under TL-DMI, else all that are trained."""
    module = copy.deepcopy(module.module if isinstance(module, Wrapped) else module)
    if isinstance(recipe.procedure, TLDMI):
        freeze(module, recipe.procedure.freeze)
    return n_trained(module)


def _population(held_out: HeldOut, members: np.ndarray) -> np.ndarray:
    """Population records that are no members. Members that are all of the population have nothing to be kept from the
    frozen layers: a null model, which is trained on it, is pre-trained on it too."""
    others = np.setdiff1d(held_out.population, members)
    if len(others) < 2 and np.isin(members, held_out.population).all():
        others = held_out.population
    return HeldOut(population=others).need("population", 2, "tl-dmi")


def _sha256(path: str) -> str:
    with open(pretrained_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
