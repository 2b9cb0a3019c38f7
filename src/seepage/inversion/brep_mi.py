"""BREP-MI: away from the boundary of the class, which is felt from labels alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images, Inversion, Report, normal, silent
from seepage.inversion.candidates import ROUND, drawn, scored
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.inversion.spread import Spread
from seepage.models.access import Access

GROWTH_FROM = 0.75  # of the mean of +1 for a point in the class and -1 for one outside: seven in eight are in it
LONGEST_STEP = 3.0


def repelled(
    units: Float[Tensor, "images size"],
    directions: Float[Tensor, "images points size"],
    inside: Bool[Tensor, "images points"],
    radius: Float[Tensor, " images"],
    repulsion_only: bool = True,
    bound: float = 1.5,
) -> Float[Tensor, "images size"]:
    """A step away from the points of a sphere that are not in the class.

        u' = clamp(u + min(R / 3, 3) mean_i f_i d_i),  f_i = 0 in the class, -1 outside

    and with `repulsion_only` false f_i = 1 in the class, which draws u towards the points there.

    Args:
        units: u, the middle of the sphere.
        directions: d_i, of length 1; the points are u + R d_i.
        inside: which points are in the class.
        radius: R.
        repulsion_only: see above.
        bound: what the coordinates of u' are clamped to.
    """
    weight = inside.to(units.dtype) - 1 if repulsion_only else 2 * inside.to(units.dtype) - 1
    step = (radius / 3).clamp(max=LONGEST_STEP)
    return (units + step[:, None] * (weight[:, :, None] * directions).mean(1)).clamp(-bound, bound)


@dataclass(frozen=True)
class BREPMI(Inversion):
    """Boundary repulsion: from a code of the class, step by step to where larger and larger spheres lie in the class.

    In units u of the prior's spread (see `spread.Spread`), which for normal codes are the codes themselves:

        start    random codes, clamped to [-bound, bound], until the target labels one as the class
        step     `points` points on a sphere of radius R about u are labelled; u' as in `repelled`; u' is taken if it
                 is labelled as the class; if the mean of +1 (in the class) and -1 (outside) is above 0.75, R grows
        end      after `patience` steps without growth, after the budget's steps, or where its queries are used up

    An image is liked by its last radius. Each step asks `points` + 1 questions.

    Options:
        points: on a sphere.
        radius: the first.
        growth: what the radius is multiplied by.
        bound: of every coordinate.
        patience: steps at one radius.
        repulsion_only: whether points in the class count for nothing; see `repelled`.

    Reference: Kahla et al. 2022 (arXiv 2203.01925); code
        github.com/m-kahla/Label-Only-Model-Inversion-Attacks-via-Boundary-Repulsion, brep_mi.py and config2.yaml.
    Deviations: a step that is refused, or that comes with growth, counts as a step (in the code it does not, and a code
        that is always refused is never given up). The step that comes with growth is as long as the others; the code
        divides it by `growth`. The image is that of the last code; the code reports the one of the last growth. Random
        codes are asked about 32 at a time for one class, where the source shares them between all classes.
    """

    title: ClassVar[str] = "BREP-MI"
    source: ClassVar[str] = "Kahla et al. 2022 (arXiv 2203.01925)"
    access: ClassVar[Access] = Access.LABEL
    prior: ClassVar[str] = "gan"
    own: ClassVar[Budget] = Budget(steps=20_000, restarts=1, queries=660_000)
    notes: ClassVar[tuple[str, ...]] = (
        "Where the target labels no random code as the class within the queries, the image is that of the last code.",
        "The source's untargeted figures are of the 300 classes that random codes reach first, the easy ones.",
    )

    points: Annotated[int, Ge(1)] = 32
    radius: Annotated[float, Gt(0)] = 2.0
    growth: Annotated[float, Gt(1)] = 1.3
    bound: Annotated[float, Gt(0)] = 1.5
    patience: Annotated[int, Ge(1)] = 1000
    repulsion_only: bool = True

    def learn(self, oracle: Oracle, prior: Prior, public: Tensor, *, seed: int, report: Report = silent) -> Spread:
        """How the codes of the prior are spread."""
        return Spread.of(prior, seed)

    def run(self, attempt: Attempt) -> tuple[Images, Float32[Tensor, " images"]]:
        budget, (is_found, units, asked) = attempt.budget, self.begin(attempt)
        radius = torch.full((len(attempt),), self.radius, device=units.device)
        waited = torch.zeros_like(asked)
        for step in range(budget.steps):
            may_ask = asked + self.points + 1 <= budget.queries
            going = torch.nonzero(is_found & may_ask & (waited < self.patience))[:, 0]
            if len(going) == 0:
                break
            here, labels = units[going], attempt.labels[going]
            directions = normal([attempt.rngs[image] for image in going.tolist()], self.points, here.shape[1]).to(here)
            directions /= directions.norm(dim=2, keepdim=True)
            inside = self.is_in(attempt, here[:, None] + radius[going, None, None] * directions, labels)
            there = repelled(here, directions, inside, radius[going], self.repulsion_only, self.bound)
            units[going] = torch.where(self.is_in(attempt, there[:, None], labels), there, here)
            grows = 2 * inside.float().mean(1) - 1 > GROWTH_FROM
            radius[going] *= torch.where(grows, self.growth, 1.0)
            waited[going] = torch.where(grows, 0, waited[going] + 1)
            asked[going] += self.points + 1
            attempt.report((step + 1) / budget.steps)
        with torch.no_grad():
            images = attempt.prior.images(_codes(attempt, units), attempt.labels)
        return images, torch.where(is_found, radius, -torch.inf)

    def begin(
        self, attempt: Attempt
    ) -> tuple[Bool[Tensor, " images"], Float[Tensor, "images size"], Int64[Tensor, " images"]]:
        """Whether a code of the class was found, the code or the last one that was tried, and how many were asked."""
        spread: Spread = attempt.known
        units = torch.zeros(len(attempt), spread.mean.numel(), device=spread.mean.device)
        is_found = torch.zeros(len(attempt), dtype=torch.bool, device=units.device)
        asked = torch.zeros(len(attempt), dtype=torch.int64, device=units.device)
        for first in range(0, attempt.budget.queries, ROUND):
            going = torch.nonzero(~is_found)[:, 0]
            if len(going) == 0:
                break
            number = min(ROUND, attempt.budget.queries - first)
            codes = drawn(attempt.prior, [attempt.rngs[image] for image in going.tolist()], number)
            new = spread.units(codes).flatten(2).clamp(-self.bound, self.bound)
            inside = self.is_in(attempt, new, attempt.labels[going])
            is_found[going] = inside.any(1)
            which = torch.where(inside.any(1), inside.int().argmax(1), number - 1)
            units[going] = new[torch.arange(len(going), device=new.device), which]
            asked[going] += number
        return is_found, units, asked

    def is_in(
        self, attempt: Attempt, units: Float[Tensor, "images number size"], labels: Int64[Tensor, " images"]
    ) -> Bool[Tensor, "images number"]:
        """Whether the target labels the images of these codes so."""

        def score(images: Images, which: Tensor) -> Tensor:
            return attempt.oracle.labels(images) == which

        asked_of = labels.repeat_interleave(units.shape[1])
        return scored(attempt.prior, _codes(attempt, units), asked_of, score).view(units.shape[:2])


def _codes(attempt: Attempt, units: Float[Tensor, "... size"]) -> Float[Tensor, "codes ..."]:
    spread: Spread = attempt.known
    return spread.codes(units.reshape(-1, *spread.mean.shape))
