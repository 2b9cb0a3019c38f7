"""What the report of a comparison says, in order; HTML and Markdown render the same blocks."""

from seepage.report import comparison_plots as plots
from seepage.report import comparison_tables as tables
from seepage.report import nonmembers_content
from seepage.report.blocks import Facts, Figure, Figures, Paragraph, Section
from seepage.report.content import KeyFigure
from seepage.report.provenance import provenance
from seepage.schema.audit import Estimate
from seepage.schema.comparison import ComparisonResult, DefenceResult
from seepage.schema.numbers import count, duration, interval_of, percent, rate, value_of

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


def lead(result: ComparisonResult) -> list[str]:
    n = len(result.seeds)
    drawn = "once" if n == 1 else f"{count(n)} times, with other members and other weights each time"
    return [
        f"With each defence models were trained and attacked {drawn}. The attacker knows the defence: reference models "
        "are trained and answer with it as well.",
        "Judge a defence by the attack that hurts it most, not by the one that it was made against, and beside others "
        "of the same accuracy.",
    ]


def key_figures(result: ComparisonResult) -> list[KeyFigure]:
    rated = f"at FPR {rate(result.rates.fpr)}"
    figures = []
    if (plain := result.undefended) is not None:
        found = plain.worst.tpr
        told = [_interval_and_n(found.estimate, as_rate=True), tables.attack_of(result, found.attack)]
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
        ("defences", "Every defence", tables.everything(result)),
        ("families", "What each kind of attack finds", tables.families(result)),
        ("matched", "At the same utility", tables.matched(result)),
        ("canaries", "Canaries", tables.canaries(result)),
        ("other-nonmembers", "Other non-members", nonmembers_content.of_comparison(result)),
        ("attacks", "Every attack", tables.attacks(result)),
        ("tuning", "Settings tried", tables.tuning(result)),
        ("seeds", "Every seed", [tables.seeds(result)]),
        ("method", "Method and limits", _method(result)),
        ("provenance", "Provenance", provenance(result.provenance)),
    ]
    return [Section(name, title, blocks) for name, title, blocks in made if blocks]


def _frontier(result: ComparisonResult) -> list:
    return [
        Paragraph(
            f"Right is more useful, down is more private; lines are {tables.intervals(result)}. The stairs join the "
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
        ("Options", ", ".join(tables.options_of(one.options))),
        ("Setting", "" if one.kind == "none" else ", ".join(tables.setting_of(one))),
        *(("To know", note) for note in one.notes),
        ("Cost", f"{count(one.n_references)} reference models in each seed; {duration(one.seconds)} in all"),
    ]
    return Facts([(term, text) for term, text in rows if text], title=title)


def _interval_and_n(one: Estimate, *, as_rate: bool) -> str:
    return ", ".join(filter(None, [interval_of(one, as_rate=as_rate), f"n {count(one.n)}"]))
