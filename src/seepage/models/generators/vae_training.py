"""Training a variational autoencoder, plainly or with differential privacy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from seepage.data import Pool
from seepage.errors import InputError, TrainingError
from seepage.models.generators.columns import Columns
from seepage.models.generators.elbo import negative_elbo
from seepage.models.generators.vae import VAE, Training, canonical
from seepage.models.generators.vae_networks import Network, chosen
from seepage.models.generators.vae_privacy import set_private_gradient, spent
from seepage.models.plan import one_thread

N_STEPS = 3000  # where no number of passes is given
WARM_UP = 1 / 3  # of the steps, in which the weight of the KL term rises to 1
WIDTHS = {"mlp": 256, "conv": 16}


def train_vae(
    pool: Pool,
    *,
    conditional: bool = False,
    latent: int = 16,
    network: str = "auto",
    width: int | None = None,
    columns: Columns | None = None,
    epochs: int | None = None,
    batch_size: int = 64,
    lr: float = 1e-3,
    noise_multiplier: float | None = None,
    max_norm: float = 1.0,
    delta: float | None = None,
    seed: int,
    report: Callable[[float], None] = lambda fraction: None,
) -> VAE:
    """A VAE of the pool's records, by Adam on the mean of

        -ELBO(x) = -log p(x | z) + KL(q(z | x) || N(0, I)),    z = mu(x) + exp(log_variance(x) / 2) e,  e ~ N(0, I)

    The KL term is 1/2 sum(mu^2 + exp(log_variance) - log_variance - 1); its weight rises from 0 to 1 over the first
    third of the steps.

    Args:
        pool: records; its labels are used where `conditional`.
        conditional: both networks see the class.
        latent: dimensions of z.
        network: "mlp", "conv" (images with even sides), or "auto": "conv" for images of 16 x 16 on.
        width: of the hidden layers ("mlp", 256), or channels at half the image's side ("conv", 16).
        columns: what a record's values are; by default what they look like (`Columns.guess`).
        epochs: passes over the records; by default those that make 3,000 steps.
        batch_size: records a step; their expected number with `noise_multiplier`.
        lr: Adam's rate.
        noise_multiplier: DP-SGD: batches are drawn record by record, each record's gradient is clipped to `max_norm`
            and N(0, (noise_multiplier max_norm)^2) is added to their sum. None trains plainly.
        max_norm: see there.
        delta: that the epsilon of DP-SGD is told for; by default 1 / (10 records).
        seed: everything random derives from it.
        report: told the share of the steps that is done.

    Raises:
        InputError: an option is out of range, the network does not suit the records, there are no labels and it is to
            be conditional, or, with DP-SGD, the range of the levels would have to be measured.
        TrainingError: the training diverged.

    Reference: Kingma and Welling (2014), Auto-encoding variational Bayes (arXiv 1312.6114), section 2 and appendix C;
        DP-SGD as in Abadi et al. (2016, arXiv 1607.00133), with Adam after the noise. Deviations: ReLU, Adam, choices
        and numbers beside the paper's Bernoulli and Gaussian values; levels have one learnt sigma, as in Rybkin et al.
        (2021, arXiv 2006.13202), and the KL term is warmed up, as in Bowman et al. (2016, arXiv 1511.06349).
    """
    _check(pool, conditional, latent=latent, batch_size=batch_size, epochs=1 if epochs is None else epochs)
    if lr <= 0 or max_norm <= 0 or (noise_multiplier is not None and noise_multiplier <= 0):
        raise InputError(
            f"expected lr, max_norm and noise_multiplier above 0, got {lr}, {max_norm} and {noise_multiplier}"
        )
    delta = 1 / (10 * len(pool)) if delta is None else delta
    if not 0 < delta < 1:
        raise InputError(f"delta must be in (0, 1), got {delta}")
    private = noise_multiplier is not None
    batch_size = min(batch_size, len(pool))
    columns = Columns.guess(pool) if columns is None else columns
    kind = chosen(network, pool.inputs.shape[1:])
    n_classes = pool.n_classes if conditional else 0
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = Network(pool.inputs.shape[1:], columns, latent, kind, width or WIDTHS.get(kind, 1), n_classes)
        measured = _measure(built, pool, private)
        per_epoch = len(pool) / batch_size
        n_steps = N_STEPS if epochs is None else math.ceil(epochs * per_epoch)
        inputs = torch.from_numpy(np.array(pool.inputs))
        classes = torch.zeros(len(pool), 0)
        if conditional:
            classes = F.one_hot(torch.from_numpy(pool.labels), n_classes).float()
        rng = np.random.default_rng([seed, 1])
        optimiser = torch.optim.Adam(built.parameters(), lr)
        losses: list[float] = []
        total, seen = 0.0, 0
        batches = _poisson(len(pool), batch_size, rng) if private else _passes(len(pool), batch_size, rng)
        for step in range(n_steps):
            rows = torch.from_numpy(next(batches))
            x, noise = canonical(built, inputs[rows]), torch.randn(len(rows), latent)
            weight = min(1.0, (step + 1) / (WARM_UP * n_steps))
            if private:
                set_private_gradient(
                    built, x, classes[rows], noise,
                    noise_multiplier=noise_multiplier, max_norm=max_norm, expected=batch_size,
                    kl_weight=weight, rng=rng,
                )  # fmt: skip
            else:
                optimiser.zero_grad()
                loss = negative_elbo(built, x, classes[rows], noise, weight).mean()
                loss.backward()
                total, seen = total + loss.item() * len(rows), seen + len(rows)
                if seen >= len(pool) or step == n_steps - 1:
                    losses, total, seen = [*losses, total / seen], 0.0, 0
            optimiser.step()
            report((step + 1) / n_steps)
    if not all(bool(torch.isfinite(value).all()) for value in built.state_dict().values()):
        raise TrainingError("the training of a VAE diverged: its weights are no longer finite; lower lr")
    privacy = None
    if private:
        privacy = spent(noise_multiplier, max_norm, batch_size / len(pool), n_steps, delta)
    training = Training(pool.fingerprint, pool.name, len(pool), tuple(losses), privacy, measured)
    return VAE(built, pool.inputs.dtype.name, training)


def _measure(network: Network, pool: Pool, private: bool) -> bool:
    """Set the range of levels and the mean and deviation of numbers; whether records were looked at for it.

    DP-SGD does not look: levels must lie in [0, 1] (bytes: 0 to 255), and numbers are taken as they are.
    """
    flat = np.asarray(pool.inputs).reshape(len(pool), -1)
    levels, numbers = network.columns.of("unit"), network.columns.of("numeric")
    measured = False
    if len(levels):
        low, high = 0.0, 255.0 if flat.dtype == np.uint8 else 1.0
        if flat[:, levels].min() < low or flat[:, levels].max() > high:
            if private:
                raise InputError("DP-SGD may not measure the range of levels: bring them into [0, 1] beforehand")
            low, high, measured = float(flat[:, levels].min()), float(flat[:, levels].max()), True
        network.shift[levels], network.spread[levels] = low, high - low or 1.0
    if len(numbers) and not private:
        values = flat[:, numbers].astype(np.float64)
        deviation = values.std(axis=0)
        network.shift[numbers] = torch.from_numpy(values.mean(axis=0)).float()
        network.spread[numbers] = torch.from_numpy(np.where(deviation > 0, deviation, 1.0)).float()
        measured = True
    return measured


def _passes(n: int, batch_size: int, rng: np.random.Generator):
    """Batches of permutations laid end to end."""
    waiting = np.empty(0, dtype=np.int64)
    while True:
        while len(waiting) < batch_size:
            waiting = np.concatenate([waiting, rng.permutation(n)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def _poisson(n: int, expected: int, rng: np.random.Generator):
    """Batches in which each record takes part by its own coin, as the accountant presumes."""
    while True:
        yield np.flatnonzero(rng.random(n) < expected / n)


def _check(pool: Pool, conditional: bool, **positive: int) -> None:
    for name, value in positive.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise InputError(f"{name} must be a positive whole number, got {value!r}")
    if conditional and pool.labels is None:
        raise InputError(f"a conditional VAE needs labels, and the pool '{pool.name}' has none")
