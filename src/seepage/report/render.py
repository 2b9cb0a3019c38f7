"""A result as one file to read: HTML that opens offline and prints, or Markdown."""

import io
import os
import re
from pathlib import Path

import jinja2
import matplotlib
from markupsafe import Markup

from seepage.errors import InputError, StorageError, printable
from seepage.report.blocks import Figure
from seepage.report.kinds import KINDS
from seepage.report.plots import PALETTE
from seepage.report.svg import inline_svg
from seepage.schema.kinds import AnyResult
from seepage.schema.numbers import moment
from seepage.writing import whole_file

_PERCENT = re.compile(r"(?<=\d) %")  # never parted from its number at the end of a line
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def write_report(result: AnyResult, path: str | os.PathLike) -> Path:
    """Render `result` to `path` in one atomic step; the same result gives the same bytes.

    Args:
        path: ends in .html or .md; of a kind that has a figure of its own (a comparison: accuracy against leakage) also
            in .svg, that figure alone.

    Raises:
        InputError: another suffix.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    writers = {".html": html, ".md": markdown}
    if KINDS[type(result)].figure is not None:
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


def _figure_alone(result: AnyResult) -> str:
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "frontier"}):
        KINDS[type(result)].figure(result).savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def html(result: AnyResult) -> str:
    return _HTML.get_template("page.html").render(_page(result)) + "\n"


def markdown(result: AnyResult) -> str:
    text = _MARKDOWN.get_template("page.md").render(_page(result))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _page(result: AnyResult) -> dict[str, object]:
    """What the templates print."""
    kind = KINDS[type(result)]
    return {
        "about": kind.about,
        "answer": kind.answer(result),
        "created": moment(result.provenance.created),
        "sections": kind.sections(result),
        "seepage": result.provenance.seepage,
        "schema": result.schema_,
        "palette": PALETTE,
    }


def _svg(figure: Figure) -> Markup:
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
