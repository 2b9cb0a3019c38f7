"""Releases: what is made of whom, what is promised, and what the files hold."""

import csv
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from seepage import Pool
from seepage.cli import main
from seepage.data import read_file, read_frame
from seepage.errors import InputError
from seepage.models.accounting import epsilon
from seepage.models.generators.vae import TrainingPrivacy
from seepage.synthesis import Guarantee
from seepage.synthesis.release import table
from tests.flat import synthesise

RNG = np.random.default_rng(5)
FLAT = Pool(RNG.random((120, 6)).astype(np.float32), RNG.integers(0, 3, 120))
QUICK = {"epochs": 2, "latent": 3, "rng": 1}


@pytest.fixture(scope="module")
def people():
    """A table of mixed columns."""

    class Frame(dict):
        columns = property(lambda self: list(self))

        def __getitem__(self, name):
            values = dict.__getitem__(self, name)
            return type("Column", (), {"to_numpy": lambda self: values})()

    n = 90
    return read_frame(
        Frame(
            town=RNG.choice(["Ulm", "Bonn", "Köln"], n), age=RNG.integers(18, 90, n),
            income=RNG.choice(["low", "high"], n), height=RNG.normal(1.7, 0.1, n),
        ),
        label="income",
    )  # fmt: skip


def test_without_noise_a_release_is_what_the_decoder_makes_of_the_codes():
    made = synthesise(FLAT, epsilon=math.inf, draw=False, **QUICK)
    (vae,) = made.vaes
    codes = vae.encode(FLAT.inputs, FLAT.labels)
    assert np.allclose(made.pool.inputs, vae.records(vae.decode(codes, FLAT.labels)), atol=1e-6)
    assert np.array_equal(made.pool.labels, FLAT.labels)
    assert made.pool.inputs.dtype == FLAT.inputs.dtype
    noisy = synthesise(FLAT, epsilon=1.0, draw=False, **QUICK)
    assert np.abs(noisy.pool.inputs - made.pool.inputs).max() > 1e-3
    assert np.array_equal(noisy.pool.inputs, synthesise(FLAT, epsilon=1.0, draw=False, **QUICK).pool.inputs)


def test_clipped_codes_of_strong_noise_and_releases_follow_each_other():
    made = synthesise(FLAT, epsilon=math.inf, clip=1e-6, draw=False, releases=2, labels="kept", **QUICK)
    assert len(made.pool) == 240
    assert np.ptp(made.pool.inputs, axis=0).max() < 1e-3  # all codes are next to zero
    assert np.array_equal(made.pool.labels, np.tile(FLAT.labels, 2))
    first, second = np.split(synthesise(FLAT, epsilon=2.0, releases=2, labels="kept", **QUICK).pool.inputs, 2)
    assert not np.allclose(first, second)


def test_a_class_of_its_own_networks_meets_no_other():
    apart = np.where(FLAT.labels[:, None] == 0, 0.05, 0.95) + 0.02 * FLAT.inputs
    pool = Pool(apart.astype(np.float32), (FLAT.labels > 0).astype(int))
    made = synthesise(pool, epsilon=math.inf, labels="per-class", epochs=60, latent=2, rng=0)
    assert len(made.vaes) == 2
    means = made.pool.inputs.mean(axis=1)
    assert means[pool.labels == 0].max() < 0.3
    assert means[pool.labels == 1].min() > 0.7
    few = Pool(FLAT.inputs, np.array([1] * 5 + [0] * 115))
    with pytest.raises(InputError, match="class 1 has 5 records"):
        synthesise(few, epsilon=1.0, labels="per-class", **QUICK)


def test_networks_trained_on_public_records_know_nothing_of_the_others():
    public = Pool(RNG.random((100, 6)).astype(np.float32), RNG.integers(0, 3, 100))
    made = synthesise(FLAT, epsilon=3.0, public=public, **QUICK)
    assert made.vaes[0].training.pool == public.fingerprint
    secret = synthesise(FLAT, epsilon=3.0, public=public, **{**QUICK, "rng": None}).guarantee
    assert secret.is_end_to_end
    assert not made.guarantee.is_end_to_end  # the seed is known
    partly = public.concat(FLAT.subset([3, 4]))
    shared = synthesise(FLAT, epsilon=3.0, public=partly, **{**QUICK, "rng": None}).guarantee
    assert shared.shared == 2
    assert not shared.is_end_to_end
    assert any("2 of the records are among the public ones" in sentence for sentence in shared.sentences)
    with pytest.raises(InputError, match="public records like the pool's"):
        synthesise(FLAT, epsilon=3.0, public=Pool(RNG.random((100, 5)), RNG.integers(0, 3, 100)), **QUICK)


def test_a_record_apart_from_public_ones_does_not_decide_how_numbers_are_rounded():
    """Else one fraction among whole numbers would be seen whatever the noise."""
    labels = np.arange(60) % 2
    years = RNG.integers(0, 900, (60, 3)).astype(np.float32)
    public = Pool(RNG.integers(0, 900, (60, 3)).astype(np.float32), labels)
    fraction = years + np.float32(0.5) * (np.arange(180).reshape(60, 3) == 0)
    for inputs in (years, fraction):
        made = synthesise(Pool(inputs, labels), epsilon=1.0, public=public, **QUICK)
        assert made.whole.tolist() == [True, True, True]
    assert synthesise(Pool(fraction, labels), epsilon=1.0, **QUICK).whole.tolist() == [False, True, True]


def test_public_records_of_other_classes_are_refused():
    ours, theirs = (Pool(FLAT.inputs, FLAT.labels, classes=names) for names in (("a", "b", "c"), ("c", "b", "a")))
    with pytest.raises(InputError, match="public records of the classes"):
        synthesise(ours, epsilon=1.0, public=theirs, **QUICK)


def test_what_is_told_of_classes_networks_holds_for_each():
    pool = Pool(RNG.random((112, 4)).astype(np.float32), np.repeat([0, 1], (100, 12)))
    made = synthesise(pool, epsilon=1.0, clip=1.0, labels="per-class", noise_multiplier=2.0, batch_size=120, **QUICK)
    told, each = made.guarantee.training, [vae.training.privacy for vae in made.vaes]
    assert told.epsilon == max(one.epsilon for one in each)
    assert told.delta == max(one.delta for one in each) == 1 / 120


def test_networks_trained_by_dp_sgd_say_what_they_spent():
    made = synthesise(FLAT, epsilon=3.0, noise_multiplier=1.2, clip=1.0, batch_size=20, **{**QUICK, "rng": None})
    told = made.guarantee.training
    assert (told.sample_rate, told.n_steps) == (20 / 120, 12)
    assert told.epsilon == epsilon(1.2, 20 / 120, 12, delta=told.delta)
    assert made.guarantee.is_end_to_end
    assert not synthesise(FLAT, epsilon=3.0, **{**QUICK, "rng": None}).guarantee.is_end_to_end


def test_nobody_can_draw_the_noise_again_from_what_is_released(tmp_path):
    options = {**QUICK, "rng": None}
    one, other = (synthesise(FLAT, epsilon=3.0, draw=False, **options) for _ in range(2))
    assert one.guarantee.secret
    assert not np.allclose(one.pool.inputs, other.pool.inputs)
    one.save(tmp_path / "made.npz")
    synthesise(FLAT, epsilon=3.0, **{**QUICK, "rng": 918273}).save(tmp_path / "seeded.npz")
    for name in ("made", "seeded"):
        told = (tmp_path / f"{name}.npz.json").read_text()
        assert '"seed"' not in told
        assert "918273" not in told
    seeded = synthesise(FLAT, epsilon=3.0, **QUICK).guarantee
    assert "from a seed" in seeded.sentences[0]
    by_generator = (synthesise(FLAT, epsilon=3.0, **{**QUICK, "rng": np.random.default_rng(2)}) for _ in range(2))
    assert np.array_equal(*(made.pool.inputs for made in by_generator))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epsilon": 0.0}, "epsilon must be a positive number"),
        ({"labels": "keep"}, "did you mean 'kept'"),
        ({"labels": "randomised-response"}, "needs one"),
        ({"label_epsilon": 1.0}, "goes with labels='randomised-response'"),
        ({"clip": 0.0}, "clip must be"),
        ({"releases": 0}, "releases must be"),
        ({"labels": "randomised-response", "label_epsilon": -1.0}, "label_epsilon must be at least 0"),
        ({"public": FLAT, "noise_multiplier": 1.0}, "one of them"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(InputError, match=says):
        synthesise(FLAT, **{"epsilon": 1.0, **options}, **QUICK)


def promise(**changes):
    given = {
        "epsilon": 4.0, "latent": 8, "clip": None, "releases": 1, "public": False, "shared": 0, "secret": True,
        "encoded": False, "training": None,
        "measured": False, "labels": "conditional", "label_epsilon": None, "n_classes": 3,
    }  # fmt: skip
    return Guarantee(**{**given, **changes})


def test_the_promise_is_stated_as_it_is():
    by_dp_sgd = TrainingPrivacy(1.5, 1e-6, 1.1, 1.0, 0.1, 50)
    plain = promise()
    assert any("NO guarantee" in sentence for sentence in plain.sentences)
    assert any("nothing protects them" in sentence for sentence in plain.sentences)
    assert "at most e = 2.72 up to d = 1 / epsilon = 0.25." in plain.sentences[0]
    assert plain.local_epsilon is None
    clip = promise(clip=2.0, releases=3)
    assert clip.local_epsilon == 2 * 2.0 * 4.0 * 3
    assert any("epsilon 48 over all releases" in sentence for sentence in clip.sentences)
    assert any("released 3 times" in sentence for sentence in clip.sentences)
    assert not clip.is_end_to_end
    assert promise(public=True).is_end_to_end
    for broken in ({"shared": 1}, {"secret": False}, {"epsilon": math.inf}):
        assert not promise(public=True, **broken).is_end_to_end
    table = promise(clip=2.0, training=by_dp_sgd, encoded=True)
    assert any("Taken to be public: the kind and the categories" in sentence for sentence in table.sentences)
    assert not any("Taken to be public" in sentence for sentence in promise(encoded=True).sentences)
    whole = promise(clip=2.0, training=by_dp_sgd)
    assert whole.is_end_to_end
    delta = (1 + math.exp(1.5)) * 1e-6
    assert any(f"({2 * 1.5 + 16:.4g}, {delta:.1e})" in sentence for sentence in whole.sentences)
    for broken in (promise(training=by_dp_sgd), promise(clip=2.0, training=by_dp_sgd, measured=True)):
        assert not broken.is_end_to_end
    assert any("NO guarantee" in s for s in promise(clip=2.0, training=by_dp_sgd, measured=True).sentences)
    for spent in (30.0, 1e4):  # delta above 1 is no promise, and e^epsilon need not fit a float
        weak = promise(clip=2.0, training=TrainingPrivacy(spent, 1e-6, 0.2, 1.0, 0.1, 50))
        assert not weak.is_end_to_end
        assert any("NO guarantee end to end" in sentence for sentence in weak.sentences)
        json.dumps(weak.to_json())
    assert "No noise" in promise(epsilon=math.inf).sentences[0]
    silent = promise(epsilon=math.inf, clip=2.0, training=by_dp_sgd)
    assert any("there is no noise: NO guarantee" in sentence for sentence in silent.sentences)
    assert not any("protected in distance" in sentence for sentence in silent.sentences)
    response = promise(labels="randomised-response", label_epsilon=math.log(2))
    assert any("probability 0.500" in sentence for sentence in response.sentences)
    assert len(promise(n_classes=0).sentences) == 2
    assert json.loads(json.dumps(promise(epsilon=math.inf).to_json()))["epsilon"] is None


def test_a_table_comes_back_with_its_columns_and_categories(people, tmp_path):
    assert people.columns == (("town", "Bonn"), ("town", "Köln"), ("town", "Ulm"), ("age", None), ("height", None))
    made = synthesise(people, epsilon=5.0, **QUICK)
    made.save(tmp_path / "people.csv")
    with open(tmp_path / "people.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(people)
    assert list(rows[0]) == ["town", "age", "height", "label"]
    assert {row["town"] for row in rows} <= {"Ulm", "Bonn", "Köln"}
    assert {row["label"] for row in rows} == {"low", "high"}
    ages = [int(row["age"]) for row in rows]  # whole numbers stay whole, within the originals' range
    assert people.inputs[:, 3].min() <= min(ages) <= max(ages) <= people.inputs[:, 3].max()
    again = read_file(tmp_path / "people.csv", label="label")
    assert (len(again), again.n_classes) == (90, 2)
    originals, _ = table(people, np.array([False, False, False, True, False])), None
    assert originals[1][0][0] in ("Ulm", "Bonn", "Köln")
    told = json.loads((tmp_path / "people.csv.json").read_text())
    assert told["guarantee"]["sentences"]


def test_arrays_and_pictures_hold_the_release(tmp_path):
    pool = Pool(RNG.integers(0, 256, (30, 3, 8, 8), dtype=np.uint8), RNG.integers(0, 2, 30), scale=1 / 255)
    made = synthesise(pool, epsilon=5.0, **QUICK)
    made.save(tmp_path / "made.npz")
    back = read_file(tmp_path / "made.npz")
    assert np.array_equal(back.inputs, made.pool.inputs)
    assert np.array_equal(back.labels, made.pool.labels)
    made.save(tmp_path / "pictures")
    picture = imread(tmp_path / "pictures" / str(made.pool.labels[4]) / "4.png")
    assert np.allclose(picture[..., :3] * 255, made.pool.inputs[4].transpose(1, 2, 0), atol=0.6)
    for wrong, says in (("made.txt", "ending in .npz or .csv"), ("made.csv", "no table")):
        with pytest.raises(InputError, match=says):
            made.save(tmp_path / wrong)
    with pytest.raises(InputError, match="no pictures"):
        synthesise(FLAT, epsilon=5.0, **QUICK).save(tmp_path / "flat")


def test_the_command_makes_a_release_says_what_holds_and_audits_it(tmp_path):
    out = tmp_path / "digits.npz"
    options = ["--data", "digits", "--limit", "200", "--epsilon", "20", "--epochs", "4", "--audit", "--out"]
    done = CliRunner().invoke(main, ["synthesise", *options, str(out)])
    assert done.exit_code == 0, done.output
    assert "100 synthetic records" in done.output
    assert "NO guarantee" in done.output
    assert "closer to a member" in done.output
    assert len(read_file(out)) == 100
    refused = CliRunner().invoke(main, ["synthesise", "--data", "digits"])
    assert refused.exit_code == 2
    assert "--data and --epsilon" in refused.output
