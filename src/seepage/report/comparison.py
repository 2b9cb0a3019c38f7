"""The report of a comparison: the answer, the sections of its page, what a screen shows."""

from collections.abc import Sequence

from seepage.report import comparison_plots as plots
from seepage.report import nonmembers, trust
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
    Section,
    Table,
    brief,
    dashes,
    estimates,
    hoisted,
    next_steps,
    numbers,
    words,
)
from seepage.report.provenance import provenance
from seepage.schema.comparison import METRICS, ComparisonResult, DefenceResult, Leak, Metric, Option, Worst
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import (
    UNDEFINED,
    count,
    decimal,
    duration,
    interval_of,
    option_text,
    percent,
    rate,
    significant,
    value_of,
)

MOST_COLUMNS = 7
FAMILIES = {
    "scores": "Graded scores",
    "references": "Scores and references",
    "label-only": "Label only",
    "rank-only": "Ranking only",
}
CHANGES = {
    "none": "nothing: the undefended model",
    "training": "the training",
    "answers": "the answers",
    "both": "the training and the answers",
}
NOT_MEANT = (
    "It does not mean that a defence with a low figure protects: only these attacks were tried, on these records. A "
    "figure over all records says little about the few that leak most (see the canaries). Each largest figure is "
    "chosen on the records that it is told of, and so a little too large, for all defences alike."
)


def answer(result: ComparisonResult) -> Answer:
    data = result.provenance.data
    return Answer(
        heading="Which defence buys how much?",
        title=f"Defences compared on {data}, Seepage",
        about=[data],
        headline=result.headline,
        lead=_lead(result),
        not_meant=NOT_MEANT,
        key_figures=_key_figures(result),
    )


def _lead(result: ComparisonResult) -> list[str]:
    n = len(result.seeds)
    drawn = "once" if n == 1 else f"{count(n)} times, with other members and other weights each time"
    return [
        f"With each defence models were trained and attacked {drawn}. The attacker knows the defence: reference models "
        "are trained and answer with it as well.",
        "Judge a defence by the attack that hurts it most, not by the one that it was made against, and beside others "
        "of the same accuracy.",
    ]


def _key_figures(result: ComparisonResult) -> list[KeyFigure]:
    rated = f"at FPR {rate(result.rates.fpr)}"
    figures = []
    if (plain := result.undefended) is not None:
        found = plain.worst.tpr
        told = [_interval_and_n(found.estimate, as_rate=True), _attack_of(result, found.attack)]
        figures += [
            KeyFigure("Test accuracy, undefended", percent(plain.utility.test_accuracy.value),
                      _interval_and_n(plain.utility.test_accuracy, as_rate=True)),
            KeyFigure(f"Members found {rated}, undefended", percent(found.estimate.value),
                      "; ".join(filter(None, told))),
        ]  # fmt: skip
    titles = [result.titles[name] for name in result.frontier]
    figures.append(
        KeyFigure("On the frontier", f"{count(len(titles))} of {count(len(result.defences))}", "; ".join(titles))
    )
    return figures


def sections(result: ComparisonResult) -> list[Section]:
    """Everything after the answer; what was not run has no section."""
    made = [
        ("frontier", "Accuracy against leakage", _frontier(result)),
        ("conclusions", "What the numbers say", [Paragraph(sentence) for sentence in result.conclusions]),
        ("defences", "Every defence", _everything(result)),
        ("families", "What each kind of attack finds", _families(result)),
        ("matched", "At the same utility", _matched(result)),
        ("canaries", "Canaries", _canaries(result)),
        ("other-nonmembers", "Other non-members", nonmembers.of_comparison(result)),
        ("attacks", "Every attack", _attacks(result)),
        ("tuning", "Settings tried", _tuning(result)),
        ("seeds", "Every seed", [_seeds(result)]),
        ("method", "Method and limits", _method(result)),
        ("provenance", "Provenance", provenance(result.provenance)),
    ]
    found = [Section(name, title, blocks) for name, title, blocks in made if blocks]
    if result.shadow_study is not None:
        found[-2:-2] = trust.page_within(result.shadow_study)  # before the method
    return found


def screen(result: ComparisonResult) -> list[Block]:
    made, titles = result.defences, result.titles
    marks = ["*" if one.name in result.frontier else " " for one in made]
    columns = [
        Column("", [Cell(f"{mark} {titles[one.name]}") for mark, one in zip(marks, made, strict=True)]),
        brief("Test accuracy", [one.utility.test_accuracy for one in made], as_rate=True, optional=True),
        brief(f"TPR at FPR {rate(result.rates.fpr)}", [one.worst.tpr.estimate for one in made],
              as_rate=True, optional=True),
        brief("AUC", [one.worst.auc.estimate for one in made], optional=True),
    ]  # fmt: skip
    return [
        dashes(result.conclusions),
        Table("Defences", columns),
        Paragraph("TPR and AUC are the largest of any attack. * on the frontier: none beats it in both.", "dim"),
        *([] if result.shadow_study is None else trust.screen_within(result.shadow_study)),
        next_steps(result, "Figures, every attack, settings tried"),
    ]


def _frontier(result: ComparisonResult) -> list:
    return [
        Paragraph(
            f"Right is more useful, down is more private; lines are {_intervals(result)}. The stairs join the "
            "defences that no other beats in both, by point estimates: where intervals overlap, the order is not "
            "settled."
        ),
        Figures(
            [
                _panel(result, "tpr", f"Largest TPR at FPR {rate(result.rates.fpr)} of any attack against test "
                       "accuracy; dotted: guessing. The scale is linear below guessing and logarithmic above."),
                _panel(result, "auc", "Largest AUC of any attack against test accuracy; dotted: guessing."),
            ]
        ),
    ]  # fmt: skip


def _panel(result: ComparisonResult, leak: plots.Leak, title: str) -> Figure:
    titles = result.titles
    best = [titles[name] for name in (result.frontier if leak == "tpr" else result.frontier_auc)]
    shown = [
        (titles[one.name], getattr(one.worst, leak).estimate, one.utility.test_accuracy) for one in result.defences
    ]
    missing = [name for name, y, x in shown if y.value is None or x.value is None]
    left_out = f" Not drawn, for they are undefined: {'; '.join(missing)}." if missing else ""
    read = "; ".join(f"{name} {value_of(y, as_rate=leak == 'tpr')} at {percent(x.value)}" for name, y, x in shown)
    return Figure(
        f"frontier-{leak}",
        title + left_out,
        f"On the frontier: {'; '.join(best) or 'none'}. {read}.",
        lambda: plots.leak_against_accuracy(result, leak),
    )


def _method(result: ComparisonResult) -> list:
    sizes = (
        f"{count(result.n_members)} members and {count(result.n_nonmembers)} non-members of "
        f"{count(result.n_classes)} classes in each seed"
    )
    about = [("Data", f"{result.data}: {sizes}"), ("Seeds", ", ".join(map(str, result.seeds)))]
    about += [("Limit", sentence) for sentence in result.limits]
    titles = result.titles
    return [Facts(about, title="Set-up and limits"), *(_defence(titles[one.name], one) for one in result.defences)]


def _defence(title: str, one: DefenceResult) -> Facts:
    rows = [
        ("Name", one.name),
        ("Changes", CHANGES[one.kind]),
        ("Source", one.source),
        ("Options", ", ".join(_options_of(one.options))),
        ("Setting", "" if one.kind == "none" else ", ".join(_setting_of(one))),
        *(("To know", note) for note in one.notes),
        ("Cost", f"{count(one.n_references)} reference models in each seed; {duration(one.seconds)} in all"),
    ]
    return Facts([(term, text) for term, text in rows if text], title=title)


def _interval_and_n(one: Estimate, *, as_rate: bool) -> str:
    return ", ".join(filter(None, [interval_of(one, as_rate=as_rate), f"n {count(one.n)}"]))


def _everything(result: ComparisonResult) -> list:
    made = result.defences
    columns = [
        _named(result),
        estimates("Train accuracy", [one.utility.train_accuracy for one in made], as_rate=True),
        estimates("Test accuracy", [one.utility.test_accuracy for one in made], as_rate=True),
        estimates("Calibration error (ECE)", [one.utility.calibration_error for one in made]),
        estimates("NLL, nats", [one.utility.negative_log_likelihood for one in made]),
        *(_largest(result, metric, [one.worst for one in made]) for metric in METRICS),
    ]
    return [
        Paragraph(
            "The last four columns are the largest over all attacks, each with the attack that reaches it. TPR: "
            f"members found while {rate(result.rates.fpr)} of non-members are called members. TNR: non-members found "
            f"while {rate(result.rates.fnr)} of members are called non-members. Brackets are "
            f"{_intervals(result)}."
        ),
        Table("Utility, and the most that any attack finds", columns, style="wide"),
    ]


def _intervals(result: ComparisonResult) -> str:
    """What the intervals of this result are of."""
    return "intervals over seeds and records" if len(result.seeds) > 1 else "the intervals of one seed's audit"


def _named(result: ComparisonResult) -> Column:
    titles = result.titles
    return Column("Defence", [Cell(titles[one.name], details=_setting_of(one)) for one in result.defences])


def _setting_of(one: DefenceResult) -> tuple[str, ...]:
    if one.kind == "none":
        return ()
    searched = {True: ", floor reached", False: ", floor not reached", None: ""}[one.reached_floor]
    claimed = f"claims epsilon {one.epsilon_claimed:.3g}" if one.epsilon_claimed is not None else ""
    delta = f" at delta {significant(one.delta_claimed)}" if claimed and one.delta_claimed is not None else ""
    return tuple(filter(None, [one.setting + searched, claimed + delta]))


def _largest(result: ComparisonResult, metric: Metric, leaks: Sequence[Leak | None], title: str = "") -> Column:
    heads = {
        "balanced_accuracy": "Balanced attack accuracy",
        "auc": "AUC",
        "tpr": f"TPR at FPR {rate(result.rates.fpr)}",
        "tnr": f"TNR at FNR {rate(result.rates.fnr)}",
    }
    found = [None if leak is None else getattr(leak, metric) for leak in leaks]
    return hoisted(title or heads[metric], [_worst(result, one, as_rate=metric in ("tpr", "tnr")) for one in found])


def _worst(result: ComparisonResult, worst: Worst | None, *, as_rate: bool) -> Cell:
    if worst is None:
        return Cell(UNDEFINED, flag="not run")
    one = worst.estimate
    details = tuple(filter(None, [_attack_of(result, worst.attack), f"n {count(one.n)}"]))
    flag = one.flag or ("undefined" if one.value is None else None)
    return Cell(value_of(one, as_rate=as_rate), interval_of(one, as_rate=as_rate), details, flag)


def _attack_of(result: ComparisonResult, name: str | None) -> str:
    """The title of an attack; its name, where the result doesn't list it."""
    return next((attack.title for attack in result.attacks if attack.name == name), name or "")


def _families(result: ComparisonResult) -> list:
    run = {attack.family for attack in result.attacks}
    shown = [family for family in FAMILIES if family in run]
    tables = [
        Table(title, [_named(result), *(
            _largest(result, metric, [one.by_family.get(family) for one in result.defences], FAMILIES[family])
            for family in shown
        )], style="wide")
        for metric, title in (("tpr", f"Largest TPR at FPR {rate(result.rates.fpr)}"), ("auc", "Largest AUC"))
    ]  # fmt: skip
    return [
        Paragraph(
            "Does a defence make the model leak less, or only hide scores? Attacks that see no more than the predicted "
            "label, or the order of the classes, cannot be misled by answers that were made up. Where these find as "
            "much as attacks on scores, only the scores are hidden."
        ),
        *tables,
    ]


def _matched(result: ComparisonResult) -> list:
    if not result.matched:
        return []
    rows, about, titles = result.matched, "", result.titles
    if result.utility_floor is not None:
        about = f" A searched setting had to reach {percent(result.utility_floor)} on validation records"
        near = result.utility_tolerance
        give = f", give or take {100 * near:.3g} points" if near else ""
        about += f". Listed is what keeps as much on test records{give}."
    return [
        Paragraph(
            "A defence that costs more accuracy may leak less for that reason alone. These keep about the same "
            f"accuracy.{about}"
        ),
        Table("Leakage at about the same accuracy", [
            Column("Defence", [Cell(titles[row.name], details=_in_one_line(row.options)) for row in rows]),
            estimates("Test accuracy", [row.test_accuracy for row in rows], as_rate=True),
            hoisted(f"Largest TPR at FPR {rate(result.rates.fpr)}",
                    [_worst(result, row.tpr, as_rate=True) for row in rows]),
            hoisted("Largest AUC", [_worst(result, row.auc, as_rate=False) for row in rows]),
        ], style="wide"),
    ]  # fmt: skip


def _canaries(result: ComparisonResult) -> list:
    made = [(one, one.canaries) for one in result.defences if one.canaries is not None]
    titles = result.titles
    if not made:
        return []
    asked = list(dict.fromkeys(name for _, planted in made for name in planted.attacks))
    columns = [
        Column("Defence", [
            Cell(titles[one.name], details=(f"{planted.kind}, n {count(planted.n)}", f"FPR {rate(planted.fpr)}"))
            for one, planted in made
        ]),
        hoisted("Largest TPR", [_worst(result, planted.worst, as_rate=True) for _, planted in made]),
    ]  # fmt: skip
    tables = []
    for at, names in enumerate(_parts(asked)):
        each = [
            estimates(_attack_of(result, name), [planted.attacks.get(name) for _, planted in made], as_rate=True)
            for name in names
        ]
        kept = columns if at == 0 else columns[:1]
        tables.append(Table("TPR among canaries" + _part(at, len(asked)), [*kept, *each], style="wide"))
    return [
        Paragraph(
            "Canaries are records planted to be remembered. They stand for the records that leak most, which an "
            "average over all records hides."
        ),
        *tables,
    ]


def _attacks(result: ComparisonResult) -> list:
    tables = []
    names = [attack.name for attack in result.attacks]
    for metric, head in (("tpr", f"TPR at FPR {rate(result.rates.fpr)}"), ("auc", "AUC")):
        for at, some in enumerate(_parts(names)):
            columns = [_named(result)]
            for name in some:
                found = [one.attacks.get(name) for one in result.defences]
                values = [None if figures is None else getattr(figures, metric) for figures in found]
                columns.append(estimates(_attack_of(result, name), values, as_rate=metric == "tpr"))
            tables.append(Table(head + _part(at, len(names)), columns, style="wide"))
    listing = Table("Attacks", [
        Column("Attack", [Cell(attack.title, details=(attack.name,)) for attack in result.attacks]),
        words("Lives on", [FAMILIES[attack.family].lower() for attack in result.attacks]),
        words("Least access", [attack.access for attack in result.attacks]),
    ], style="text")  # fmt: skip
    return [*tables, listing]


def _parts(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + MOST_COLUMNS] for at in range(0, len(names), MOST_COLUMNS)]


def _part(at: int, n_columns: int) -> str:
    parts = -(-n_columns // MOST_COLUMNS)
    return "" if parts <= 1 else f", part {at + 1} of {parts}"


def _tuning(result: ComparisonResult) -> list:
    rows = [(one, point) for one in result.defences for point in one.tuning]
    if not rows:
        return []
    floor = result.utility_floor
    told = "" if floor is None else f" Wanted: {percent(floor)}."
    return [
        Paragraph(
            "Settings were tried from the most protective on, and judged by their accuracy on validation records "
            f"alone, never by what an attack finds.{told}"
        ),
        Table("Settings by validation accuracy", [
            words("Defence", [result.titles[one.name] for one, _ in rows]),
            words("Setting", [", ".join(_options_of(point.options)) or "as given" for _, point in rows]),
            estimates("Validation accuracy", [point.validation_accuracy for _, point in rows], as_rate=True),
            Column("Taken", [Cell("taken", tone="pass") if point.chosen else Cell(UNDEFINED) for _, point in rows]),
        ]),
    ]  # fmt: skip


def _seeds(result: ComparisonResult) -> Table:
    rows = [(one, seed) for one in result.defences for seed in one.per_seed]
    return Table("Every seed: accuracies, and the largest figures over all attacks", [
        words("Defence", [result.titles[one.name] for one, _ in rows]),
        numbers("Seed", [str(seed.seed) for _, seed in rows]),
        numbers("Train accuracy", [percent(seed.train_accuracy) for _, seed in rows]),
        numbers("Test accuracy", [percent(seed.test_accuracy) for _, seed in rows]),
        numbers("Balanced attack accuracy", [decimal(seed.balanced_accuracy) for _, seed in rows]),
        numbers("AUC", [decimal(seed.auc) for _, seed in rows]),
        numbers("TPR", [percent(seed.tpr) for _, seed in rows], f"at FPR {rate(result.rates.fpr)}"),
        numbers("TNR", [percent(seed.tnr) for _, seed in rows], f"at FNR {rate(result.rates.fnr)}"),
        words("Its audit", [seed.folder for _, seed in rows]),
    ])  # fmt: skip


def _options_of(options: dict[str, Option]) -> tuple[str, ...]:
    return tuple(f"{name} {option_text(value)}" for name, value in options.items())


def _in_one_line(options: dict[str, Option]) -> tuple[str, ...]:
    return (", ".join(_options_of(options)),) if options else ()
