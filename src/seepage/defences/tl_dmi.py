"""TL-DMI: the first layers are learnt on other people's records, and only the last ones on the members."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, MinLen
from torch import Tensor, nn

from seepage.data import DATASETS
from seepage.defences.base import Defence, with_procedure
from seepage.defences.one_by_one import OneByOne, Report, seeds_from, share
from seepage.defences.pretraining import PUBLIC, RANDOM, check_images, check_source, lesson, shared_state
from seepage.errors import DataFileError, InputError
from seepage.models.freezing import freeze, layers, n_trained
from seepage.models.held_out import HeldOut
from seepage.models.pretrained import pretrained_file, read_pretrained
from seepage.models.recipe import Factory, Recipe, StopAt, cross_entropy
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.models.wrapper import Wrapped
from seepage.schema.numbers import listed


@dataclass(frozen=True)
class TLDMI(Defence, OneByOne):
    """Transfer learning as a defence against model inversion: T = C o E.

    E and C are pre-trained on other people's records, labelled with classes of their own. Then the first layers, E, are
    frozen, BatchNorm's statistics with them, and the rest, C, is trained on the members by the recipe. What depends on
    the number of classes, the head, begins anew.

    What E learns from decides what freezing is worth. Drawings that were inverted were recognised less and less with
    more layers frozen after CIFAR-10, and not less after other drawings: see docs/defences.md.

    Options:
        freeze: E: everything up to and including a layer ("body.26"), so many layers with parameters (an int) or that
            share of them (a float, rounded down); 0 freezes nothing, which is transfer learning and no defence. A
            number counts the blocks of efficientnet-lite0.
            `trained_parameters` counts what is left, |theta_C|.
        pretrain: what E learns from. The name of a data set of images (`seepage.data.DATASETS`), brought to the
            records' shape and scale, see `pretraining.lesson`; models of an audit share that training. A file with the
            state of the recipe's architecture, with a head for any number of classes or none, or the name of weights
            that are published for it ("efficientnet-lite0"); then nothing is pre-trained. "public": the population
            records, each model by itself. "random": nothing, E stays as it was drawn; a control.
        pretraining_records: how many images of a named data set, drawn at random; None: all.
        pretraining_epochs: passes over them, or over the population records; None: the recipe's.
        pretraining_seed: of the training on a named data set.
        lr: of the training on members; None: the recipe's.
        sha256: of the file of weights, checked whenever it is read; None: of the file as it is when the defence is
            applied.

    Reference: S.-T. Ho et al., "Model inversion robustness: can transfer learning help?", CVPR 2024 (arXiv 2405.05588);
    code github.com/hosytuyen/TL-DMI, models/classify.py. Deviations: frozen BatchNorms keep their statistics and the
    input layer is frozen too, see `seepage.models.freezing.freeze`; the epoch is not chosen by test accuracy; the
    recipe's optimiser and schedule, there SGD with momentum 0.9, weight decay 1e-4 and no schedule, for 100 or 200
    epochs.
    """

    freeze: Annotated[str, MinLen(1)] | Annotated[int, Ge(0)] | Annotated[float, Ge(0), Le(1)] = 0.5
    pretrain: str = PUBLIC
    pretraining_records: Annotated[int, Ge(2)] | None = None
    pretraining_epochs: Annotated[float, Gt(0)] | None = None
    pretraining_seed: Annotated[int, Ge(0)] = 0
    lr: Annotated[float, Gt(0)] | None = None
    sha256: str | None = None

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"freeze": share} for share in (0.9, 0.75, 0.5, 0.25))

    title = "TL-DMI, transfer learning"
    source = "Ho et al. 2024 (arXiv 2405.05588)"

    def __post_init__(self):
        super().__post_init__()
        check_source(self.pretrain)
        of = {name: getattr(self, name) is not None for name in ("pretraining_records", "pretraining_epochs", "sha256")}
        of["pretraining_seed"] = self.pretraining_seed != 0
        takes = {
            "name": ("pretraining_records", "pretraining_epochs", "pretraining_seed"),
            "file": ("sha256",),
            PUBLIC: ("pretraining_epochs",),
            RANDOM: (),
        }[self._source]
        for name, is_given in of.items():
            if is_given and name not in takes:
                only = f"only {listed(takes)}" if takes else "nothing more"
                raise InputError(f"tl-dmi: pretrain={self.pretrain!r} takes {only}: leave {name}= out")

    @property
    def _source(self) -> str:
        """Which of the four kinds of source: "public", "random", "name" of a data set, "file" of weights."""
        return self.pretrain if self.pretrain in (PUBLIC, RANDOM) else "name" if self.pretrain in DATASETS else "file"

    @property
    def uses(self) -> frozenset[str]:
        return frozenset({"population"}) if self._source == PUBLIC else frozenset()

    @property
    def notes(self) -> tuple[str, ...]:
        of = {
            PUBLIC: (
                "Population records are trained on, in the frozen layers: they are not protected.",
                "Where they are of the kind that an attacker has, freezing was found not to lower inversion: name a "
                "data set of another kind.",
            ),
            RANDOM: ("The frozen layers are as they were drawn: a control, and no defence to be used.",),
        }.get(self._source, ())
        return (
            "The fewer parameters see the members, the more it protects and the less it learns: judge several.",
            *of,
            "Whoever has the pre-trained model knows the frozen layers.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        if self._source != "file" or self.sha256 is not None:
            return with_procedure(recipe, self)
        return with_procedure(recipe, replace(self, sha256=_sha256(self.pretrain)))

    def repeated(self, seed: int) -> TLDMI:
        return replace(self, pretraining_seed=self.pretraining_seed + seed) if self._source == "name" else self

    def try_on(self, recipe: Recipe, records: Records) -> None:
        if self._source == "name":
            check_images(records.input_shape, self.pretrain)
        state = self._read() if self._source == "file" else recipe.build(*_sizes(records), 0).state_dict()
        transferred(*_sizes(records), recipe.model, state, self.freeze)

    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        device, half = records.inputs.device, share(report, 0, 0.5)
        if self._source == PUBLIC:
            state = self.from_population(recipe, records, members, seed, held_out, half)
        elif self._source == "name":
            rows = np.setdiff1d(np.arange(len(records.labels)), held_out.population)
            images = lesson(self.pretrain, self.pretraining_records, records, rows)
            state = shared_state(self._plain(recipe), images, self.pretraining_seed, device, half)
        elif self._source == RANDOM:
            state = recipe.build(*_sizes(records), *seeds_from(seed, 1)).state_dict()
        else:
            state = self._read()
        report = share(report, 0.5, 1)
        tuning = replace(
            recipe,
            model=functools.partial(transferred, architecture=recipe.model, state=state, upto=self.freeze),
            optimiser=recipe.optimiser if self.lr is None else replace(recipe.optimiser, lr=self.lr),
        )
        (tuned,) = train_models(tuning, records, [members], [seed], held_out=held_out, engine="single", report=report)
        # An ordinary module again, with nothing frozen that the architecture does not freeze.
        module = recipe.build(*_sizes(records), seed).to(records.inputs.device)
        module.load_state_dict(tuned.state_dict())
        return module.eval()

    def from_population(
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
        strangers = replace(records, labels=labels, n_classes=len(classes))
        seeds = seeds_from(seed, 1)
        (module,) = train_models(self._plain(recipe), strangers, [rows], seeds, engine="single", report=report)
        return module.state_dict()

    def _plain(self, recipe: Recipe) -> Recipe:
        """How pre-training goes: as the recipe says, without what looks at the members' own classes."""
        return replace(
            recipe,
            objective=cross_entropy,
            epochs=recipe.epochs if self.pretraining_epochs is None else self.pretraining_epochs,
            stop=recipe.stop if isinstance(recipe.stop, StopAt) else None,  # validation records are of other classes
        )

    def _read(self) -> dict[str, Tensor]:
        found = _sha256(self.pretrain)
        if self.sha256 not in (None, found):
            raise DataFileError(
                f"tl-dmi: {self.pretrain} is not the file that the recipe names: expected SHA-256 {self.sha256}, got "
                f"{found}"
            )
        return read_pretrained(self.pretrain)


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
    if further := sorted(set(state) - set(own)):
        raise InputError(
            f"tl-dmi: the pre-trained weights are of another architecture than the recipe's: expected its {len(body)} "
            f"entries and no more than a head, got '{further[0]}' ({len(further)} such entries)"
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


def _sizes(records: Records) -> tuple[tuple[int, ...], int]:
    return records.input_shape, records.n_classes


def _sha256(path: str) -> str:
    with open(pretrained_file(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
