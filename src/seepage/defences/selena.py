"""SELENA: each member's soft label comes from models that never saw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from seepage.defences.base import Defence, with_procedure
from seepage.defences.one_by_one import OneByOne, Report, seeds_from, share
from seepage.defences.students import answers, student_recipe, train_student
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.options import OneOf

AVERAGES = ("probabilities", "logits")

# Weights that fit into one stack of sub-models on a CPU: a larger one has left the cache and is no faster than its
# models one by one.
STACKED_WEIGHTS = 2**22


@dataclass(frozen=True)
class SELENA(Defence, OneByOne):
    """Sub-models each leave some members out; a student learns, of each member, what those that left it out answer.

    Split-AI:     each member is left out of L of the K sub-models, drawn at random;
                  q(x) = 1/L sum over its L sub-models j of softmax(f_j(x))
    self-distillation:  min over the members of KL(q(x) || softmax(f(x)))

    Options:
        sub_models, left_out: K and L.
        average: of the answers: "probabilities" (paper, official code) or "logits" (the HAMP paper's code, which takes
            the softmax of their mean).
        student_lr: learning rate of the HAMP paper's students (1.0; for CIFAR-10 0.5), with the rest of their
            training; None trains the student as the recipe says.
        student_epochs: passes of the student; None takes the recipe's.

    Reference: X. Tang, S. Mahloujifar, L. Song, V. Shejwalkar, M. Nasr, A. Houmansadr, P. Mittal, "Mitigating
    membership inference attacks by self-distillation through a novel ensemble architecture", USENIX Security 2022;
    code github.com/inspire-group/MIAdefenseSELENA; student and "logits" as in location/train-selena.py of
    github.com/DependableSystemsLab/MIA_defense_HAMP. Deviations: an epoch is chosen on validation records, where the
    recipe does so, and never on test records, as the official code does.
    """

    sub_models: Annotated[int, Ge(2)] = 25
    left_out: Annotated[int, Ge(1)] = 10
    average: Annotated[str, OneOf(*AVERAGES)] = "probabilities"
    student_lr: Annotated[float, Gt(0)] | None = None
    student_epochs: Annotated[float, Gt(0)] | None = None

    kind: ClassVar[str] = "training"
    grid: ClassVar = ({"left_out": 15}, {"left_out": 10}, {"left_out": 5})

    def __post_init__(self):
        super().__post_init__()
        if self.left_out >= self.sub_models:
            raise InputError(f"SELENA: left_out must be below sub_models={self.sub_models}, got {self.left_out}")

    @property
    def title(self) -> str:
        return "SELENA"

    @property
    def source(self) -> str:
        return "Tang et al. 2022 (arXiv 2110.08324), Split-AI and self-distillation"

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            f"Each model costs {self.sub_models} sub-models on {1 - self.left_out / self.sub_models:.0%} of its "
            "members, and a student.",
            "A member's duplicates and near neighbours are trained on by the sub-models that left it out.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        return with_procedure(recipe, self)

    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        *seeds, seed = seeds_from(seed, self.sub_models + 1)
        is_left_out = assign(len(members), self.sub_models, self.left_out, np.random.default_rng([seed, 4]))
        # The student's passes have every member, a sub-model's K - L of K.
        trained = self.sub_models - self.left_out
        end = trained / (trained + 1)
        columns = [members[~out] for out in is_left_out.T]
        modules = self._sub_models(recipe, records, columns, seeds, held_out, share(report, 0, end))
        targets = soft_labels(modules, records, members, is_left_out, self.average)
        rows = torch.from_numpy(members).to(records.inputs.device)
        return train_student(
            student_recipe(recipe, records.n_classes, self.student_lr, self.student_epochs),
            records,
            records.inputs[rows],
            targets,
            seed=seed,
            held_out=held_out,
            report=share(report, end, 1),
        )

    def _sub_models(
        self,
        recipe: Recipe,
        records: Records,
        columns: list[np.ndarray],
        seeds: list[int],
        held_out: HeldOut,
        report: Report,
    ) -> list[nn.Module]:
        n, size = len(columns), len(columns)
        if not records.inputs.is_cuda:
            skeleton = recipe.build(records.input_shape, records.n_classes, 0)
            size = max(1, min(n, STACKED_WEIGHTS // sum(p.numel() for p in skeleton.parameters())))
        modules = []
        for start in range(0, n, size):
            end = min(n, start + size)
            part = share(report, start / n, end / n)
            some = columns[start:end], seeds[start:end]
            modules += train_models(recipe, records, *some, held_out=held_out, report=part)
        return modules


def assign(
    n_members: int, n_models: int, n_left_out: int, rng: np.random.Generator
) -> Bool[np.ndarray, "members models"]:
    """Which sub-models each member is left out of: for every member so many of them, drawn at random."""
    order = rng.permuted(np.tile(np.arange(n_models), (n_members, 1)), axis=1)
    return order < n_left_out


def soft_labels(
    modules: list[nn.Module],
    records: Records,
    members: np.ndarray,
    is_left_out: Bool[np.ndarray, "members models"],
    average: str,
) -> Float32[Tensor, "members classes"]:
    """Mean answer to each member of the sub-models that it was left out of, as probabilities."""
    device = records.inputs.device
    total = torch.zeros(len(members), records.n_classes, device=device)
    for module, out in zip(modules, is_left_out.T, strict=True):
        if out.any():
            logits = answers(module, records, members[out])
            total[torch.from_numpy(out).to(device)] += logits.softmax(1) if average == "probabilities" else logits
    mean = total / torch.from_numpy(is_left_out.sum(1, keepdims=True)).to(device)
    return mean if average == "probabilities" else mean.softmax(1)
