"""LOMMA: logits instead of confidences, and students of the target beside it, in the loops of GMI or KED-MI."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from seepage.defences.one_by_one import seeds_from, share
from seepage.defences.students import train_student
from seepage.errors import InputError
from seepage.inversion.base import Attempt, Budget, Images, Report, silent
from seepage.inversion.descent import Descent, Update
from seepage.inversion.gmi import GMI
from seepage.inversion.ked_mi import KEDMI
from seepage.inversion.layers import inputs_of, of_kind
from seepage.inversion.objectives import Labels, Logits, Losses
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.models.architectures import CNN
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import SGD
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.options import OneOf

BASES = ("gmi", "ked-mi")
STUDENTS = (
    functools.partial(CNN, widths=(16, 32, 64)),
    functools.partial(CNN, widths=(32, 64)),
    functools.partial(CNN, widths=(16, 32, 64), convolutions=2),
)
STATISTICS_IMAGES = 5000
ASKED_AT_ONCE = 250  # a divisor of it
BYTE = 1 / 255


def logit_loss(logits: Logits, labels: Labels) -> Losses:
    """-l_y of the raw logits, which has no other class in it and so no end (LOMMA)."""
    return -logits.gather(1, labels[:, None])[:, 0]


@dataclass(frozen=True, eq=False)
class Learned:
    """What LOMMA knows of the target.

    Attributes:
        students: modules that answer about like the target, in eval mode.
        mean: (features,) the target's penultimate features, their mean over public images.
    """

    students: tuple[nn.Module, ...]
    mean: Float32[Tensor, " features"]


@dataclass(frozen=True)
class LOMMA(Descent):
    """GMI or KED-MI with the loss and the models of "Re-thinking model inversion".

        min  prior + weight * [ mean over M models of -l_y(x)  +  pull * mean_j (f_j(x) - m_j)^2 ]

    The models are the target and its students, which learn its answers about public images by KL divergence at a
    temperature of 1; x, the prior's part, the steps and the restarts are the base's. f are the target's own
    penultimate features, what its last linear layer is given, and m their mean over up to 5000 public images: without
    it -l_y is made small by large features alone.

    Options:
        base: "gmi", or "ked-mi" with codes clipped to [-1, 1].
        students: how many of the three.
        pull: lambda of the paper.
        weight: of the identity loss beside the prior's.
        lr: of the base.
        student_epochs: passes over the public images.

    Reference: Nguyen et al. 2023 (CVPR, arXiv 2304.01669); code
        github.com/sutd-visual-computing-group/Re-thinking_MI: 2400 steps at 0.02, 5 starts for GMI; students by SGD
        at 0.01 (momentum 0.9, weight decay 1e-4, batches of 64, 20 passes). The paper draws the regulariser's point
        from N(m, s); its code overwrites it by m.
    Deviations: students are three small CNNs of ours instead of EfficientNet-B0, B1 and B2, and start from random
        weights. The code's loss is a mean over a batch of 60 classes, which makes GMI's steps there 60 times shorter,
        see `gmi.GMI`. The students' rate is not halved after pass 20.
    """

    source: ClassVar[str] = "Nguyen et al. 2023 (arXiv 2304.01669)"
    notes: ClassVar[tuple[str, ...]] = (
        "Its students are small CNNs, not the EfficientNets of the paper.",
        "A target that gives probabilities has no raw logits: their logarithms stand for them, and the logit loss is "
        "the cross-entropy.",
    )

    base: Annotated[str, OneOf(*BASES)] = "gmi"
    students: Annotated[int, Ge(0), Le(len(STUDENTS))] = 3
    pull: Annotated[float, Ge(0)] = 1.0
    weight: Annotated[float, Ge(0)] = 100.0
    lr: Annotated[float, Gt(0)] = 0.02
    student_epochs: Annotated[float, Gt(0)] = 20

    @property
    def title(self) -> str:
        return f"LOMMA + {self._base.title}"

    @property
    def prior(self) -> str:
        return self._base.prior

    @property
    def own(self) -> Budget:
        return Budget(steps=2400, restarts=self._base.own.restarts)

    @property
    def update(self) -> Update:
        return self._base.update

    def learn(
        self,
        oracle: Oracle,
        prior: Prior,
        public: UInt8[Tensor, "records channels height width"],
        *,
        seed: int,
        report: Report = silent,
    ) -> Learned:
        """Mean features, and students of the target's answers about all public images."""
        if len(public) == 0:
            raise InputError("LOMMA: expected public images to learn from, got none")
        order_seed, *seeds = seeds_from(seed, 1 + len(STUDENTS))
        order = torch.from_numpy(np.random.default_rng(order_seed).permutation(len(public)))
        public = public[order.to(public.device)].to(oracle.device)
        logits, total, n = [], 0.0, 0
        for part in public.split(ASKED_AT_ONCE):
            with torch.no_grad():
                scores, features = answers(oracle, part * BYTE)
            logits.append(scores)
            if n < STATISTICS_IMAGES:
                total, n = total + features.sum(0), n + len(features)
        soft, students = torch.cat(logits).softmax(1), []
        records = Records(public, soft.argmax(1), soft.shape[1], BYTE)
        for place, architecture in enumerate(STUDENTS[: self.students]):
            recipe = Recipe(architecture, SGD(0.01, 0.9, 1e-4), epochs=self.student_epochs, batch_size=64)
            part = share(report, place / self.students, (place + 1) / self.students)
            student = train_student(recipe, records, public, soft, seed=seeds[place], held_out=HeldOut(), report=part)
            students.append(student.eval().requires_grad_(False))
        return Learned(tuple(students), total / n)

    def start(self, attempt: Attempt) -> list[Tensor]:
        if not isinstance(attempt.known, Learned):
            raise InputError("LOMMA: expected what its `learn` returned as the attempt's `known`, got nothing of it")
        return self._base.start(attempt)

    def codes(self, variables: list[Tensor], attempt: Attempt) -> Tensor:
        return self._base.codes(variables, attempt)

    def project(self, variables: list[Tensor], attempt: Attempt) -> list[Tensor]:
        return self._base.project(variables, attempt)

    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Losses:
        known: Learned = attempt.known
        logits, features = answers(attempt.oracle, images)
        of_models = [logits, *(student(images) for student in known.students)]
        identity = torch.stack([logit_loss(one, attempt.labels) for one in of_models]).mean(0)
        far = (features - known.mean).square().mean(1)
        return attempt.prior.penalty(images, attempt.labels) + self.weight * (identity + self.pull * far)

    @property
    def _base(self) -> GMI | KEDMI:
        return GMI(self.lr) if self.base == "gmi" else KEDMI(self.lr, clip=1.0)


def answers(oracle: Oracle, images: Images) -> tuple[Logits, Float32[Tensor, "images features"]]:
    """Logits, and what the linear layer that is called last is given.

    Raises:
        InputError: no linear layer is called.
    """
    with inputs_of(of_kind(oracle.module, nn.Linear)) as seen:
        logits = oracle.logits(images)
    if not seen:
        raise InputError("LOMMA: expected a target with a linear layer, whose inputs are its features; it calls none")
    return logits, seen[-1][1].flatten(1)
