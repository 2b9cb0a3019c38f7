"""The network of transductive tuning: a copy of the target with two classes, and how it is tuned."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.attacks.few_shot.support import best_thresholds, select
from seepage.errors import InputError
from seepage.randomness import Seed, generator
from seepage.signals.view import View

BATCH_SIZE = 256
EPSILON = 1e-7  # Adam's, as in Keras
LEAST_PROBABILITY = 1e-10


@dataclass(frozen=True)
class Tuning:
    """How a copy is tuned; see `TransductiveTuning`, whose options these are.

    Attributes:
        head: what h is: "sorted", "logits" or "probabilities".
        mode: "corrected" or "official".
    """

    head: str
    mode: str
    temperatures: tuple[float, ...]
    epochs: int
    learning_rate: float
    patience: int


class TwoClasses(nn.Module):
    """g(x) = A h(x) + b, h the relu of the module's logits, their softmax, or that in descending order."""

    def __init__(self, module: nn.Module, support: Float[Tensor, "2 shots ..."], on: str):
        super().__init__()
        self.module, self.on = copy.deepcopy(module), on
        for parameter in self.module.parameters():
            parameter.requires_grad_(True)
        _to_eval(self)
        with torch.no_grad():
            rows = torch.stack([self.inner(side).mean(dim=0) for side in support])
        rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=1e-6)
        self.weight, self.bias = nn.Parameter(rows), nn.Parameter(torch.zeros_like(rows[:, 0]))

    def inner(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch classes"]:
        logits = self.module(x)
        if not isinstance(logits, Tensor):
            raise InputError(
                f"{type(self.module).__name__} returned a {type(logits).__name__}, expected one tensor (n, classes): "
                "wrap a module whose forward picks it out"
            )
        logits = logits.reshape(len(x), -1)
        if logits.shape[1] == 1:
            logits = torch.cat([-logits, logits], dim=1)
        if self.on == "logits":
            return F.relu(logits)
        probabilities = logits.softmax(dim=1)
        return probabilities.sort(dim=1, descending=True).values if self.on == "sorted" else probabilities

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch 2"]:
        return F.linear(self.inner(x), self.weight, self.bias)


def tuned_scores(
    tuning: Tuning,
    view: View,
    support: Int[np.ndarray, "2 shots"],
    validation: Int[np.ndarray, "2 validation"],
    unlabelled: Int[np.ndarray, " unlabelled"],
    queries: Int[np.ndarray, " queries"],
    *,
    rng: Seed,
) -> Float64[np.ndarray, " queries"]:
    """s(x) of the queries, by the copy that finds most of the validation records' members."""
    rng = generator(rng)
    module = view.model.module
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(0))

    def batch(rows: Int[np.ndarray, " rows"]) -> Tensor:
        return torch.from_numpy(view.records.batch(rows)).to(like.device, like.dtype)

    x_support, x_validation, x_unlabelled = batch(support.ravel()), batch(validation.ravel()), batch(unlabelled)
    # dropout draws from torch's generators: from a seed of ours, and what was there before is put back
    devices = [like.device] if like.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        torch.manual_seed(int(rng.integers(2**63)))
        start = TwoClasses(module, x_support.reshape(*support.shape, *x_support.shape[1:]), tuning.head)
        best, found = start, []
        for temperature in tuning.temperatures:
            network = copy.deepcopy(start)
            _tune(tuning, network, temperature, x_support, x_validation, x_unlabelled)
            found.append(_log_odds(network, x_validation).reshape(1, *validation.shape))
            if select(np.stack(found), tuning.mode)[0] == len(found) - 1:
                best = network
        parts = np.array_split(queries, -(-len(queries) // BATCH_SIZE))
        scores = np.concatenate([_log_odds(best, batch(part)) for part in parts])
        if tuning.mode == "official":
            return scores
        known = [_log_odds(best, x).reshape(2, 1, -1) for x in (x_support, x_validation)]
        return scores - best_thresholds(*np.concatenate(known, axis=2))


def _tune(
    tuning: Tuning,
    network: TwoClasses,
    temperature: float,
    support: Tensor,
    validation: Tensor,
    unlabelled: Tensor,
) -> None:
    corrected = tuning.mode == "corrected"
    if not corrected:
        network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=tuning.learning_rate, eps=EPSILON)
    best, kept, waited = float("inf"), None, 0
    if corrected:
        best, kept = _validation_loss(network, validation), copy.deepcopy(network.state_dict())
    for _ in range(tuning.epochs):
        optimiser.zero_grad()
        F.cross_entropy(network(support), _sides(support)).backward()
        optimiser.step()
        optimiser.zero_grad()
        _entropy(network(unlabelled) / temperature).backward()
        optimiser.step()
        now = _validation_loss(network, validation)
        waited += 1
        if now < best:
            best, waited = now, 0
            kept = copy.deepcopy(network.state_dict()) if corrected else None
        if waited >= tuning.patience:
            break
    if kept is not None:
        network.load_state_dict(kept)


def _sides(x: Tensor) -> Tensor:
    """The classes of the records of both sides, non-members first."""
    return torch.arange(2, device=x.device).repeat_interleave(len(x) // 2)


def _entropy(logits: Float[Tensor, "batch 2"]) -> Tensor:
    p = logits.softmax(dim=1)
    return -(p * p.clamp(min=LEAST_PROBABILITY).log()).sum(dim=1).mean()


@torch.no_grad()
def _validation_loss(network: TwoClasses, validation: Tensor) -> float:
    return float(F.cross_entropy(network(validation), _sides(validation)))


@torch.no_grad()
def _log_odds(network: TwoClasses, x: Tensor) -> Float64[np.ndarray, " batch"]:
    logits = network(x).double()
    return (logits[:, 1] - logits[:, 0]).cpu().numpy()


def _to_eval(network: nn.Module) -> None:
    for module in network.modules():  # also those whose parent overrides train() and leaves them out
        module.training = False
