"""Logits divided by a temperature, given or fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor, nn

from seepage.defences.answers import AnswerDefence, logits_of
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from seepage.models.temperature import fit_temperature
from seepage.models.wrapper import Wrapped

LEAST_RECORDS = 20


@dataclass(frozen=True)
class Temperature(AnswerDefence):
    """Logits divided by a temperature.

        o = z / T

    Options:
        temperature: T; None: that of least negative log-likelihood on the validation records, for each model its own.

    Reference: Shokri et al. 2017 (arXiv 1610.05820), mitigation strategies: increase entropy of the prediction vector;
        fitted as in Guo et al. 2017 (arXiv 1706.04599), section 4.2.
    """

    temperature: Annotated[float, Gt(0)] | None = None

    grid: ClassVar[tuple[dict[str, Any], ...]] = (
        {"temperature": 20.0},
        {"temperature": 5.0},
        {"temperature": 2.0},
        {"temperature": None},
    )
    title = "Temperature"
    source = "Shokri et al. 2017 (arXiv 1610.05820), mitigation strategies; Guo et al. 2017 (arXiv 1706.04599)"

    @property
    def uses(self) -> frozenset[str]:
        return frozenset() if self.temperature is not None else frozenset({"validation"})

    @property
    def notes(self) -> tuple[str, ...]:
        return ("A temperature can be undone: it hides nothing from an attack that has references with the same one.",)

    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> Tempered:
        return Tempered(module)

    def _fit(self, wrapped: Tempered, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int) -> None:
        temperature = self.temperature
        if temperature is None:
            rows = held_out.need("validation", LEAST_RECORDS, "a fitted temperature")
            labels = records.labels[torch.as_tensor(rows, device=records.labels.device)]
            temperature = fit_temperature(logits_of(wrapped.module, records, rows).cpu().numpy(), labels.cpu().numpy())
        wrapped.temperature.fill_(temperature)


class Tempered(Wrapped):
    """A module behind `Temperature`."""

    def __init__(self, module: nn.Module):
        super().__init__(module)
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x) / self.temperature
