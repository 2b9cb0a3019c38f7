"""Several metrics on the way, read as a sequence."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.signals.view import View


@dataclass(frozen=True)
class MetricSequence(Attack):
    """s(x) = f(m_1(x), ..., m_E(x), m(x)): m_e five metrics at a student of the target after pass e, m at the target.

    The metrics are the loss, the highest probability, the entropy, the modified entropy and the standard deviation of
    the probabilities. f is a recurrent network with attention (`recurrent.Attentive`), trained on a reference model,
    its student and the records that it was and was not trained on. The students are those of `LossTrajectory`.

    Options:
        epochs, lr, batch_size: of the distillation, as there; 50 passes in the paper's code.
        hidden: width of the states.
        steps, attack_lr: of f, Adam on all rows at once, stopped on a quarter of them held out.
        most_rows: records to train f on at most.

    Deviations: metrics on scales without saturation (log-odds, logarithms of the entropies), standardised step by
    step; a GRU; Adam for the students instead of SGD; both students start alike; f is small and is stopped
    on held-out records of the reference; the records of the reference are the audited ones themselves.

    Reference: Li et al. 2024 (arXiv 2407.15098).
    """

    epochs: Annotated[int, Ge(0)] = 20
    hidden: Annotated[int, Ge(1)] = 16
    steps: Annotated[int, Ge(1)] = 150
    attack_lr: Annotated[float, Gt(0)] = 1e-2
    lr: Annotated[float, Gt(0)] = 3e-3
    batch_size: Annotated[int, Ge(1)] = 32
    most_rows: Annotated[int, Ge(1)] = 3_000

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "in-references", "population", "records"})
    most_references: ClassVar[int | None] = 1
    title = "Metric sequence"
    source = "Li et al. 2024 (arXiv 2407.15098), SeqMIA"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        from seepage.attacks.trained import recurrent
        from seepage.attacks.trained.distillation import trajectories

        seed = int(rng.integers(2**62))
        options = {"epochs": self.epochs, "lr": self.lr, "batch_size": self.batch_size}
        made = trajectories(view, **options, seed=seed)
        log_odds = recurrent.fit(
            made.reference[made.is_pair],
            made.is_in[made.is_pair],
            hidden=self.hidden,
            steps=self.steps,
            lr=self.attack_lr,
            most_rows=self.most_rows,
            rng=rng,
        )
        scores = np.full(view.n_samples, np.nan)
        scores[made.rows] = log_odds(made.target)
        return scores
