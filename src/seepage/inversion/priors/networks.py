"""The networks of GANs without classes: z -> image, image -> score, image -> scores of the target's classes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.models.generators.gan import plan_sides

KERNELS, KERNEL_SIZE = 64, 50  # of minibatch discrimination
SLOPE = 0.2


class ImageNetwork(nn.Module):
    """z (batch, latent) -> images (batch, *image_shape) in [0, 1], by transposed convolutions that double the side.

    Reference: Radford, Metz and Chintala (2016), Unsupervised representation learning with deep convolutional GANs,
        section 3. Deviation: a quarter of its width or less.
    """

    def __init__(self, image_shape: tuple[int, int, int], latent: int, width: int):
        super().__init__()
        channels, base, widths = plan_sides(image_shape, width)
        first = nn.Linear(latent, widths[0] * base * base, bias=False)
        layers = [first, nn.Unflatten(1, (widths[0], base, base))]
        for a, b in zip(widths, [*widths[1:], channels], strict=True):
            layers += [nn.BatchNorm2d(a), nn.ReLU(), nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch channels side side"]:
        return (self.layers(z).tanh() + 1) / 2


class Features(nn.Module):
    """Images in [0, 1] -> (batch, channels, base, base), by convolutions that halve the side."""

    def __init__(self, image_shape: tuple[int, int, int], width: int, normed: bool):
        super().__init__()
        channels, base, widths = plan_sides(image_shape, width)
        widths = widths[::-1]
        self.n_channels, self.n_features = widths[-1], widths[-1] * base * base
        layers = []
        for a, b in zip([channels, *widths], widths, strict=False):
            layers.append(nn.Conv2d(a, b, 4, stride=2, padding=1))
            layers += [nn.InstanceNorm2d(b, affine=True)] if normed else []
            layers.append(nn.LeakyReLU(SLOPE))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(2 * images - 1)


class Critic(nn.Module):
    """Images in [0, 1] -> one score each, by itself: nothing in it looks at the rest of the batch."""

    def __init__(self, image_shape: tuple[int, int, int], width: int):
        super().__init__()
        self.features = Features(image_shape, width, normed=False)
        self.score = nn.Linear(self.features.n_features, 1)

    def forward(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
        return self.score(self.features(images).flatten(1))[:, 0]


class MinibatchDiscrimination(nn.Module):
    """How close each image is to the others of its batch, in `KERNELS` ways.

    M_i = T f_i, KERNELS rows of KERNEL_SIZE numbers;    o_ib = sum over j != i of exp(-||M_ib - M_jb||_1)

    An image alone has no others: o = 0.

    Reference: Salimans et al. (2016), Improved techniques for training GANs, section 3.2. Deviation: T begins at
        N(0, 1 / (KERNEL_SIZE^2 features)) for distances near 1; KED-MI's code draws N(0, 1), at which every exp is 0.
    """

    def __init__(self, n_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_features, KERNELS * KERNEL_SIZE) / (KERNEL_SIZE * n_features**0.5))

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch kernels"]:
        rows = (features @ self.weight).view(-1, KERNELS, KERNEL_SIZE).transpose(0, 1)
        distances = torch.cdist(rows, rows, p=1)  # (kernels, batch, batch)
        return (torch.exp(-distances).sum(2) - 1).T


class ClassDiscriminator(nn.Module):
    """Images in [0, 1] -> (features, logits of the target's k classes); that an image is no real one is a class more,
    whose logit is 0: log p(real) = -softplus(-LSE(logits)).

    Reference: Chen et al. (ICCV 2021), Knowledge-enriched distributional model inversion, section 3.1; code
        github.com/SCccc21/Knowledge-Enriched-DMI. Deviation: minibatch discrimination looks at the spatial means of the
        features, since all of them would make most of the network.
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int, n_classes: int):
        super().__init__()
        self.features = Features(image_shape, width, normed=True)
        self.closeness = MinibatchDiscrimination(self.features.n_channels)
        self.classes = nn.Linear(self.features.n_features + KERNELS, n_classes)

    def forward(self, images: Float[Tensor, "batch ..."], alone: bool = False) -> tuple[Tensor, Tensor]:
        """Args:
        images: (batch, *image_shape).
        alone: judge each image as if it were the only one of its batch.
        """
        maps = self.features(images)
        features = maps.flatten(1)
        closeness = features.new_zeros(len(features), KERNELS) if alone else self.closeness(maps.mean((2, 3)))
        return features, self.classes(torch.cat([features, closeness], 1))


def log_sum_exp(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """LSE, the logit of being real."""
    return torch.logsumexp(logits, 1)


def unreal(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """-log p(real) = softplus(LSE) - LSE = softplus(-LSE)."""
    return F.softplus(-log_sum_exp(logits))
