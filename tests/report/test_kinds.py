"""Every kind of result is shown by one page, one screen and one table of kinds."""

import pytest

from seepage.report.blocks import Cell, Column, Table
from seepage.report.kinds import KINDS
from seepage.report.render import html, markdown
from seepage.report.terminal import _grids, summary
from seepage.schema.kinds import BODIES
from tests.readers.trust_made import trust
from tests.report.example_comparison import comparison
from tests.report.example_results import leak
from tests.report.inversion_made import inversion
from tests.report.release_made import release

MADE = {"audit": leak, "comparison": comparison, "inversion": inversion, "release": release, "trust": trust}


@pytest.fixture(params=MADE, scope="module")
def result(request):
    return MADE[request.param]()


def test_what_can_be_read_can_be_shown():
    assert {kind.body for kind in KINDS.values()} == set(BODIES.values())
    assert set(MADE) == set(BODIES)
    assert all(body is kind.body for body, kind in KINDS.items())


def test_page_text_and_screen_begin_with_the_same_answer(result):
    answer = KINDS[type(result)].answer(result)
    page = html(result)
    assert f'<h1 id="answer-title">{answer.heading}</h1>' in page
    assert f"<title>{answer.title}</title>" in page
    assert markdown(result).startswith(f"# {answer.heading}\n")
    assert result.headline in " ".join(summary(result, width=120).split())
    assert str(result) == summary(result)
    titles = [section.title for section in KINDS[type(result)].sections(result)]
    assert all(f"## {title}\n" in markdown(result) for title in titles)


@pytest.mark.parametrize("width", [50, 60, 80, 120])
def test_every_screen_fits_and_ends_with_how_to_get_it_again(result, width):
    lines = summary(result, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert "This result again: " in " ".join(" ".join(lines).split())


def number(title, optional=False):
    return Column(title, [Cell("0.512", "[0.490, 0.534]")], number=True, optional=optional)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (100, [["", "a", "b", "c"]]),
        (70, [["", "a", "c"]]),  # the optional one leaves first
        (45, [["", "a"], ["", "c"]]),  # then the others stand below each other: nothing else is left out
    ],
)
def test_a_table_that_is_too_wide_loses_what_is_optional_and_then_is_parted(width, expected):
    table = Table(
        "", [Column("", [Cell("a name of some length")]), number("a"), number("b", optional=True), number("c")]
    )
    made = _grids(table, width)
    assert [[column.header for column in grid.columns] for grid in made] == expected
