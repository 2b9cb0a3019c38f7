"""A VAE's training by DP-SGD: the noisy gradient of a step, and what all steps spend."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from seepage.models.accounting import epsilon
from seepage.models.clipping import per_sample_clipped_sum
from seepage.models.generators.elbo import negative_elbo
from seepage.models.generators.vae import TrainingPrivacy
from seepage.models.generators.vae_networks import Network


class Elbo(nn.Module):
    """The negative ELBO as what a module gives, so that it can be called with other parameters."""

    def __init__(self, network: Network, kl_weight: float):
        super().__init__()
        self.network, self.kl_weight = network, kl_weight

    def forward(self, x: Tensor, classes: Tensor, noise: Tensor) -> Tensor:
        return negative_elbo(self.network, x, classes, noise, self.kl_weight)


def set_private_gradient(
    network: Network,
    x: Float[Tensor, "batch values"],
    classes: Float[Tensor, "batch classes"],
    noise: Float[Tensor, "batch latent"],
    *,
    noise_multiplier: float,
    max_norm: float,
    expected: int,
    kl_weight: float = 1.0,
    rng: np.random.Generator,
) -> None:
    """Set each parameter's gradient to (sum_i clip(g_i, C) + N(0, (sigma C)^2)) / expected.

    Args:
        x, classes, noise: of the records that were drawn, maybe none; the noise of each one's latent.
        noise_multiplier, max_norm: sigma and C.
        expected: size of a batch on average.
        kl_weight: see `negative_elbo`.
        rng: of the noise. Not PyTorch's: its CPU generator takes 32 bits of a seed, which can be tried one by one.
    """
    elbo = Elbo(network, kl_weight)
    parameters = {name: p.detach() for name, p in elbo.named_parameters()}

    def loss(parameters: dict[str, Tensor], *record: Tensor) -> Tensor:
        return functional_call(elbo, parameters, tuple(part.unsqueeze(0) for part in record)).sum()

    summed = {name: torch.zeros_like(p) for name, p in parameters.items()}
    if len(x):
        everyone = torch.ones(len(x), dtype=torch.bool)
        summed = per_sample_clipped_sum(loss, parameters, (x, classes, noise), everyone, max_norm)
    for name, p in elbo.named_parameters():
        drawn = torch.from_numpy(rng.standard_normal(tuple(p.shape), dtype=np.float32))
        p.grad = (summed[name] + noise_multiplier * max_norm * drawn) / expected


def spent(noise_multiplier: float, max_norm: float, sample_rate: float, n_steps: int, delta: float) -> TrainingPrivacy:
    """What so many steps on Poisson batches promise."""
    bound = epsilon(noise_multiplier, sample_rate, n_steps, delta=delta)
    return TrainingPrivacy(bound, delta, noise_multiplier, max_norm, sample_rate, n_steps)
