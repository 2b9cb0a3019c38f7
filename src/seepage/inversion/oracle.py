"""The target as an inversion attack sees it: it counts what is asked."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from seepage.models.access import Access, AccessError
from seepage.models.outputs import SMALLEST_PROBABILITY
from seepage.models.target import TargetModel
from seepage.models.wrapper import Wrapped


class Oracle:
    """Answers about images with values in [0, 1].

    A defence of the answers stands between the attack and the model only where the attack asks for answers: whoever
    has the weights has the model inside.

    Args:
        target: the attacked model.
        access: the level that the attack needs; nothing above it is answered.
        device: where images are.

    Attributes:
        n_queries: images asked about, with or without a gradient.
        n_classes: of the target.

    Raises:
        AccessError: the target does not give that level.
    """

    def __init__(self, target: TargetModel | nn.Module, access: Access | str, device: torch.device | str = "cpu"):
        self.access, self.device, self.n_queries = Access.of(access), torch.device(device), 0
        if isinstance(target, nn.Module):
            inside = isinstance(target, Wrapped) and self.access > Access.LOGITS
            target = TargetModel.wrap(target.module if inside else target)
        if target.access < self.access:
            raise AccessError(f"the attack needs access '{self.access}', {target.name} gives '{target.access}'")
        self._target, self.n_classes = target, target.n_classes
        self._module: nn.Module | None = None
        if self.access is Access.WEIGHTS:
            self._module = copy.deepcopy(target.module).to(self.device).eval().requires_grad_(False)

    @property
    def module(self) -> nn.Module:
        """A copy of the model in eval mode, whose weights take no gradient; what it is asked is not counted.

        Raises:
            AccessError: the attack declared a lower level.
        """
        self._need(Access.WEIGHTS)
        return self._module

    def logits(self, images: Float32[Tensor, "images ..."]) -> Float32[Tensor, "images classes"]:
        """Scores before softmax, through which gradients flow back to the images; needs "weights"."""
        self._need(Access.WEIGHTS)
        self.n_queries += len(images)
        return self._as_logits(self._module(images))

    @torch.no_grad()
    def log_probabilities(self, images: Float32[Tensor, "images ..."]) -> Float32[Tensor, "images classes"]:
        """Logarithms of the answers, without gradients; needs "probabilities"."""
        self._need(Access.PROBABILITIES)
        self.n_queries += len(images)
        if self._module is not None:
            return self._as_logits(self._module(images)).log_softmax(1)
        answers = torch.from_numpy(self._target.logits(images.detach().cpu().numpy()))
        return answers.log_softmax(1).float().to(self.device)

    @torch.no_grad()
    def labels(self, images: Float32[Tensor, "images ..."]) -> Int64[Tensor, " images"]:
        """Predicted classes, the least there is to ask for."""
        self.n_queries += len(images)
        if self._module is not None:
            return self._as_logits(self._module(images)).argmax(1)
        return torch.from_numpy(self._target.labels(images.detach().cpu().numpy())).to(self.device)

    def _as_logits(self, answers: Tensor) -> Tensor:
        if self._target.outputs == "probabilities":
            if answers.shape[-1] == 1:
                answers = torch.cat([1 - answers, answers], dim=1)
            return answers.clamp(min=SMALLEST_PROBABILITY).log()
        return torch.cat([torch.zeros_like(answers), answers], dim=1) if answers.shape[-1] == 1 else answers

    def _need(self, level: Access) -> None:
        if self.access < level:
            raise AccessError(f"this attack declared access '{self.access}' and asked for what '{level}' gives")
