"""When a training ends before its last epoch, or goes back to an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seepage.models.batches import Stream
from seepage.models.recipe import BestValidation
from seepage.models.records import Records

EVALUATION_BATCH = 1024


class EpochAccuracy:
    """Training accuracy of each model within its present pass, for `StopAt`."""

    def __init__(self, n_models: int):
        self.hits, self.seen = [0.0] * n_models, [0] * n_models

    def add(self, hits: Sequence[float], batch_size: int) -> None:
        for model, hit in enumerate(hits):
            self.hits[model] += hit
            self.seen[model] += batch_size

    def ends(self, model: int, stream: Stream, step: int, threshold: float) -> bool:
        if stream.epoch(step + 1) == stream.epoch(step):
            return False
        accuracy = self.hits[model] / self.seen[model]
        self.hits[model], self.seen[model] = 0.0, 0
        return accuracy >= threshold

    def keep(self, models: Sequence[int]) -> None:
        self.hits, self.seen = [self.hits[m] for m in models], [self.seen[m] for m in models]


class BestEpoch:
    """The state of each model in the epoch that did best on the validation records, for `BestValidation`."""

    def __init__(self, rule: BestValidation, n_models: int):
        self.rule = rule
        self.accuracy = [-1.0] * n_models
        self.epochs_since = [0] * n_models
        self.state: list[dict[str, Tensor] | None] = [None] * n_models

    def offer(self, model: int, accuracy: float, state: Callable[[], dict[str, Tensor]]) -> bool:
        """Take note of an epoch's accuracy; whether the model's training ends with it."""
        if self.state[model] is None or accuracy > self.accuracy[model] + self.rule.least_gain:
            self.accuracy[model], self.epochs_since[model] = accuracy, 0
            self.state[model] = {name: tensor.detach().clone() for name, tensor in state().items()}
            return False
        self.epochs_since[model] += 1
        return self.rule.patience is not None and self.epochs_since[model] >= self.rule.patience


@torch.no_grad()
def validation_accuracy(module: nn.Module, records: Records, rows: Tensor) -> float:
    """Share of the records at `rows` that the module classifies rightly in eval mode; its mode is put back."""
    was_training = module.training
    module.eval()
    parts = rows.split(EVALUATION_BATCH)
    hits = sum((module(records.batch(part)).argmax(1) == records.labels[part]).sum().item() for part in parts)
    module.train(was_training)
    return hits / len(rows)
