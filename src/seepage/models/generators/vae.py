"""A variational autoencoder: from records to a few numbers each, and back."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from seepage.data.cache import reading
from seepage.errors import DataFileError, InputError
from seepage.models.generators.columns import Columns, log_likelihood, means, settle
from seepage.models.generators.tensors import filled, read_tensors, write_tensors
from seepage.models.generators.vae_networks import Network
from seepage.models.outputs import labels_from
from seepage.models.plan import one_thread
from seepage.randomness import Seed, generator

SCHEMA = "seepage.vae/1"
AT_ONCE = 1024


@dataclass(frozen=True)
class TrainingPrivacy:
    """What DP-SGD bought: (epsilon, delta)-differential privacy of the networks, for adding or removing one record."""

    epsilon: float
    delta: float
    noise_multiplier: float
    max_norm: float
    sample_rate: float
    n_steps: int


@dataclass(frozen=True)
class Training:
    """How a VAE came to be.

    Attributes:
        pool: fingerprint of the records that it was trained on.
        name: what these are called.
        n_records: how many they were.
        losses: mean negative ELBO a record of each pass, in nats, the KL term at its weight of the moment; empty
            with DP-SGD, which may not tell them.
        privacy: where it was trained by DP-SGD.
        measured: whether ranges, means or deviations of numbers were taken from the records.
    """

    pool: str
    name: str
    n_records: int
    losses: tuple[float, ...]
    privacy: TrainingPrivacy | None
    measured: bool


class VAE:
    """What `train_vae` returns: an encoder, a decoder and the N(0, I) that joins them.

    Attributes:
        input_shape: of one record.
        n_classes: where it is conditional, else None.
        latent: numbers that a record is encoded in.
        columns: what a record's values are.
        training: how it came to be.
    """

    def __init__(self, network: Network, dtype: str, training: Training):
        self.network = network.eval().requires_grad_(False)
        self.dtype, self.training = np.dtype(dtype), training
        self.input_shape, self.latent, self.columns = network.input_shape, network.latent, network.columns
        self.n_classes = network.n_classes or None

    def encode(self, inputs: ArrayLike, labels: ArrayLike | None = None) -> Float32[np.ndarray, "samples latent"]:
        """mu(x), the mean of q(z | x); but for rounding the same, whichever others are encoded beside it.

        Args:
            inputs: (samples, ...) as in the pool that it was trained on, same range and dtype.
            labels: (samples,), where it is conditional.

        Raises:
            InputError: the records have another shape or dtype, or labels are missing, needless or out of range.
        """
        inputs = np.asarray(inputs)
        if inputs.shape[1:] != self.input_shape or inputs.dtype != self.dtype:
            raise InputError(
                f"expected {self.dtype} records of shape {self.input_shape}, as the VAE was trained on, got "
                f"{inputs.dtype} {inputs.shape[1:]}"
            )
        classes = self._classes(labels, len(inputs))
        codes = [np.empty((0, self.latent), dtype=np.float32)]
        with torch.no_grad(), one_thread():
            for start in range(0, len(inputs), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                x = canonical(self.network, torch.from_numpy(np.ascontiguousarray(inputs[some])))
                codes.append(self.network.encode(x, classes[some])[0].numpy())
        return np.concatenate(codes)

    def decode(self, z: ArrayLike, labels: ArrayLike | None = None) -> Float32[np.ndarray, "samples ..."]:
        """E[x | z]: levels and probabilities in [0, 1], numbers in the pool's own units.

        Args:
            z: (samples, latent).
            labels: (samples,), where it is conditional.

        Raises:
            InputError: z is not (samples, latent), or labels are missing, needless or out of range.
        """
        z = np.ascontiguousarray(z, dtype=np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise InputError(f"expected codes of shape (samples, {self.latent}), got {z.shape}")
        classes = self._classes(labels, len(z))
        parts = [np.empty((0, self.columns.width), dtype=np.float32)]
        with torch.no_grad(), one_thread():
            for start in range(0, len(z), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                raw = self.network.decode(torch.from_numpy(z[some]), classes[some])
                parts.append(means(raw, self.columns).numpy())
        values = np.concatenate(parts)
        numbers = self.columns.of("numeric")
        values[:, numbers] = values[:, numbers] * self._buffer("spread")[numbers] + self._buffer("shift")[numbers]
        return values.reshape(-1, *self.input_shape)

    def likelihood(
        self, inputs: ArrayLike, z: ArrayLike, labels: ArrayLike | None = None
    ) -> Float64[np.ndarray, " samples"]:
        """log p(x | z) of each record given a code, in nats and in the scale that the networks see.

        Args:
            inputs: (samples, ...) as for `encode`.
            z: (samples, latent).
            labels: (samples,), where it is conditional.

        Raises:
            InputError: labels are missing, needless or out of range.
        """
        inputs, z = np.asarray(inputs), np.ascontiguousarray(z, dtype=np.float32)
        classes = self._classes(labels, len(inputs))
        found = [np.empty(0)]
        with torch.no_grad(), one_thread():
            for start in range(0, len(inputs), AT_ONCE):
                some = slice(start, start + AT_ONCE)
                raw = self.network.decode(torch.from_numpy(z[some]), classes[some])
                x = canonical(self.network, torch.from_numpy(np.ascontiguousarray(inputs[some])))
                told = log_likelihood(raw, x, self.columns, self.network.bounded_log_sigma())
                found.append(told.double().numpy())
        return np.concatenate(found)

    def records(self, expected: Float32[np.ndarray, "samples ..."], rng: Seed | None = None) -> np.ndarray:
        """What `decode` gives, as records of the pool's dtype and range.

        Args:
            expected: (samples, ...), from `decode`.
            rng: to draw binary values, choices and the spread of numbers from what the decoder gives; by default each
                value is the likeliest one.
        """
        rng = None if rng is None else generator(rng)
        flat = np.asarray(expected, dtype=np.float32).reshape(len(expected), self.columns.width)
        spread, shift = self._buffer("spread"), self._buffer("shift")
        values = settle(flat, self.columns, self.network.bounded_log_sigma().exp().numpy() * spread, rng)
        levels = self.columns.of("unit")
        values[:, levels] = values[:, levels] * spread[levels] + shift[levels]
        if self.dtype == np.uint8:
            values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return values.reshape(-1, *self.input_shape)

    def sample(self, labels: ArrayLike | int, rng: Seed, *, draw: bool = False) -> np.ndarray:
        """New records: x ~ p(x | z), z ~ N(0, I).

        Args:
            labels: (samples,) where it is conditional, else how many.
            rng: source of the z, and of the values where `draw`.
            draw: values drawn from p(x | z) instead of the likeliest ones; see `records`.

        Returns:
            (samples, ...) in the pool's dtype and range.

        Raises:
            InputError: labels for a VAE that has no classes, or a number for one that has.
        """
        rng = generator(rng)
        alone = np.ndim(labels) == 0
        if alone != (self.n_classes is None):
            raise InputError(
                f"expected a number of records, got labels: this VAE knows no classes; pass {len(labels)}"
                if alone is False
                else "expected the labels of the records wanted, got a number: this VAE is conditional"
            )
        n = labels if alone else len(labels)
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise InputError(f"expected how many records to make, got {labels!r}")
        z = rng.standard_normal((int(n), self.latent), dtype=np.float32)
        return self.records(self.decode(z, None if alone else labels), rng if draw else None)

    def save(self, path: str | os.PathLike) -> None:
        """Write weights, options and `training` to one safetensors file, whole or not at all."""
        about = {"schema": SCHEMA, "network": self.network.options, "dtype": self.dtype.name}
        write_tensors(Path(path), self.network.state_dict(), {**about, "training": asdict(self.training)})

    @classmethod
    def load(cls, path: str | os.PathLike) -> VAE:
        """The VAE that `save` wrote; the file holds numbers only, so that opening it runs no code.

        Raises:
            DataFileError: the file is missing, corrupt or holds something else.
        """
        path = Path(path)
        tensors, about = read_tensors(path)
        if about.get("schema") != SCHEMA:
            raise DataFileError(f"{path} is not a VAE: expected a file that VAE.save wrote")
        network = filled(path, lambda: _network(about["network"]), tensors)
        with reading(path):
            told = about["training"]
            privacy = None if told["privacy"] is None else TrainingPrivacy(**told["privacy"])
            training = Training(**{**told, "losses": tuple(told["losses"]), "privacy": privacy})
            return cls(network, about["dtype"], training)

    def _classes(self, labels: ArrayLike | None, n: int) -> Tensor:
        if (labels is None) != (self.n_classes is None):
            raise InputError(
                "this VAE is conditional: pass the records' labels"
                if labels is None
                else "this VAE knows no classes: leave the labels out, or train it with conditional=True"
            )
        if labels is None:
            return torch.zeros(n, 0)
        labels = labels_from(labels, n_classes=self.n_classes)
        if len(labels) != n:
            raise InputError(f"expected {n} labels, one a record, got {len(labels)}")
        return F.one_hot(torch.from_numpy(labels), self.n_classes).float()

    def _buffer(self, name: str) -> np.ndarray:
        return getattr(self.network, name).numpy()


def canonical(network: Network, inputs: Tensor) -> Tensor:
    """(inputs - shift) / spread as float32 (batch, values): what the columns describe."""
    return (inputs.flatten(1).float() - network.shift) / network.spread


def _network(options: dict[str, Any]) -> Network:
    runs = tuple((kind, width) for kind, width in options["runs"])
    rest = {key: options[key] for key in ("latent", "network", "width", "n_classes")}
    return Network(tuple(options["input_shape"]), Columns(runs), **rest)
