"""Generators: what makes records of a class, trained here (gan.py) or brought along by the user (adapter.py).

Each has `sample(labels, rng) -> uint8 (n, channels, height, width)` and nothing else that a user of it may count on.
"""

from __future__ import annotations

from seepage.models.generators.adapter import Callback, StyleGAN, from_callable
from seepage.models.generators.columns import Columns
from seepage.models.generators.gan import Generator, train_gan
from seepage.models.generators.vae import VAE
from seepage.models.generators.vae_training import train_vae

__all__ = ["VAE", "Callback", "Columns", "Generator", "StyleGAN", "from_callable", "train_gan", "train_vae"]
