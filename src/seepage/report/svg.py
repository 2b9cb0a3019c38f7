"""A matplotlib figure as a small inline SVG that takes its colours and fonts from the page around it."""

import io
import re
import warnings

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from seepage.errors import printable
from seepage.report.plots import PALETTE

_VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}


def inline_svg(figure: Figure, *, name: str, title: str, description: str) -> Markup:
    """The figure as an `<svg>` element.

    Args:
        name: unique on the page; ids inside the figure begin with it.
        title, description: what a screen reader says in place of the picture.
    """
    file = io.StringIO()
    style = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # the reader's font draws the text, so it does not matter which scripts ours lacks
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    view = re.search(r'viewBox="([^"]+)"', text)[1]
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'(?<= )(d|x|y|transform)="[^"]*"', lambda found: _rounded(found[0]), body)
    body = re.sub(r" font-family: [^;]+;| transform=\"rotate\(-?0 [^\"]*\"", "", body)  # the page sets the font
    used = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)  # names may come twice
    body = re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLES.get(found[0], found[0]), body)
    body = re.sub(r"\bid=\"|(?<=url\(#)|(?<=href=\"#)", lambda found: f"{found[0]}{name}-", body).replace("xlink:", "")
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    label = Markup('<title id="{0}-title">{1}</title><desc id="{0}-desc">{2}</desc>').format(
        name, escape(printable(title)), escape(printable(description))
    )
    head = f'<svg viewBox="{view}" role="img" aria-labelledby="{name}-title {name}-desc">'
    return Markup(head) + label + Markup(body) + Markup("</svg>")


def _rounded(attribute: str) -> str:
    return re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", attribute)
