"""Rows of a comparison with figures that were made up."""

from seepage.schema import comparison as report
from seepage.schema.estimates import Estimate

FAMILIES = {"loss": "scores", "lira-online": "references", "correctness": "label-only", "rank-only": "rank-only"}


def around(value, half=0.01, n=100):
    if value is None:
        return Estimate(value=None, low=None, high=None, n=n, flag="undefined")
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=n)


def defence(name, *, accuracy=0.8, tpr=0.1, auc=None, half=0.01, **changes):
    """A row; `auc`: by attack's name, 0.6 where it is not given."""
    aucs = {attack: 0.6 for attack in FAMILIES} | (auc or {})
    attacks = {
        attack: report.AttackFigures(
            balanced_accuracy=around(value, half), auc=around(value, half), tpr=around(tpr, half), tnr=around(tpr, half)
        )
        for attack, value in aucs.items()
    }
    values = {
        "name": name,
        "title": name,
        "kind": "none" if name == "undefended" else "training",
        "source": "",
        "options": {},
        "notes": [],
        "setting": "as given",
        "n_references": 8,
        "seconds": 1.0,
        "utility": report.Utility(
            train_accuracy=around(0.9),
            test_accuracy=around(accuracy, half),
            calibration_error=around(0.1),
            negative_log_likelihood=around(0.5),
        ),
        "worst": report.worst_of(attacks),
        "by_family": {
            family: report.worst_of({attack: attacks[attack]}) for attack, family in FAMILIES.items()
        },
        "attacks": attacks,
        "per_seed": [],
    }  # fmt: skip
    return report.DefenceResult(**{**values, **changes})
