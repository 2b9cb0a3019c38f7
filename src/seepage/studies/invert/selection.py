"""Attacks that make nothing: of many images that are there, the one that the target is surest of.

They ask the target, so they are attacks and no baselines; what a search is worth is what it has beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from seepage.errors import InputError
from seepage.inversion.base import Attempt, Budget, Images, Inversion, Report, silent
from seepage.inversion.candidates import IMAGES_AT_ONCE, best_of
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.models.access import Access

BYTE = 1 / 255
BEST_CODE, BEST_PUBLIC = "best-code", "best-public"


@dataclass(frozen=True)
class Selection(Inversion):
    """An image of each label that the target gives the highest probability. There is one try, whatever the budget."""

    source: ClassVar[str] = "no search"
    access: ClassVar[Access] = Access.PROBABILITIES
    own: ClassVar[Budget] = Budget(steps=1, restarts=1)

    def reconstruct(self, attempt: Attempt) -> Images:
        return self.run(attempt)[0].detach()


@dataclass(frozen=True)
class BestCode(Selection):
    """Of `number` random codes of a prior, the one whose image the target is surest of; `number` queries an image.

    Options:
        kind: of the prior. One that was trained against the target has asked it before.
        number: of codes.
    """

    kind: str = "gan"
    number: Annotated[int, Ge(1)] = 200

    @property
    def title(self) -> str:
        return f"Best of {self.number:,} random codes" + ("" if self.kind == "gan" else f" ({self.kind})")

    @property
    def prior(self) -> str:
        return self.kind

    @torch.no_grad()
    def run(self, attempt: Attempt) -> tuple[Images, Float32[Tensor, " images"]]:
        def score(images: Images, which: Int64[Tensor, " images"]) -> Float[Tensor, " images"]:
            return attempt.oracle.log_probabilities(images).gather(1, which[:, None])[:, 0]

        codes, scores = best_of(attempt, self.number, score)
        return attempt.prior.images(codes[:, 0], attempt.labels), scores[:, 0]


@dataclass(frozen=True)
class BestPublic(Selection):
    """The public image that the target is surest of. Every public image is asked about once.

    Where a label comes several times it gets the second, the third and so on, from the first again where there are no
    more.
    """

    title: ClassVar[str] = "The surest public image"
    prior: ClassVar[str] = "pixels"

    def learn(
        self,
        oracle: Oracle,
        prior: Prior,
        public: UInt8[Tensor, "records channels height width"],
        *,
        seed: int,
        report: Report = silent,
    ) -> UInt8[Tensor, "records channels height width"]:
        """The public images themselves.

        Raises:
            InputError: there is none.
        """
        if not len(public):
            raise InputError("there is no public image to choose from")
        return public

    @torch.no_grad()
    def run(self, attempt: Attempt) -> tuple[Images, Float32[Tensor, " images"]]:
        oracle, public, labels = attempt.oracle, attempt.known, attempt.labels
        asked = labels.unique()
        sure = torch.cat(
            [oracle.log_probabilities(part.to(oracle.device) * BYTE)[:, asked] for part in public.split(IMAGES_AT_ONCE)]
        )
        chosen, scores = torch.empty_like(labels), sure.new_empty(len(labels))
        for column, label in enumerate(asked):
            places = (labels == label).nonzero()[:, 0]
            ranked = sure[:, column].argsort(descending=True, stable=True)
            chosen[places] = ranked[torch.arange(len(places), device=labels.device) % len(public)]
            scores[places] = sure[chosen[places], column]
        return public[chosen.to(public.device)].to(oracle.device) * BYTE, scores


def selections(attacks: Iterable[Inversion], number: int, n_public: int) -> dict[str, Inversion]:
    """The selections that stand beside these attacks, by name: of codes of each generator, and of public images."""
    kinds = sorted({attack.prior for attack in attacks} - {"pixels"})
    found: dict[str, Inversion] = {
        BEST_CODE if kind == "gan" else f"{BEST_CODE}-{kind}": BestCode(kind, number) for kind in kinds
    }
    return found | ({BEST_PUBLIC: BestPublic()} if n_public else {})
