"""The loss of a variational autoencoder."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from seepage.models.generators.columns import log_likelihood
from seepage.models.generators.vae_networks import Network


def negative_elbo(
    network: Network,
    x: Float[Tensor, "batch values"],
    classes: Float[Tensor, "batch classes"],
    noise: Float[Tensor, "batch latent"],
) -> Float[Tensor, " batch"]:
    """-log p(x | z) + KL(q(z | x) || N(0, I)) of each record, in nats, z being mu + sigma noise."""
    mean, log_variance = network.encode(x, classes)
    raw = network.decode(mean + (0.5 * log_variance).exp() * noise, classes)
    kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)
    return kl - log_likelihood(raw, x, network.columns, network.bounded_log_sigma())
