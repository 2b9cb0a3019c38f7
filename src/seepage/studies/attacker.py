"""Who attacks: which attacks, what they may ask, and what they know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

if TYPE_CHECKING:  # a command's help waits for no attack
    from seepage.attacks import Attack


@dataclass(frozen=True)
class Attacker:
    """What the attacker of an audit does, may ask and knows.

    Attributes:
        attacks: names from 'seepage attacks', in Python also attack objects; by default those that what is at hand
            allows.
        access: what may be asked; by default logits, or the most that the model gives below them.
        queries: augmented copies of each image that are asked about too: none, flip, flip-shift, rotate or translate;
            by default none, and in a comparison of images flip-shift.
        layer: whose output the features are, by its name in the module; by default the penultimate one's.
        known: how many records, drawn at random, the attacker knows the membership of (a count, or a share below 1);
            they are not audited. Few-shot attacks need some.
    """

    attacks: Iterable[str | Attack] | None = None
    access: Literal["label", "probabilities", "logits", "gradients", "weights"] | None = None
    queries: str | None = None
    layer: str | None = None
    known: Annotated[int | float, Ge(0)] = 0
