"""A result of the honesty study, small and made up."""

from seepage.schema import trust as schema
from seepage.schema.estimates import Estimate
from seepage.schema.parts import Provenance


def estimate(value=0.5, n=40) -> Estimate:
    return Estimate(value=value, low=max(0.0, value - 0.1), high=value + 0.1, n=n)


def trust() -> schema.TrustResult:
    sets = [("same", "same"), ("far: digits", "far"), ("noise", "corrupted")]
    one = estimate()

    def attack(name):
        accused = [
            schema.Accused(set=of, false_positive_rate=one, positive_predictive_value=one,
                           max_score_false_positives=one, max_score_true_negatives=one)
            for of, _ in sets
        ]  # fmt: skip
        return schema.ThreatResult(
            name=name, title=f"The {name}", rule="above a threshold", threshold=0.9, shadow_accuracy=one, recall=one,
            precision=one, auc=one, fpr_at_95_tpr=one, max_score_true_positives=one, max_score_false_negatives=one,
            sets=accused,
        )  # fmt: skip

    variants = [
        schema.VariantResult(
            name=name, title=f"The {name} model", about="as it is", options={"temperature": 1.5}, train_accuracy=one,
            test_accuracy=one, calibration_error=estimate(0.02 * (at + 1)), overconfidence_error=one,
            negative_log_likelihood=one, attacks=[attack("max-score"), attack("entropy")],
            reliability=schema.ReliabilityBins(edges=[0.0, 0.5, 1.0], confidence=[None, 0.8], accuracy=[None, 0.7],
                                               low=[0.0, 0.6], high=[1.0, 0.8], counts=[0, 40]),
        )
        for at, name in enumerate(("standard", "laplace"))
    ]  # fmt: skip
    rays = [
        schema.Ray(variant=name, n=40, doublings=[0, 1, 2], called=[one] * 3, max_score=[0.5, 0.6, 0.7])
        for name in ("standard", "laplace")
    ]
    return schema.TrustResult(
        headline="Half of the non-members are called members.",
        conclusions=[schema.Finding(about="Own distribution", sentence="Half.")],
        limits=[schema.Finding(about="One data set", sentence="Others may differ.")],
        prior=0.5,
        parts=[schema.DataPart(name="target", n=40, use="trained on")],
        sets=[schema.NonmemberSet(name=of, title=of, kind=kind, n=40, valid=True, about="a set") for of, kind in sets],
        left_out={"near": "no generator"},
        generator="none",
        variants=variants,
        rays=rays,
        comparisons=[schema.Comparison(claim="sure", theirs="yes", ours="yes", holds="yes")],
        recipe={"epochs": 1},
        provenance=Provenance(
            seepage="0.5", python="3.11.9", torch="2.13.0", numpy="2.3.1", platform="Linux x86-64",
            created="2026-01-14T09:26:53Z", seconds=5, seed=0, data="digits", data_fingerprint="sha256:5f2c",
            n_records=100, membership="drawn", command="seepage trust --data digits", settings={"epochs": 1},
        ),
    )  # fmt: skip
