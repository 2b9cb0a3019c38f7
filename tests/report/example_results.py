"""Results as an audit would write them, one for each thing that a report must be able to say.

The scores are simulated; every rate, curve and count is computed from them, so the figures look like real ones.
"""

import numpy as np

from seepage.schema import audit as schema
from seepage.schema.attack import AttackResult, Cost, Epsilon, Histogram, LogMia, LogMiaEstimate, RocCurve
from seepage.schema.audit import AuditResult
from seepage.schema.estimates import Estimate
from seepage.schema.parts import Provenance
from seepage.schema.training import Target, Training

RATES = (0.1, 0.01, 0.001, 0.0)
FEW = "fewer than 10 non-members may be wrong at this FPR: read with care"
UNDEFINED = "undefined: an FPR of 0.1 % needs at least 1,000 non-members"
ZERO = "no threshold was fixed beforehand: a count of zero false positives, with its upper bound"

ATTACKS = [  # name, title, access, needs, source, shift of the members' mean, share of members that stand out
    ("lira-online", "LiRA online, per-sample variance", "probabilities", ["in-references", "out-references"],
     "Carlini et al. 2022, section V", 0.20, 0.07),
    ("rmia-online", "RMIA online", "probabilities", ["in-references", "out-references", "population"],
     "Zarifzadeh et al. 2024", 0.22, 0.05),
    ("lira-offline", "LiRA offline, one-sided", "probabilities", ["out-references"],
     "Carlini et al. 2022, section VI-A", 0.10, 0.03),
    ("attack-r", "Attack-R", "probabilities", ["out-references"], "Ye et al. 2022, section 4.3", 0.12, 0.01),
    ("difficulty-calibration", "Difficulty calibration of the loss", "probabilities", ["out-references"],
     "Watson et al. 2022", 0.14, 0.01),
    ("modified-entropy", "Modified entropy, per-class thresholds", "probabilities", [],
     "Song and Mittal 2021", 0.07, 0.0),
    ("loss", "Loss", "probabilities", [], "Yeom et al. 2018", 0.08, 0.0),
    ("correctness", "Correctness", "label", [], "Yeom et al. 2018", 0.05, 0.0),
]  # fmt: skip


def leak(n: int = 898, seed: int = 7) -> AuditResult:
    attacks = _attacks(ATTACKS, n, seed)
    return _result(
        verdict="LEAK SHOWN",
        headline="LiRA online tells members from non-members: AUC at least 0.567, at least 3.1 % found at FPR 1 %.",
        reasons=["LiRA online and RMIA online stay significant after Holm's correction for 8 attacks"],
        lower_bound=schema.LowerBound(attack="lira-online", confidence=0.95, auc=0.567, fpr=0.01, tpr=0.031),
        attacks=attacks,
        records=[_record(at) for at in range(20)],
        classes=_slices([str(digit) for digit in range(10)], 90),
        groups=_slices(["writers with more than fifty records each", "one record", "unknown"], 300),
        training=_training(),
        prior=0.5,
    )


def no_evidence() -> AuditResult:
    flat = [(*attack[:5], 0.01 * (at % 3 - 1), 0.0) for at, attack in enumerate(ATTACKS)]
    return _result(
        verdict="NO EVIDENCE",
        headline="None of 8 attacks told members from non-members; one of AUC 0.552 would likely have been seen.",
        reasons=[],
        attacks=_attacks(flat, 898, 3),
        records=[_record(at, found=False) for at in range(5)],
        classes=_slices([str(digit) for digit in range(10)], 90, lift=0.0),
        training=_training(),
    )


def inconclusive() -> AuditResult:
    gates = _gates()
    gates[3] = gates[3].model_copy(
        update={
            "status": "not run",
            "detail": "no reference model was given",
            "way_out": "pass recipe= so that references are trained, or outputs of references that you have",
        }
    )
    return _result(
        verdict="INCONCLUSIVE",
        headline="With 41 members and 38 non-members this audit could only have seen a leak of AUC 0.71 or more.",
        reasons=["too few non-members for any FPR below 2.6 %", "no control with a known answer was audited"],
        gates=gates,
        attacks=_attacks(ATTACKS[5:], 40, 5),
        controls=[],
        smallest=schema.SmallestLeak(power=0.8, alpha=0.05, auc=0.71, fpr=0.01, tpr=0.38),
        n=40,
    )


def invalid() -> AuditResult:
    gates = _gates()
    gates[1] = gates[1].model_copy(
        update={
            "status": "fail",
            "detail": "a classifier that sees only the records, and no model, tells members from non-members: "
            "AUC 0.83 [0.80, 0.86], n 1,797",
            "way_out": "draw members and non-members at random from one pool, or match them by date and source",
        }
    )
    return _result(
        verdict="INVALID",
        headline="Members and non-members differ before any model is asked, so no success can be laid to the model.",
        reasons=["gate blind-baseline failed: AUC 0.83 [0.80, 0.86], n 1,797"],
        gates=gates,
        attacks=_attacks(ATTACKS, 898, 7),
        training=_training(),
        claim="association",
    )


def outputs_only() -> AuditResult:
    return _result(
        verdict="LEAK SHOWN",
        headline="The loss tells members from non-members: AUC at least 0.511.",
        reasons=["Loss stays significant after Holm's correction for 3 attacks"],
        lower_bound=schema.LowerBound(attack="modified-entropy", confidence=0.95, auc=0.511, fpr=None, tpr=None),
        attacks=_attacks(ATTACKS[5:], 5000, 11),
        controls=[],
        claim="association",
        n=5000,
        kind="outputs computed elsewhere",
    )


def hundred_classes() -> AuditResult:
    names = [f"class {at:03d}" for at in range(99)] + [
        "Strassenbahnhaltestellenüberdachung, seen from the south at dusk"
    ]
    return _result(
        verdict="LEAK SHOWN",
        headline="LiRA online tells members from non-members: AUC at least 0.601.",
        reasons=["LiRA online stays significant after Holm's correction for 8 attacks"],
        lower_bound=schema.LowerBound(attack="lira-online", confidence=0.95, auc=0.601, fpr=0.001, tpr=0.009),
        attacks=_attacks(ATTACKS, 12500, 13, n_targets=16),
        records=[_record(at, values=[0.25 * at + 0.01 * step for step in range(64)]) for at in range(50)],
        classes=_slices(names, 125),
        training=_training(),
        n=12500,
    )


HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> | `code` [a](javascript:b) ![c](x) "
    "$\\frac \x1b[31m \u202e {{ 7*7 }} [red]"
)


def hostile() -> AuditResult:
    """Every text that comes from data or files tries to become something else."""
    result = leak()
    text = {"name": HOSTILE}
    return result.model_copy(
        update={
            "headline": HOSTILE,
            "reasons": [HOSTILE],
            "attacks": [attack.model_copy(update={"title": HOSTILE, "source": HOSTILE, "options": {HOSTILE: HOSTILE}})
                        for attack in result.attacks],
            "gates": [gate.model_copy(update={"detail": HOSTILE, "way_out": HOSTILE}) for gate in result.gates],
            "controls": [control.model_copy(update=text) for control in result.controls],
            "records": [record.model_copy(update={"id": f"{HOSTILE} {at}", "label": HOSTILE, "group": HOSTILE})
                        for at, record in enumerate(result.records)],
            "classes": [part.model_copy(update=text) for part in result.classes],
            "groups": [part.model_copy(update=text) for part in result.groups],
            "target": result.target.model_copy(update={"kind": HOSTILE, "fingerprint": HOSTILE}),
            "training": result.training.model_copy(update={"engine": HOSTILE, "recipe": {HOSTILE: HOSTILE}}),
            "provenance": result.provenance.model_copy(
                update={"data": HOSTILE, "command": HOSTILE, "platform": HOSTILE, "settings": {HOSTILE: [HOSTILE]}}
            ),
        }
    )  # fmt: skip


VARIANTS = {
    "leak": leak,
    "no evidence": no_evidence,
    "inconclusive": inconclusive,
    "invalid": invalid,
    "outputs only": outputs_only,
    "hundred classes": hundred_classes,
    "hostile": hostile,
}


def _attacks(rows, n: int, seed: int, n_targets: int = 1) -> list[AttackResult]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(2, n))  # attacks on one model agree on which records are hard
    return [_attack(row, shared, n_targets, rng) for row in rows]


def _attack(row, shared: np.ndarray, n_targets: int, rng) -> AttackResult:
    name, title, access, needs, source, shift, outliers = row
    n = shared.shape[1]
    non, mem = 0.8 * shared + 0.6 * rng.normal(size=shared.shape)
    mem = mem + shift + np.where(rng.random(n) < outliers, rng.exponential(2.5, n), 0)
    if name == "correctness":
        non, mem = (non > -1.9).astype(float), (mem > -2.4).astype(float)

    thresholds = np.unique(np.concatenate([mem, non, [np.inf]]))[::-1]
    tpr = np.searchsorted(np.sort(-mem), -thresholds, side="right") / n
    fpr = np.searchsorted(np.sort(-non), -thresholds, side="right") / n
    grid = np.concatenate([[0.0], np.geomspace(1 / n, 1, 200)])
    curve = np.array([tpr[fpr <= at].max(initial=0.0) for at in grid])
    half = 1.96 * np.sqrt(np.maximum(curve * (1 - curve), 1 / n) / n)

    def at(rates, found, wrong):
        estimates = {}
        for rate in RATES:
            if 0 < rate < 1 / n:
                estimates[str(rate)] = Estimate(value=None, low=None, high=None, n=n, flag=UNDEFINED)
                continue
            value = float(found[wrong <= rate].max(initial=0.0))
            flag = FEW if 0 < rate < 10 / n else ZERO if rate == 0 else None
            estimates[str(rate)] = _about(value, 1.96 * np.sqrt(max(value * (1 - value), 1 / n) / n), n, flag)
        return estimates

    auc = float(np.mean(mem[:, None] > non) + 0.5 * np.mean(mem[:, None] == non)) if n <= 1000 else float(
        np.trapezoid(np.append(tpr, 1), np.append(fpr, 1))
    )  # fmt: skip
    accuracy = float(((tpr + 1 - fpr) / 2).max())
    z = (auc - 0.5) * np.sqrt(6 * n)
    p = float(np.exp(-0.5 * z * z)) if z > 0 else 1.0
    tprs = at(RATES, tpr, fpr)
    edges = np.linspace(min(mem.min(), non.min()), max(mem.max(), non.max()), 41)
    total = 2 * n
    return AttackResult(
        name=name, title=title, access=access, needs=needs, source=source,
        options={"variance": "per_sample"} if name.startswith("lira") else {},
        n_members=n, n_nonmembers=n, n_targets=n_targets,
        auc=_about(auc, 1.14 / np.sqrt(total), total),
        balanced_accuracy=_about(accuracy, 0.98 / np.sqrt(total), total),
        advantage=_about(2 * accuracy - 1, 1.96 / np.sqrt(total), total),
        tpr_at_fpr=tprs,
        tnr_at_fnr=at(RATES, 1 - fpr, 1 - tpr),
        positive_predictive_value={
            rate: Estimate(value=None, low=None, high=None, n=n, flag="undefined: nothing is named at this FPR")
            if not e.value else _about(e.value / (e.value + float(rate)), 0.1, n, e.flag)
            for rate, e in tprs.items()
        },
        log_mia=LogMia(
            a=_log_mia(int(n * (tprs["0.0"].value or 0)), n, 0, 0.081),
            b=_log_mia(int(n * tpr[fpr <= 8 / n].max(initial=0.0)), n, int(np.ceil(np.log(total))), 0.327),
        ),
        epsilon=Epsilon(
            kind="epsilon_empirical", value=max(0.0, 4 * (auc - 0.5)), method="Clopper-Pearson on a split", delta=0.0,
            confidence=0.95, n=total, note="one ordinary model: the formula of a bound without its premise",
        ) if name != "correctness" else None,
        p_value=p, p_value_holm=min(1.0, 8 * p), cost=Cost(
            references=64 if needs else 0, known=0, queries=2 * n, seconds=0.04 * len(needs) + 0.003,
            training_seconds=74.3 if needs else 0.0,
        ),
        roc=RocCurve(fpr=grid.tolist(), tpr=curve.tolist(), low=np.clip(curve - half, 0, 1).tolist(),
                            high=np.clip(curve + half, 0, 1).tolist()),
        histogram=Histogram(edges=edges.tolist(), members=np.histogram(mem, edges)[0].tolist(),
                                   nonmembers=np.histogram(non, edges)[0].tolist()) if name != "correctness" else None,
    )  # fmt: skip


def _about(value: float, half: float, n: int, flag: str | None = None) -> Estimate:
    return Estimate(value=value, low=max(value - half, 0.0), high=min(value + half, 1.0), n=n, flag=flag)


def _log_mia(found: int, n: int, allowed: int, chance: float) -> LogMiaEstimate:
    value = float(np.log(found + 1) / np.log(n + 1))
    estimate = _about(value, 0.12, 2 * n)
    return LogMiaEstimate(
        **estimate.model_dump(), chance=chance, chance_corrected=(value - chance) / (1 - chance),
        reading="some members can be named", true_positives=found, false_positives_allowed=allowed
    )  # fmt: skip


def _gates() -> list[schema.Gate]:
    def gate(name, question, detail, status="pass", way_out=""):
        return schema.Gate(name=name, question=question, status=status, detail=detail, way_out=way_out)

    return [
        gate("overlap", "Are members and non-members different records?",
             "no record is in both; 0 of 1,797 are duplicates"),
        gate("blind-baseline", "Do members look like non-members before any model is asked?",
             "a classifier on the records alone reads AUC 0.496 [0.470, 0.523], n 1,797"),
        gate("membership", "Was membership drawn at random?", "drawn by Seepage, balanced among 64 references"),
        gate("references", "Do the references behave like the target?",
             "references reach 96.4 % [96.1, 96.8] on unseen records, n 64; the target 96.7 %"),
        gate("sample-size", "Are there enough non-members for the FPRs asked for?",
             "898 non-members: FPR 0.1 % is undefined", "fail",
             "give at least 1,000 non-members, 10,000 for a steady estimate"),
        gate("signals", "Do the scores vary?", "no constant and no NaN score"),
        gate("null-model", "Is nothing found in a model that saw neither?", "p (Holm) 0.62, n 1,797"),
        gate("positive-control", "Is a leak found where there surely is one?", "not asked for", "not run",
             "set controls: [overfitted] in the configuration; it costs one training"),
    ]  # fmt: skip


def _record(at: int, *, found: bool = True, values: list[float] | None = None) -> schema.ExposedRecord:
    return schema.ExposedRecord(
        id=f"digits-{(at * 7919) % 1797:04d}", label=str(at % 10), group=None, score=14.2 / (1 + 0.2 * at),
        p_value=(1 + at // 3) / 899, q_value=min(1.0, 0.008 * (at + 1)) if found else 0.9, values=values,
        rank_average=1 - 0.01 * at, n_found=max(0, 6 - at),
    )  # fmt: skip


def _slices(names: list[str], n: int, lift: float = 0.09) -> list[schema.Slice]:
    rng = np.random.default_rng(len(names))
    few = "fewer than 100 members: read with care" if n < 100 else None
    return [
        schema.Slice(name=name, n_members=n, n_nonmembers=n + at % 3, accuracy_members=1.0,
                     accuracy_nonmembers=float(np.round(0.97 - 0.03 * rng.random(), 3)),
                     auc=_about(0.5 + lift + float(rng.normal(0, 0.03)), 1.14 / np.sqrt(2 * n), 2 * n, few))
        for at, name in enumerate(names)
    ]  # fmt: skip


def _training() -> Training:
    return Training(
        n_models=64, engine="stacked", workers=2, chunk=16, stacked_step_s=0.00041, single_step_s=0.00122, seconds=74.3,
        recipe={"model": "MLP 64-128-10", "optimiser": {"name": "adam", "lr": 0.002}, "epochs": 100, "batch": 64,
                "augmentation": None},
        train_accuracy=Estimate(value=1.0, low=0.9995, high=1.0, n=64),
        test_accuracy=Estimate(value=0.9643, low=0.9611, high=0.9675, n=64),
    )  # fmt: skip


def _result(*, verdict, headline, reasons, attacks, lower_bound=None, gates=None, controls=None, records=(), classes=(),
            groups=(), training=None, claim="causal", smallest=None, n=898,
            kind="torch module MLP", prior=None):  # fmt: skip
    null = schema.Control(name="null model (saw none of the records)", expects="nothing found", p_value_holm=0.62,
                          best_attack="loss", auc=_about(0.507, 0.027, 2 * n))  # fmt: skip
    return AuditResult(
        verdict=verdict,
        claim=claim,
        headline=headline,
        reasons=reasons,
        lower_bound=lower_bound,
        smallest_detectable=smallest or schema.SmallestLeak(power=0.8, alpha=0.05, auc=0.552, fpr=0.01, tpr=0.034),
        prior=prior,
        gates=gates or _gates(),
        attacks=attacks,
        controls=[null] if controls is None else controls,
        records=list(records),
        classes=list(classes),
        groups=list(groups),
        target=Target(
            kind=kind, access="probabilities", n_targets=attacks[0].n_targets, n_queries=2 * n,
            accuracy_members=_about(1.0, 0.004, n), accuracy_nonmembers=_about(0.967, 0.012, n),
            fingerprint="sha256:9f2c6b0e4a7d51c83b1e4f7a26d0958ce4b1937ad205f6cc8e7140bb3d92a6f1", n_parameters=9610,
        ),
        training=training,
        provenance=Provenance(
            seepage="0.1.0", python="3.11.9", torch="2.11.0+cpu", numpy="2.2.1", platform="Linux-6.1-x86_64",
            created="2026-01-14T09:26:53Z", seconds=92.4, seed=20260114, data="digits",
            data_fingerprint="sha256:51d0c3a1be8f7726c94f0a83d2e6b57719ffcae04d8b3126e05a7c4489d1be30", n_records=2 * n,
            membership="drawn" if claim == "causal" else "declared",
            command="seepage audit --config audit.yaml --seed 20260114 --out runs/digits",
            settings={"attacks": [attack.name for attack in attacks], "references": 64, "alpha": 0.05,
                      "model": {"name": "mlp", "hidden": [128]}, "folder": "runs/digits"},
        ),
    )  # fmt: skip
