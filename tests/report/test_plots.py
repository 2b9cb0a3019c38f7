import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from seepage.report import plots

DIMENSIONS = {"paper", "wash", "rule"}


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("name", sorted(set(plots.PALETTE) - DIMENSIONS))
def test_text_in_every_colour_reads_on_paper_and_on_shading(name, theme):
    """WCAG 2 AA: a contrast of at least 4.5 to 1."""
    for background in ("paper", "wash"):
        tones = sorted(luminance(plots.PALETTE[colour][theme]) for colour in (name, background))
        assert (tones[1] + 0.05) / (tones[0] + 0.05) >= 4.5


def test_each_colour_can_be_told_from_the_others_by_its_light_tone():
    light = [tones[0] for tones in plots.PALETTE.values()]
    assert len(set(light)) == len(light)


def test_a_plot_draws_on_the_axes_it_is_given(leak):
    ax = Figure().subplots()
    assert plots.roc(leak, ax=ax) is ax
    assert plots.auc(leak).get_xlabel().startswith("AUC")
    assert plots.histogram(leak.attacks[0]).patches
    assert plots.slices(leak.classes).get_yticklabels()[0].get_text() == "0"


def test_figures_leave_the_users_settings_and_state_alone(leak):
    import matplotlib._pylab_helpers as open_figures

    before = dict(matplotlib.rcParams)
    plots.roc(leak)
    assert dict(matplotlib.rcParams) == before
    assert open_figures.Gcf.get_all_fig_managers() == []


def test_a_curve_keeps_its_ends_when_thinned(variant):
    ax = plots.roc(variant)
    longest = max(ax.lines, key=lambda line: len(line.get_xdata()))
    assert len(longest.get_xdata()) <= 160
    assert longest.get_xdata()[-1] == 1


def test_every_line_of_the_roc_is_named_beside_it(leak):
    names = {text.get_text() for text in plots.roc(leak).texts}
    assert {attack.title for attack in leak.attacks[:4]} | {"guessing"} <= names


def test_a_histogram_that_the_result_lacks_is_refused(leak):
    bare = leak.attacks[0].model_copy(update={"histogram": None})
    with pytest.raises(ValueError, match="no histogram"):
        plots.histogram(bare)
