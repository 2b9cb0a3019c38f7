"""Train one model."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool
from torch import nn

from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.batches import Records
from seepage.models.engines import Single
from seepage.models.plan import one_thread
from seepage.models.recipe import Recipe


def train(
    recipe: Recipe,
    pool: Pool,
    members: Bool[np.ndarray, " samples"],
    *,
    rng: np.random.Generator,
    device: str | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> nn.Module:
    """Train one model on the pool's members, by itself.

    Args:
        recipe: how.
        pool: the records, with labels.
        members: (samples,) bool, true for the records to train on.
        rng: one seed is drawn from it; weights, batches, augmentation and dropout derive from that seed.
        device: "cpu" or "cuda"; by default the GPU where there is one.

    Returns:
        The trained module, in eval mode, giving logits.

    Raises:
        InputError: `members` has another shape than the pool or selects nothing.
        TrainingError: the training diverged.
    """
    members = np.asarray(members)
    if members.shape != (len(pool),) or members.dtype != bool:
        raise InputError(
            f"train: members must be bool of shape ({len(pool)},), one for each record of the pool; "
            f"got {members.dtype} of shape {members.shape}"
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    seed = int(rng.integers(2**62))
    with one_thread():
        training = Single(recipe, Records.of(pool, device), [np.flatnonzero(members)], [seed])
        return training.run(report)[0]
