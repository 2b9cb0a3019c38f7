"""What a report says of other non-members: how many of each set every attack calls members."""

from collections.abc import Mapping, Sequence

from seepage.report.blocks import Facts, Paragraph, Section, Table, estimates, words
from seepage.schema.nonmembers import OtherNonmembers
from seepage.schema.numbers import count, rate


def sections(others: Sequence[OtherNonmembers], titles: Mapping[str, str], prior: float | None) -> list[Section]:
    """One section, or none where nobody else was asked about."""
    if not others:
        return []
    at = "" if prior is None else f" at a prior of {rate(prior)}"
    about = Paragraph(
        "Records of other kinds that no model was trained on, and how often they are called members. Thresholds are "
        "fixed on the audited records: that of largest TPR - FPR, and a strict one. The predictive value says how often "
        f"a positive is right{at}, were all non-members like these."
    )
    return [Section("other-nonmembers", "Other non-members", [about, *(_table(one, titles) for one in others),
                                                              *_notes(others, titles)])]  # fmt: skip


def _table(one: OtherNonmembers, titles: Mapping[str, str]) -> Table:
    rows = one.attacks
    return Table(f"{one.name}: {count(one.n)} records", [
        words("Attack", [titles.get(row.attack, row.attack) for row in rows]),
        estimates("Called members", [row.false_positive_rate for row in rows], as_rate=True),
        estimates("Of the audit's own non-members", [row.own_false_positive_rate for row in rows], as_rate=True),
        estimates("Predictive value", [row.positive_predictive_value for row in rows], as_rate=True),
        estimates("Largest probability of those called", [row.max_score_false_positives for row in rows]),
        estimates(f"Called at the threshold of {rate(one.strict_rate)}",
                  [row.strict_false_positive_rate for row in rows], as_rate=True),
        estimates("Own, there", [row.own_strict_false_positive_rate for row in rows], as_rate=True),
    ], style="wide")  # fmt: skip


def _notes(others: Sequence[OtherNonmembers], titles: Mapping[str, str]) -> list[Facts]:
    notes = []
    for one in others:
        copies = f"; {count(one.n_copies)} copies of other records left out" if one.n_copies else ""
        notes.append((one.name, f"labels: {one.labels}{copies}"))
        notes += [(f"{one.name}, {titles.get(name, name)}", f"not counted: {why}")
                  for name, why in one.not_counted.items()]  # fmt: skip
    return [Facts(notes)]
