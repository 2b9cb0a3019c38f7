"""Who attacks: which attacks, what they may ask, and what they know."""

from collections.abc import Iterable
from dataclasses import dataclass

from seepage.attacks.base import Attack


@dataclass(frozen=True)
class Attacker:
    """What the attacker of an audit does, may ask and knows.

    Attributes:
        attacks: names from `seepage.ATTACKS` and attack objects; None: those that what is at hand allows.
        access: what may be asked: "label", "probabilities", "logits", "gradients" or "weights". None: logits, or the
            most that the model gives below them.
        queries: a name from `seepage.signals.queries.QUERIES`: augmented copies of each image that are asked about too.
            None: each record as it is; in a comparison of images, flipped and shifted copies.
        layer: whose output the features are, by its name in the module; None: the penultimate one's.
        known: how many records, drawn at random, the attacker knows the membership of (a count, or a share below 1);
            they are not audited. Few-shot attacks need some.
    """

    attacks: Iterable[str | Attack] | None = None
    access: str | None = None
    queries: str | None = None
    layer: str | None = None
    known: int | float = 0
