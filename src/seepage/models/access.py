"""How much of a model the attacker may ask for. Free of torch, so that attacks can declare what they need."""

from __future__ import annotations

from enum import IntEnum

from seepage.errors import InputError, unknown_name


class AccessError(InputError):
    """More was asked of a target than its access level allows."""


class Access(IntEnum):
    """The levels, in order: each includes those before it.

    >>> Access.of("label") < Access.of("probabilities") < Access.of("logits") < Access.of("gradients")
    True
    >>> str(Access.WEIGHTS)
    'weights'
    """

    LABEL = 1  # the predicted class
    PROBABILITIES = 2  # a probability for every class
    LOGITS = 3  # the scores before softmax
    GRADIENTS = 4  # gradients of the loss at records of the attacker's choice
    WEIGHTS = 5  # the module itself

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, level: Access | str) -> Access:
        """The level of that name.

        Raises:
            InputError: there is no such level.
        """
        if isinstance(level, cls):
            return level
        levels = {str(known): known for known in cls}
        if level not in levels:
            raise unknown_name("access level", str(level), levels)
        return levels[level]
