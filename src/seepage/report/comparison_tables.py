"""The tables of a comparison: utility and the worst figures, by kind of attack, by attack, tuning, seeds."""

from collections.abc import Sequence

from seepage.report.blocks import Cell, Column, Paragraph, Table, estimates, hoisted, numbers, words
from seepage.schema.comparison import METRICS, ComparisonResult, DefenceResult, Leak, Metric, Option, Worst
from seepage.schema.numbers import UNDEFINED, count, decimal, interval_of, percent, rate, significant, value_of

MOST_COLUMNS = 7
FAMILIES = {
    "scores": "Graded scores",
    "references": "Scores and references",
    "label-only": "Label only",
    "rank-only": "Ranking only",
}


def everything(result: ComparisonResult) -> list:
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
            f"{intervals(result)}."
        ),
        Table("Utility, and the most that any attack finds", columns, style="wide"),
    ]


def intervals(result: ComparisonResult) -> str:
    """What the intervals of this result are of."""
    return "intervals over seeds and records" if len(result.seeds) > 1 else "the intervals of one seed's audit"


def _named(result: ComparisonResult) -> Column:
    titles = result.titles
    return Column("Defence", [Cell(titles[one.name], details=setting_of(one)) for one in result.defences])


def setting_of(one: DefenceResult) -> tuple[str, ...]:
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
    details = tuple(filter(None, [attack_of(result, worst.attack), f"n {count(one.n)}"]))
    flag = one.flag or ("undefined" if one.value is None else None)
    return Cell(value_of(one, as_rate=as_rate), interval_of(one, as_rate=as_rate), details, flag)


def attack_of(result: ComparisonResult, name: str | None) -> str:
    """The title of an attack; its name, where the result doesn't list it."""
    return next((attack.title for attack in result.attacks if attack.name == name), name or "")


def families(result: ComparisonResult) -> list:
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


def matched(result: ComparisonResult) -> list:
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


def canaries(result: ComparisonResult) -> list:
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
            estimates(attack_of(result, name), [planted.attacks.get(name) for _, planted in made], as_rate=True)
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


def attacks(result: ComparisonResult) -> list:
    tables = []
    names = [attack.name for attack in result.attacks]
    for metric, head in (("tpr", f"TPR at FPR {rate(result.rates.fpr)}"), ("auc", "AUC")):
        for at, some in enumerate(_parts(names)):
            columns = [_named(result)]
            for name in some:
                found = [one.attacks.get(name) for one in result.defences]
                values = [None if figures is None else getattr(figures, metric) for figures in found]
                columns.append(estimates(attack_of(result, name), values, as_rate=metric == "tpr"))
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


def tuning(result: ComparisonResult) -> list:
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
            words("Setting", [", ".join(options_of(point.options)) or "as given" for _, point in rows]),
            estimates("Validation accuracy", [point.validation_accuracy for _, point in rows], as_rate=True),
            Column("Taken", [Cell("taken", tone="pass") if point.chosen else Cell(UNDEFINED) for _, point in rows]),
        ]),
    ]  # fmt: skip


def seeds(result: ComparisonResult) -> Table:
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


def options_of(options: dict[str, Option]) -> tuple[str, ...]:
    return tuple(f"{name} {_option(value)}" for name, value in options.items())


def _in_one_line(options: dict[str, Option]) -> tuple[str, ...]:
    return (", ".join(options_of(options)),) if options else ()


def _option(value: Option) -> str:
    if isinstance(value, list):
        return f"({', '.join(map(_option, value))})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return significant(value) if isinstance(value, float) else str(value)
