"""Gradient inversion: pixels that the target knows, smooth, and with the statistics that its norms remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from seepage.inversion.base import Attempt, Budget, Images, Rngs, uniform
from seepage.inversion.descent import Descent
from seepage.inversion.layers import inputs_of, of_kind
from seepage.inversion.objectives import Losses, cross_entropy
from seepage.inversion.optimisers import Adam


@dataclass(frozen=True)
class GradientInversion(Descent):
    """DeepInversion without a student, on pixels.

        min over x of  -log p_y(x) + tv * TV(x) + l2 * ||x|| + bn * sum over BatchNorm layers of R
        R = ||mean(x) - running mean|| + ||var(x) - running var||

    x begins as noise, uniform on [0, 1). TV adds up four norms, of the differences to the neighbour on the right,
    below, and on both diagonals. In every step each image is shifted round by up to `jitter` pixels in both directions.

    Options:
        lr: of Adam; 0.05 and 0.1 in the source, for inputs of unit variance.
        tv: weight of TV. The source's better images have 0.001, for norms over a batch of 256 images, which is as much
            as 0.016 for the norms of each.
        l2: weight of the norm of the image.
        bn: weight of R; 10 to 100 in the source. Less here, tried on MNIST, as one image cannot have the statistics of
            many.
        jitter: in pixels.

    Reference: Yin et al. 2020 (CVPR, arXiv 1912.08795); code github.com/NVlabs/DeepInversion, folder cifar10: 2000
        steps, norms that are not squared.
    Deviations: mean and var are taken over the positions of one image, not over a batch of images: an image does not
        depend on those made beside it. The var of one image is less than that of many, so R is not 0 on real images
        either, and layers without positions (BatchNorm1d) are left out. Norms of TV are of one image as well. Pixels
        stay in [0, 1], and begin there. The last image is returned, not that of the least loss.
    """

    title: ClassVar[str] = "Gradient inversion"
    source: ClassVar[str] = "Yin et al. 2020 (arXiv 1912.08795)"
    prior: ClassVar[str] = "pixels"
    own: ClassVar[Budget] = Budget(steps=2000)
    notes: ClassVar[tuple[str, ...]] = (
        "Statistics of BatchNorm are compared image by image; a target without BatchNorm has none to compare.",
    )

    lr: Annotated[float, Gt(0)] = 0.05
    tv: Annotated[float, Ge(0)] = 0.01
    l2: Annotated[float, Ge(0)] = 0.0
    bn: Annotated[float, Ge(0)] = 0.1
    jitter: Annotated[int, Ge(0)] = 2

    def start(self, attempt: Attempt) -> list[Tensor]:
        # Noise as in the source, whatever pixels begin as: images of a class would differ by their shifts alone.
        return [uniform(attempt.rngs, *attempt.prior.image_shape, device=attempt.prior.device)]

    @property
    def update(self) -> Adam:
        return Adam(self.lr)

    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Losses:
        images = shifted(images, attempt.rngs, self.jitter)
        norms = of_kind(attempt.oracle.module, _BatchNorm) if self.bn else []
        with inputs_of(norms) as seen:
            logits = attempt.oracle.logits(images)
        loss = cross_entropy(logits, attempt.labels)
        loss = loss + self.tv * total_variation(images) + self.l2 * length(images)
        return loss + self.bn * sum(distance(layer, given) for layer, given in seen)

    def project(self, variables: list[Tensor], attempt: Attempt) -> list[Tensor]:
        return [images.clamp(0, 1) for images in variables]


def total_variation(images: Images) -> Losses:
    """Norms of the differences of neighbours in four directions, added up, of each image."""
    across = images[..., :, 1:] - images[..., :, :-1]
    down = images[..., 1:, :] - images[..., :-1, :]
    falling = images[..., 1:, 1:] - images[..., :-1, :-1]
    rising = images[..., :-1, 1:] - images[..., 1:, :-1]
    return length(across) + length(down) + length(falling) + length(rising)


def length(values: Tensor) -> Losses:
    """The Euclidean norm of each row; its gradient is 0 at 0."""
    return torch.linalg.vector_norm(values.flatten(1), dim=1)


def distance(norm: nn.Module, given: Tensor) -> Losses:
    """How far an image's mean and variance over positions are from what a BatchNorm layer remembers."""
    if norm.running_mean is None or given.ndim < 3:
        return given.new_zeros(len(given))
    values = given.flatten(2)
    mean, variance = values.mean(2), values.var(2, correction=0)
    return length(mean - norm.running_mean) + length(variance - norm.running_var)


def shifted(images: Images, rngs: Rngs, most: int) -> Images:
    """Each image moved by its own whole numbers of pixels, up to `most` down and right or up and left, round."""
    if most == 0:
        return images
    height, width = images.shape[2:]
    moves = torch.tensor([rng.integers(-most, most + 1, 2).tolist() for rng in rngs], device=images.device)
    rows = (torch.arange(height, device=images.device) - moves[:, :1]) % height
    columns = (torch.arange(width, device=images.device) - moves[:, 1:]) % width
    images = images.gather(2, rows[:, None, :, None].expand_as(images))
    return images.gather(3, columns[:, None, None, :].expand_as(images))
