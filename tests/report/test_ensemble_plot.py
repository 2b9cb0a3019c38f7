"""The picture and the section on attacks together."""

import re
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from seepage.metrics import ensemble as together
from seepage.report import ensemble_plot
from seepage.report.render import html, markdown
from seepage.schema.audit import AuditResult
from seepage.studies.audit.ensemble import ensemble
from seepage.studies.audit.findings import Scored
from seepage.studies.settings import Settings
from tests.report.example_results import HOSTILE


def scored(names, n=900, targets=1, seed=0, leak=3.0):
    """Attacks that agree on the records that are hard, and some of which find others."""
    rng = np.random.default_rng(seed)
    members = np.stack([rng.permutation(n) < n // 2 for _ in range(targets)], axis=1)
    hard = rng.normal(size=(n, 1))
    scores = {
        name: 0.8 * hard + 0.6 * rng.normal(size=(n, targets)) + leak * (members & (rng.random((n, 1)) < 0.02 * at))
        for at, name in enumerate(names)
    }
    ones = dict.fromkeys(names, 0.01)
    return Scored(scores, {}, members, np.arange(n), ones, ones, Settings())


@pytest.fixture(scope="module")
def found():
    """Builds an example result with its attacks compared, once for each number of targets."""
    made = {}

    def build(leak, targets=1):
        if targets not in made:
            names = [attack.name for attack in leak.attacks]
            made[targets] = ensemble(scored(names, targets=targets), np.random.default_rng(0))
        return leak.model_copy(update={"ensemble": made[targets]})

    return build


@pytest.mark.parametrize("targets", [1, 3])
def test_the_counts_of_a_result_add_up(found, leak, targets):
    result = found(leak, targets)
    one = result.ensemble
    given = scored([attack.name for attack in leak.attacks], targets=targets)
    assert (one.n_members, one.n_nonmembers) == (450 * targets, 450 * targets)
    assert one.n_targets == targets
    assert one.attacks == given.order
    for name in ("n_members", "n_nonmembers"):
        rest = getattr(one.rest, name) if one.rest else 0
        assert sum(getattr(row, name) for row in one.intersections) + rest == getattr(one.union, name)
    rows = together.upset({name: given.scores[name] for name in given.order}, given.members, one.fpr)
    assert len(rows) == len(one.intersections) + one.n_rest
    assert len(one.agreement) == len(one.attacks) == 8
    assert [row.fpr for row in one.best] == [0.1, 0.01]  # 0.1 % is undefined for 450 non-members
    assert AuditResult.model_validate_json(result.to_json()) == result


def test_one_attack_or_few_records_are_not_compared():
    assert ensemble(scored(["loss"]), np.random.default_rng(0)) is None
    assert ensemble(scored(["loss", "entropy"], n=38), np.random.default_rng(0)) is None
    few = ensemble(scored(["loss", "entropy"], n=60), np.random.default_rng(0))
    assert (few.fpr, few.flag) == (0.1, "fewer than 10 false positives are allowed at this FPR")


def test_bars_and_dots_are_those_of_the_result(found, leak):
    result = found(leak)
    ax = ensemble_plot.upset(result, most=5)
    bars, matrix = ax.child_axes
    drawn = result.ensemble.intersections[:5]
    heights = [patch.get_height() for patch in bars.patches]
    assert heights == [row.n_members for row in drawn] + [row.n_nonmembers for row in drawn]
    names = [label.get_text() for label in matrix.get_yticklabels()]
    titles = {attack.name: ensemble_plot._short(attack.title, 34) for attack in result.attacks}
    dots = [set() for _ in drawn]
    for line in matrix.lines:
        if line.get_color() == ensemble_plot.LEAD and line.get_marker() == "o":
            for x, y in line.get_xydata():
                dots[int(x)].add(names[int(y)])
    assert dots == [{titles[name] for name in row.attacks} for row in drawn]


def test_what_is_not_drawn_is_said(found, leak):
    result = found(leak)
    one = result.ensemble
    texts = [text.get_text() for text in ensemble_plot.upset(result, most=5).child_axes[0].texts]
    left = len(one.intersections) + one.n_rest - 5
    members = one.union.n_members - sum(row.n_members for row in one.intersections[:5])
    assert f"not drawn: {left} smaller combinations," in texts
    assert any(text.startswith(f"{members} members,") for text in texts)
    few = one.model_copy(update={"intersections": one.intersections[:2], "rest": None, "n_rest": 0})
    bars = ensemble_plot.upset(result.model_copy(update={"ensemble": few})).child_axes[0]
    assert not any("not drawn" in text.get_text() for text in bars.texts)


def test_it_draws_on_the_axes_it_is_given_and_fits_them(found, leak):
    ax = Figure().subplots()
    assert ensemble_plot.upset(found(leak), ax=ax) is ax
    one = found(leak).ensemble
    nobody = one.model_copy(update={"intersections": [], "rest": None, "n_rest": 0})
    for result in (found(leak), leak.model_copy(update={"ensemble": nobody})):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a layout that collapses is a warning
            ensemble_plot.upset(result).figure.draw_without_rendering()


def test_a_result_without_a_comparison_is_refused(leak):
    with pytest.raises(ValueError, match="no comparison"):
        ensemble_plot.upset(leak)


@pytest.mark.parametrize("render", [html, markdown])
def test_the_report_has_a_section_with_the_union_the_honest_best_and_the_naive_one(found, leak, render):
    result = found(leak)
    text = render(result)
    assert "Attacks together" in text
    assert "Attacks together" not in render(leak)
    union = result.ensemble.union
    plain = re.sub(r"\s+", " ", text)
    assert f"{union.n_members} of 450 members, and wrongly {union.n_nonmembers} of 450 non-members" in plain
    for words in ("TPR, held out", "TPR, same records", "the best single attack there", "logistic regression"):
        assert words in text


def test_titles_from_elsewhere_stay_text(found, hostile):
    source = html(found(hostile))
    assert "<script>alert" not in source
    assert "Attacks together" in source
    assert HOSTILE not in source
