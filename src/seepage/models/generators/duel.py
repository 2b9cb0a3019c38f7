"""Networks that train against each other: a step, the next one, and a state that a killed training goes on from."""

from __future__ import annotations

import copy
import json
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from seepage.data.cache import reading
from seepage.errors import DataFileError, StorageError, TrainingError
from seepage.models.files import read_safetensors
from seepage.writing import check_place, make_folder, payload_digest, sweep, warn_damaged, whole_file

AVERAGE = 0.999  # decay of the moving average of the generator's weights
CHECKPOINT_STEPS = 500
STATISTICS_BATCHES = 50


class Duel(ABC):
    """What is trained, and its optimisers' state, between two steps.

    Everything random in step t must come from a seed and t alone, so that a training that was killed and starts again
    in its folder ends where it would have ended.

    Args:
        modules: all networks, by name.
        rates: the rate of Adam at the start, for each module that is trained.
        betas: Adam's.
        settings: a dataclass of all that the training depends on; a field that is None is as good as absent.
        device: where the modules go.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        rates: dict[str, float],
        betas: tuple[float, float],
        settings: Any,
        device: torch.device | str,
    ):
        for module in modules.values():
            module.to(device).train()
        self.modules, self.rates, self.settings, self.device, self.steps_done = modules, rates, settings, device, 0
        self.optimisers = {name: torch.optim.Adam(modules[name].parameters(), lr, betas) for name, lr in rates.items()}

    @abstractmethod
    def step(self) -> None:
        """Train every network once, and count the step."""

    def go_on(
        self,
        n_steps: int,
        folder: str | os.PathLike | None,
        report: Callable[[float], None],
        every: int = CHECKPOINT_STEPS,
    ) -> None:
        """All the steps that are left, from where the folder's last state is.

        Raises:
            StorageError: the folder cannot be written, or holds the training of another generator.
        """
        checkpoint = None if folder is None else Path(folder) / "training.safetensors"
        if checkpoint is not None:
            sweep(checkpoint.parent)
        if checkpoint is not None and checkpoint.exists():
            try:
                self.restore(checkpoint)
            except DataFileError as error:
                warn_damaged(f"{error}: it is made again from the first step")
        while self.steps_done < n_steps:
            self.step()
            if checkpoint is not None and self.steps_done % every == 0:
                self.keep(checkpoint)
            report(self.steps_done / n_steps)
        if checkpoint is not None:
            self.keep(checkpoint)

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
        write_tensors(path, tensors, {"settings": self._described(), "steps_done": self.steps_done})

    def restore(self, path: Path) -> None:
        """Go on from what `keep` wrote.

        Raises:
            DataFileError: the file is damaged, or has no checksum; nothing is changed then.
            StorageError: it is of another training.
        """
        tensors, about = read_tensors(path, unchecked=False)
        if about.get("settings") != self._described():
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

    def _described(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self.settings).items() if value is not None}

    def _update(self, name: str, loss: Tensor, share: float) -> None:
        """A step of Adam on one module, at this share of its rate."""
        optimiser, parameters = self.optimisers[name], list(self.modules[name].parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimiser.param_groups[0]["lr"] = self.rates[name] * share
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
    finite(network)
    return network


def finite(network: nn.Module) -> None:
    """Nothing, where every weight is a number.

    Raises:
        TrainingError: one is not.
    """
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise TrainingError("the training of a generator diverged: its weights are no longer finite")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """One safetensors file, whole or not at all."""
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    about = {**about, "sha256": _digest(about, content)}
    try:
        with whole_file(path) as file:
            file.write(safetensors.torch.save(content, metadata={"about": json.dumps(about)}))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _digest(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    return payload_digest("", about, {name: value.numpy() for name, value in tensors.items()})


def read_tensors(path: Path, *, unchecked: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote, unless its content is not what the checksum in it says.

    Args:
        unchecked: take a file of an older version, which has no checksum.

    Raises:
        DataFileError: the file is missing, damaged or no safetensors.
    """
    check_place(path)
    tensors = read_safetensors(path)
    with reading(path, "safetensors"):
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
        if not isinstance(about, dict):
            raise ValueError(f"expected keys and values about it, got {type(about).__name__}")
    wanted = about.pop("sha256", None)
    if wanted is None and unchecked:
        return tensors, about
    if wanted is None or wanted != _digest(about, tensors):
        raise DataFileError(f"{path} is damaged: it does not have the checksum of its content")
    return tensors, about


def filled(path: Path, build: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> nn.Module:
    """The module that `build` makes with these weights in it; sizes that a file names are checked before they are paid.

    Raises:
        DataFileError: the weights are not those of this module.
    """
    with reading(path):
        with torch.device("meta"):
            shapes = {name: value.shape for name, value in build().state_dict().items()}
        if shapes != {name: value.shape for name, value in tensors.items()}:
            raise ValueError("its weights do not have the shapes that it says: save it again")
        module = build()
        module.load_state_dict(tensors)
        return module
