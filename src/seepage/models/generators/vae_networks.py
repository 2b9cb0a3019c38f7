"""Encoders and decoders of a variational autoencoder: fully connected, or convolutions for images."""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seepage.errors import InputError, unknown_name
from seepage.models.generators.columns import Columns

NETWORKS = ("mlp", "conv")
SMALLEST_SIDE = 4  # an image is halved while its sides stay at least this long
SMALLEST_CONV = 16  # smaller images have too few pixels for convolutions to be worth their time
MOST_LOG_VARIANCE = 8.0
LOG_SIGMA = (-4.0, 4.0)
LOG_SIGMA_OF_LEVELS = -1.5  # to begin with: a level lies in [0, 1], and Adam would take thousands of steps from 0


class Network(nn.Module):
    """q(z | x) and p(x | z) of flattened records, with the class as a further input where there are classes.

    Args:
        input_shape: of one record.
        columns: what its values are.
        latent: dimensions of z.
        network: "mlp" or "conv".
        width: of the hidden layers, or channels at half the image's side.
        n_classes: 0 where it is not conditional.

    Normalisation over a batch has no place here: the gradient of one record must not depend on the others, or it
    could not be clipped.
    """

    def __init__(
        self, input_shape: tuple[int, ...], columns: Columns, latent: int, network: str, width: int, n_classes: int
    ):
        super().__init__()
        if network not in NETWORKS:
            raise unknown_name("network", network, (*NETWORKS, "auto"))
        values = math.prod(input_shape)
        if columns.width != values:
            raise InputError(f"expected columns for {values} values a record, got them for {columns.width}")
        self.options = {
            "input_shape": list(input_shape),
            "runs": [list(run) for run in columns.runs],
            "latent": latent,
            "network": network,
            "width": width,
            "n_classes": n_classes,
        }
        self.input_shape, self.columns, self.latent, self.n_classes = tuple(input_shape), columns, latent, n_classes
        if network == "mlp":
            self.encoder = nn.Sequential(nn.Linear(values, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
            self.decoder = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, values)
            )
            features = start = width
        else:
            self.encoder, self.decoder, features, start = _convolutions(self.input_shape, width)
        self.moments = nn.Linear(features + n_classes, 2 * latent)
        self.first = nn.Linear(latent + n_classes, start)
        log_sigma = torch.zeros(values)
        log_sigma[columns.of("unit")] = LOG_SIGMA_OF_LEVELS
        self.log_sigma = nn.Parameter(log_sigma)
        # inputs = shift + spread * x, x being what the columns describe
        self.register_buffer("shift", torch.zeros(values))
        self.register_buffer("spread", torch.ones(values))

    def encode(
        self, x: Float[Tensor, "batch values"], classes: Float[Tensor, "batch classes"]
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, "batch latent"]]:
        """Mean and log variance of q(z | x)."""
        mean, log_variance = self.moments(torch.cat([self.encoder(x), classes], dim=1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)

    def decode(
        self, z: Float[Tensor, "batch latent"], classes: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch values"]:
        """What the likelihood of each value depends on: logits, or the mean of a number."""
        return self.decoder(self.first(torch.cat([z, classes], dim=1)).relu())

    def bounded_log_sigma(self) -> Float[Tensor, " values"]:
        """Of numbers; a constant column would else take its sigma to 0 and the likelihood to infinity."""
        return self.log_sigma.clamp(*LOG_SIGMA)


def chosen(network: str, input_shape: tuple[int, ...]) -> str:
    """The network that "auto" stands for: convolutions from images of 16 x 16 on."""
    if network != "auto":
        return network
    return "conv" if len(input_shape) == 3 and min(input_shape[1:]) >= SMALLEST_CONV else "mlp"


def _convolutions(input_shape: tuple[int, ...], width: int) -> tuple[nn.Module, nn.Module, int, int]:
    """Convolutions that halve the sides and transposed ones that double them, with the sizes in between."""
    if len(input_shape) != 3:
        raise InputError(
            f"network='conv' expects images (channels, height, width), got records of shape {input_shape}: "
            "reshape them, or use 'mlp'"
        )
    channels, height, across = input_shape
    halvings = 0
    while height % 2 == across % 2 == 0 and min(height, across) // 2 >= SMALLEST_SIDE and halvings < 3:
        height, across, halvings = height // 2, across // 2, halvings + 1
    if not halvings:
        raise InputError(
            f"network='conv' expects images with even sides of {2 * SMALLEST_SIDE} or more, got {input_shape}: "
            "use 'mlp', or resize them"
        )
    sizes = [channels, *(width << step for step in range(halvings))]
    down: list[nn.Module] = [nn.Unflatten(1, input_shape)]
    for a, b in itertools.pairwise(sizes):
        down += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.ReLU()]
    up: list[nn.Module] = [nn.Unflatten(1, (sizes[-1], height, across))]
    for a, b in zip(sizes[:0:-1], sizes[-2::-1], strict=True):
        up += [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.ReLU()]
    features = sizes[-1] * height * across
    return nn.Sequential(*down, nn.Flatten()), nn.Sequential(*up[:-1], nn.Flatten()), features, features
