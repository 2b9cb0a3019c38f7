"""A comparison as a screenful of text: the headline, a line for each defence, and what the numbers say."""

import io
import shutil

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from seepage.errors import one_line
from seepage.report.terminal import FALLBACK, WIDEST, _aligned, _hanging, _heading, _text
from seepage.schema.comparison import ComparisonResult
from seepage.schema.numbers import rate


def summary(result: ComparisonResult, *, width: int | None = None) -> str:
    """The comparison as plain text; `width` in columns, by default the terminal's and at most 120."""
    width = width or min(shutil.get_terminal_size((FALLBACK, 24)).columns, WIDEST)
    console = Console(file=io.StringIO(), width=max(width, 60), color_system=None, no_color=True, highlight=False,
                      emoji=False, markup=False, legacy_windows=False)  # fmt: skip
    said = [_hanging("-", sentence) for sentence in result.conclusions]
    steps = [
        _hanging("-", "Figures, every attack, settings tried: result.report('report.html')"),
        _hanging("-", f"This result again: {result.provenance.command}"),
    ]
    defences = [_heading("Defences"), _defences(result, console.width)]
    console.print(Group(_text(result.headline), *said, *defences, _heading("Next"), *steps))
    lines = console.file.getvalue().replace("\u00a0", " ").splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _defences(result: ComparisonResult, width: int) -> Group:
    """As many columns as the width allows."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("", overflow="fold", min_width=14)
    made = result.defences
    figures = {
        "Test accuracy": ([one.utility.test_accuracy for one in made], True),
        f"TPR at FPR {rate(result.rates.fpr)}": ([one.worst.tpr.estimate for one in made], True),
        "AUC": ([one.worst.auc.estimate for one in made], False),
    }
    columns = dict(list(figures.items())[: max(1, (width - 30) // 20)])
    for title in columns:
        table.add_column(title, no_wrap=True)
    cells = [_aligned(values, as_rate) for values, as_rate in columns.values()]
    for at, one in enumerate(made):
        mark = "*" if one.name in result.frontier else " "
        table.add_row(Text(f"{mark} {one_line(result.titles[one.name])}"), *(column[at] for column in cells))
    return Group(table, _text("TPR and AUC are the largest of any attack. * on the frontier: none beats it in both."))
