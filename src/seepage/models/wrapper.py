"""What a model answers instead of what it computes: a module around a module."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from seepage.models.held_out import HeldOut
from seepage.models.records import Records


class Wrapped(nn.Module):
    """A trained module that answers through a wrapper, logits (batch, classes) as any other.

    What was fitted and what random answers derive from are buffers, so that a file of its weights holds everything.
    It protects answers alone: whoever has the weights has the module inside.

    Attributes:
        keeps_label: the largest answer is always the module's own, so that whoever asks for labels may ask the module.
        gives_probabilities: as its wrapper's.
    """

    keeps_label: bool = False
    gives_probabilities: bool = False

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module


@dataclass(frozen=True)
class Wrapper(ABC):
    """How a trained model is wrapped. Its fields are its options: numbers and text.

    Attributes:
        uses: which held-out records fitting needs, of "validation" and "population".
        gives_probabilities: the answers are the logarithms of probabilities, each as the attacker is told it, whatever
            they sum to.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    gives_probabilities: ClassVar[bool] = False

    @abstractmethod
    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> Wrapped:
        """The module, wrapped and not yet fitted: its state can be loaded, or `fit` fills it."""

    def fit(self, module: nn.Module, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int) -> Wrapped:
        """The module, wrapped and ready to answer, in eval mode.

        Args:
            module: trained, in eval mode.
            records: the pool.
            members: rows that the module was trained on.
            held_out: rows that no model was trained on.
            seed: of the model: everything that is random here derives from it.
        """
        wrapped = self.around(module, records.input_shape, records.n_classes).to(records.inputs.device).eval()
        self._fit(wrapped, records, members, held_out, seed=seed)
        return wrapped

    @abstractmethod
    def _fit(self, wrapped: Wrapped, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int) -> None:
        """Fill the buffers of a wrapped module."""


def record_rng(seed: int, record: Tensor, question: int = 0) -> np.random.Generator:
    """The random numbers of one answer: the same for the same model, record and number of the question."""
    content = record.detach().cpu().contiguous().numpy().tobytes()
    words = np.frombuffer(hashlib.sha256(content).digest(), dtype=np.uint32)
    return np.random.default_rng([seed % 2**63, question, *words.tolist()])


def integer(value: int) -> Tensor:
    """A buffer for a seed or a counter."""
    return torch.tensor(value, dtype=torch.int64)
