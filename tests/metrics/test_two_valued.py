"""Scores of two values have one threshold, and nothing is lost by not choosing it."""

import numpy as np
import pytest

from seepage import metrics


def test_balanced_accuracy_of_two_valued_scores_is_their_auc():
    rng = np.random.default_rng(0)
    for _ in range(20):
        members = rng.random(200) < 0.5
        scores = (rng.random(200) < np.where(members, 0.55, 0.45)).astype(np.float64)
        found = metrics.balanced_accuracy(scores, members, rng=rng)
        assert found.value == pytest.approx(metrics.auc(scores, members))
