"""The comparison of defences: its file, its figure, its page, and its lines for the terminal."""

import json
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from seepage.errors import DataFileError
from seepage.report.comparison_plots import frontier_figure, leak_against_accuracy
from seepage.report.render import html, markdown
from seepage.report.terminal import summary
from seepage.schema import comparison as schema
from seepage.schema.comparison import AttackFigures, ComparisonResult, largest, worst_of
from seepage.schema.numbers import UNDEFINED, decimal, interval_of, percent
from seepage.schema.reading import load_result
from tests.report.example_comparison import DEFENCES, comparison, estimate
from tests.report.test_render import Page

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e{{ 7*7 }} $x^2$\n| **bold** [a](http://e.org)"
KILOBYTE = 1000


@pytest.fixture(scope="module")
def result():
    return comparison()


@pytest.fixture(scope="module")
def source(result):
    return html(result)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def renamed(result, **changes):
    """The result with the first defence changed."""
    first, *rest = result.defences
    return result.model_copy(update={"defences": [first.model_copy(update=changes), *rest]})


def undefined(result):
    """The result without a number for the first defence, and without a TPR for all."""
    none = schema.Worst(attack=None, estimate=estimate(None))
    defences = [one.model_copy(update={"worst": one.worst.model_copy(update={"tpr": none})}) for one in result.defences]
    nothing = schema.Leak(balanced_accuracy=none, auc=none, tpr=none, tnr=none)
    empty = schema.Utility(**dict.fromkeys(schema.Utility.model_fields, estimate(None)))
    defences[0] = defences[0].model_copy(update={"worst": nothing, "utility": empty})
    return result.model_copy(update={"defences": defences, "frontier": []})


def names_on(ax):
    return [text for text in ax.texts if text.get_gid() == "name"]


def test_it_is_kept_and_read_again(result, tmp_path):
    assert result.schema_ == ComparisonResult.SCHEMA
    assert ComparisonResult.load(result.save(tmp_path / "result.json")) == result
    assert load_result(tmp_path) == result
    assert result.defence("hamp").title == "HAMP"
    assert result.attack("loss").family == "scores"
    assert result.undefended.name == "none"
    values = json.loads(result.to_json())
    (tmp_path / "odd.json").write_text(json.dumps({**values, "surprise": 1}))
    with pytest.raises(DataFileError, match="surprise"):
        load_result(tmp_path / "odd.json")
    (tmp_path / "old.json").write_text(json.dumps({**values, "schema": "seepage.comparison/0"}))
    with pytest.raises(DataFileError, match=r"seepage\.comparison/0"):
        load_result(tmp_path / "old.json")


def test_the_largest_is_taken_figure_by_figure():
    def figures(auc, tpr):
        return AttackFigures(balanced_accuracy=estimate(0.6), auc=estimate(auc), tpr=estimate(tpr), tnr=estimate(None))

    worst = worst_of({"a": figures(0.7, 0.01), "b": figures(0.6, 0.2), "c": figures(0.7, None)})
    assert (worst.auc.attack, worst.auc.estimate.value) == ("a", 0.7)
    assert (worst.tpr.attack, worst.tpr.estimate.value) == ("b", 0.2)
    assert worst.balanced_accuracy.attack == "a"  # the first of equals
    assert worst.tnr.attack is None
    assert worst.tnr.estimate.value is None
    assert "1,000 non-members" in worst.tnr.estimate.flag
    assert largest({}).estimate.flag == "undefined for every attack"


def test_the_frontier_is_what_nobody_beats_in_both():
    made = {row[0]: (row[4], row[6]) for row in DEFENCES}
    result = comparison()
    found = schema.frontier(result.defences, lambda one: made[one.name][1])
    for name, (accuracy, leak) in made.items():
        better = [u >= accuracy and v <= leak and (u > accuracy or v < leak) for u, v in made.values()]
        assert (name in found) == (not any(better)), name
    twice = schema.frontier([result.defences[0]] * 2, lambda _: 0.1)
    assert twice == ["none", "none"]  # equals do not beat each other
    assert schema.frontier(result.defences, lambda _: None) == []


@pytest.mark.parametrize(("n", "crowded"), [(1, False), (2, True), (15, False), (22, True)])
def test_every_defence_is_named_beside_its_point_and_no_name_covers_another(n, crowded):
    rows = [(*DEFENCES[at % 15][:2], *DEFENCES[at % 15][2:]) for at in range(n)]
    rows = [(f"{row[0]}-{at}", f"{row[1]} {at}", *row[2:]) for at, row in enumerate(rows)]
    if crowded:
        rows = [(*row[:4], 0.7 + 0.0005 * at, 0.7 - 0.001 * at, 0.1 - 0.0004 * at, 0.5) for at, row in enumerate(rows)]
    made = comparison(rows)
    figure = frontier_figure(made)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for ax in figure.axes:
        labels = names_on(ax)
        titles = [" ".join(row[1].split()) for row in rows]
        assert [text.get_text()[:30] for text in labels] == [title[:30] for title in titles]
        boxes = [text.get_window_extent(renderer) for text in labels]
        for at, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:at]), labels[at].get_text()
            assert ax.bbox.x0 - 2 <= box.x0
            assert box.x1 <= ax.bbox.x1 + 2
            assert ax.bbox.y0 - 2 <= box.y0
            assert box.y1 <= ax.bbox.y1 + 2
        marks = [line for line in ax.lines if line.get_marker() not in ("None", None, "")]
        assert len(marks) == n
        points = np.array([ax.transData.transform(line.get_xydata()[0]) for line in marks])
        assert not any(box.contains(*point) for box in boxes for point in points)


def test_points_intervals_stairs_and_marks_are_those_of_the_result(result):
    ax = leak_against_accuracy(result, "tpr")
    marks = [line for line in ax.lines if line.get_marker() not in ("None", None, "")]
    for one, mark in zip(result.defences, marks, strict=True):
        assert mark.get_xydata()[0] == pytest.approx([one.utility.test_accuracy.value, one.worst.tpr.estimate.value])
        assert mark.get_marker() == {"none": "D", "training": "o", "answers": "s", "both": "^"}[one.kind]
        filled = mark.get_markerfacecolor() == mark.get_color()
        assert filled == (one.name in result.frontier), one.name
    stairs = next(line for line in ax.lines if line.get_gid() == "frontier").get_xydata()
    corners = sorted(tuple(mark.get_xydata()[0]) for mark in marks if mark.get_markerfacecolor() == mark.get_color())
    assert stairs[1::2] == pytest.approx(np.array(corners))
    assert np.diff(stairs, axis=0).min() >= 0  # more accuracy never leaks less
    bars = {tuple(np.round(line.get_xdata(), 9)) for line in ax.lines if len(line.get_xdata()) == 2}
    for one in result.defences:
        x = one.utility.test_accuracy
        assert (round(x.low, 9), round(x.high, 9)) in bars
    assert any(list(line.get_ydata()) == [result.rates.fpr] * 2 for line in ax.lines)  # guessing
    auc = leak_against_accuracy(result, "auc")
    assert any(list(line.get_ydata()) == [0.5, 0.5] for line in auc.lines)
    assert [text.get_text() for text in names_on(auc)] == [text.get_text() for text in names_on(ax)]


def test_what_is_undefined_is_not_drawn_and_said(result):
    none = undefined(result)
    assert names_on(leak_against_accuracy(none, "tpr")) == []
    assert len(names_on(leak_against_accuracy(none, "auc"))) == len(none.defences) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = Page(html(none)).text
    assert "Not drawn, for they are undefined: Undefended." in text
    assert "nan" not in text.lower().split()
    assert "None" not in text


def test_zero_is_drawn():
    rows = [(*row[:6], 0.0, row[7]) for row in DEFENCES[:3]]
    made = comparison(rows)
    for at in (0.001, 0.0):
        asked = made.model_copy(update={"rates": schema.Rates(fpr=at, fnr=at)})
        ax = leak_against_accuracy(asked, "tpr")
        assert ax.get_ylim()[0] < 0
        assert len(names_on(ax)) == 3
        assert any(list(line.get_ydata()) == [at, at] for line in ax.lines)


def test_rows_of_one_title_are_told_apart(result):
    first, second, *_ = result.defences
    twice = result.model_copy(
        update={"defences": [first, second, second.model_copy(update={"name": "hamp-strong"})], "matched": []}
    )
    assert list(twice.titles.values()) == ["Undefended", "HAMP (hamp)", "HAMP (hamp-strong)"]
    shown = [text.get_text() for text in names_on(leak_against_accuracy(twice, "tpr"))]
    assert shown == list(twice.titles.values())
    both = twice.model_copy(update={"frontier": ["hamp-strong"], "frontier_auc": []})
    assert all(title in text for title in shown for text in (html(both), markdown(both), summary(both, width=120)))


def test_the_page_is_well_formed_small_and_loads_nothing(source, page, result):
    assert page.unbalanced == []
    assert page.open == []
    assert len(source.encode()) < 1000 * KILOBYTE
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "img", "image", "form", "base"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, name)
    assert "http:" not in source
    assert "https:" not in source
    assert source.count("<svg") == 2
    assert html(result) == source  # the same result gives the same bytes


def test_sections_stand_in_order(page):
    order = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert order == ["answer", "frontier", "conclusions", "defences", "families", "matched", "canaries", "attacks",
                     "tuning", "seeds", "method", "provenance"]  # fmt: skip


def test_every_defence_and_every_number_is_there(result, page):
    text = page.text

    def shown(one, *, as_rate):
        return " ".join(filter(None, [percent(one.value) if as_rate else decimal(one.value),
                                      interval_of(one, as_rate=as_rate)]))  # fmt: skip

    for one in result.defences:
        assert f"{one.title}" in text
        use = one.utility
        assert all(shown(each, as_rate=True) in text for each in (use.train_accuracy, use.test_accuracy))
        assert all(shown(each, as_rate=False) in text for each in (use.calibration_error, use.negative_log_likelihood))
        for leak in (one.worst, *one.by_family.values()):
            assert shown(leak.auc.estimate, as_rate=False) in text
            assert shown(leak.tpr.estimate, as_rate=True) in text
        assert shown(one.worst.tnr.estimate, as_rate=True) in text
        for figures in one.attacks.values():
            assert shown(figures.auc, as_rate=False) in text
            assert shown(figures.tpr, as_rate=True) in text
        assert all(" ".join(note.split()) in text for note in one.notes)
        assert all(seed.folder in text for seed in one.per_seed)
        assert all(shown(point.validation_accuracy, as_rate=True) in text for point in one.tuning)
        if one.canaries:
            assert all(shown(each, as_rate=True) in text for each in one.canaries.attacks.values())
    for words in (*result.conclusions, *result.limits, result.headline, result.provenance.command):
        assert words in text
    for words in ("searched, floor not reached", "claims epsilon 4 at delta 1e-05", "milestones (60, 90)", "7 of 15"):
        assert words in text


def test_intervals_of_one_seed_are_not_said_to_be_over_seeds(result, page):
    assert page.text.count("intervals over seeds and records") == 2
    text = Page(html(result.model_copy(update={"seeds": [0], "limits": []}))).text
    assert "over seeds" not in text
    assert text.count("the intervals of one seed's audit") == 2


def test_the_worst_attack_stands_beside_its_figure(source):
    rows = re.findall(r"<tr.*?</tr>", source[source.index('<section id="defences"') :], re.S)
    of_hamp = Page(next(row for row in rows if ">HAMP</span>" in row)).text
    assert "Rank of the true class" in of_hamp  # its answers hide scores, so its worst attack is another one
    of_dp = Page(next(row for row in rows if ">DP-SGD</span>" in row)).text
    assert "Rank of the true class" not in of_dp


def test_an_undefined_number_is_a_dash_with_its_reason(source):
    head, *_ = re.findall(r"<table.*?</table>", source[source.index('<section id="attacks"') :], re.S)
    cells = Page(head).text
    assert "Correctness" in cells
    assert cells.count(UNDEFINED) == len(DEFENCES)
    assert "undefined: fewer than 1,000 non-members" in source


def test_what_was_not_run_has_no_section(result):
    bare = result.model_copy(
        update={
            "matched": [],
            "utility_floor": None,
            "defences": [
                one.model_copy(update={"canaries": None, "tuning": [], "by_family": {}}) for one in result.defences
            ],
        }
    )
    source = html(bare)
    for name in ("matched", "canaries", "tuning"):
        assert f'<section id="{name}"' not in source
    assert "not run" in source


@pytest.mark.parametrize("render", [html, markdown])
def test_other_peoples_text_stays_text(result, render):
    changed = renamed(result, title=HOSTILE, name=HOSTILE, notes=[HOSTILE], options={HOSTILE: HOSTILE})
    changed = changed.model_copy(update={"headline": HOSTILE, "conclusions": [HOSTILE], "frontier": [HOSTILE]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = render(changed)
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "7*7" in text.replace("\\", "")
    assert "](http" not in text or render is html
    assert "\x1b" not in summary(changed)


def test_markdown_has_the_same_tables(result):
    text = markdown(result)
    for one in result.defences:
        assert f"| {one.title}" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for before, after in pairwise(rows):
        if set(after) <= set("|-:"):
            assert before.count("|") == after.count("|")
    assert "# Which defence buys how much?" in text
    assert "Figure (drawn in the HTML report)" in text


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_terminal_has_a_line_for_each_defence(result, width):
    text = summary(result, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    for one in result.defences:
        assert one.title.split()[0] in text
        assert percent(one.utility.test_accuracy.value) in text
    plain = " ".join(text.split())
    assert all(sentence in plain for sentence in [result.headline, *result.conclusions])
    assert ("0.748 [0.742, 0.754]" in text) == (width >= 100)
    assert str(result).startswith(result.headline[:40])


def test_the_figure_alone_can_be_written(result, tmp_path):
    path = result.report(tmp_path / "frontier.svg")
    text = path.read_text()
    assert text.startswith("<?xml")
    assert "</svg>" in text
    assert path.read_bytes() == result.report(tmp_path / "again.svg").read_bytes()
