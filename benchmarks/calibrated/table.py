"""A table of results, and a count written as a share with its exact binomial interval."""

from dataclasses import dataclass

from seepage.metrics import clopper_pearson


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: list[tuple]

    def __str__(self) -> str:
        """The table in Markdown, columns padded to one width."""
        lines = [tuple(map(str, line)) for line in (self.columns, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, tuple("-" * width for width in widths))
        padded = (" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
        return "\n".join([f"**{self.title}**", "", *(f"| {line} |" for line in padded)])


def share(k: int, n: int, digits: int = 1) -> str:
    """k of n in per cent with the 95 % Clopper-Pearson interval.

    >>> share(18, 400)
    '4.5 % [2.7, 7.0]'
    """
    low, high = clopper_pearson(int(k), n)
    return f"{100 * k / n:.{digits}f} % [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def is_above(k: int, n: int, nominal: float) -> bool:
    """Whether the whole interval of k of n lies above the nominal share."""
    return clopper_pearson(int(k), n)[0] > nominal


def is_below(k: int, n: int, nominal: float) -> bool:
    """Whether the whole interval of k of n lies below the nominal share."""
    return clopper_pearson(int(k), n)[1] < nominal


def repetitions(full: int, scale: float) -> int:
    return max(20, round(full * scale))
