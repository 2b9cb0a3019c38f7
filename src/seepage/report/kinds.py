"""How each kind of result is shown. A new kind takes its body, a module of sections and a line in `KINDS`.

The bodies alone are listed by `seepage.schema.kinds` too: what reads a file knows no report.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from seepage.report import audit, comparison, inversion, release, trust
from seepage.report.blocks import Answer, Block, Section
from seepage.report.comparison_plots import frontier_figure
from seepage.report.inversion_plots import figure_alone
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.schema.inversion import InversionResult
from seepage.schema.kinds import AnyResult
from seepage.schema.release import ReleaseResult
from seepage.schema.trust import TrustResult


@dataclass(frozen=True)
class Kind:
    """How a kind of result is shown.

    Attributes:
        body: the class of such results.
        about: what they are, in the head of a page.
        answer: what stands before every section, on a page and on a screen.
        sections: everything after it, on a page.
        screen: everything after it, on a screen.
        figure: what `.svg` draws; None where a kind has no such figure.
    """

    body: type[AnyResult]
    about: str
    answer: Callable[[Any], Answer]
    sections: Callable[[Any], Sequence[Section]]
    screen: Callable[[Any], Sequence[Block]]
    figure: Callable[[Any], Figure] | None = None


KINDS = {
    kind.body: kind
    for kind in (
        Kind(AuditResult, "membership inference audit", audit.answer, audit.sections, audit.screen),
        Kind(
            ComparisonResult,
            "comparison of defences against membership inference",
            comparison.answer,
            comparison.sections,
            comparison.screen,
            frontier_figure,
        ),
        Kind(
            InversionResult,
            "model inversion",
            inversion.answer,
            inversion.sections,
            inversion.screen,
            figure_alone,
        ),
        Kind(ReleaseResult, "audit of a release", release.answer, release.sections, release.screen),
        Kind(
            TrustResult,
            "honesty study of score-based membership inference",
            trust.answer,
            trust.sections,
            trust.screen,
        ),
    )
}
