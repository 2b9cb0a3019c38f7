"""Numbers from scores: each a plain function of arrays, with its interval."""

from seepage.metrics.epsilon import (
    epsilon_empirical,
    epsilon_lower_clopper_pearson,
    epsilon_lower_from_scores,
    epsilon_lower_one_run,
    epsilon_lower_one_run_from_scores,
)
from seepage.metrics.exposure import benjamini_hochberg, exposure
from seepage.metrics.intervals import clopper_pearson, proportion
from seepage.metrics.log_mia import log_mia, log_mia_chance
from seepage.metrics.operating_points import positive_predictive_value, roc_band, tnr_at_fnr, tpr_at_fpr
from seepage.metrics.pooled import pooled_tpr_at_fpr
from seepage.metrics.reconstruction import paired_by_class
from seepage.metrics.roc import Roc, auc, roc
from seepage.metrics.separation import advantage, balanced_accuracy, decision_rates, roc_auc
from seepage.metrics.significance import N_TESTS, holm, leak_p_value, smallest_detectable_auc, smallest_detectable_tpr
from seepage.schema.estimates import Estimate

__all__ = [
    "N_TESTS",
    "Estimate",
    "Roc",
    "advantage",
    "auc",
    "balanced_accuracy",
    "benjamini_hochberg",
    "clopper_pearson",
    "decision_rates",
    "epsilon_empirical",
    "epsilon_lower_clopper_pearson",
    "epsilon_lower_from_scores",
    "epsilon_lower_one_run",
    "epsilon_lower_one_run_from_scores",
    "exposure",
    "holm",
    "leak_p_value",
    "log_mia",
    "log_mia_chance",
    "paired_by_class",
    "pooled_tpr_at_fpr",
    "positive_predictive_value",
    "proportion",
    "roc",
    "roc_auc",
    "roc_band",
    "smallest_detectable_auc",
    "smallest_detectable_tpr",
    "tnr_at_fnr",
    "tpr_at_fpr",
]
