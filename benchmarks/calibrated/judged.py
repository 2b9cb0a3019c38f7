"""Scores without models, judged as an audit judges them."""

from collections.abc import Mapping

import numpy as np

from seepage import metrics
from seepage.studies.audit.findings import Scored, _supported_rate
from seepage.studies.audit.verdict import decide
from seepage.studies.settings import Settings


def judged(scores: Mapping[str, np.ndarray], members: np.ndarray, settings: Settings) -> Scored:
    """What `findings.score` makes of the scores of some attacks, without the models: p-values and their correction."""
    if members.ndim == 1:
        members, scores = members[:, None], {name: column[:, None] for name, column in scores.items()}
    rate = _supported_rate(members, settings) or max(settings.rates)
    p_values = {name: metrics.leak_p_value(columns, members, fpr=rate) for name, columns in scores.items()}
    corrected = dict(zip(p_values, map(float, metrics.holm(list(p_values.values()))), strict=True))
    return Scored(dict(scores), {}, members, np.arange(len(members)), p_values, corrected, settings)


def is_shown(p_values, settings: Settings) -> bool:
    """Whether the verdict is LEAK SHOWN for attacks of these p-values, all gates passed.

    The verdict looks at the scores only to put the attacks in order, so four records stand for them.
    """
    names = [f"attack {at}" for at in range(len(p_values))]
    members = (np.arange(4) < 2)[:, None]
    scores = dict.fromkeys(names, np.zeros((4, 1)))
    corrected = dict(zip(names, map(float, metrics.holm(p_values)), strict=True))
    scored = Scored(scores, {}, members, np.arange(4), dict(zip(names, p_values, strict=True)), corrected, settings)
    return decide(scored, [], "causal", settings)[0] == "LEAK SHOWN"
