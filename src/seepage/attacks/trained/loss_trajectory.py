"""The loss on the way: how a record fares at the students of a model, not only at the model itself."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.attacks.learned import classifier
from seepage.signals.functions import softplus
from seepage.signals.view import View


@dataclass(frozen=True)
class LossTrajectory(Attack):
    """s(x) = f(v_1(x), ..., v_E(x), v(x)): v_e at a student of the target after pass e, v at the target itself.

    The students are distilled from the target's answers on the population, E passes over it. f is a network trained
    on a reference model, its student and the records that it was and was not trained on.

    Options:
        epochs: E; 100 in the paper. Without any, f sees the target alone.
        values: v is the scaled logit -log(exp(loss) - 1), or the "loss" of the paper, which saturates.
        hidden: widths of f; the paper's code has 512, 128 and 32.
        lr, batch_size: of the distillation, with Adam.

    Deviations: log-odds by default; Adam instead of SGD; both students start alike; f is fitted by L-BFGS
    (`classifier`) and cross-entropy on its log-odds, where the paper's code takes a softmax of a softmax; the code
    reports the best epoch of f on the very records that it is tested on, here there is none to choose; the records of
    the reference are the audited ones themselves.

    Reference: Liu et al. 2022 (arXiv 2208.14933).
    """

    epochs: Annotated[int, Ge(0)] = 20
    values: Literal["scaled-logit", "loss"] = "scaled-logit"
    hidden: tuple[int, ...] = (64,)
    lr: Annotated[float, Gt(0)] = 3e-3
    batch_size: Annotated[int, Ge(1)] = 32

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "in-references", "population", "records"})
    most_references: ClassVar[int | None] = 1
    title = "Loss trajectory"
    source = "Liu et al. 2022 (arXiv 2208.14933)"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        from seepage.attacks.trained.distillation import METRICS, trajectories

        seed = int(rng.integers(2**62))
        options = {"epochs": self.epochs, "lr": self.lr, "batch_size": self.batch_size}
        made = trajectories(view, **options, seed=seed)
        target, reference = (v[..., METRICS.index("scaled-logit")] for v in (made.target, made.reference))
        if self.values == "loss":
            target, reference = softplus(-target), softplus(-reference)
        learnt = made.is_pair
        log_odds = classifier.fit(reference[learnt], made.is_in[learnt], hidden=self.hidden, rng=rng)
        scores = np.full(view.n_samples, np.nan)
        scores[made.rows] = log_odds(target)
        return scores
