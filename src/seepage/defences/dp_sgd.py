"""DP-SGD: every record's gradient is clipped, and the sum of a random batch gets noise."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Lt
from torch import nn

from seepage.defences.base import Defence, with_procedure
from seepage.defences.one_by_one import share
from seepage.errors import InputError
from seepage.models.accounting import ACCOUNTANTS, epsilon, noise_multiplier_for
from seepage.models.engines import has_convolutions
from seepage.models.held_out import HeldOut
from seepage.models.noisy_steps import NoisySteps
from seepage.models.recipe import BestValidation, Factory, Procedure, Recipe
from seepage.models.records import Records
from seepage.options import OneOf

MOST_GROUPS = 32


@dataclass(frozen=True)
class DPSGD(Defence, Procedure):
    """Differentially private stochastic gradient descent, with what it promises.

        theta <- optimiser(theta, ( sum_{i in batch} g_i min(1, C / ||g_i||) + N(0, (sigma C)^2 I) ) / batch_size)

    Each member is in a batch by itself with probability q = batch_size / members; no draw is cut short, which is what
    the accountant takes for granted. ceil(epochs / q) steps are taken with the recipe's own optimiser and schedule.

    Options:
        noise_multiplier: sigma; 1 where neither it nor a target is given.
        target_epsilon: find the sigma that spends at most this, for each number of members, instead.
        max_norm: C.
        delta: of the (epsilon, delta) that is promised.
        accountant: "prv" or "rdp", see `seepage.models.accounting`.

    Models are trained four at a time, per-sample gradients and all. BatchNorm, whose statistics are of the whole batch,
    is replaced by GroupNorm. Layers whose gradients cannot be taken for many records at once (GRU) take them one by
    one, which is slow. The last epoch is kept: a rule that chooses by validation accuracy is dropped, one that looks at
    training accuracy is refused.

    Reference: Abadi et al. 2016 (arXiv 1607.00133), algorithm 1; Poisson batches and accounting as Opacus has them.
    """

    noise_multiplier: Annotated[float, Ge(0)] | None = None
    target_epsilon: Annotated[float, Gt(0)] | None = None
    max_norm: Annotated[float, Ge(1e-12)] = 1.0
    delta: Annotated[float, Gt(0), Lt(1)] = 1e-5
    accountant: Annotated[str, OneOf(*ACCOUNTANTS)] = "prv"

    kind: ClassVar[str] = "training"
    chunk: ClassVar[int] = 4
    grid: ClassVar = tuple({"noise_multiplier": sigma} for sigma in (4.0, 2.0, 1.0, 0.5, 0.2, 0.05))

    def __post_init__(self):
        super().__post_init__()
        if None not in (self.noise_multiplier, self.target_epsilon):
            raise InputError(
                f"dp-sgd: target_epsilon={self.target_epsilon!r} decides the noise, and so does "
                f"noise_multiplier={self.noise_multiplier!r}: give one of them"
            )

    @property
    def title(self) -> str:
        return "DP-SGD"

    @property
    def source(self) -> str:
        return "Abadi et al. 2016 (arXiv 1607.00133), algorithm 1"

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "The promise is for adding or removing one record, of the training alone: choices made by looking at the "
            "data (options, epochs, architecture) are not in it.",
            "Noise comes from a seeded generator, so runs can be repeated: whoever knows the seed knows the noise.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        if recipe.mixup:
            raise InputError("dp-sgd: mixup makes a record part of several gradients: leave one of them out")
        if recipe.stop is not None and not isinstance(recipe.stop, BestValidation):
            raise InputError("dp-sgd: StopAt looks at the members' accuracy without noise: leave it out")
        model = functools.partial(without_batch_norm, architecture=recipe.model)
        plain = {"stop": None, "shuffle": True, "reset_optimiser": False, "model": model}
        return with_procedure(replace(recipe, **plain), self)

    def try_on(self, recipe: Recipe, records: Records) -> None:
        both = np.arange(len(records.labels))
        recipe = replace(recipe, batch_size=len(both), epochs=1)
        NoisySteps(recipe, records, [both], [0], noise_multipliers=[1.0], max_norm=self.max_norm).step()

    def train(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        held_out: HeldOut,
        report: Callable[[float], None],
    ) -> list[nn.Module]:
        sigmas = [self._sigma(len(column), recipe.batch_size, recipe.epochs) for column in columns]
        # As in the plain engines: stacked convolutions are slow on a CPU.
        skeleton = recipe.build(records.input_shape, records.n_classes, 0)
        alone = has_convolutions(skeleton) and not records.inputs.is_cuda
        size = 1 if alone else len(columns)
        modules = []
        for start in range(0, len(columns), size):
            some = slice(start, start + size)
            training = NoisySteps(
                recipe, records, columns[some], seeds[some], noise_multipliers=sigmas[some], max_norm=self.max_norm
            )
            modules += training.run(share(report, start / len(columns), (start + size) / len(columns)))
        return modules

    def epsilon(self, n_members: int, batch_size: int, epochs: float) -> float:
        """What a training spends at this delta: an upper bound, infinite without noise.

        >>> round(DPSGD(noise_multiplier=2.91, accountant="rdp").epsilon(1350, 128, 50), 2)
        3.62
        """
        sigma, n_steps = self._sigma(n_members, batch_size, epochs), math.ceil(epochs * n_members / batch_size)
        return epsilon(sigma, batch_size / n_members, n_steps, delta=self.delta, accountant=self.accountant)

    def _sigma(self, n_members: int, batch_size: int, epochs: float) -> float:
        if self.target_epsilon is None:
            return 1.0 if self.noise_multiplier is None else float(self.noise_multiplier)
        rate, n_steps = batch_size / n_members, math.ceil(epochs * n_members / batch_size)
        return noise_multiplier_for(self.target_epsilon, rate, n_steps, delta=self.delta, accountant=self.accountant)


def without_batch_norm(input_shape: tuple[int, ...], n_classes: int, architecture: Factory) -> nn.Module:
    """The architecture with GroupNorm in place of BatchNorm: as many groups as divide the channels, 32 at most.

    BatchNorm1d has one group: a group of a single number is always 0 after it.
    """
    module = architecture(input_shape, n_classes)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                one = isinstance(child, nn.BatchNorm1d)
                groups = 1 if one else math.gcd(MOST_GROUPS, child.num_features)
                setattr(parent, name, nn.GroupNorm(groups, child.num_features, eps=child.eps, affine=child.affine))
    return module
