"""The page, the figures and the lines for the terminal of model inversion."""

import json
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from seepage.cli import main
from seepage.errors import DataFileError
from seepage.metrics.reconstruction import paired
from seepage.report.inversion.page import lead
from seepage.report.inversion_plots import attacks_figure, figure_alone, frontier_figure
from seepage.report.render import html, markdown
from seepage.report.terminal import summary
from seepage.schema.inversion import InversionResult
from seepage.schema.inversion_reading import reference, sweeps, titles
from seepage.schema.numbers import interval_of, percent
from seepage.schema.reading import load_result
from tests.report.inversion_made import (
    ATTACKS,
    TARGETS,
    attacked,
    ceiling,
    estimate,
    inversion,
    pictures,
    png,
    target,
)
from tests.report.test_render import Page

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e{{ 7*7 }} $x^2$\n| **bold** [a](http://e.org)"
KILOBYTE = 1000


@pytest.fixture(scope="module")
def result():
    return inversion()


@pytest.fixture(scope="module")
def source(result):
    return html(result)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


@pytest.fixture(scope="module")
def alone():
    """One target and two attacks: drawn quickly."""
    return inversion([target(TARGETS[0], ATTACKS[:2])], fisher=[])


def shown(one, *, as_rate=True):
    return " ".join(filter(None, [percent(one.value) if as_rate else f"{one.value:.3f}",
                                  interval_of(one, as_rate=as_rate)]))  # fmt: skip


def of(ax, gid):
    return [line for line in ax.lines if line.get_gid() == gid]


def test_it_is_kept_and_read_again(result, tmp_path):
    assert InversionResult.load(result.save(tmp_path / "result.json")) == result
    assert load_result(tmp_path) == result
    values = json.loads(result.to_json())
    assert values["schema"] == InversionResult.SCHEMA
    (tmp_path / "odd.json").write_text(json.dumps({**values, "surprise": 1}))
    with pytest.raises(DataFileError, match="surprise"):
        load_result(tmp_path / "odd.json")


def test_a_result_of_a_closed_judge_is_read_on_and_says_what_it_is(result, tmp_path):
    """As they were written before a hit was judged in the open: without the new fields, selections as baselines."""
    values = json.loads(result.to_json())
    del values["ceilings"]
    for field in ("rule", "n_public_classes", "named", "taken"):
        del values["evaluator"][field]
    for info in values["attacks"]:
        del info["is_selection"]
    for one in values["targets"]:
        for attack in one["attacks"]:
            for field in ("named", "selection", "beyond_selection"):
                del attack[field]
            for baseline, old in zip(attack["baselines"], ("chance", "random-code", "public-nearest", "wrong-class",
                                                           "best-of-random"), strict=True):  # fmt: skip
                baseline["name"] = old
    (tmp_path / "result.json").write_text(json.dumps(values))
    old = load_result(tmp_path)
    page = Page(html(old))
    assert "This result is of a closed judge" in page.text
    assert "This result is of a closed judge" not in Page(html(result)).text
    ids = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert "ceiling" not in ids
    assert "Named among the private" not in page.text
    assert "points by class" in page.text  # classes were there already
    assert summary(old)


def test_what_limits_every_attack_stands_first(result, page):
    text = page.text[page.text.rindex("Can anything be shown here?") : page.text.rindex("What the numbers say")]
    for one in result.ceilings:
        assert shown(one.accuracy) in text
        assert shown(one.real) in text
        assert one.baseline in text
    assert "against No defence" in text
    assert result.evaluator.rule in text
    for one in result.evaluator.taken:
        assert one.title in text
        assert shown(one.share) in text
    low = result.model_copy(update={"ceilings": [ceiling("gan", 0.08)]})
    assert "yes" not in markdown(low).split("Can anything be shown here?")[-1].split("Taken for")[0]


def test_targets_stand_beside_the_undefended_in_pairs(result, page):
    first = result.target("undefended")
    for one in result.targets[1:6]:
        for before, after in zip([first.worst, *first.attacks], [one.worst, *one.attacks], strict=True):
            gaps = [after.classes[name] - before.classes[name] for name in before.classes]
            difference, p_value = paired(before, after, 0.95)
            assert difference.value == pytest.approx(np.mean(gaps))
            assert (
                f"{100 * difference.value:.1f} [{100 * difference.low:.1f}, {100 * difference.high:.1f}]" in page.text
            )
            assert difference.low <= difference.value <= difference.high
            assert 0 < p_value <= 1
    assert paired(first.worst, first.worst.model_copy(update={"classes": {}}), 0.95) is None
    assert reference(result.targets[1:]) is None
    assert reference(result.targets[:1]) is None


def test_the_page_is_well_formed_small_and_loads_nothing(source, page, result):
    assert page.unbalanced == []
    assert page.open == []
    assert len(source.encode()) < 1000 * KILOBYTE
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "img", "image", "form", "base"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, name)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "http:" not in source
    assert "https:" not in source
    assert source.count("<svg") == 3  # attacks, frontier, Fisher


def test_the_same_result_gives_the_same_bytes(alone):
    assert html(alone) == html(alone)


def test_sections_stand_in_order(page):
    order = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert order == ["answer", "ceiling", "conclusions", "attacks", "frontier", "controls", "likeness", "fisher",
                     "classes", "targets", "method", "provenance"]  # fmt: skip


def test_the_lead_says_how_often_each_target_was_trained(result):
    def told(**changes):
        return lead(result.model_copy(update=changes))[1]

    assert "with 3 trainings of every target; a control is made once." in told()
    plain = [one for one in result.targets if one.role not in ("null", "shuffled")]
    assert "with 3 trainings of every target." in told(targets=plain)
    assert "once for each of 3 seeds." in told(targets=plain, recipe={"attacked": "CNN"})
    assert "training" not in told(seeds=[0])


def test_a_null_target_saw_no_private_image(source):
    text = "".join(source.split())
    assert "ontheprivateimagesthatothersaretrainedon" in text
    assert "bythetruelabels" in text


@pytest.mark.parametrize("name", ["LEAK SHOWN", "NO EVIDENCE", "INCONCLUSIVE", "INVALID"])
def test_every_verdict_has_its_words_and_its_tone(alone, name):
    text = html(alone.model_copy(update={"verdict": name}))
    tone = {"LEAK SHOWN": "leak", "NO EVIDENCE": "none", "INCONCLUSIVE": "unsure", "INVALID": "void"}[name]
    assert f'<h1 id="answer-title">{name}</h1>' in text
    assert f"--tone: var(--{tone});" in text
    assert "It does not mean" in text or "It means neither" in text
    assert "safe" not in Page(text).text.lower()


def test_every_number_of_every_attack_on_every_target_is_there(result, page):
    text = page.text
    names = titles(result.targets)
    for one in result.targets:
        assert names[one.name] in text
        assert shown(one.test_accuracy) in text
        assert all(note in text for note in one.notes)
        for attack in one.attacks:
            for each in (attack.accuracy, attack.accuracy_top_5, attack.target_accuracy, attack.nearer_private):
                assert shown(each) in text
            for each in (attack.distance_private, attack.kernel, attack.diversity):
                assert shown(each, as_rate=False) in text
            assert all(shown(each.accuracy) in text for each in attack.baselines)
            gain = attack.advantage
            assert f"{100 * gain.value:.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]" in text
    for found in (*result.conclusions, *result.limits):
        assert found.sentence in text
    for words in (result.headline, result.evaluator.about, *result.evaluator.checks, *result.priors.values(),
                  result.provenance.command, result.public, "person 19"):  # fmt: skip
        assert words in text
    assert "400 steps, 3 tries, 2,000 questions" in text
    assert "60,000 of 312,000 parameters trained on private images" in text


def test_an_undefined_number_is_a_dash_with_its_reason(page):
    assert "undefined: 600 images for 512 features" in page.text


def test_the_leading_attack_comes_first_and_alarms_are_said(source):
    table = source[source.index("<caption>Recognised, No defence") :]
    rows = [Page(row).text for row in re.findall(r"<tr role=.*?</tr>", table[: table.index("</table>")], re.S)[1:]]
    assert rows[0].startswith("Pseudo-label guided (PLG-MI)")
    assert [" yes " in row for row in rows] == [True] * 5 + [False]
    assert ["adversarial" in row for row in rows] == [False] * 5 + [True]


def test_what_was_not_run_has_no_section(alone):
    source = html(alone)
    for name in ("frontier", "controls", "fisher", "targets", "pictures"):
        assert f'<section id="{name}"' not in source
    bare = [one.model_copy(update={"attacks": [], "role": "null"}) for one in alone.targets]
    nothing = inversion(bare, fisher=[])
    assert nothing.verdict == "INCONCLUSIVE"
    text = html(nothing)
    assert '<section id="attacks"' not in text
    assert '<section id="method"' in text
    assert "INCONCLUSIVE" in summary(nothing)


def test_undefined_everywhere_is_drawn_nowhere():
    none = attacked(ATTACKS[0], 1.0, "", accuracy=estimate(None, flag="no image"), target_accuracy=estimate(None),
                    advantage=estimate(None), baselines=[], nearer_private=None, distance_private=None,
                    distance_held_out=None, frechet=None, kernel=None, diversity=None, accuracy_top_5=None,
                    classes={}, seeds=[])  # fmt: skip
    made = [target(row).model_copy(update={"attacks": [none]}) for row in TARGETS[:2]]
    made[1] = made[1].model_copy(update={"test_accuracy": estimate(None)})
    result = inversion(made, fisher=[])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = Page(html(result)).text
    assert "Not drawn, for they are undefined: No defence and TL-DMI (frozen 2)." in text
    assert "no image" in text
    assert "None" not in text
    assert "nan" not in text.lower().split()
    assert '<section id="likeness"' not in html(result)
    assert summary(result)


def test_the_figure_of_attacks_has_every_mark_where_its_number_is(result):
    one = result.target("undefended")
    ax = attacks_figure(result).axes[0]
    order = ["plg-mi", "lomma", "ked-mi", "gmi", "brep-mi", "mi-face"]
    for gid, value in (("judge", lambda a: a.accuracy.value), ("target", lambda a: a.target_accuracy.value)):
        assert [line.get_xdata()[0] for line in of(ax, gid)] == [value(one.attack(name)) for name in order]
    beside = [line.get_xdata()[0] for line in of(ax, "baseline")]
    assert beside == [each.accuracy.value for name in order for each in one.attack(name).baselines]
    assert all(line.get_markerfacecolor() == "#ffffff" for line in of(ax, "target"))  # hollow
    colours = [line.get_color() for line in of(ax, "judge")]
    assert len(set(colours[:5])) == 1
    assert colours[5] != colours[0]  # not beyond the baselines
    bars = {tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2}
    assert all((a.accuracy.low, a.accuracy.high) in bars for a in one.attacks)
    assert all((b.accuracy.low, b.accuracy.high) in bars for a in one.attacks for b in a.baselines)
    alarms = [text for text in ax.texts if text.get_gid() == "alarm"]
    assert len(alarms) == 1
    assert alarms[0].get_position()[1] == pytest.approx(5, abs=0.5)  # in the row of MI-Face


def test_the_frontier_has_a_point_for_each_target_of_use_and_joins_a_sweep(result):
    figure = frontier_figure(result)
    ax = figure.axes[0]
    marks = [line for line in ax.lines if line.get_marker() not in ("None", None, "") and len(line.get_xdata()) == 1]
    points = [(one.test_accuracy.value, one.worst.accuracy.value) for one in result.targets[:6]]
    assert [tuple(mark.get_xydata()[0]) for mark in marks] == points  # no control
    assert [mark.get_marker() for mark in marks] == ["D"] + ["o"] * 5
    filled = [mark.get_markerfacecolor() == mark.get_color() for mark in marks]
    assert filled == [not any(u >= x and v <= y and (u, v) != (x, y) for u, v in points) for x, y in points]
    (path,) = of(ax, "sweep")
    assert [tuple(at) for at in path.get_xydata()] == points[1:4]
    assert of(ax, "floor")[0].get_ydata()[0] == 0.16
    names = [text for text in ax.texts if text.get_gid() == "name"]
    assert [text.get_text() for text in names] == [row[1] for row in TARGETS[:6]]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in names]
    assert not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[:at])
    bars = {tuple(np.round(line.get_xdata(), 9)) for line in ax.lines if len(line.get_xdata()) == 2}
    for one in result.targets[:6]:
        assert (round(one.test_accuracy.low, 9), round(one.test_accuracy.high, 9)) in bars


def test_a_sweep_is_one_defence_whose_numbers_differ(result):
    assert [[one.name for one in sweep] for sweep in sweeps(result.targets)] == [
        ["tl-dmi frozen 2", "tl-dmi frozen 3", "tl-dmi frozen 4"], ["bido kind hsic"], ["mid"],
    ]  # fmt: skip
    other = result.target("bido kind hsic").model_copy(update={"name": "bido kind coco", "options": {"kind": "coco"}})
    assert len(sweeps([*result.targets, other])) == 4  # another kind, not another amount


def test_targets_of_one_title_are_told_apart(result):
    first, second, *_ = result.targets
    twins = [first, second, second.model_copy(update={"name": "again"})]
    assert list(titles(twins).values()) == ["No defence", "TL-DMI (frozen 2) (tl-dmi frozen 2)",
                                            "TL-DMI (frozen 2) (again)"]  # fmt: skip


def test_the_figure_alone_can_be_written(result, alone, tmp_path):
    path = result.report(tmp_path / "frontier.svg")
    text = path.read_text()
    assert text.startswith("<?xml")
    assert "</svg>" in text
    assert path.read_bytes() == result.report(tmp_path / "again.svg").read_bytes()
    assert figure_alone(result).axes[0].get_xlabel().startswith("natural accuracy")
    assert figure_alone(alone).axes[0].get_xlabel().startswith("share of hits")


def test_pictures_are_shown_only_where_the_result_holds_them(alone, source):
    assert "image/png" not in source
    result = alone.model_copy(update={"pictures": pictures(3)})
    text = html(result)
    page = Page(text)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 6 * 10
    assert all(attributes["src"].startswith("data:image/png;base64,iVBOR") for attributes in images)
    alts = [attributes["alt"] for attributes in images]
    assert alts.count("training image") == 30
    flags = [flag for row in result.pictures for flag in row.recognised]
    assert alts.count("reconstruction, recognised") == sum(flags) == text.count("✓")
    assert [a != "reconstruction, not recognised" for a in alts if a != "training image"] == flags
    assert page.unbalanced == []
    assert "person 02" in page.text
    assert "shows private images" in page.text
    told = markdown(result)
    assert "iVBOR" not in told
    assert re.search(r"Contact sheet \(shown in the HTML report\).*: 30 images\.", told)


def test_a_contact_sheet_has_its_bounds(alone, monkeypatch):
    many = pictures(1)[0].model_copy(update={"private": [png(1)] * 40, "reconstructed": [png(2)] * 40,
                                             "recognised": [True] * 40})  # fmt: skip
    assert html(alone.model_copy(update={"pictures": [many]})).count("<img") == 16
    monkeypatch.setattr("seepage.report.inversion.method.MOST_CHARACTERS", 20 * len(png(1)))
    text = html(alone.model_copy(update={"pictures": [many] * 3}))
    assert text.count("<img") == 16
    assert "2 more rows are in the result" in text


def test_an_image_that_is_no_base64_is_no_way_out(alone):
    odd = pictures(1)[0].model_copy(update={"private": ['"><script>alert(1)</script>', "http://e.org/a.png"]})
    text = html(alone.model_copy(update={"pictures": [odd]}))
    assert "<script" not in text
    assert "http:" not in text
    assert text.count('src="data:,"') == 2


@pytest.mark.parametrize("render", [html, markdown])
def test_other_peoples_text_stays_text(alone, render):
    one, info = alone.targets[0], alone.attacks[0]
    changed = alone.model_copy(
        update={
            "headline": HOSTILE,
            "targets": [one.model_copy(update={"title": HOSTILE, "notes": [HOSTILE], "options": {HOSTILE: HOSTILE}})],
            "attacks": [info.model_copy(update={"title": HOSTILE, "notes": [HOSTILE]}), *alone.attacks[1:]],
            "pictures": [pictures(1)[0].model_copy(update={"class_name": HOSTILE})],
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = render(changed)
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "](http" not in text or render is html
    assert "\x1b" not in summary(changed)


def test_markdown_has_the_same_tables(result):
    text = markdown(result)
    assert text.startswith(f"# {result.verdict}\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for before, after in pairwise(rows):
        if set(after) <= set("|-:"):
            assert before.count("|") == after.count("|")
    for one in result.targets[0].attacks:
        assert shown(one.accuracy) in text
    assert text.count("Figure (drawn in the HTML report)") == 3


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_terminal_has_a_line_for_each_attack_and_target(result, width):
    text = summary(result, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert text.startswith("LEAK SHOWN\n")
    plain = " ".join(text.split())
    assert result.headline in plain
    assert all(one.sentence in plain for one in result.conclusions)
    table = text[text.index("Recognised by the judge: No defence") :]
    for one in result.targets[0].attacks:
        assert shown(one.accuracy) in " ".join(table.split())
        assert percent(one.target_accuracy.value) in table
    assert table.count("!") == (2 if width >= 80 else 3)  # the row, in two tables where it is narrow, and what it means
    for one in result.targets[:6]:
        assert shown(one.worst.accuracy) in " ".join(table.split())
    assert "Null" not in table


def test_the_command_prints_the_summary(alone, tmp_path):
    alone.save(tmp_path / "result.json")
    ran = CliRunner().invoke(main, ["report", str(tmp_path)], catch_exceptions=False)
    assert ran.exit_code == 0
    assert ran.output.startswith(f"{alone.verdict}\n")
    assert "Recognised by the judge" in ran.output
    page = tmp_path / "page.html"
    ran = CliRunner().invoke(main, ["report", str(tmp_path), "--out", str(page)], catch_exceptions=False)
    assert ran.output == f"Report: {page}\n"
    assert page.read_text().startswith("<!doctype html>")


def test_the_audit_of_a_release_has_no_page_and_is_told_apart(tmp_path):
    (tmp_path / "one.audit.json").write_text(json.dumps({"epsilon 20": {"schema": "seepage.release-audit/1"}}))
    with pytest.raises(DataFileError, match="audit of a release from before such audits had a page: it is plain JSON"):
        load_result(tmp_path / "one.audit.json")
