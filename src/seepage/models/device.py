"""Where a torch module is."""

from __future__ import annotations

import torch
from torch import nn


def device_of(module: nn.Module) -> torch.device:
    """Where its weights are; the CPU for a module without any."""
    return next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
