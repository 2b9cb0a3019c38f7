"""MIRROR without gradients: a population of codes that is bred for the target's confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images, Inversion, Report, Rngs, silent, uniform
from seepage.inversion.candidates import best_of, scored
from seepage.inversion.objectives import log_confidence
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.inversion.spread import Spread
from seepage.models.access import Access
from seepage.options import OneOf

CROSSOVERS = ("fitness", "official")

Population = Float[Tensor, "images members ..."]
Fitness = Float[Tensor, "images members"]


@dataclass(frozen=True)
class GeneticMIRROR(Inversion):
    """A genetic algorithm on codes, in units u of the prior's spread (see `spread.Spread`); the fitness s is log p_y.

        parents    two members for each child, each drawn with probabilities softmax(s), which is to say as p_y
        crossover  each coordinate is the first parent's with probability q, see `share_of_first`
        mutation   with probability `mutation` a coordinate of the child gets an addend from U(-size, size)
        bound      u is held to [-bound, bound]
        elitism    the fittest of a generation lives on

    The first generation are the fittest of many random codes. It ends when p_y is at least `enough`.

    The budget: of the `queries` at most half are spent on children, in at most `steps` generations; the others on the
    choice of the first generation.

    Options:
        population: members of a generation; fewer where the budget has no two questions for each.
        mutation: a probability.
        size: of a mutation, in deviations.
        bound: in deviations.
        enough: a probability.
        crossover: "fitness" or "official".

    Reference: An et al., "MIRROR: Model Inversion for Deep Learning Network with High Fidelity", NDSS 2022; code
        github.com/njuaplusplus/mirror, my_blackbox_mirror.py: 100 generations of 100 (1000 in its scripts), the first
        the best of 100,000 random codes.
    Deviations: crossover "fitness" favours the fitter parent; the code divides negative numbers, so that it favours the
        other one ("official"). Every child has addends of its own, where the code draws them once for a generation. The
        first generation is held to the bounds too. The fittest is not asked about again.
    """

    title: ClassVar[str] = "MIRROR (black-box)"
    source: ClassVar[str] = "An et al., NDSS 2022 (black-box)"
    access: ClassVar[Access] = Access.PROBABILITIES
    prior: ClassVar[str] = "gan"
    own: ClassVar[Budget] = Budget(steps=100, restarts=1, queries=109_900)

    population: Annotated[int, Ge(2)] = 100
    mutation: Annotated[float, Ge(0), Le(1)] = 0.1
    size: Annotated[float, Ge(0)] = 0.1
    bound: Annotated[float, Gt(0)] = 1.0
    enough: Annotated[float, Gt(0), Le(1)] = 0.95
    crossover: Annotated[str, OneOf(*CROSSOVERS)] = "fitness"

    def learn(self, oracle: Oracle, prior: Prior, public: Tensor, *, seed: int, report: Report = silent) -> Spread:
        """How the codes of the prior are spread."""
        return Spread.of(prior, seed)

    def plan(self, budget: Budget) -> tuple[int, int, int]:
        """Members of a generation, generations after the first, and candidates for the first."""
        members = max(1, min(self.population, budget.queries // 2))
        generations = min(budget.steps, budget.queries // 2 // (members - 1)) if members > 1 else 0
        return members, generations, budget.queries - generations * (members - 1)

    def run(self, attempt: Attempt) -> tuple[Images, Float32[Tensor, " images"]]:
        spread: Spread = attempt.known

        def score(images: Images, labels: Tensor) -> Tensor:
            return log_confidence(attempt.oracle.log_probabilities(images), labels)

        def held(codes: Tensor) -> Tensor:
            return spread.codes(spread.units(codes).clamp(-self.bound, self.bound))

        members, generations, candidates = self.plan(attempt.budget)
        codes, fitness = best_of(attempt, candidates, score, members, place=held)
        units = spread.units(codes)
        for generation in range(generations):
            going = torch.nonzero(fitness.amax(1) < math.log(self.enough))[:, 0]
            if len(going) == 0:
                break
            young = self.children(units[going], fitness[going], [attempt.rngs[image] for image in going.tolist()])
            labels = attempt.labels[going].repeat_interleave(members - 1)
            scores = scored(attempt.prior, spread.codes(young).flatten(0, 1), labels, score).view(len(going), -1)
            eldest, best = fittest(units[going], fitness[going])
            units[going], fitness[going] = torch.cat([eldest, young], 1), torch.cat([best, scores], 1)
            attempt.report((generation + 1) / generations)
        units, fitness = fittest(units, fitness)
        with torch.no_grad():
            return attempt.prior.images(spread.codes(units[:, 0]), attempt.labels), fitness[:, 0]

    def children(self, units: Population, fitness: Fitness, rngs: Rngs) -> Float[Tensor, "images children ..."]:
        """As many children as there are members besides the fittest one."""
        n = units.shape[1] - 1
        rows = torch.arange(len(units), device=units.device)[:, None]
        first, second = (parents(fitness, uniform(rngs, n, device=units.device)) for _ in range(2))
        shape = (n, *units.shape[2:])
        share = share_of_first(fitness.gather(1, first), fitness.gather(1, second), self.crossover)
        is_first = uniform(rngs, *shape, device=units.device) < share.view(*share.shape, *[1] * (units.ndim - 2))
        child = torch.where(is_first, units[rows, first], units[rows, second])
        is_mutated = uniform(rngs, *shape, device=units.device) < self.mutation
        change = self.size * (2 * uniform(rngs, *shape, device=units.device) - 1)
        return (child + is_mutated * change).clamp(-self.bound, self.bound)


def parents(fitness: Fitness, draws: Float[Tensor, "images children"]) -> Int64[Tensor, "images children"]:
    """Members with probabilities softmax(s), from numbers that are uniform in [0, 1)."""
    upto = fitness.softmax(1).cumsum(1)
    return torch.searchsorted(upto, draws.contiguous(), right=True).clamp(max=fitness.shape[1] - 1)


def share_of_first(
    first: Float[Tensor, "images children"], second: Float[Tensor, "images children"], crossover: str = "fitness"
) -> Float[Tensor, "images children"]:
    """The probability q that a coordinate of a child is the first parent's.

        "fitness"   p_1 / (p_1 + p_2) = sigmoid(s_1 - s_2), which is higher where the first is the fitter one
        "official"  s_1 / (s_1 + s_2): both are negative, and it is lower there

    Args:
        first: s_1 = log p_y of the first parent.
        second: s_2.
        crossover: which.
    """
    return torch.sigmoid(first - second) if crossover == "fitness" else first / (first + second)


def fittest(units: Population, fitness: Fitness) -> tuple[Float[Tensor, "images 1 ..."], Float[Tensor, "images 1"]]:
    """The fittest member of each population, as a population of one."""
    best = fitness.argmax(1, keepdim=True)
    return units[torch.arange(len(units), device=units.device)[:, None], best], fitness.gather(1, best)
