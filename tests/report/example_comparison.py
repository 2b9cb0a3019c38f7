"""A comparison as `seepage compare` would write it, made by hand: any number of defences, of four kinds of attacks."""

import numpy as np

from seepage.schema import comparison as schema
from seepage.schema.comparison import AttackFigures, ComparisonResult, DefenceResult
from seepage.schema.estimates import Estimate
from seepage.schema.parts import Provenance

ATTACKS = [
    ("lira-online", "LiRA online, per-sample variance", "probabilities", "references"),
    ("rmia-online", "RMIA online", "probabilities", "references"),
    ("modified-entropy", "Modified entropy, per-class thresholds", "probabilities", "scores"),
    ("loss", "Loss", "probabilities", "scores"),
    ("rank-only", "Rank of the true class", "probabilities", "rank-only"),
    ("label-only-aerni", "Label only, augmentations and references", "label", "label-only"),
    ("correctness", "Correctness", "label", "label-only"),
]

# name, title, kind, train accuracy, test accuracy, AUC, TPR, share of it that is left to label-only attacks
DEFENCES = [
    ("none", "Undefended", "none", 1.0, 0.702, 0.742, 0.134, 0.3),
    ("hamp", "HAMP", "both", 0.86, 0.684, 0.61, 0.021, 2.4),
    ("hamp-training", "HAMP, training only", "training", 0.86, 0.685, 0.64, 0.055, 0.5),
    ("hamp-answers", "HAMP, answers only", "answers", 1.0, 0.701, 0.69, 0.046, 1.0),
    ("label-smoothing", "Label smoothing", "training", 0.99, 0.703, 0.735, 0.101, 0.3),
    ("confidence-penalty", "Confidence penalty", "training", 0.98, 0.698, 0.72, 0.09, 0.4),
    ("relaxloss", "RelaxLoss", "training", 0.83, 0.675, 0.59, 0.022, 0.9),
    ("mixup", "Mixup and MMD", "training", 0.92, 0.69, 0.66, 0.06, 0.5),
    ("early-stopping", "Early stopping", "training", 0.79, 0.681, 0.575, 0.017, 0.8),
    ("advreg", "Adversarial regularisation", "training", 0.78, 0.61, 0.63, 0.03, 0.8),
    ("memguard", "MemGuard", "answers", 1.0, 0.702, 0.71, 0.11, 0.4),
    ("selena", "SELENA", "training", 0.75, 0.669, 0.56, 0.012, 0.8),
    ("dmp", "Distillation for membership privacy", "training", 0.7, 0.64, 0.555, 0.008, 0.9),
    ("dp-sgd", "DP-SGD", "training", 0.52, 0.51, 0.512, 0.0012, 1.0),
    ("ensemble", "Temperature and rounding", "answers", 1.0, 0.7015, 0.738, 0.12, 0.3),
]  # fmt: skip
RATES = schema.Rates(fpr=0.001, fnr=0.001)
SEEDS = [0, 1, 2]


def comparison(defences=DEFENCES) -> ComparisonResult:
    rng = np.random.default_rng(5)
    made = [_defence(*row, rng) for row in defences]
    reached = [one for one in made if one.reached_floor]
    return ComparisonResult(
        headline="Of 15 defences 6 are on the frontier; none lowers the largest TPR below 1 % at less than 3 points of "
        "accuracy.",
        conclusions=["HAMP hides scores: label-only attacks find more than those that read scores.",
                     "DP-SGD leaves nothing to be found and costs 19 points of test accuracy."],
        limits=["Three seeds: an interval over seeds is wide.", "One data set and one network."],
        data="cifar10 (12,000 records)",
        n_members=5000,
        n_nonmembers=5000,
        n_classes=10,
        rates=RATES,
        utility_floor=0.67,
        utility_tolerance=0.02,
        seeds=SEEDS,
        attacks=[schema.AttackInfo(name=n, title=t, access=a, family=f) for n, t, a, f in ATTACKS],
        defences=made,
        frontier=_frontier(made, "tpr"),
        frontier_auc=_frontier(made, "auc"),
        matched=[
            schema.Matched(name=one.name, options=one.options, test_accuracy=one.utility.test_accuracy,
                           tpr=one.worst.tpr, auc=one.worst.auc)
            for one in reached
        ],
        provenance=Provenance(
            seepage="0.4", python="3.11.9", torch="2.9.0", numpy="2.3.1", platform="Linux x86-64",
            created="2026-01-14T09:26:53Z", seconds=9120, seed=0, data="cifar10", data_fingerprint="sha256:5f2c",
            n_records=12000, membership="drawn", command="seepage compare --data cifar10 --limit 12000 --seeds 3",
            settings={"references": 16, "epochs": 30},
        ),
    )  # fmt: skip


def estimate(value, n=15000, wide=0.006, flag=None) -> Estimate:
    if value is None:
        return Estimate(value=None, low=None, high=None, n=n, flag=flag or "undefined: fewer than 1,000 non-members")
    return Estimate(value=value, low=max(0, value - wide), high=min(1, value + wide), n=n, flag=flag)


def leak(figures: dict[str, AttackFigures]) -> schema.Leak:
    """The largest of each figure over these attacks."""
    worst = {}
    for metric in schema.METRICS:
        defined = [(getattr(of, metric), name) for name, of in figures.items() if getattr(of, metric).value is not None]
        one, name = max(defined, key=lambda pair: pair[0].value, default=(estimate(None), None))
        worst[metric] = schema.Worst(attack=name, estimate=one)
    return schema.Leak(**worst)


def _defence(name, title, kind, train, test, auc, tpr, label_share, rng) -> DefenceResult:
    figures = {}
    for at, (attack, _, _, family) in enumerate(ATTACKS):
        share = label_share if family in ("label-only", "rank-only") else 1.0
        share *= 1.0 - 0.08 * at + 0.03 * rng.random()
        found = None if attack == "correctness" else tpr * share
        figures[attack] = AttackFigures(
            balanced_accuracy=estimate(0.5 + 0.7 * (auc - 0.5) * share),
            auc=estimate(0.5 + (auc - 0.5) * share),
            tpr=estimate(found, 15000, 0.2 * tpr),
            tnr=estimate(found and 0.4 * found, 15000, 0.1 * tpr),
        )
    families = dict.fromkeys(family for *_, family in ATTACKS)
    of_family = {f: {a: figures[a] for a, _, _, family in ATTACKS if family == f} for f in families}
    worst = leak(figures)
    searched = name in ("hamp", "relaxloss", "advreg")
    return DefenceResult(
        name=name,
        title=title,
        kind=kind,
        source="" if kind == "none" else "Doe and Roe 2024, section 4",
        options={} if kind == "none" else {"gamma": 0.95, "alpha": 0.001, "milestones": [60, 90]},
        notes=["Its answers are meaningless as confidences."] if kind in ("both", "answers") else [],
        setting="searched" if searched else "as given",
        reached_floor=(name != "advreg") if searched else None,
        tuning=[
            schema.TuningPoint(options={"gamma": gamma}, validation_accuracy=estimate(test - 0.02 * at),
                               chosen=at == 1)
            for at, gamma in enumerate((0.99, 0.95, 0.8))
        ] if searched else [],
        n_references=16,
        seconds=613.4,
        epsilon_claimed=4.0 if name == "dp-sgd" else None,
        delta_claimed=1e-5 if name == "dp-sgd" else None,
        utility=schema.Utility(
            train_accuracy=estimate(train),
            test_accuracy=estimate(test, wide=0.008),
            calibration_error=estimate(0.21 if kind == "none" else 0.12),
            negative_log_likelihood=estimate(1.31),
        ),
        worst=worst,
        by_family={family: leak(of) for family, of in of_family.items()},
        attacks=figures,
        per_seed=[
            schema.SeedFigures(seed=seed, train_accuracy=train, test_accuracy=test + 0.004 * (seed - 1),
                               balanced_accuracy=worst.balanced_accuracy.estimate.value,
                               auc=auc, tpr=tpr, tnr=None, folder=f"{name}/seed-{seed}")
            for seed in SEEDS
        ],
        canaries=schema.CanaryFigures(
            kind="mislabelled", n=1500, fpr=0.01,
            attacks={a: estimate(min(1.0, 3 * tpr / (at + 1)), 750, 0.02) for at, (a, *_) in enumerate(ATTACKS[:3])},
            worst=schema.Worst(attack="lira-online", estimate=estimate(min(1.0, 3 * tpr), 750, 0.02)),
        ) if kind in ("none", "both") else None,
    )  # fmt: skip


def _frontier(made: list[DefenceResult], metric: str) -> list[str]:
    points = {one.name: (one.utility.test_accuracy.value, getattr(one.worst, metric).estimate.value) for one in made}
    return [
        name
        for name, (x, y) in points.items()
        if not any(u >= x and v <= y and (u, v) != (x, y) for u, v in points.values())
    ]
