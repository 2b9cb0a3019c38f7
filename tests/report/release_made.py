"""A small audit of a release with everything that its page has: networks, risks, accuracies, settings side by side."""

from seepage.schema.estimates import Estimate
from seepage.schema.parts import Finding, Provenance
from seepage.schema.release import (
    Closeness,
    Distances,
    ReleaseAttack,
    ReleaseAudit,
    ReleaseResult,
    Risk,
    Usefulness,
)


def estimate(value, n=200) -> Estimate:
    return Estimate.of(value, max(0.0, value - 0.05), min(1.0, value + 0.05), n)


def attack(name: str, auc: float, p: float) -> ReleaseAttack:
    rates = {"0.1": estimate(0.2), "0.01": Estimate.of(None, None, None, 20, "few")}
    return ReleaseAttack(name=name, auc=estimate(auc), tpr_at_fpr=rates, p_value=p, p_value_holm=min(1.0, 4 * p),
                         n_members=100, n_holdout=100)  # fmt: skip


def risk(name: str, members: float, control: float, guessing: float, p: float) -> Risk:
    return Risk(name=name, attack=estimate(members), control=estimate(control), guessing=guessing,
                risk=Estimate.of(members - control, -0.1, 0.4, 200), p_value=p, p_value_holm=p,
                known="all other columns")  # fmt: skip


def audit(setting: str, epsilon: float | None, p: float) -> ReleaseAudit:
    attacks = [attack("nearest", 0.61, p), attack("networks-code", 0.55, 0.3)]
    risks = [risk("linkability", 0.03, 0.01, 0.05, 0.4), risk("inference of town", 0.7, 0.4, 0.5, p)]
    return ReleaseAudit(
        setting=setting, attacks={one.name: one for one in attacks}, risks={one.name: one for one in risks},
        closeness=Closeness(closer_to_members=estimate(0.6), p_value=p, identical=estimate(0.01),
                            copied_members=estimate(0.02), copied_holdout=estimate(0.0)),
        closeness_p_value_holm=0.2,
        usefulness=Usefulness(released=estimate(0.7), originals=estimate(0.8), majority=estimate(0.5)),
        reference="50 records that were given", n_released=100, n_members=100, n_holdout=100,
        left_out={"singling-out, 3 columns": "too few predicates"},
        distances=Distances(median=0.2, largest=0.4, nearest=0.01, epsilon=epsilon, releases=1),
        remarks=["5 of 100 hold-out records are some member, value for value."],
    )  # fmt: skip


def release() -> ReleaseResult:
    first, other = audit("epsilon 20", 20.0, 0.004), audit("no noise", None, 0.0001)
    return ReleaseResult(
        **{field: getattr(first, field) for field in ReleaseAudit.model_fields},
        headline="Release of 100 records: 100 members against 100 others; p = 0.004 if nothing leaks (Holm).",
        conclusions=[Finding(about="Settings", sentence="Only epsilon 20 was released.")],
        limits=[Finding(about="No guarantee", sentence="Only these attacks were tried.")],
        others=[other],
        provenance=Provenance(
            seepage="0.5", python="3.11.9", torch="2.13.0", numpy="2.3.1", platform="Linux x86-64",
            created="2026-01-14T09:26:53Z", seconds=5, seed=None, data="adult", data_fingerprint="sha256:5f2c",
            n_records=200, membership="declared", command="seepage synthesise --audit", settings={"epsilon": 20},
        ),
    )  # fmt: skip
