"""Transductive tuning: fine-tune a copy of the target to tell its members from others."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, MinLen
from jaxtyping import Float64

from seepage.attacks.few_shot.support import JIMENEZ, Episodes, Validated
from seepage.models.access import Access
from seepage.options import OneOf
from seepage.signals.view import View

HEADS = ("sorted", "logits", "probabilities")


@dataclass(frozen=True)
class TransductiveTuning(Validated):
    """s(x) = g_in(x) - g_out(x) - t,   g = A h(x) + b,   h the target's probabilities in descending order,

    the log-odds of a copy of the target with two classes, and t the threshold of best balanced accuracy on support and
    validation together (official: 0). The rows of A start as the mean of h over the support
    of each side, at length 1; b starts at 0. All weights are then tuned, the target's own too. An epoch is two steps
    of one Adam:

        1. down the cross-entropy of the support,
        2. down the mean entropy of softmax(g / T) over queries, whose membership nobody tells.

    It ends after `epochs`, or when the cross-entropy of the validation records has not fallen for two. T is chosen on
    the validation records, each from the same start.

    The target is copied and stays as it is, weights, buffers and modes. Nothing is asked of it but its weights, so
    that no queries are counted.

    One copy is tuned for each T, in an episode as in an audit: with more than `queries` audited records, the second
    step sees that many of them, drawn at random, and the tuned copy scores them all. (Tuned in batches of 30, an
    audit of 10,000 records would take 333 times as long, and scores of different copies are not comparable.)

    Options: those of `Validated`, and
        queries: at most so many in the second step; an episode of the source has 30.
        epochs, learning_rate, patience: as in the source.
        temperatures: the T to choose from.
        head: what h is: "sorted", as above; "logits", relu of the logits as they are, as published; "probabilities" as
            they are. None: as the mode has it.

    Sorted, h says how peaked an answer is. As it is, it says which class was predicted, and members of all classes
    have the same: the published forms are at chance. No label is looked at in any form.

    Defects of the first author's code, all of them in mode="official": the two classes sit on the target's
    probabilities as they are (`head="probabilities"`); batch normalisation and dropout are in
    training mode in every step and also when scores are made, so that a record's score depends on who else is in its
    batch; the last weights are kept, not the best; of equally good T the last one wins. Corrected, all is in eval
    mode, and the weights with the lowest cross-entropy of the validation records are kept, be they the first.

    Deviations: probabilities in order, where the source has relu of the logits; the threshold; one copy for an audit,
    as above; in its official form scores are made in batches of at most 256. Adam's epsilon is 1e-7, as in Keras. A
    module with one output is taken as two, -l and l. A module that returns probabilities is tuned on them.

    Reference: Jimenez-Lopez et al. 2025 (arXiv 2503.09365) and the first author's code
    (github.com/xehartnort/few-shot-mia); Dhillon et al. 2020 (arXiv 1909.02729), section 3.
    """

    queries: Annotated[int, Ge(1)] = 30
    epochs: Annotated[int, Ge(1)] = 30
    learning_rate: Annotated[float, Gt(0)] = 5e-5
    patience: Annotated[int, Ge(1)] = 2
    temperatures: Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(1)] = (7.0, 8.0, 9.0, 10.0, 11.0, 13.0)
    head: Annotated[str, OneOf(*HEADS)] | None = None

    access: ClassVar[Access] = Access.WEIGHTS
    needs: ClassVar[frozenset[str]] = frozenset({"known", "model", "records"})
    source = f"{JIMENEZ} with transductive fine-tuning of Dhillon et al. 2020 (arXiv 1909.02729)"

    @property
    def title(self) -> str:
        return self._titled("transductive tuning", *(() if self.head is None else (f"on {self.head}",)))

    def score_episodes(
        self, view: View, rows: Episodes, *, rng: np.random.Generator
    ) -> Float64[np.ndarray, "episodes queries"]:
        from seepage.attacks.few_shot.tuning import Tuning, tuned_scores  # the table of attacks must not wait for torch

        tuning = Tuning(
            head=self.head or ("probabilities" if self.mode == "official" else "sorted"),
            mode=self.mode,
            temperatures=self.temperatures,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            patience=self.patience,
        )
        scores = np.empty(rows.queries.shape)
        for episode in range(len(scores)):
            queries = rows.queries[episode]
            unlabelled = queries
            if len(queries) > self.queries:
                unlabelled = queries[np.sort(rng.choice(len(queries), self.queries, replace=False))]
            scores[episode] = tuned_scores(
                tuning, view, rows.support[episode], rows.validation[episode], unlabelled, queries, rng=rng
            )
        return scores
