"""MI-Face: gradient descent on the pixels of a black image until the target is sure of the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Float32
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images, Inversion
from seepage.inversion.objectives import Labels, Logits, Losses, log_confidence
from seepage.inversion.optimisers import GradientDescent


def doubt(logits: Logits, labels: Labels) -> Losses:
    """1 - p_y (Fredrikson et al. 2015, algorithm 1, without an auxiliary term)."""
    return 1 - log_confidence(logits, labels).exp()


@dataclass(frozen=True)
class MIFace(Inversion):
    """One image a class, by gradient descent with early stopping, for each image by itself.

        c(x) = 1 - p_y(x)
        x_0 = what pixels begin as, black by default;  x_i = clamp(x_{i-1} - lr grad c(x_{i-1}), 0, 1)

    An image stops at the first x_i with c(x_i) <= 1 - gamma, as the target is sure enough, or with
    c(x_i) >= max(c(x_{i-1}), ..., c(x_{i-patience})), as nothing was gained; the result is the x_i of the least cost,
    x_0 included. As long as there are fewer than `patience` earlier costs nothing can have been lost.

    Options:
        lr: lambda of the paper.
        gamma: the confidence p_y at which an image is done.
        patience: beta of the paper.

    Reference: Fredrikson, Jha & Ristenpart 2015 (CCS), "Model inversion attacks that exploit confidence information",
        algorithm 1: alpha = 5000 steps, beta = 100, gamma = 0.99, lambda = 0.1.
    Deviations: the paper's rule "c <= gamma" with its 0.99 would stop at a confidence of 1 %, which guessing among
        fewer than a hundred classes has on a black image; 0.99 is the confidence asked for here, a cost of 0.01.
        `gamma=0.01` is the rule to the letter, and a cost of 0.001 is `gamma=0.999`. `Process`
        is the clamp to [0, 1]: no denoising autoencoder and no sharpening between steps. AuxTerm is 0. A window that
        is not full yet stops nothing.
    """

    title: ClassVar[str] = "MI-Face"
    source: ClassVar[str] = "Fredrikson, Jha & Ristenpart 2015 (CCS), algorithm 1"
    prior: ClassVar[str] = "pixels"
    own: ClassVar[Budget] = Budget(steps=5000)
    notes: ClassVar[tuple[str, ...]] = (
        "It knows nothing about images: on anything but linear or shallow models expect adversarial examples.",
        "Where the confidence of a black image is 0 in float32, so is its gradient, and the image stays black.",
        "From black all tries for a class are one: restarts, or several images of a class, need pixels that begin as "
        "noise.",
        "The variant with a denoising autoencoder is left out.",
    )

    lr: Annotated[float, Gt(0)] = 0.1
    gamma: Annotated[float, Gt(0), Le(1)] = 0.99
    patience: Annotated[int, Ge(1)] = 100

    def run(self, attempt: Attempt) -> tuple[Images, Float32[Tensor, " images"]]:
        update = GradientDescent(self.lr)
        images = attempt.prior.images(attempt.prior.draw(attempt.rngs), attempt.labels).detach().clone()
        best, lowest = images.clone(), images.new_full((len(attempt),), torch.inf)
        window = images.new_full((len(attempt), self.patience), torch.inf)
        running = torch.arange(len(attempt), device=images.device)
        for step in range(attempt.budget.steps + 1):
            cost, gradient = self._cost(images[running], attempt, running)
            better = running[cost < lowest[running]]
            best[better], lowest[running] = images[better], torch.minimum(cost, lowest[running])
            goes_on = (cost > 1 - self.gamma) & (cost < window[running].amax(1))
            window[running, step % self.patience] = cost
            running, gradient = running[goes_on], gradient[goes_on]
            if step == attempt.budget.steps or not len(running):
                break
            images[running] = update.step(images[running], gradient, (), step)[0].clamp(0, 1)
            attempt.report(step / attempt.budget.steps)
        return best, -lowest

    def _cost(self, images: Images, attempt: Attempt, rows: Tensor) -> tuple[Losses, Float[Tensor, "images ..."]]:
        """Cost and its gradient at each image."""
        images = images.detach().requires_grad_()
        cost = doubt(attempt.oracle.logits(images), attempt.labels[rows])
        (gradient,) = torch.autograd.grad(cost.sum(), images)
        return cost.detach(), gradient
