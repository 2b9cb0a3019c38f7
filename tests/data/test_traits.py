"""The view of records in which checks look for a difference: named traits, and points where near-copies are close."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from seepage.data.traits import positions, traits


def column(records, name):
    seen = traits(records)
    return seen.values[:, seen.names.index(name)]


def images(n=40, size=16, channels=3, seed=0):
    """Smooth pictures: a few waves, so that neighbouring pixels are alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = rng.normal(size=(n, channels, 4, 1, 1)) * np.stack([np.sin(2 * np.pi * f * (x + y)) for f in (1, 2)] * 2)
    return np.clip(0.5 + 0.05 * waves.sum(axis=2) + rng.normal(0, 0.2, (n, channels, 1, 1)), 0, 1)


def test_traits_by_hand_on_four_numbers():
    records = np.array([[0.0, 0.0, 2.5, 2.5], [1.0, 2.0, 3.0, 4.25]])
    assert column(records, "mean").tolist() == [1.25, 2.5625]
    assert column(records, "share of zeros").tolist() == [0.5, 0.0]
    assert column(records, "distinct values").tolist() == [1, 3]  # steps between them
    assert "digits after the point" not in traits(records).names  # one digit in two values, two in one of four: alike
    assert column(records, "digits after the point in value 3").tolist() == [1, 2]
    assert column(records, "share at the least value").tolist() == [0.5, 0.25]


def test_a_missing_value_is_a_trait_of_its_own_and_no_number():
    records = np.array([[1.0, np.nan], [1.0, 2.0]])
    assert column(records, "share missing").tolist() == [0.5, 0.0]
    assert column(records, "value 1 missing").tolist() == [1, 0]
    assert np.isfinite(traits(records).values).all()


def test_what_is_alike_for_all_records_is_left_out():
    assert traits(np.ones((5, 3))).names == ()
    assert traits(np.ones((5, 3))).values.shape == (5, 0)


def test_neighbouring_differences_against_a_loop():
    pictures = images(n=5)
    for axis, name in ((3, "columns"), (2, "rows")):
        expected = []
        for picture in pictures:
            steps = []
            for channel in picture:
                for i in range(16):
                    for j in range(15):
                        a, b = ((i, j), (i, j + 1)) if axis == 3 else ((j, i), (j + 1, i))
                        steps.append(abs(channel[b] - channel[a]))
            expected.append(np.mean(steps))
        np.testing.assert_allclose(column(pictures, f"difference of neighbouring {name}"), expected, rtol=1e-9)


def test_the_spectrum_holds_all_energy_but_the_mean():
    """Parseval: a picture's variance is the energy of its bands (each kept once, as a real transform is)."""
    picture = images(n=3, channels=1)
    bands = sum(np.exp(column(picture, f"energy in band {band} of 6")) for band in range(1, 7))
    power = np.abs(np.fft.rfft2(picture[:, 0] - picture[:, 0].mean(axis=(1, 2), keepdims=True))) ** 2
    np.testing.assert_allclose(bands, power.sum(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("form", ["channels first", "channels last", "one channel"])
def test_noise_shows_in_pictures_of_any_layout(form):
    pictures = images(channels=1 if form == "one channel" else 3)
    noisy = pictures + np.random.default_rng(1).normal(0, 0.05, pictures.shape)
    both = np.concatenate([pictures, noisy])
    if form == "channels last":
        both = both.transpose(0, 2, 3, 1)
    if form == "one channel":
        both = both[:, 0]
    clean, noisy = np.split(column(both, "squared difference of neighbouring columns"), 2)
    np.testing.assert_allclose(noisy - clean, 2 * 0.05**2, rtol=0.5)


def test_blocks_of_eight_show_where_they_are():
    smooth = np.cumsum(np.ones((2, 1, 16, 16)), axis=3) / 16
    blocky = smooth.copy()
    blocky[1, ..., 8:] += 0.5
    steps = column(blocky, "step at every eighth of the columns")
    assert steps[0] == pytest.approx(0.0, abs=1e-9)
    assert steps[1] == pytest.approx(0.5)


def test_texts_have_traits_too():
    texts = ["One word. In 1999!", "nothing here\nat all"]
    assert column(texts, "characters").tolist() == [18, 19]
    assert "words" not in traits(texts).names  # four each
    assert column(texts, "latest year named").tolist() == [1999, 0]
    assert column(texts, "lines").tolist() == [0, 1]
    assert column(texts, "share of punctuation")[0] == pytest.approx(2 / 18)
    assert column(texts, "share of capitals")[0] == pytest.approx(2 / 18)


def test_traits_come_in_blocks_that_do_not_matter(monkeypatch):
    pictures = images(n=7)
    whole = traits(pictures)
    monkeypatch.setattr("seepage.data.traits._BYTES", 1)
    np.testing.assert_allclose(whole.values, traits(pictures).values, atol=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, rng: x + rng.normal(0, 0.05, x.shape),
        lambda x, rng: np.round(x * 20) / 20,
        lambda x, rng: x[..., ::-1],
        lambda x, rng: 0.9 * x + 0.05,
    ],
    ids=["noise", "rounding", "mirrored", "contrast"],
)
def test_a_copy_of_a_picture_is_nearer_than_any_other(change):
    pictures = images(n=60, size=32)
    copies = change(pictures, np.random.default_rng(2))
    points, mirrored = positions(np.concatenate([pictures, copies]), rng=np.random.default_rng(0))
    near = np.minimum(cdist(points[:60], points[60:]), cdist(mirrored[:60], points[60:]))
    assert (near.argmin(axis=1) == np.arange(60)).mean() > 0.9


def test_positions_of_a_table_have_no_unit():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, 3))
    near, _ = positions(table * [1.0, 1e6, 1e-6], rng=rng)
    np.testing.assert_allclose(near, positions(table, rng=rng)[0], atol=1e-5)


def test_wide_tables_keep_their_distances_roughly():
    rng = np.random.default_rng(0)
    table = np.repeat(rng.normal(size=(200, 300)), 2, axis=0) + rng.normal(0, 0.01, (400, 300))
    points, _ = positions(table, rng=rng)
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) == np.arange(400) + np.where(np.arange(400) % 2, -1, 1)).all()
