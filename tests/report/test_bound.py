"""What a significant leak without a bound is said to be."""

from seepage.report.audit.wording import bound, in_persons
from tests.report.example_results import leak


def with_bound(auc, tpr):
    result = leak()
    lower = result.lower_bound.model_copy(update={"auc": auc, "fpr": 0.1, "tpr": tpr})
    return result.model_copy(update={"lower_bound": lower})


def test_a_floor_below_guessing_is_no_floor():
    assert "0.456" not in bound(with_bound(0.456, 0.2))
    assert "TPR at FPR 10 % at least 20" in bound(with_bound(0.456, 0.2))
    assert "TPR" not in bound(with_bound(0.6, 0.08))
    nothing = with_bound(0.456, 0.08)
    assert "not bounded" in bound(nothing)
    assert in_persons(nothing) is None
