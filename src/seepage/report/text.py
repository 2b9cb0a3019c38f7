"""A result as text, by its kind."""

from seepage.errors import one_line
from seepage.report import comparison_terminal, terminal
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult


def text(result) -> str:
    if isinstance(result, AuditResult):
        return terminal.summary(result)
    if isinstance(result, ComparisonResult):
        return comparison_terminal.summary(result)
    if not hasattr(result, "headline"):
        from seepage.studies.release import shown

        return shown.text({"this release": result})
    return "\n".join(
        map(one_line, [result.headline, *(f"- {one.about}: {one.sentence}" for one in result.conclusions)])
    )
