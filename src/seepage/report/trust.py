"""The report of the honesty study: the answer, the sections of its page, what a screen shows."""

from collections.abc import Sequence
from dataclasses import replace

from seepage.report import trust_plots as plots
from seepage.report.blocks import (
    Answer,
    Block,
    Cell,
    Column,
    Facts,
    Figure,
    Figures,
    KeyFigure,
    Paragraph,
    Point,
    Points,
    Section,
    Table,
    brief,
    dashes,
    estimates,
    next_steps,
    numbers,
    sentences,
    words,
)
from seepage.report.provenance import provenance
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import UNDEFINED, count, decimal, interval_of, option_text, percent, rate, value_of
from seepage.schema.trust import LARGEST_SCORE as LEAD
from seepage.schema.trust import NonmemberSet, ThreatResult, TrustResult, VariantResult

BY_SCORES = (LEAD, "top-3", "entropy")  # the source's
KINDS = {"same": "own test part", "near": "near", "far": "far", "corrupted": "stress test"}
NOT_MEANT = (
    "It does not mean that the model leaks nothing: these attacks are crude, and one that calibrates each record with "
    "reference models accuses far fewer for the same members found. Nor does a high rate on spoilt inputs mean that "
    "anybody would ask about such records."
)


LEADS = (
    "An attack that calls a record a member because the model is sure of it rests on the model not being sure of "
    "anything else. Here its threshold was fixed on a shadow model, and then records were asked about that no "
    "model was trained on: of the same distribution, alike, far away, and spoilt.",
    "A positive is evidence only as far as such records are rarely called members. The tables say how often "
    "they are, and whether making the model honest about its confidence helps.",
)


def answer(result: TrustResult) -> Answer:
    data = result.provenance.data
    return Answer(
        heading="Who is wrongly called a member?",
        title=f"May prediction scores be trusted? {data}, Seepage",
        about=[data],
        headline=result.headline,
        lead=LEADS,
        not_meant=NOT_MEANT,
        key_figures=_key_figures(result),
    )


def _key_figures(result: TrustResult) -> list[KeyFigure]:
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


def page_within(result: TrustResult) -> list[Section]:
    """The sections of a shadow study within a comparison, which has its own provenance."""
    about = Section("headline", "The answer", [Paragraph(result.headline), *map(Paragraph, LEADS)])
    found = [about, *sections(result)[:-1]]
    return [Section(f"shadow-{one.id}", f"Shadow study: {one.title}", one.blocks) for one in found]


def screen_within(result: TrustResult) -> list[Block]:
    """What a shadow study adds to the screen of a comparison."""
    return [Paragraph(f"Shadow study: {result.headline}"), *screen(result)[:-1]]


def sections(result: TrustResult) -> list[Section]:
    """Everything after the answer."""
    return [
        Section("conclusions", "What the numbers say", [sentences(result.conclusions)]),
        Section("accused", "Who is accused", _accused(result)),
        *([Section("seeds", "Over seeds", _over_seeds(result))] if result.over_seeds else []),
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


def screen(result: TrustResult) -> list[Block]:
    attacks = result.variant("standard").attacks
    strict = [attack for attack in attacks if attack.strict_recall is not None]
    blocks: list[Block] = [
        dashes(f"{one.about}: {one.sentence}" for one in result.conclusions),
        _called(result, "Called members though they are none, standard model", "false_positive_rate", attacks),
    ]
    if strict and result.strict_rate is not None:
        title = f"At thresholds that call {rate(result.strict_rate)} of the shadow's own non-members"
        blocks.append(_called(result, title, "strict_false_positive_rate", strict))
    signs = [Point(f"{one.holds}:", f"{one.claim} {one.ours}") for one in result.comparisons]
    return [
        *blocks,
        Points(signs, "The published signs"),
        next_steps(result, "Intervals, other variants, figures and methods"),
    ]


def _called(result: TrustResult, title: str, figure: str, attacks: Sequence[ThreatResult]) -> Table:
    """Rows are attacks, columns sets."""
    columns = [
        brief(one.title, [getattr(attack.on(one.name), figure) for attack in attacks], as_rate=True)
        for one in result.sets
    ]
    return Table(title, [Column("", [Cell(attack.title) for attack in attacks]), *columns])


def _accused(result: TrustResult) -> list:
    return [
        Paragraph(
            "Columns are sets of records that no model was trained on, rows are attacks; each number is the share that "
            "the attack calls members, at the threshold that was fixed on the shadow's records of the same "
            "distribution, and its interval. PPV: the share of positives that would be right if all non-members were "
            "like that column. Corrupted sets are stress tests: no valid images."
        ),
        *_predicted(result),
        Figures([_alarms(result), _every_attack(result)]),
        *(_rates_of(result, variant) for variant in result.variants),
        *_strict(result),
        _separation(result),
    ]


def _predicted(result: TrustResult) -> list[Paragraph]:
    """What attacks with labels are told about records that have none."""
    titles = [one.title for one in result.sets if one.labels == "predicted"]
    if not titles:
        return []
    return [
        Paragraph(
            f"Attacks with labels (all but largest score, top 3 and entropy) are told what the target predicts where "
            f"records have no label of its classes ({', '.join(titles)}): correctness accuses all of these."
        )
    ]


def _rates_of(result: TrustResult, variant: VariantResult) -> Table:
    """Every attack's rate on every set, at its own threshold."""
    lead = variant.attack(LEAD)
    ppv = f"PPV of the largest score at prior {rate(result.prior)}"
    columns = [Column("Attack", [*(Cell(attack.title) for attack in variant.attacks), Cell(ppv)])]
    for one in result.sets:
        rates = [attack.on(one.name).false_positive_rate for attack in variant.attacks]
        columns.append(_of_set(one, [*rates, lead.on(one.name).positive_predictive_value]))
    return Table(f"{variant.title}: {variant.about}", columns, style="wide")


def _strict(result: TrustResult) -> list[Table]:
    """The same at thresholds that call few of the shadow's own non-members; older results have none."""
    variant = result.variant("standard")
    attacks = [attack for attack in variant.attacks if attack.strict_recall is not None]
    if not attacks or result.strict_rate is None:
        return []
    columns = [Column("Attack", [Cell(attack.title) for attack in attacks])]
    columns += [_rates("Members found", [attack.strict_recall for attack in attacks])]
    for one in result.sets:
        columns.append(_of_set(one, [attack.on(one.name).strict_false_positive_rate for attack in attacks]))
    title = f"Standard, at thresholds that call {rate(result.strict_rate)} of the shadow's own non-members members"
    return [Table(title, columns, style="wide")]


def _of_set(one: NonmemberSet, values: Sequence[Estimate | None]) -> Column:
    """A column whose head has the set's kind and count."""
    return replace(_rates(one.title, values), details=(KINDS[one.kind], f"n {count(one.n)}"))


def _rates(title: str, values: Sequence[Estimate | None]) -> Column:
    cells = [
        Cell(UNDEFINED, flag="not computed")
        if v is None
        else Cell(value_of(v, as_rate=True), interval_of(v, as_rate=True), flag=v.flag)
        for v in values
    ]
    return Column(title, cells, number=True)


def _separation(result: TrustResult) -> Table:
    """All attacks on the standard model, those of the source on its variants."""
    rows = [(v, a) for v in result.variants for a in v.attacks if v.name == "standard" or a.name in BY_SCORES]
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


def _every_attack(result: TrustResult) -> Figure:
    variant = result.variant("standard")
    read = "; ".join(
        f"{a.title}: " + ", ".join(f"{s.title} {value_of(a.on(s.name).false_positive_rate, as_rate=True)}"
                                   for s in result.sets)
        for a in variant.attacks
    )  # fmt: skip
    return Figure(
        "every-attack",
        "Share of each set that each attack calls members, in per cent (standard model).",
        f"{read}.",
        lambda: plots.every_attack(result),
    )


def _trade_off(result: TrustResult) -> list:
    read = "; ".join(
        f"{v.title}: ECE {decimal(v.calibration_error.value)}, AUC {decimal(v.attack(LEAD).auc.value)}, false-positive "
        f"rate {percent(v.attack(LEAD).on('same').false_positive_rate.value)}"
        for v in result.variants
    )
    variants = result.variants
    columns = [
        Column("Variant", [Cell(v.title, details=_options(v)) for v in variants]),
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


def _over_seeds(result: TrustResult) -> list:
    """The numbers of each seed, and every attack's mean rate on every set."""
    rates = {one.name: one.mean for one in result.over_seeds if one.name.startswith("FPR: ")}
    others = [one for one in result.over_seeds if one.name not in rates]
    columns = [words("Number", [one.title for one in others])]
    columns += [
        numbers(f"Seed {seed}", [decimal(one.values[at]) for one in others]) for at, seed in enumerate(result.seeds)
    ]
    columns.append(
        Column("Mean", [Cell(decimal(one.mean.value), interval_of(one.mean)) for one in others], number=True)
    )
    attacks = result.variant("standard").attacks
    matrix = [Column("Attack", [Cell(attack.title) for attack in attacks])]
    for one in result.sets:
        matrix.append(_of_set(one, [rates.get(f"FPR: {attack.name}: {one.name}") for attack in attacks]))
    return [
        Paragraph(
            f"{count(len(result.seeds))} studies, each with records, targets and shadows of its own. Intervals are "
            "Student's, over the seeds. The other tables of this page are of the first seed, but for the published "
            "signs."
        ),
        Table("Accuracy, calibration and AUC in each seed", columns),
        Table("Standard model: mean share called members, over the seeds", matrix, style="wide"),
    ]


def _comparisons(result: TrustResult) -> list:
    rows = result.comparisons
    over = f", means over {count(len(result.seeds))} seeds" if result.seeds else ""
    tones = {"yes": "pass"} | dict.fromkeys(("no", "in some", "undecided", "not run"), "not-run")
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
        Table(f"Signs of the published tables{over}", columns, style="text"),
    ]


def _method(result: TrustResult) -> list:
    standard = result.variant("standard")
    labels = {one.name: f", labels: {one.labels}" if one.labels else "" for one in result.sets}
    sets = [(one.title, f"{one.about} (n {count(one.n)}{labels[one.name]})") for one in result.sets]
    sets += [(name, f"not run: {why}") for name, why in result.left_out.items()]
    return [
        Facts([(p.name, f"{count(p.n)} records: {p.use}") for p in result.parts], title="Parts of the records"),
        Facts(sets, title="Non-members"),
        Facts([(a.title, a.rule) for a in standard.attacks], title="Attacks (rules of the standard model)"),
        *(
            [Facts(list(result.attacks_left_out.items()), title="Attacks that were not run")]
            if result.attacks_left_out
            else []
        ),
        sentences(result.limits, "Limits"),
    ]


def _options(variant: VariantResult) -> tuple[str, ...]:
    return tuple(f"{name} {option_text(value)}" for name, value in variant.options.items())
