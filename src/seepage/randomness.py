"""Where random numbers come from: a seed or a NumPy generator, wherever `rng` is asked for."""

from typing import Any

import numpy as np

from seepage.errors import InputError

Seed = np.random.Generator | int


def generator(rng: Seed) -> np.random.Generator:
    """The generator itself, or one that starts at the seed.

    Raises:
        InputError: neither a whole number of at least 0 nor a `np.random.Generator`.

    >>> bool(generator(0).integers(100) == np.random.default_rng(0).integers(100))
    True
    """
    return rng if isinstance(rng, np.random.Generator) else np.random.default_rng(_seed(rng))


def seed_from(rng: Seed, name: str = "rng") -> int:
    """The seed itself, or one that is drawn from the generator: what a result records. Errors call it by that name.

    Raises:
        InputError: as for `generator`.
    """
    return int(rng.integers(2**53)) if isinstance(rng, np.random.Generator) else _seed(rng, name)


def _seed(rng: Any, name: str = "rng") -> int:
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0:
        return int(rng)
    given = repr(rng) if rng is None or isinstance(rng, (bool, int, float, str)) else f"a {type(rng).__name__}"
    raise InputError(
        f"{name}: expected a seed (a whole number of at least 0) or np.random.default_rng(seed), got {given}"
    )
