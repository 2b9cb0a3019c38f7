"""The options of a study of inversion: who attacks, how classes and images are drawn, how it is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seepage.data import Pool
from seepage.inversion.base import Budget, Inversion
from seepage.inversion.priors import PriorOptions
from seepage.inversion.priors.base import Prior

EQUAL = Budget()


@dataclass(frozen=True, eq=False)
class InversionAttacker:
    """Who inverts a model.

    Attributes:
        attacks: names of `INVERSIONS`, or attacks by the name that they go under; by default `default_inversions`.
        budget: of every attack; None gives each what its source does.
        images_per_class: reconstructions of each class and seed.
        public: images of other classes that the attacker has; by default those of the pool's own public classes.
        priors: how GANs are trained on them.
        generator: the attacker's, in place of such a GAN; `samples` of its images join the public ones.
    """

    attacks: Mapping[str, Inversion] | Sequence[str] | None = None
    budget: Budget | None = EQUAL
    images_per_class: int = 1
    public: Pool | None = None
    priors: PriorOptions | None = None
    generator: Prior | None = None
    samples: int = 0


@dataclass(frozen=True)
class InversionDraw:
    """How classes and images are drawn, and how often all is done.

    Attributes:
        private, attacked, held_out: see `make_world`.
        for_judge: share of each labelled public class that the judge is taught and attacks never see; 0 for a judge
            that knows private classes alone. A judge of the user's needs none, but for an `Embedder`.
        seeds: the whole line, targets, judge and priors included, once for each; the controls "null" and "shuffled"
            are made with the first alone.
    """

    private: int | float | Sequence[str | int] | None = None
    attacked: int | None = None
    held_out: float = 0.3
    for_judge: float = 0.5
    seeds: Sequence[int] = (0,)


@dataclass(frozen=True)
class InversionSettings:
    """How a study of inversion is counted and shown.

    Attributes:
        alpha: chance of calling any attack on a target a success where there is none.
        confidence: of every interval.
        random: how many random codes the target chooses from, beside the attacks that search.
        fisher: compute the Fisher information of each layer.
        show_records: put private images beside reconstructions.
    """

    alpha: float = 0.05
    confidence: float = 0.95
    random: int = 200
    fisher: bool = True
    show_records: bool = False
