"""The report of model inversion."""

from seepage.report.inversion.page import answer, sections
from seepage.report.inversion.summary import screen

__all__ = ["answer", "screen", "sections"]
