"""What a screen shows of model inversion: a line for each attack and target, and what the numbers say."""

from seepage.metrics.reconstruction import paired
from seepage.report.blocks import Block, Cell, Column, Paragraph, Table, brief, dashes, next_steps, numbers
from seepage.report.inversion.page import NOT_MEANT
from seepage.report.inversion.tables import points
from seepage.schema.inversion import InversionResult, TargetResult
from seepage.schema.inversion_reading import (
    UNKNOWN,
    best_accuracy,
    level_of,
    ranked,
    reference,
    rivals,
    subjects,
    title_of,
    titles,
)
from seepage.schema.numbers import p_value, percent


def screen(result: InversionResult) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(NOT_MEANT[result.verdict], "dim"),
        dashes(f"{one.about}: {one.sentence}" for one in result.conclusions),
    ]
    for target in subjects(result.targets):
        blocks += _attacks(result, target)
    if len(rivals(result.targets)) > 1:
        blocks.append(_targets(result))
    return [*blocks, next_steps(result, "Figures, controls, classes and methods")]


def _attacks(result: InversionResult, target: TargetResult) -> list[Block]:
    rows = ranked(target, level_of(target, result.targets, result.alpha))
    marks = ["!" if one.adversarial else " " for one in rows]
    named = [percent((one.named or UNKNOWN).value) for one in rows]
    columns = [
        Column("", [
            Cell(f"{mark} {title_of(result.attacks, one.attack)}") for mark, one in zip(marks, rows, strict=True)
        ]),
        brief("Judge", [one.accuracy for one in rows], as_rate=True),
        *([Column("Named", [Cell(rate) for rate in named], number=True)]
          if any(one.named for one in rows) else []),
        numbers("Best baseline", [percent(best_accuracy(one).value) for one in rows]),
        numbers("Target itself", [percent(one.target_accuracy.value) for one in rows]),
        numbers("p (Holm)", [p_value(one.p_value_holm) for one in rows]),
    ]  # fmt: skip
    alarm = Paragraph("! adversarial: it convinces the target and not the judge.", "dim")
    return [
        Table(f"Recognised by the judge: {titles(result.targets)[target.name]}", columns),
        *([alarm] if any(one.adversarial for one in rows) else []),
    ]


def _targets(result: InversionResult) -> Table:
    rows, names = rivals(result.targets), titles(result.targets)
    columns = [
        Column("", [Cell(names[one.name]) for one in rows]),
        brief("Judge", [one.worst.accuracy for one in rows], as_rate=True, optional=True),
        *_beside(result, rows),
        brief("Natural accuracy", [one.test_accuracy for one in rows], as_rate=True, optional=True),
        brief("Best baseline", [best_accuracy(one.worst) for one in rows], as_rate=True, optional=True),
    ]
    return Table("Targets, and the attack that gets furthest with each", columns)


def _beside(result: InversionResult, rows: list[TargetResult]) -> list[Column]:
    """Points beside the undefended target, class by class."""
    first = reference(result.targets)
    if first is None:
        return []
    found = [None if one.name == first.name else paired(first.worst, one.worst, result.confidence) for one in rows]
    cells = [Cell("") if one is None else points(one[0], signed=True) for one in found]
    return [Column("In pairs", cells, number=True, optional=True)]
