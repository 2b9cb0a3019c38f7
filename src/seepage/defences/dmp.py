"""DMP: a student that never meets a member, only what the teacher says of synthetic records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from seepage.data import Pool
from seepage.defences.base import Defence, with_procedure
from seepage.defences.one_by_one import OneByOne, Report, seeds_from, share
from seepage.defences.students import answers, student_recipe, train_student
from seepage.models.generators import train_gan
from seepage.models.generators.vae_training import train_vae
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.options import OneOf

GENERATORS = ("vae", "gan")
# Drawing a value takes some twenty bytes for a while: at once, the 100,000 records of Texas100 would take 12 GB.
MADE_AT_ONCE = 10_000


@dataclass(frozen=True)
class DMP(Defence, OneByOne):
    """Distillation for membership privacy, on synthetic records.

    A teacher t and a generator are trained on the members; the student sees records that the generator made:

        min mean over synthetic x of  KL(softmax(t(x) / T) || softmax(f(x) / T))

    Options:
        n_synthetic: records that are made, once.
        generator: "vae" (tables and images) or "gan" (bytes of square images, the class-conditional one that the
            honesty study trains).
        generator_steps: of its training.
        temperature: T.
        student_lr: learning rate of the HAMP paper's students (0.1 there for DMP), with the rest of their training;
            None trains the student as the recipe says.
        student_epochs: passes over the synthetic records; None takes as many steps as the recipe's own on the members.

    Reference: V. Shejwalkar, A. Houmansadr, "Membership privacy for machine learning models through knowledge
    transfer", AAAI 2021, section 4; synthetic records, their number and the student as in location/train-org-dmp.py of
    github.com/DependableSystemsLab/MIA_defense_HAMP. Deviations: our generators instead of CTGAN and DCGAN; no
    choice among the records by the teacher's entropy, which is for reference data.
    """

    n_synthetic: Annotated[int, Ge(1)] = 10_000
    generator: Annotated[str, OneOf(*GENERATORS)] = "vae"
    generator_steps: Annotated[int, Ge(1)] = 2000
    temperature: Annotated[float, Gt(0)] = 1.0
    student_lr: Annotated[float, Gt(0)] | None = None
    student_epochs: Annotated[float, Gt(0)] | None = None

    kind: ClassVar[str] = "training"
    grid: ClassVar = ({"temperature": 4.0}, {"temperature": 1.0}, {"n_synthetic": 20_000})

    @property
    def title(self) -> str:
        return "DMP"

    @property
    def source(self) -> str:
        return "Shejwalkar & Houmansadr 2021 (arXiv 1906.06589), with synthetic records"

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "The generator is trained on the members: what it remembers of them reaches the student.",
            f"Each model costs a teacher, a generator and a student on {self.n_synthetic:,} records.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        return with_procedure(recipe, self)

    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        teacher_seed, generator_seed, student_seed = seeds_from(seed, 3)
        (teacher,) = train_models(
            recipe, records, [members], [teacher_seed], held_out=held_out, report=share(report, 0, 0.2)
        )
        made = self.synthetic(records, members, generator_seed, share(report, 0.2, 0.4))
        lesson = Records(made, records.labels.new_zeros(len(made)), records.n_classes, records.scale)
        targets = (answers(teacher, lesson, np.arange(len(made))) / self.temperature).softmax(1)
        epochs = self.student_epochs or recipe.epochs * len(members) / len(made)
        return train_student(
            student_recipe(recipe, records.n_classes, self.student_lr, epochs),
            records,
            made,
            targets,
            temperature=self.temperature,
            seed=student_seed,
            held_out=held_out,
            report=share(report, 0.4, 1),
        )

    def synthetic(self, records: Records, members: np.ndarray, seed: int, report: Report) -> Tensor:
        """(n_synthetic, ...) records of the members' kind, of the dtype that the pool's records have."""
        at = torch.from_numpy(members).to(records.inputs.device)
        inputs, labels = records.inputs[at].cpu().numpy(), records.labels[at].cpu().numpy()
        pool = Pool(inputs, labels, n_classes=records.n_classes, scale=records.scale)
        rng = np.random.default_rng([seed, 4])
        if self.generator == "gan":
            gan = train_gan(pool, n_steps=self.generator_steps, rng=rng, report=report)
            made = gan.sample(rng.choice(labels, self.n_synthetic), rng)
        else:
            epochs = max(1, round(self.generator_steps * 64 / len(members)))
            vae = train_vae(pool, epochs=epochs, seed=seed, report=report)
            sizes = np.diff([*range(0, self.n_synthetic, MADE_AT_ONCE), self.n_synthetic]).tolist()
            made = np.concatenate([vae.sample(n, rng, draw=True) for n in sizes])
        return torch.from_numpy(np.ascontiguousarray(made)).to(records.inputs)
