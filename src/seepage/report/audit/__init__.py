"""The report of an audit."""

from seepage.report.audit.page import sections
from seepage.report.audit.summary import screen
from seepage.report.audit.verdict import answer

__all__ = ["answer", "screen", "sections"]
