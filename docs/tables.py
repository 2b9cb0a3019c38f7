"""Writes the tables of attacks, defences, inversion attacks and data sets into the documents, from the code.

    python docs/tables.py

A table is found by its first line, and ends at the first line that is no row.
"""

from collections.abc import Iterable
from pathlib import Path

from seepage import attacks, defences, inversion
from seepage.data import DATASETS

FOLDER = Path(__file__).parent


def attack_rows() -> Iterable[tuple[str, ...]]:
    for row in attacks.table():
        needs = ", ".join(row["needs"]) or "nothing"
        yield f"`{row['name']}`", row["access"], needs, "yes" if row["default"] else "no", row["source"]


def defence_rows() -> Iterable[tuple[str, ...]]:
    for row in defences.table():
        yield f"`{row['name']}`", row["kind"], row["source"]


def inversion_rows() -> Iterable[tuple[str, ...]]:
    for row in inversion.table():
        budget = f"{row['steps']:,} steps x {row['restarts']}"
        yield f"`{row['name']}`", row["title"], row["access"], row["prior"], budget, row["source"]


def data_rows() -> Iterable[tuple[str, ...]]:
    for name, source in DATASETS.items():
        yield f"`{name}`", source.about, f"<{source.home}>", source.licence


TABLES = {
    "| name | access | needs | default | source |": ("attacks.md", attack_rows),
    "| defence | changes | source |": ("defences.md", defence_rows),
    "| name | attack | access | prior | its own budget | source |": ("inversion.md", inversion_rows),
    "| name | what | canonical source | licence |": ("data.md", data_rows),
}


def with_table(text: str, head: str, rows: Iterable[tuple[str, ...]]) -> str:
    """The document with the rows under the first table that has this head.

    >>> print(with_table("| a |\\n|---|\\n| 1 |\\n\\nAfter", "| a |", [("2",)]))
    | a |
    |---|
    | 2 |
    <BLANKLINE>
    After
    """
    lines = text.split("\n")
    start = lines.index(head) + 2
    end = next(at for at in range(start, len(lines) + 1) if at == len(lines) or not lines[at].startswith("|"))
    return "\n".join([*lines[:start], *(f"| {' | '.join(row)} |" for row in rows), *lines[end:]])


def documents() -> dict[Path, str]:
    """Each document that holds a table, as it should be."""
    found: dict[Path, str] = {}
    for head, (name, rows) in TABLES.items():
        path = FOLDER / name
        found[path] = with_table(found.get(path, path.read_text(encoding="utf-8")), head, rows())
    return found


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")
