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
    kl_weight: float = 1.0,
) -> Float[Tensor, " batch"]:
    """-log p(x | z) + KL(q(z | x) || N(0, I)) of each record, in nats, z being mu + sigma noise.

    `kl_weight` times the second term, while a training begins: at full weight from the start the decoder learns to do
    without z before the encoder has learnt to say anything.
    """
    mean, log_variance = network.encode(x, classes)
    raw = network.decode(mean + (0.5 * log_variance).exp() * noise, classes)
    kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)
    return kl_weight * kl - log_likelihood(raw, x, network.columns, network.bounded_log_sigma())
