"""The recurrent network of the sequence attack: sequences in, log-odds of membership out."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from seepage.errors import InputError
from seepage.models.plan import one_thread

AT_ONCE = 4096
STILL = 1e-12  # a value whose deviation is this small a part of its size is taken as constant
LEAST_OF_A_SIDE = 10  # members, and non-members, without which nothing is held out
PATIENCE = 30  # steps without improvement


class Attentive(nn.Module):
    """f(x) = w . [h_T, sum_t a_t h_t] + b, a = softmax_t(h_t . h_T), h_1 ... h_T the states of a GRU over x."""

    def __init__(self, n_metrics: int, hidden: int):
        super().__init__()
        self.states = nn.GRU(n_metrics, hidden, batch_first=True)
        self.head = nn.Linear(2 * hidden, 1)
        nn.init.zeros_(self.head.weight)  # what cannot be told apart stays at log-odds 0
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.states(x)
        last = states[:, -1]
        attention = torch.einsum("nth,nh->nt", states, last).softmax(1)
        context = torch.einsum("nt,nth->nh", attention, states)
        return self.head(torch.cat([last, context], dim=1))[:, 0]


def fit(
    sequences: Float64[np.ndarray, "rows steps metrics"],
    members: Bool[np.ndarray, " rows"],
    *,
    hidden: int,
    steps: int,
    lr: float,
    most_rows: int,
    rng: np.random.Generator,
) -> Callable[[Float64[np.ndarray, "others steps metrics"]], Float64[np.ndarray, " others"]]:
    """Train the network to tell members from non-members, each side weighing a half.

    Adam on all rows at once: no batches that could make the result depend on more than the rows and their order. A
    quarter of them is held out where there are enough, and says after which step it was best. Every value is
    standardised by its mean and deviation over the rows at its step; one that is constant counts as nothing.

    Args:
        sequences: (rows, steps, metrics), finite.
        members: (rows,), at least one of each kind.
        hidden: width of the states.
        steps: most steps.
        most_rows: of more rows than that, so many are drawn.
        rng: draws them, those held out and the first weights.

    Returns:
        A function of sequences (others, steps, metrics): float64 (others,), the log-odds of membership.

    Raises:
        InputError: rows of one kind only.
    """
    if members.all() or not members.any():
        raise InputError(f"expected members and non-members to learn from: got {int(members.sum())} of {members.size}")
    seed, chosen = int(rng.integers(2**62)), rng.permutation(members.size)[:most_rows]
    sequences, members = sequences[chosen], members[chosen]
    mean, deviation = sequences.mean(axis=0), sequences.std(axis=0)
    still = deviation <= STILL * np.abs(sequences).max(axis=0)
    slope = np.where(still, 0.0, 1.0 / np.where(still, 1.0, deviation))

    def standard(values: np.ndarray) -> Tensor:
        return torch.from_numpy(((values - mean) * slope).astype(np.float32))

    n_held = members.size // 4
    held, learnt = slice(0, n_held), slice(n_held, None)
    if not _suffices(members[held]) or not _suffices(members[learnt]):
        held, learnt = slice(0, 0), slice(0, None)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Attentive(sequences.shape[2], hidden)
        loss_held = _loss(standard(sequences[held]), members[held]) if held.stop else None
        _descend(network, _loss(standard(sequences[learnt]), members[learnt]), loss_held, steps, lr)

    def log_odds(others: Float64[np.ndarray, "others steps metrics"]) -> Float64[np.ndarray, " others"]:
        with one_thread(), torch.no_grad():
            parts = [network(standard(others[at : at + AT_ONCE])) for at in range(0, len(others), AT_ONCE)]
        return torch.cat(parts).double().numpy()

    return log_odds


def _suffices(members: np.ndarray) -> bool:
    return min(int(members.sum()), int((~members).sum())) >= LEAST_OF_A_SIDE


def _loss(inputs: Tensor, members: np.ndarray) -> Callable[[nn.Module], Tensor]:
    weights = torch.from_numpy(np.where(members, 0.5 / members.sum(), 0.5 / (~members).sum()).astype(np.float32))
    sign = torch.from_numpy(np.where(members, 1.0, -1.0).astype(np.float32))
    return lambda network: -(weights * nn.functional.logsigmoid(sign * network(inputs))).sum()


def _descend(network: nn.Module, loss: Callable, loss_held: Callable | None, steps: int, lr: float) -> None:
    """Train in place; where something is held out, to the step that was best there."""
    optimiser = torch.optim.Adam(network.parameters(), lr=lr)
    best, best_step, kept = np.inf, 0, copy.deepcopy(network.state_dict())
    for step in range(steps):
        optimiser.zero_grad()
        loss(network).backward()
        optimiser.step()
        if loss_held is None:
            continue
        with torch.no_grad():
            now = loss_held(network).item()
        if now < best:
            best, best_step, kept = now, step, copy.deepcopy(network.state_dict())
        if step - best_step >= PATIENCE:
            break
    if loss_held is not None:
        network.load_state_dict(kept)
