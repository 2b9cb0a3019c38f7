"""Adversarial regularisation: train against an attack that is trained meanwhile."""

from __future__ import annotations

import inspect
import itertools
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.defences.base import Defence, with_procedure
from seepage.defences.one_by_one import OneByOne, Report, seeds_from, strangers
from seepage.defences.students import answers
from seepage.models.batches import Stream
from seepage.models.engines import Single
from seepage.models.held_out import HeldOut
from seepage.models.objectives import on_copies
from seepage.models.recipe import Objective, Recipe
from seepage.models.records import Records

FIRST_PASSES = 5  # of the attack, after the classifier's first and before its second


@dataclass(frozen=True)
class AdversarialRegularisation(Defence, OneByOne):
    """A game: an attack h learns to tell members from references, the classifier f to be right and not to be told.

    h:  min mean over members and references of (h(f(x), y) - [x is a member])^2
    f:  min mean over members of  -log softmax(f(x))_y + alpha (h(f(x), y) - 1/2)

    f takes one plain pass over its members, h five. From then on they take turns: `attack_steps` steps of h, then
    `classifier_steps` of f.

    Options:
        alpha: strength; the HAMP paper has 3 (Purchase100), 6 (CIFAR) and 10 (Texas100, Location30).
        attack_steps, classifier_steps: of a round.
        attack_lr: of h's Adam.
        n_references: most population records to compare with; None takes all.

    h's batches are half members, half references, together as many as the recipe's. f is fixed while h learns, so its
    answers to all records of a round's batches are computed at once.

    Reference: M. Nasr, R. Shokri, A. Houmansadr, "Machine learning with membership privacy using adversarial
    regularization", CCS 2018, algorithm 1 (h's inputs there are probabilities; logits in every code known); schedule,
    network and values as in location/train-advreg.py of github.com/DependableSystemsLab/MIA_defense_HAMP. Deviations:
    both sides' batches are cut from endless permutations, where that code goes through fixed slices and may run out of
    them within a round; it leaves the last batch of a pass out; f's optimiser is the recipe's (there Adam with 1e-3 on
    tables, SGD on images), with one decay of its schedule, applied twice there.
    """

    alpha: Annotated[float, Ge(0)] = 3.0
    attack_steps: Annotated[int, Ge(1)] = 52
    classifier_steps: Annotated[int, Ge(1)] = 2
    attack_lr: Annotated[float, Ge(0)] = 1e-4
    n_references: Annotated[int, Ge(1)] | None = None

    kind: ClassVar[str] = "training"
    uses: ClassVar[frozenset[str]] = frozenset({"population"})
    grid: ClassVar = ({"alpha": 10.0}, {"alpha": 6.0}, {"alpha": 3.0}, {"alpha": 1.0})

    @property
    def title(self) -> str:
        return "Adversarial regularisation"

    @property
    def source(self) -> str:
        return "Nasr et al. 2018 (arXiv 1807.05852), algorithm 1"

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "Population records serve as its reference set: the answers to them are trained on, through the attack.",
            "With fewer references than members the attack sees each of them the more often: the paper has as many.",
            f"Each {self.classifier_steps} steps of the model cost {self.attack_steps} of the attack beside it.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        return with_procedure(recipe, self)

    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        references = strangers(held_out, members, recipe.batch_size, "adversarial regularisation")
        references = references[: self.n_references]
        attack = Attack(records, members, references, recipe.batch_size // 2 or 1, self.attack_lr, seed)
        training = Single(
            replace(recipe, objective=Regularised(recipe.objective, attack.network, self.alpha)),
            records,
            [members],
            [seed],
            held_out,
        )
        n_steps, since = training.steps_left, 0
        # As in the engine: a module of the user's own may draw from torch's global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            while training.steps_left:
                epoch = training.streams[0].epoch(training.steps_done)
                if epoch and since % self.classifier_steps == 0:
                    if since == 0:
                        attack.train(training.module, attack.steps_of_a_pass * FIRST_PASSES)
                    attack.train(training.module, self.attack_steps)
                    report(training.steps_done / n_steps)
                since += epoch > 0
                training.step()
        return training.models()[0]


class Network(nn.Module):
    """h: logits (batch, classes) and labels (batch,) -> probability (batch,) that the record is a member."""

    def __init__(self, n_classes: int):
        super().__init__()
        self.n_classes = n_classes
        self.of_logits = _layers(n_classes, 1024, 512, 64)
        self.of_label = _layers(n_classes, 128, 64)
        self.of_both = nn.Sequential(*_layers(128, 512, 256, 128, 64), nn.Linear(64, 1), nn.Sigmoid())
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)

    def forward(self, logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]) -> Tensor:
        label = self.of_label(F.one_hot(labels, self.n_classes).to(logits.dtype))
        return self.of_both(torch.cat([self.of_logits(logits), label], dim=1)).squeeze(1)


class Regularised:
    """The classifier's objective: the recipe's own in the first pass, and then with alpha (mean h - 1/2) beside it."""

    def __init__(self, objective: Objective, network: Network, alpha: float):
        self.objective, self.network, self.alpha = objective, network, alpha
        self.takes_epoch = "epoch" in inspect.signature(objective).parameters

    def __call__(self, logits: Tensor, labels: Tensor, epoch: Tensor) -> Tensor:
        loss = on_copies(self.objective, logits, labels, **({"epoch": epoch} if self.takes_epoch else {}))
        return loss + self.alpha * (self.network(logits, labels).mean() - 0.5) if epoch else loss


class Attack:
    """h on its way: its network, its optimiser and its two streams of batches."""

    def __init__(
        self,
        records: Records,
        members: np.ndarray,
        references: np.ndarray,
        half: int,
        lr: float,
        seed: int,
    ):
        first, second, third = seeds_from(seed, 3)
        plain = Recipe(Network, batch_size=half)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(first)
            self.network = Network(records.n_classes).to(records.inputs.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr, fused=True)
        self.records, self.streams = records, (Stream(members, plain, second), Stream(references, plain, third))
        self.steps_of_a_pass = -(-min(len(members), len(references)) // half)
        self.truth = torch.tensor([1.0] * half + [0.0] * half, device=records.inputs.device)

    def train(self, module: nn.Module, n_steps: int) -> None:
        """So many steps against the classifier as it is now."""
        rows = np.concatenate([stream.take(n_steps)[0] for stream in self.streams], axis=1)
        once, place = np.unique(rows, return_inverse=True)
        logits = answers(module, self.records, once)
        labels = self.records.labels[torch.from_numpy(once).to(logits.device)]
        for batch in torch.from_numpy(place.reshape(rows.shape)).to(logits.device):
            loss = F.mse_loss(self.network(logits[batch], labels[batch]), self.truth)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


def _layers(*widths: int) -> nn.Sequential:
    return nn.Sequential(*(layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())))
