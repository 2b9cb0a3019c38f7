"""The figure of the Fisher analysis shows the numbers of its curves."""

import io
import warnings

import numpy as np
import pytest

from seepage.report.fisher_plot import LEAD, LEAK, fisher_figure
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import FisherCurve


def made(target="none", n=4, seed=0):
    rng = np.random.default_rng(seed)
    two = {}
    for name in ("classification", "inversion"):
        share = rng.dirichlet(np.ones(n))
        two |= {name: share.tolist(), f"{name}_low": (0.8 * share).tolist(), f"{name}_high": (1.2 * share).tolist()}
    return FisherCurve(target=target, attack="gmi", layers=[f"body.{k}.conv" for k in range(n)], parameters=[9] * n,
                       n_classification=50, n_inversion=25, **two)  # fmt: skip


def test_each_target_has_a_panel_with_two_lines_and_their_bands():
    curves = [made("none"), made("tl-dmi", seed=1)]
    figure = fisher_figure(curves)
    for ax, one in zip(figure.axes, curves, strict=True):
        lines = {line.get_color(): line.get_ydata() for line in ax.lines}
        np.testing.assert_allclose(lines[LEAD], one.classification)
        np.testing.assert_allclose(lines[LEAK], one.inversion)
        assert [label.get_text() for label in ax.get_xticklabels()] == one.layers
        assert one.target in ax.get_title(loc="left")
        texts = " ".join(text.get_text() for text in ax.texts)
        assert "classification, n 50" in texts
        assert "inversion, n 25" in texts
        assert ax.get_ylim() == figure.axes[0].get_ylim()  # panels can be compared
        shares = one.classification + one.inversion
        assert ax.get_ylim()[0] <= min(shares) <= max(shares) <= ax.get_ylim()[1]


def test_a_share_of_zero_is_drawn_at_the_foot():
    one = made().model_copy(update={"inversion": [0.0, 1.0, 0.0, 0.0], "inversion_low": [0.0, 1.0, 0.0, 0.0]})
    ax = fisher_figure([one]).axes[0]
    drawn = {line.get_color(): line.get_ydata() for line in ax.lines}[LEAK]
    np.testing.assert_allclose(drawn, [ax.get_ylim()[0], 1, ax.get_ylim()[0], ax.get_ylim()[0]])


@pytest.mark.parametrize("n", [1, 2, 13, 40])
def test_few_layers_and_many_are_drawn_without_a_warning(n):
    hostile = made("$x_1^ <script>" + 50 * "y", n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fisher_figure([hostile, made("b", n)]).savefig(io.BytesIO(), format="svg")


def with_ratio(target="none", n=4, seed=0, most=2.0):
    one = made(target, n, seed)
    ratio = np.random.default_rng(seed).uniform(0.5, most, n)
    slope = Estimate(value=-0.17, low=-0.27, high=-0.07, n=60)
    ends = {"ratio": ratio.tolist(), "ratio_low": (0.9 * ratio).tolist(), "ratio_high": (1.1 * ratio).tolist()}
    return one.model_copy(update={**ends, "slope": slope, "steps": [1, 5, 20]})


def test_the_ratio_is_what_is_drawn_where_it_is_known():
    curves = [with_ratio("a"), with_ratio("b", seed=1), with_ratio("c", seed=2)]
    figure = fisher_figure(curves)
    panels = [ax for ax in figure.axes if ax.get_visible()]
    assert len(panels) == 3
    for ax, one in zip(panels, curves, strict=True):
        (line,) = [line for line in ax.lines if line.get_gid() == "ratio"]
        np.testing.assert_allclose(line.get_ydata(), one.ratio)
        (alike,) = [line for line in ax.lines if line.get_gid() == "alike"]
        assert set(alike.get_ydata()) == {1}
        assert "slope -0.17 [-0.27, -0.07]" in " ".join(text.get_text() for text in ax.texts)
        assert ax.get_ylim() == panels[0].get_ylim()
        assert ax.get_ylim()[0] <= min(one.ratio_low) <= max(one.ratio_high) <= ax.get_ylim()[1]
        assert [label.get_text() for label in ax.get_xticklabels()] == one.layers
    mixed = fisher_figure([with_ratio("a"), made("b")])  # a result that was written before the ratio
    assert {line.get_color() for line in mixed.axes[0].lines} == {LEAD, LEAK}


def test_ratios_of_any_size_and_number_are_drawn_without_a_warning():
    huge = with_ratio("$x_1^ <b>" + 50 * "y", 13, most=1e6)
    none = with_ratio("b", 1).model_copy(update={"slope": None})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for curves in ([huge], [none], [huge, none, with_ratio("c", 40)]):
            fisher_figure(curves).savefig(io.BytesIO(), format="svg")


def test_no_curve_is_refused():
    with pytest.raises(ValueError, match="no Fisher analysis"):
        fisher_figure([])
