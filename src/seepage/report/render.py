"""A result as one file to read: HTML that opens offline and prints, or Markdown."""

import os
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from seepage.errors import InputError, StorageError, printable
from seepage.report import comparison_content, content, inversion_content, trust_content, wording
from seepage.report.plots import PALETTE
from seepage.report.svg import inline_svg
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.schema.inversion import InversionResult
from seepage.schema.numbers import moment
from seepage.schema.trust import TrustResult
from seepage.writing import whole_file

_PERCENT = re.compile(r"(?<=\d) %")  # never parted from its number at the end of a line
TONES = {"LEAK SHOWN": "leak", "NO EVIDENCE": "none", "INCONCLUSIVE": "unsure", "INVALID": "void"}
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")

AnyResult = AuditResult | TrustResult | ComparisonResult | InversionResult


def write_report(result: AnyResult, path: str | os.PathLike) -> Path:
    """Render `result` to `path` in one atomic step; the same result gives the same bytes.

    Args:
        path: ends in .html or .md; for a comparison and for model inversion also in .svg, the figure of accuracy
            against leakage alone (the attacks, where one target was inverted).

    Raises:
        InputError: another suffix.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    writers = {".html": html, ".md": markdown}
    if isinstance(result, ComparisonResult | InversionResult):
        writers[".svg"] = _figure_alone
    if suffix not in writers:
        raise InputError(f"a report is written as .html or .md, not '{path.name}': for the numbers use result.save()")
    text = writers[suffix](result)
    try:
        with whole_file(path, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(f"cannot write the report {path}: {error.strerror or error}") from error
    return path


def _figure_alone(result: ComparisonResult | InversionResult) -> str:
    from io import StringIO

    import matplotlib

    from seepage.report.comparison_plots import frontier_figure
    from seepage.report.inversion_plots import figure_alone

    figure = frontier_figure(result) if isinstance(result, ComparisonResult) else figure_alone(result)
    text = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "frontier"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def html(result: AnyResult) -> str:
    page, context = _page(result)
    return _HTML.get_template(f"{page}.html").render(context) + "\n"


def markdown(result: AnyResult) -> str:
    page, context = _page(result)
    text = _MARKDOWN.get_template(f"{page}.md").render(context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _page(result: AnyResult) -> tuple[str, dict[str, object]]:
    """The name of the templates of this kind of result, and what they print."""
    if isinstance(result, TrustResult):
        return "trust", {
            "result": result,
            "created": moment(result.provenance.created),
            "tone": "lead",
            "lead": trust_content.lead(result),
            "not_meant": trust_content.NOT_MEANT,
            "key_figures": trust_content.key_figures(result),
            "sections": trust_content.sections(result),
            "palette": PALETTE,
        }
    if isinstance(result, ComparisonResult):
        return "comparison", {
            "result": result,
            "created": moment(result.provenance.created),
            "tone": "lead",
            "lead": comparison_content.lead(result),
            "not_meant": comparison_content.NOT_MEANT,
            "key_figures": comparison_content.key_figures(result),
            "sections": comparison_content.sections(result),
            "palette": PALETTE,
        }
    if isinstance(result, InversionResult):
        return "inversion", {
            "result": result,
            "created": moment(result.provenance.created),
            "tone": TONES[result.verdict],
            "lead": inversion_content.lead(result),
            "not_meant": inversion_content.NOT_MEANT[result.verdict],
            "key_figures": inversion_content.key_figures(result),
            "sections": inversion_content.sections(result),
            "palette": PALETTE,
        }
    return "report", {
        "result": result,
        "verdict": wording.VERDICTS[result.verdict],
        "created": moment(result.provenance.created),
        "tone": TONES[result.verdict],
        "claim": wording.claim(result),
        "bound": wording.bound(result),
        "in_persons": wording.in_persons(result),
        "key_figures": content.key_figures(result),
        "sections": content.sections(result),
        "palette": PALETTE,
    }


def _svg(figure: content.Figure) -> Markup:
    return inline_svg(figure.draw().figure, name=figure.name, title=figure.title, description=figure.description)


def _png(text: str) -> Markup:
    """An image's address that holds the image itself; an empty one where the text is no base64."""
    return Markup("data:image/png;base64," + text) if _BASE64.fullmatch(text) else Markup("data:,")


def _printable(value: object) -> object:
    """Ids, labels and file names are other people's text: whatever a template prints passes through here."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _PERCENT.sub("\u00a0%", printable(value))


def _escaped(value: object) -> object:
    """`value` as literal text in Markdown: no markup, no link, no image, no line break."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = " ".join(printable(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_|~>]|(?<=\])\(|(?<=!)\[)", r"\\\1", text)


def _fenced(text: str) -> Markup:
    text = printable(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return Markup(f"{fence}\n{text}\n{fence}")


_LOADER = jinja2.PackageLoader("seepage.report")
_OPTIONS = {"loader": _LOADER, "undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
_HTML = jinja2.Environment(autoescape=True, finalize=_printable, **_OPTIONS)
_HTML.filters["svg"] = _svg
_HTML.filters["png"] = _png
_MARKDOWN = jinja2.Environment(autoescape=False, finalize=_escaped, **_OPTIONS)
_MARKDOWN.filters["fenced"] = _fenced
