"""What a report says of other non-members: how many of each set every attack calls members."""

from collections.abc import Mapping, Sequence

from seepage.report.blocks import Cell, Column, Facts, Paragraph, Section, Table, estimates, words
from seepage.schema.comparison import ComparisonResult
from seepage.schema.nonmembers import FalsePositives, OtherNonmembers
from seepage.schema.numbers import count, rate

ABOUT = (
    "Records of other kinds that no model was trained on, and how often they are called members. Thresholds are fixed "
    "on the audited records: that of largest TPR - FPR, and a strict one. Predictive values say how often a positive "
    "is right, were all non-members like these."
)


def sections(others: Sequence[OtherNonmembers], titles: Mapping[str, str], prior: float | None) -> list[Section]:
    """One section, or none where nobody else was asked about."""
    if not others:
        return []
    at = "" if prior is None else f" They are at a prior of {rate(prior)}."
    tables = [_table(one, titles) for one in others]
    return [Section("other-nonmembers", "Other non-members", [Paragraph(ABOUT + at), *tables, *_notes(others, titles)])]


def of_comparison(result: ComparisonResult) -> list:
    """One table a set: the attacks on each defence of a comparison."""
    attacks = {one.name: one.title for one in result.attacks}
    sets, tables = result.defences[0].other_nonmembers, []
    for at, one in enumerate(sets):
        pairs = [(defence, row) for defence in result.defences for row in defence.other_nonmembers[at].attacks]
        cells = [Cell(result.titles[d.name], details=(attacks.get(row.attack, row.attack),)) for d, row in pairs]
        columns = [Column("Defence and attack", cells), *_rates([row for _, row in pairs], one.strict_rate)]
        tables.append(Table(f"{one.name}: {count(one.n)} records, over all seeds", columns, style="wide"))
    return tables and [Paragraph(ABOUT), *tables, *_notes(sets, attacks)]


def _table(one: OtherNonmembers, titles: Mapping[str, str]) -> Table:
    names = words("Attack", [titles.get(row.attack, row.attack) for row in one.attacks])
    columns = [names, *_rates(one.attacks, one.strict_rate)]
    return Table(f"{one.name}: {count(one.n)} records", columns, style="wide")


def _rates(rows: Sequence[FalsePositives], strict_rate: float) -> list[Column]:
    return [
        estimates("Called members", [row.false_positive_rate for row in rows], as_rate=True),
        estimates("Of the audit's own non-members", [row.own_false_positive_rate for row in rows], as_rate=True),
        estimates("Predictive value", [row.positive_predictive_value for row in rows], as_rate=True),
        estimates("Largest probability of those called", [row.max_score_false_positives for row in rows]),
        estimates(f"Called at the threshold of {rate(strict_rate)}",
                  [row.strict_false_positive_rate for row in rows], as_rate=True),
        estimates("Own, there", [row.own_strict_false_positive_rate for row in rows], as_rate=True),
    ]  # fmt: skip


def _notes(others: Sequence[OtherNonmembers], titles: Mapping[str, str]) -> list[Facts]:
    notes = []
    for one in others:
        copies = f"; {count(one.n_copies)} copies of other records left out" if one.n_copies else ""
        notes.append((one.name, f"labels: {one.labels}{copies}"))
        notes += [(f"{one.name}, {titles.get(name, name)}", f"not counted: {why}")
                  for name, why in one.not_counted.items()]  # fmt: skip
    return [Facts(notes)]
