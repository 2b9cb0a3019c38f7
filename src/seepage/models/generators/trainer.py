"""The GAN trainer: a generator and a critic that learn against each other, and a state that a killed training goes on
from."""

from __future__ import annotations

import copy
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from seepage.data.cache import reading
from seepage.errors import DataFileError, StorageError, TrainingError
from seepage.models.generators.tensors import read_tensors, write_tensors
from seepage.writing import make_folder, sweep, warn_damaged

AVERAGE = 0.999  # decay of the moving average of the generator's weights
CHECKPOINT_STEPS = 500
STATISTICS_BATCHES = 50


class GanTrainer(ABC):
    """Everything that a training of a GAN has between two steps.

    A step is `critic_steps` updates of the critic and then one of the generator ("images"), by Adam with a rate that
    falls linearly to 0. The generator that comes out has the moving average of the weights.

    Everything random in step t comes from (seed, t) alone, so that a training that was killed and starts again in its
    folder ends where it would have ended.

    Args:
        networks: makes the generator and the critic.
        rates: Adam's rates at the start, of "images" and "critic".
        betas: Adam's.
        settings: all that the training depends on, to know its state again.
        n_records: that batches are drawn from.
        seed, n_steps, batch_size: of the training.
        critic_steps: updates of the critic in one step.
        device: where the networks go.
    """

    def __init__(
        self,
        networks: Callable[[], tuple[nn.Module, nn.Module]],
        rates: dict[str, float],
        betas: tuple[float, float],
        settings: Mapping[str, Any],
        *,
        n_records: int,
        seed: int,
        n_steps: int,
        batch_size: int,
        critic_steps: int = 1,
        device: torch.device | str,
    ):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.images, self.critic = networks()
        self.average = copy.deepcopy(self.images)
        self.modules = {"images": self.images, "critic": self.critic, "average": self.average}
        for module in self.modules.values():
            module.to(device).train()
        self.optimisers = {
            name: torch.optim.Adam(self.modules[name].parameters(), lr, betas) for name, lr in rates.items()
        }
        self.rates, self.settings, self.device = rates, dict(settings), device
        self.n_records, self.seed, self.n_steps, self.batch_size = n_records, seed, n_steps, batch_size
        self.critic_steps, self.steps_done = critic_steps, 0

    @abstractmethod
    def critic_loss(self, rng: np.random.Generator) -> Float[Tensor, ""]:
        """A scalar, on a new batch."""

    @abstractmethod
    def images_loss(self, rng: np.random.Generator) -> Float[Tensor, ""]:
        """A scalar, on a new batch."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """What the generator takes for one batch."""

    def train(self, folder: str | os.PathLike | None, report: Callable[[float], None]) -> tuple[nn.Module, nn.Module]:
        """Take all steps that are left after the folder's last state.

        Returns:
            The averaged generator, with the statistics that its own images have; the critic.

        Raises:
            StorageError: the folder cannot be written, or holds the training of another generator.
            TrainingError: the training diverged.
        """
        checkpoint = None if folder is None else Path(folder) / "training.safetensors"
        if checkpoint is not None:
            sweep(checkpoint.parent)
        if checkpoint is not None and checkpoint.exists():
            try:
                self.restore(checkpoint)
            except DataFileError as error:
                warn_damaged(f"{error}: it is made again from the first step")
        while self.steps_done < self.n_steps:
            self.step()
            if checkpoint is not None and self.steps_done % CHECKPOINT_STEPS == 0:
                self.keep(checkpoint)
            report(self.steps_done / self.n_steps)
        if checkpoint is not None:
            self.keep(checkpoint)
        check_finite(self.critic)
        rng = np.random.default_rng([self.seed, self.n_steps])
        return settled(self.average, lambda network: network(*self.draw(rng))), self.critic

    def step(self) -> None:
        """Train both networks once, and count the step."""
        rng = np.random.default_rng([self.seed, self.steps_done])
        for _ in range(self.critic_steps):
            self._update("critic", self.critic_loss(rng))
        self._update("images", self.images_loss(rng))
        follow(self.average, self.images, self.steps_done)
        self.steps_done += 1

    def records(self, rng: np.random.Generator) -> Int64[np.ndarray, " batch"]:
        """Which records are in a batch."""
        return rng.integers(0, self.n_records, self.batch_size)

    def noise(self, n_dimensions: int, rng: np.random.Generator) -> Float[Tensor, "batch dimensions"]:
        """A batch of z ~ N(0, I)."""
        return self._tensor(rng.standard_normal((self.batch_size, n_dimensions), dtype=np.float32))

    def keep(self, path: Path) -> None:
        """Write everything that the next step depends on."""
        tensors = {
            f"{name}.{key}": v for name, module in self.modules.items() for key, v in module.state_dict().items()
        }
        for name, optimiser in self.optimisers.items():
            for place, state in optimiser.state_dict()["state"].items():
                tensors |= {f"adam.{name}.{place}.{key}": value for key, value in state.items()}
        try:
            make_folder(path.parent)
        except OSError as error:
            raise StorageError(f"cannot write to the folder {path.parent}: {error.strerror}") from None
        write_tensors(path, tensors, {"settings": self.settings, "steps_done": self.steps_done})

    def restore(self, path: Path) -> None:
        """Go on from what `keep` wrote.

        Raises:
            DataFileError: the file is damaged, or has no checksum; nothing is changed then.
            StorageError: it is of another training.
        """
        tensors, about = read_tensors(path, unchecked=False)
        if about.get("settings") != self.settings:
            raise StorageError(
                f"{path.parent} holds the training of another generator (other data or target, seed, steps, batch "
                "size or width): choose another folder, or delete this one to start again"
            )
        with reading(path):
            for name, module in self.modules.items():
                prefix = f"{name}."
                module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
            for name, optimiser in self.optimisers.items():
                state: dict[int, dict[str, Tensor]] = {}
                for key, value in tensors.items():
                    if key.startswith(f"adam.{name}."):
                        _, _, place, what = key.split(".")
                        state.setdefault(int(place), {})[what] = value
                optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
            self.steps_done = operator.index(about["steps_done"])

    def _update(self, name: str, loss: Tensor) -> None:
        """A step of Adam on one network."""
        optimiser, parameters = self.optimisers[name], list(self.modules[name].parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimiser.param_groups[0]["lr"] = self.rates[name] * (1 - self.steps_done / self.n_steps)
        optimiser.step()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(self.device)


def follow(average: nn.Module, network: nn.Module, steps_done: int) -> None:
    """average <- d average + (1 - d) network, for their weights."""
    # Early weights are far from the last ones: the average forgets faster as long as it is short.
    decay = min(AVERAGE, (1 + steps_done) / (10 + steps_done))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def settled(average: nn.Module, sample: Callable[[nn.Module], Any]) -> nn.Module:
    """A copy of averaged weights whose batch norms have the statistics of its own images.

    Args:
        average: the moving average of a generator's weights.
        sample: makes one batch with the network that it is given.

    Raises:
        TrainingError: a weight is no longer finite.
    """
    network = copy.deepcopy(average).train()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
    with torch.no_grad():
        for _ in range(STATISTICS_BATCHES):
            sample(network)
    check_finite(network)
    return network


def check_finite(network: nn.Module) -> None:
    """Check that every weight is a number.

    Raises:
        TrainingError: one is not.
    """
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise TrainingError("the training of a generator diverged: its weights are no longer finite")
