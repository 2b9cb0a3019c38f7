"""Where a torch module is, and where one goes."""

from __future__ import annotations

import torch
from torch import nn

from seepage.errors import InputError


def device_of(module: nn.Module) -> torch.device:
    """Where its weights are; the CPU for a module without any."""
    return next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))


def choose_device(device: str | None = None) -> str:
    """The device that was asked for; by default the GPU where there is one.

    Raises:
        InputError: there is no such device here.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"there is no device '{device}' here: {str(error).splitlines()[0]}") from None
    return device
