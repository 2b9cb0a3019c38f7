"""What the report of the honesty study says, in order; HTML and Markdown render the same blocks."""

from collections.abc import Sequence

from seepage.report import trust_plots as plots
from seepage.report.blocks import (
    Cell,
    Column,
    Facts,
    Figure,
    Figures,
    Paragraph,
    Section,
    Table,
    estimates,
    numbers,
    words,
)
from seepage.report.content import KeyFigure
from seepage.report.numbers import count, decimal, interval_of, percent, rate, value_of
from seepage.report.provenance import provenance
from seepage.report.result import Estimate
from seepage.report.trust_result import LARGEST_SCORE as LEAD
from seepage.report.trust_result import Finding, TrustResult, VariantResult

KINDS = {"same": "the target's own test part", "near": "near", "far": "far", "corrupted": "corrupted: a stress test"}
NOT_MEANT = (
    "It does not mean that the model leaks nothing: these attacks are crude, and one that calibrates each record with "
    "reference models accuses far fewer for the same members found. Nor does a high rate on spoilt inputs mean that "
    "anybody would ask about such records."
)


def lead(result: TrustResult) -> list[str]:
    return [
        "An attack that calls a record a member because the model is sure of it rests on the model not being sure of "
        "anything else. Here its threshold was fixed on a shadow model, and then records were asked about that no "
        "model was trained on: of the same distribution, alike, far away, and spoilt.",
        "A positive is evidence only as far as such records are rarely called members. The tables say how often "
        "they are, and whether making the model honest about its confidence helps.",
    ]


def key_figures(result: TrustResult) -> list[KeyFigure]:
    attack = result.variant("standard").attack(LEAD)
    same = attack.on("same")
    return [
        KeyFigure("Own-distribution false-positive rate", percent(same.false_positive_rate.value),
                  f"{interval_of(same.false_positive_rate, as_rate=True)}, n {count(same.false_positive_rate.n)}; "
                  "standard model, largest score"),
        KeyFigure("Members found by it", percent(attack.recall.value),
                  f"{interval_of(attack.recall, as_rate=True)}, n {count(attack.recall.n)}"),
        KeyFigure(f"A positive is right, at a prior of {rate(result.prior)}",
                  percent(same.positive_predictive_value.value),
                  f"{interval_of(same.positive_predictive_value, as_rate=True)}"),
    ]  # fmt: skip


def sections(result: TrustResult) -> list[Section]:
    """Everything after the answer."""
    return [
        Section("conclusions", "What the numbers say", [_sentences(result.conclusions)]),
        Section("accused", "Who is accused", _accused(result)),
        Section("trade-off", "Calibration against leakage", _trade_off(result)),
        Section("reliability", "Is confidence accuracy?", _reliability(result)),
        Section("scores", "How sure the model is of those it accuses", _scores(result)),
        *([Section("rays", "Scaled without end", _rays(result))] if result.rays else []),
        Section("source", "Beside the published figures", _comparisons(result)),
        Section("method", "Method and limits", _method(result)),
        Section(
            "provenance",
            "Provenance",
            provenance(result.provenance, more=[("Near non-members", result.generator)], recipe=result.recipe),
        ),
    ]


def _sentences(found: Sequence[Finding], title: str = "") -> Facts:
    return Facts([(one.about, one.sentence) for one in found], title=title)


def _accused(result: TrustResult) -> list:
    return [
        Paragraph(
            "Rows are sets of records that no model was trained on; each number is the share that the attack calls "
            "members, its interval, and how many were asked about. PPV: the share of positives that would be right if "
            "all non-members were like that row. Corrupted sets are stress tests: no valid images."
        ),
        Figures([_alarms(result)]),
        *(_honesty(result, variant) for variant in result.variants),
        _separation(result),
    ]


def _honesty(result: TrustResult, variant: VariantResult) -> Table:
    columns = [
        Column("Non-members", [Cell(one.title, details=(KINDS[one.kind],)) for one in result.sets]),
        numbers("n", [count(one.n) for one in result.sets]),
    ]
    for attack in variant.attacks:
        columns.append(
            _without_n(attack.title, [attack.on(one.name).false_positive_rate for one in result.sets], as_rate=True)
        )
    first = variant.attack(LEAD)
    columns.append(
        _without_n(
            f"PPV of the largest score at prior {rate(result.prior)}",
            [first.on(one.name).positive_predictive_value for one in result.sets],
            as_rate=True,
        )
    )
    return Table(f"{variant.title}: {variant.about}", columns, style="wide")


def _without_n(title: str, values: Sequence[Estimate], *, as_rate: bool) -> Column:
    """A column whose counts stand in another one."""
    return Column(
        title,
        [Cell(value_of(v, as_rate=as_rate), interval_of(v, as_rate=as_rate), flag=v.flag) for v in values],
        number=True,
    )


def _separation(result: TrustResult) -> Table:
    rows = [(variant, attack) for variant in result.variants for attack in variant.attacks]
    columns = [
        Column("Variant and attack", [Cell(v.title, details=(a.title,)) for v, a in rows]),
        estimates("Members found (recall)", [a.recall for _, a in rows], as_rate=True),
        estimates("Precision, half members", [a.precision for _, a in rows], as_rate=True),
        estimates("AUC", [a.auc for _, a in rows]),
        estimates("FPR at TPR 95 %", [a.fpr_at_95_tpr for _, a in rows], as_rate=True),
        estimates("Accuracy on the shadow", [a.shadow_accuracy for _, a in rows], as_rate=True),
    ]
    return Table("The attacks on the own distribution", columns, style="wide")


def _alarms(result: TrustResult) -> Figure:
    attack = result.variant("standard").attack(LEAD)
    read = "; ".join(
        f"{one.title} {value_of(attack.on(one.name).false_positive_rate, as_rate=True)}" for one in result.sets
    )
    return Figure(
        "alarms",
        "Share of each set that the largest-score attack calls members, with intervals.",
        f"Standard model: {read}.",
        lambda: plots.false_alarms(result),
    )


def _trade_off(result: TrustResult) -> list:
    read = "; ".join(
        f"{v.title}: ECE {decimal(v.calibration_error.value)}, AUC {decimal(v.attack(LEAD).auc.value)}, false-positive "
        f"rate {percent(v.attack(LEAD).on('same').false_positive_rate.value)}"
        for v in result.variants
    )
    variants = result.variants
    columns = [
        Column("Variant", [Cell(v.title, details=tuple(_option(*it) for it in v.options.items())) for v in variants]),
        estimates("Train accuracy", [v.train_accuracy for v in variants], as_rate=True),
        estimates("Test accuracy", [v.test_accuracy for v in variants], as_rate=True),
        estimates("Calibration error (ECE)", [v.calibration_error for v in variants]),
        estimates("Overconfidence error", [v.overconfidence_error for v in variants]),
        estimates("NLL, nats", [v.negative_log_likelihood for v in variants]),
        estimates("AUC, largest score", [v.attack(LEAD).auc for v in variants]),
        estimates("Own-distribution FPR",
                  [v.attack(LEAD).on("same").false_positive_rate for v in variants], as_rate=True),
    ]  # fmt: skip
    return [
        Paragraph(
            "If over-confidence hides members among falsely accused non-members, a model that is calibrated better "
            "leaks more. Further left is better calibrated, higher is more exposed."
        ),
        Figures(
            [
                Figure("trade-auc", "AUC of the largest score against the calibration error on test records; lines "
                       "are intervals.", read + ".", lambda: plots.auc_against_calibration(result)),
                Figure("trade-fpr", "Own-distribution false-positive rate against the calibration error.", read + ".",
                       lambda: plots.false_alarms_against_calibration(result)),
            ]
        ),
        Table("Calibration and what leaks", columns, style="wide"),
    ]  # fmt: skip


def _reliability(result: TrustResult) -> list:
    read = "; ".join(f"{v.title} {decimal(v.calibration_error.value)}" for v in result.variants)
    return [
        Paragraph(
            "Each point is a bin of test records by the model's confidence; its size grows with their number, its line "
            "is the interval of their accuracy. Below the diagonal the model is surer than it is right."
        ),
        Figures([Figure("reliability", "Reliability diagrams on the target's test records.",
                        f"Expected calibration errors: {read}.", lambda: plots.reliability(result))]),
    ]  # fmt: skip


def _scores(result: TrustResult) -> list:
    variants = result.variants
    threats = [variant.attack(LEAD) for variant in variants]
    named = Cell("Members of the target", details=("found; missed",))
    sets = [Cell(one.title, details=("accused; left alone",)) for one in result.sets]
    columns = [Column("Records", [named, *sets])]
    for variant, threat in zip(variants, threats, strict=True):
        pairs = [(threat.max_score_true_positives, threat.max_score_false_negatives)]
        pairs += [
            (threat.on(one.name).max_score_false_positives, threat.on(one.name).max_score_true_negatives)
            for one in result.sets
        ]
        columns.append(Column(variant.title, [_pair(*pair) for pair in pairs], number=True))
    return [
        Paragraph(
            "Mean largest score under the largest-score attack (MMPS): above, of those called members; below, of the "
            "others. Where the falsely accused score as high as the members found, no threshold on the score would "
            "have told them apart."
        ),
        Table("Mean largest score of those called members and of the others", columns, style="wide"),
    ]


def _pair(called: Estimate, others: Estimate) -> Cell:
    rest = f"{value_of(others)}, n {count(others.n)}"
    return Cell(value_of(called), interval_of(called), (f"n {count(called.n)}", rest), called.flag)


def _rays(result: TrustResult) -> list:
    titles = {v.name: v.title for v in result.variants}
    shown = [k for k in result.rays[0].doublings if k in (0, 1, 2, 5, 10, 20) or k == result.rays[0].doublings[-1]]
    read = "; ".join(f"{titles[ray.variant]} {percent(ray.called[-1].value)}" for ray in result.rays)
    columns = [
        words("Variant", [titles[ray.variant] for ray in result.rays]),
        *(estimates(f"up to 2^{k}", [ray.called[k] for ray in result.rays], as_rate=True) for k in shown),
        numbers("Mean largest score at the end", [decimal(ray.max_score[-1]) for ray in result.rays]),
    ]
    return [
        Paragraph(
            "A network of ReLU layers is affine along every ray from some point on, so that scaling any input far "
            "enough makes it sure: the largest score tends to 1, and no threshold below 1 and no temperature helps. "
            "A Gaussian over the last layer bounds the score. The inputs at the far end are no images."
        ),
        Figures([Figure("rays", "Own non-members that some scale up to 2^k turns into members (largest score).",
                        f"At the last scale: {read}.", lambda: plots.rays(result))]),
        Table("Called members at some scale", columns, style="wide"),
    ]  # fmt: skip


def _comparisons(result: TrustResult) -> list:
    rows = result.comparisons
    tones = {"yes": "pass", "no": "not-run", "not run": "not-run"}
    columns = [
        words("Finding of the source", [row.claim for row in rows]),
        words("Its figures", [row.theirs for row in rows]),
        words("Here (largest score)", [row.ours for row in rows]),
        Column("Holds here", [Cell(row.holds, tone=tones[row.holds]) for row in rows]),
    ]
    return [
        Paragraph(
            "Hintersdorf, Struppek and Kersting (2022) published figures of a ResNet-18, an EfficientNet-B0, a small "
            "CNN on CIFAR-10 and of a ResNet-50 on Stanford Dogs. Only signs are compared: models, data and training "
            "differ. 'Holds here' reads point estimates, and says so where intervals overlap."
        ),
        Table("Signs of the published tables", columns, style="text"),
    ]


def _method(result: TrustResult) -> list:
    standard = result.variant("standard")
    sets = [(one.title, f"{one.about} (n {count(one.n)})") for one in result.sets]
    sets += [(name, f"not run: {why}") for name, why in result.left_out.items()]
    return [
        Facts([(p.name, f"{count(p.n)} records: {p.use}") for p in result.parts], title="Parts of the records"),
        Facts(sets, title="Non-members"),
        Facts([(a.title, a.rule) for a in standard.attacks], title="Attacks (rules of the standard model)"),
        _sentences(result.limits, "Limits"),
    ]


def _option(name: str, value: str | int | float) -> str:
    return f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
