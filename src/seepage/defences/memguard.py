"""MemGuard: answers with just so much noise that a membership classifier of the defender's own is undecided."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.defences.answers import AnswerDefence, RandomWrapped, leading, logits_of
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import SGD
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.train import train_models

HIDDEN = (256, 128, 64)
LEAST_RECORDS = 20
UNDECIDED = 1e-5  # a membership probability so close to 1/2 needs no noise

# The search of the code: weights of its loss, steps of length 0.1, fewer than 300 of them for each weight of distance.
C_MEMBERSHIP, C_LABEL = 1.0, 10.0
C_DISTANCE = tuple(10.0**power for power in range(-1, 6))
STEP, MOST_STEPS = 0.1, 299


@dataclass(frozen=True)
class MemGuard(AnswerDefence):
    """Noise on the logits that leaves the label and turns the defender's membership classifier h just past 1/2.

    For each record, on its logits z in ascending order, and for c = 0.1, 1, ..., 1e5 as long as it succeeds:

        e <- z; repeat e <- e - 0.1 g / |g|, g the gradient of
            |h(softmax e)| + 10 max(0, max_{j != y} e_j - e_y) + c |softmax e - softmax z|_1
        until y is the largest of e and h(softmax e) has another sign than h(softmax z), or 299 steps are done

    with h the classifier's logit. The answer is the e of the last success, z where there is none. With a budget eps the
    answer is e with probability min(eps / |softmax e - softmax z|_1, 1), else z, so that the expected distortion is at
    most eps; and z where e is no nearer to 1/2 for the classifier, which then sees it sorted.

    Options:
        nonmembers: which held-out records the classifier tells members from: "population" or "validation". The code
            takes the target's test set. As many of both kinds, drawn where one is larger.
        epochs, lr, batch_size: of the classifier's training.
        budget: eps, from 0 to 2; None answers e always, as HAMP's evaluation does.

    Deviations from the code: all records of a batch are searched for together, in float64; batches of the
    classifier's training have one size and its seeds are the model's; a gradient of zero makes no step, where the code
    divides by zero; e must lead strictly, and a lead that float32 would lose is a millionth. As in the code e is not
    sorted again during the search.

    Reference: Jia et al. 2019 (arXiv 1909.10594), phases I and II; code github.com/jinyuan-jia/MemGuard
        (defense_framework.py, evaluate_nn_attack.py), and its use in Chen & Pattabiraman 2024 (arXiv 2307.01610).
    """

    nonmembers: Literal["population", "validation"] = "population"
    epochs: Annotated[int, Ge(1)] = 400
    lr: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    budget: Annotated[float, Ge(0), Le(2)] | None = None

    grid: ClassVar[tuple[dict[str, Any], ...]] = ({"budget": None}, {"budget": 1.0}, {"budget": 0.5}, {"budget": 0.1})
    title = "MemGuard"
    source = "Jia et al. 2019 (arXiv 1909.10594)"

    @property
    def uses(self) -> frozenset[str]:
        return frozenset({self.nonmembers})

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "The noise deceives a classifier like the defender's; labels stay, and attacks with references that answer "
            "through MemGuard too, or on labels alone, are another matter.",
            "A question costs a search of up to 2,000 steps.",
        )

    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> Guarded:
        return Guarded(module, n_classes, self.budget)

    def _fit(self, wrapped: Guarded, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int) -> None:
        outside = held_out.need(self.nonmembers, LEAST_RECORDS, "memguard")
        rng = np.random.default_rng([seed % 2**63, 1])
        n = min(len(members), len(outside))
        rows = np.concatenate([rng.choice(np.asarray(of), n, replace=False) for of in (members, outside)])
        scores = logits_of(wrapped.module, records, rows).softmax(1).sort(1).values
        labels = torch.arange(2 * n, device=scores.device) < n
        recipe = Recipe(
            MembershipClassifier,
            SGD(lr=self.lr, momentum=0.0),
            epochs=self.epochs,
            batch_size=min(self.batch_size, 2 * n),
            objective=membership_loss,
        )
        (classifier,) = train_models(recipe, Records(scores, labels.long(), 2), [np.arange(2 * n)], [seed])
        wrapped.classifier.load_state_dict(classifier.state_dict())
        wrapped.seed.fill_(seed)


class MembershipClassifier(nn.Sequential):
    """Scores in ascending order -> the logit of membership (batch, 1)."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int = 2):
        widths = (*input_shape, *HIDDEN, 1)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        for layer in layers:  # as Keras does
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(*[part for layer in layers[:-1] for part in (layer, nn.ReLU())], layers[-1])


def membership_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of one logit (batch, 1)."""
    return F.binary_cross_entropy_with_logits(logits.squeeze(1), labels.to(logits.dtype))


class Guarded(RandomWrapped):
    """A module behind `MemGuard`."""

    keeps_label = True

    def __init__(self, module: nn.Module, n_classes: int, budget: float | None):
        super().__init__(module, "per-record")
        self.budget = budget
        # Its weights are buffers in effect: nobody trains them further.
        self.classifier = MembershipClassifier((n_classes,)).double().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        z = self.module(x)
        with torch.no_grad():
            # Descending and then turned, so that of equal logits the first, which is the label, comes last.
            order = z.sort(dim=1, descending=True, stable=True).indices.flip(1)
            ascending = z.gather(1, order).double()
            noisy = undecided_logits(ascending, self.classifier)
            if self.budget is not None:
                drawn = torch.tensor([rng.random() for rng in self.random_numbers(x)]).to(z.device)
                shares = noise_shares(ascending, noisy, self.classifier, self.budget)
                noisy = torch.where((drawn < shares)[:, None], noisy, ascending)
            noise = torch.zeros_like(ascending).scatter(1, order, noisy - ascending)
        return leading((z.double() + noise).float(), order[:, -1])


def noise_shares(
    z: Float64[Tensor, "batch classes"], e: Float64[Tensor, "batch classes"], classifier: nn.Module, budget: float
) -> Float64[Tensor, " batch"]:
    """The probability with which each record is answered e: of the largest that keeps the expected distance."""
    before, after = z.softmax(1), e.softmax(1)
    distance = (after - before).abs().sum(1)
    nearer = _doubt(classifier, after.sort(1).values) < _doubt(classifier, before)
    return torch.where(nearer, (budget / distance).clamp_max(1.0), 0.0)


def _doubt(classifier: nn.Module, scores: Float64[Tensor, "batch classes"]) -> Float64[Tensor, " batch"]:
    """How far the classifier's probability is from 1/2."""
    return (classifier(scores).squeeze(1).sigmoid() - 0.5).abs()


def undecided_logits(z: Float64[Tensor, "batch classes"], classifier: nn.Module) -> Float64[Tensor, "batch classes"]:
    """The search, for logits in ascending order with the label last; z itself where it finds nothing."""
    found = z.clone()
    h = classifier(z.softmax(1)).squeeze(1)
    rows = ((h.sigmoid() - 0.5).abs() > UNDECIDED).nonzero().squeeze(1)
    for c in C_DISTANCE:
        rows, e = _descend(z, rows, h.sign(), c, classifier)
        found[rows] = e
    return found


def _descend(
    z: Float64[Tensor, "batch classes"],
    rows: Int64[Tensor, " some"],
    side: Float64[Tensor, " batch"],
    c: float,
    classifier: nn.Module,
) -> tuple[Int64[Tensor, " succeeded"], Float64[Tensor, "succeeded classes"]]:
    """Rows for which the search succeeds for one weight of distance, and what it finds for them."""
    successes, e = [(rows[:0], z[:0])], z[rows]
    for step in range(MOST_STEPS + 1):
        h, slope = _membership_and_slope(e, z[rows], c, classifier)
        # The first step is taken whatever h says.
        done = (e[:, -1] > e[:, :-1].amax(1)) & (h * side[rows] <= 0) & (step > 0)
        successes.append((rows[done], e[done]))
        rows, e, slope = rows[~done], e[~done], slope[~done]
        if not len(rows):
            break
        e = e - STEP * slope / slope.norm(dim=1, keepdim=True).clamp_min(torch.finfo(slope.dtype).tiny)
    of_rows, of_values = zip(*successes, strict=True)
    return torch.cat(of_rows), torch.cat(of_values)


@torch.enable_grad()
def _membership_and_slope(
    e: Float64[Tensor, "some classes"], z: Float64[Tensor, "some classes"], c: float, classifier: nn.Module
) -> tuple[Float64[Tensor, " some"], Float64[Tensor, "some classes"]]:
    """h(softmax e), and the gradient of the loss by e."""
    e = e.detach().requires_grad_()
    scores = e.softmax(1)
    h = classifier(scores).squeeze(1)
    label = (e[:, :-1].amax(1) - e[:, -1]).relu()
    distance = (scores - z.softmax(1)).abs().sum(1)
    loss = C_MEMBERSHIP * h.abs() + C_LABEL * label + c * distance
    return h.detach(), torch.autograd.grad(loss.sum(), e)[0]
