"""Where a torch module is, and where one goes."""

from __future__ import annotations

import torch
from torch import nn


def device_of(module: nn.Module) -> torch.device:
    """Where its weights are; the CPU for a module without any."""
    return next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))


def choose_device(device: torch.device | str | None = None) -> torch.device | str:
    """The device that was asked for; by default the GPU where there is one."""
    return device or ("cuda" if torch.cuda.is_available() else "cpu")
