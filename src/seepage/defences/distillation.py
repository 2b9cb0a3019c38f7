"""Knowledge distillation: a student learns from a teacher's softened answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from torch import nn

from seepage.defences.base import Defence, with_procedure
from seepage.defences.one_by_one import OneByOne, Report, seeds_from, share, strangers
from seepage.defences.students import answers, student_recipe, train_student
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.options import OneOf

WHERE = ("members", "population")


@dataclass(frozen=True)
class Distillation(Defence, OneByOne):
    """A teacher is trained on the members; the model that is released learns from its answers.

    min mean over x of  w T^2 KL(softmax(t(x) / T) || softmax(f(x) / T))  +  (1 - w) (-log softmax(f(x))_y)

    Options:
        temperature: T.
        weight: w; 1 leaves labels out.
        on: what the student learns on: the "members", as the teacher did, or "population" records, and never a member.
        student_epochs: passes of the student; None takes the recipe's.

    Reference: G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", 2015, section 2; T and w
    are the defaults of source/cifar/defense/distillation.py in github.com/DingfanChen/RelaxLoss, where it is a
    baseline against membership inference. "population" at T = 1, w = 1 is DMP with real records (V. Shejwalkar,
    A. Houmansadr, AAAI 2021), without its choice of records by the teacher's entropy. Deviation from that code: KL is
    a mean over the batch alone, and not over the classes too.
    """

    temperature: Annotated[float, Gt(0)] = 10.0
    weight: Annotated[float, Ge(0), Le(1)] = 0.5
    on: Annotated[str, OneOf(*WHERE)] = "members"
    student_epochs: Annotated[float, Gt(0)] | None = None

    kind: ClassVar[str] = "training"
    grid: ClassVar = (
        {"temperature": 10.0, "weight": 1.0},
        {"temperature": 4.0, "weight": 1.0},
        {"temperature": 10.0, "weight": 0.5},
        {"temperature": 1.0, "weight": 0.5},
    )

    @property
    def title(self) -> str:
        return "Knowledge distillation"

    @property
    def source(self) -> str:
        return "Hinton et al. 2015 (arXiv 1503.02531), section 2"

    @property
    def notes(self) -> tuple[str, ...]:
        if self.on == "members":
            return ("The student learns on the members what a teacher that was trained on them answers.",)
        return ("The student learns on population records: they are unused by the undefended model.",)

    @property
    def uses(self) -> frozenset[str]:
        return frozenset({"population"} if self.on == "population" else ())

    def apply(self, recipe: Recipe) -> Recipe:
        return with_procedure(recipe, self)

    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        rows = members
        if self.on == "population":
            rows = strangers(held_out, members, recipe.batch_size, "distillation on population records")
        teacher_seed, student_seed = seeds_from(seed, 2)
        first = share(report, 0, 0.5)
        (teacher,) = train_models(recipe, records, [members], [teacher_seed], held_out=held_out, report=first)
        at = torch.from_numpy(rows).to(records.inputs.device)
        return train_student(
            student_recipe(recipe, records.n_classes, None, self.student_epochs),
            records,
            records.inputs[at],
            (answers(teacher, records, rows) / self.temperature).softmax(1),
            labels=records.labels[at],
            temperature=self.temperature,
            weight=self.weight,
            seed=student_seed,
            held_out=held_out,
            report=share(report, 0.5, 1),
        )
