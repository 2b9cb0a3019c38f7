"""Each model's own endless stream of batches."""

import math

import numpy as np
import torch
from torch import Tensor

from seepage.errors import InputError
from seepage.models.recipe import Augmentation, Recipe

MOST_REPEATS = 10  # of a member in one batch: small sets train with the default batch size too
LEAST_REFUSED = 64


def check_batch_size(batch_size: int, n_members: int) -> None:
    """Refuse a batch size that is a slip, such as 10**6 for "all members".

    Batches are never cut to the members, so that all models of a stack have batches of one size.

    Raises:
        InputError: a batch would hold each member more than `MOST_REPEATS` times.
    """
    if batch_size > max(LEAST_REFUSED, MOST_REPEATS * n_members):
        raise InputError(
            f"Recipe: batch_size={batch_size} is more than {MOST_REPEATS} times the {n_members} records to train on, "
            f"and would hold each so often: give at most {n_members}, which is all of them in each step"
        )


class Stream:
    """The batches of one model: permutations of its members laid end to end, cut into equal batches.

    Each member is seen once a pass, every batch has the same size and none is dropped, whatever the
    number of members, so models of different size step together in one stack without padding. All that is
    random here comes from the model's own seed, a whole pass at a time: neither the other models of a
    stack nor the number of steps taken at once changes what a model sees.
    """

    def __init__(self, members: np.ndarray, recipe: Recipe, seed: int):
        self.members = np.asarray(members, dtype=np.int64)
        check_batch_size(recipe.batch_size, len(self.members))
        self.batch_size = recipe.batch_size
        self.augmentation = recipe.augmentation
        self.mixup = recipe.mixup
        self.n_steps = math.ceil(recipe.epochs * len(self.members) / recipe.batch_size)
        self._rng = np.random.default_rng([seed, 1])
        self._mix_rng = np.random.default_rng([seed, 2])
        self._order = None if recipe.shuffle else self._rng.permutation(self.members)
        self._indices = np.empty(0, dtype=np.int64)
        self._moves = np.empty((0, 3), dtype=np.int64)

    def epoch(self, step: int) -> int:
        """The pass in which a step begins."""
        return step * self.batch_size // len(self.members)

    def take(self, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """The next steps' record indices (steps, batch) and augmentation moves (steps, batch, 3)."""
        wanted = n_steps * self.batch_size
        indices, moves, have = [self._indices], [self._moves], len(self._indices)
        while have < wanted:
            indices.append(self._rng.permutation(self.members) if self._order is None else self._order)
            if self.augmentation is not None:
                moves.append(self._draw_moves(len(self.members)))
            have += len(self.members)
        indices, moves = np.concatenate(indices), np.concatenate(moves)
        self._indices, self._moves = indices[wanted:], moves[wanted:]
        shape = (n_steps, self.batch_size)
        return indices[:wanted].reshape(shape), moves[:wanted].reshape(*shape, -1) if len(moves) else moves

    def mix(self, n_steps: int) -> np.ndarray:
        """The next steps' shares m of the record itself, (steps,) float32; 1 where nothing is mixed."""
        if not self.mixup:
            return np.ones(n_steps, dtype=np.float32)
        return self._mix_rng.beta(self.mixup, self.mixup, n_steps).astype(np.float32)

    def _draw_moves(self, n: int) -> np.ndarray:
        shift = self.augmentation.shift
        flips = self._rng.integers(0, 2, size=(n, 1)) if self.augmentation.flip else np.zeros((n, 1), np.int64)
        return np.concatenate([flips, self._rng.integers(0, 2 * shift + 1, size=(n, 2))], axis=1)


def augment(images: Tensor, moves: Tensor, augmentation: Augmentation) -> Tensor:
    """Flip and shift each image by its own move.

    Args:
        images: (n, channels, height, width).
        moves: (n, 3): flip (0 or 1), row and column offsets in 0..2*shift, `shift` meaning none.
    """
    n, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, [augmentation.shift] * 4)
    flip, row, column = moves.unbind(1)
    rows = torch.arange(height, device=images.device) + row[:, None]
    columns = torch.arange(width, device=images.device)
    columns = torch.where(flip[:, None] == 1, width - 1 - columns, columns) + column[:, None]
    each = torch.arange(n, device=images.device)
    # Indexing around a slice puts the channels last: (n, height, width, channels).
    return padded[each[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
