import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seepage
from seepage.data.cache import cache_folder
from seepage.errors import DataFileError, InputError, MissingExtraError
from seepage.models.architectures import CNN, MLP
from seepage.models.wrapper import Wrapped
from seepage.studies.invert.evaluators import Embedder, Trained, evaluator_checks
from seepage.studies.invert.evidence import Evidence, top


def images(n=6, channels=1, side=8, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((n, channels, side, side), dtype=np.float32))


def model(seed=0, architecture=MLP, **options):
    torch.manual_seed(seed)
    return architecture((1, 8, 8), 3, **options).eval()


class Session:
    """A graph that gives the mean of the top, of the bottom, and the largest value."""

    def __init__(self):
        self.seen = []

    def get_inputs(self):
        return [SimpleNamespace(name="data", shape=[1, 3, 112, 112])]

    def run(self, outputs, given):
        face = given["data"]
        self.seen.append(face)
        return [np.array([[face[..., :56, :].mean(), face[..., 56:, :].mean(), 0.0]], dtype=np.float32)]


def halves(bright_top):
    """Grey 8 x 8 pictures, the one half at 0.8 and the other at 0.2."""
    pictures = torch.full((len(bright_top), 1, 8, 8), 0.2)
    for picture, is_top in zip(pictures, bright_top, strict=True):
        picture[:, slice(0, 4) if is_top else slice(4, 8)] = 0.8
    return pictures


# A trained judge


def test_a_trained_judge_gives_its_own_logits_and_what_its_head_sees():
    module = model()
    answers, features = Trained(module).look(images())
    with torch.no_grad():
        np.testing.assert_allclose(answers, module(images()).log_softmax(1).numpy(), atol=1e-6)
        np.testing.assert_allclose(features, module.features(images()).numpy(), atol=1e-6)
    assert answers.dtype == features.dtype == np.float32
    np.testing.assert_array_equal(Trained(module).log_probabilities(images()), answers)
    np.testing.assert_array_equal(Trained(module).features(images()), features)


def test_features_may_be_those_of_a_layer():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3))
    named = Trained(module, layer="1", name="Judge", about="trained elsewhere")
    with torch.no_grad():
        np.testing.assert_allclose(named.features(images()), module[1](images().flatten(1)).numpy(), atol=1e-6)
    assert (named.name, named.about) == ("Judge", "trained elsewhere")


def test_the_module_stays_in_its_mode():
    module = model().train()
    Trained(module).look(images())
    assert module.training


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (images() * 255, "from 0 to 1"),
        (images() * float("nan"), "from 0 to 1, got nan"),
        (images()[0], "of shape"),
        (images()[:0], "at least one image"),
    ],
)
def test_only_images_are_judged(given, words):
    with pytest.raises(InputError, match=words):
        Trained(model()).look(given)


# An embedder


def test_a_class_is_the_direction_of_its_real_images():
    session = Session()
    pictures, labels = halves([True, True, False, False]), np.array([0, 0, 1, 1])
    judge = Embedder(session, "graph").fit(pictures, labels, 2)
    direction = np.array([0.8, 0.2, 0]) / np.hypot(0.8, 0.2)
    np.testing.assert_allclose(judge.centroids, [direction, direction[[1, 0, 2]]], atol=0.03)
    answers, features = judge.look(halves([False, True]))
    assert answers.argmax(1).tolist() == [1, 0]
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    gap = 64 * (judge.centroids @ features[1])
    np.testing.assert_allclose(answers[1], gap - np.log(np.exp(gap - gap.max()).sum()) - gap.max(), atol=1e-4)


def test_a_face_is_given_as_red_green_blue_from_0_to_255_one_at_a_time():
    session = Session()
    colour = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(2, 3, 20, 16)
    Embedder(session, "graph").embed(colour)
    assert [face.shape for face in session.seen] == [(1, 3, 112, 112)] * 2
    assert session.seen[0].dtype == np.float32
    np.testing.assert_allclose(session.seen[0].mean(axis=(0, 2, 3)), [255, 127.5, 0], atol=1e-3)
    Embedder(session, "graph").embed(images(1))
    grey = session.seen[-1][0]
    assert (grey[0] == grey[1]).all()
    assert (grey[0] == grey[2]).all()


def test_an_image_is_enlarged_bilinearly():
    session, picture = Session(), images(1)
    Embedder(session, "graph").embed(picture)
    expected = F.interpolate(picture, (112, 112), mode="bilinear", align_corners=False)[0, 0].numpy() * 255
    np.testing.assert_allclose(session.seen[0][0, 0], expected, atol=1e-3)


def test_an_embedder_takes_a_face_for_somebody_only_if_it_is_near_enough():
    """Two private people, top and bottom, and a public one, grey all over; the makers' threshold, then the real one."""
    grey = torch.full((2, 1, 8, 8), 0.5)
    pictures, labels = torch.cat([halves([True, True, False, False]), grey]), np.array([0, 0, 1, 1, 2, 2])
    judge = Embedder(Session(), "graph").fit(pictures, labels, 3)
    assert (judge.threshold, judge.rejects) == (0.363, True)
    real = halves([True, False, True, False]), np.array([0, 1, 0, 1])
    seen = Evidence.between(judge, real, real, n_private=2)
    assert seen.threshold == pytest.approx(1, abs=1e-3)  # real ones are all alike, and other people must be so too
    public = torch.full((1, 1, 8, 8), 0.3)
    answers, features = judge.look(torch.cat([halves([False]), public, 0.5 * halves([True]) + 0.2]))
    assert seen.named(answers).tolist()[0] == 1
    assert seen.accepted(answers, features).tolist() == [
        1,
        -1,
        -1,
    ]  # the last is paler: nearest to top, not near enough
    assert answers[2].argmax() == 0
    np.testing.assert_allclose(judge.nearness(answers, features), features @ judge.centroids.T)
    strict = Evidence.between(replace(judge, threshold=2.0), real, real, n_private=2)
    assert strict.threshold == 2
    assert strict.accepted(answers, features).tolist() == [-1, -1, -1]


def test_a_black_embedding_has_no_direction_and_no_nan():
    dark = torch.zeros(1, 1, 8, 8)
    assert np.isfinite(Embedder(Session(), "graph").embed(dark)).all()


def test_its_fingerprint_is_of_the_graph_and_of_whom_it_knows():
    pictures, labels = halves([True, False]), np.array([0, 1])
    blank = Embedder(Session(), "graph")
    fitted = blank.fit(pictures, labels, 2)
    assert fitted.fingerprint == blank.fit(pictures, labels, 2).fingerprint
    others = blank.fit(pictures, 1 - labels, 2), Embedder(Session(), "other").fit(pictures, labels, 2), blank
    assert len({one.fingerprint for one in (fitted, *others)}) == 4


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda judge: judge.look(images()), "knows no class yet"),
        (lambda judge: judge.fit(images(3), np.array([0, 0, 2]), 3), "no real image of class 1"),
        (lambda judge: judge.fit(images(3), np.array([0, 1, 2]), 2), "from 0 to 1 an image"),
        (lambda judge: judge.fit(images(3), np.array([0, 1]), 2), "for 3 images"),
        (lambda judge: judge.embed(images(1, channels=2)), "got 2 channels"),
    ],
)
def test_what_an_embedder_cannot_judge_is_said(call, words):
    with pytest.raises(InputError, match=words):
        call(Embedder(Session(), "graph"))


def test_a_graph_that_cannot_be_opened_is_said(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    with pytest.raises(DataFileError, match="cannot read the judge"):
        Embedder.open(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(DataFileError, match="not an ONNX graph"):
        Embedder.open(tmp_path / "text.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"seepage\[onnx\]"):
        Embedder.open(tmp_path / "text.onnx")


def test_a_graph_of_another_shape_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    def graph(side):
        shapes = [onnx.helper.make_tensor_value_info(name, 1, [1, 3, side, side]) for name in ("data", "out")]
        nodes = [onnx.helper.make_node("Relu", ["data"], ["out"])]
        made = onnx.helper.make_graph(nodes, "g", shapes[:1], shapes[1:])
        path = tmp_path / f"{side}.onnx"
        opset = [onnx.helper.make_opsetid("", 17)]
        path.write_bytes(onnx.helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString())
        return path

    with pytest.raises(DataFileError, match=r"takes \[1, 3, 64, 64\]"):
        Embedder.open(graph(64))
    assert Embedder.open(graph(112), name="Mine").name == "Mine"


# Independence


def renamed(module):
    return nn.Sequential(copy.deepcopy(module))


class Behind(Wrapped):
    def forward(self, x):
        return self.module(x)


@pytest.mark.parametrize("target", [lambda m: m, copy.deepcopy, renamed, Behind])
def test_the_target_is_no_judge_of_itself(target):
    judge = model()
    with pytest.raises(InputError, match="the judge is the attacked model"):
        evaluator_checks(Trained(judge), target(judge))
    with pytest.raises(InputError, match="the judge is the attacked model"):
        evaluator_checks(Trained(target(judge)), judge)


def test_a_judge_from_other_weights_passes_and_its_architecture_is_named():
    sentences = evaluator_checks(Trained(model(0)), model(1))
    assert sentences[0] == "Of the judge's 4 weight tensors none is the target's."
    assert sentences[1].startswith("It has the target's architecture (MLP)")
    assert evaluator_checks(Trained(model(0, CNN)), model(1))[1] == "Its architecture is not the target's."
    assert evaluator_checks(Trained(model(0, hidden=(9,))), model(1))[1] == "Its architecture is not the target's."


def test_layers_that_both_have_from_one_training_are_told():
    judge, target = model(0), model(1)
    target.head = copy.deepcopy(judge.head)
    sentences = evaluator_checks(Trained(judge), target)
    assert sentences[0] == "Of the judge's 4 weight tensors 2 are the target's."
    assert "shared" in sentences[1]


def test_parameters_that_start_alike_are_not_taken_for_shared():
    """Batch normalisation begins with ones and zeros in every network."""
    sentences = evaluator_checks(Trained(model(0, CNN)), model(1, CNN))
    assert "none is" in sentences[0]


def test_an_embedder_is_apart_by_its_making():
    assert "other data" in evaluator_checks(Embedder(Session(), "graph"), model())[0]


# Real faces


def faces(name, taught):
    """Images, labels, and which of them are among the first `taught` shots of their person."""
    pool = seepage.load(name)
    labels = np.asarray(pool.labels)
    pictures = torch.from_numpy(np.array(pool.inputs)).float() / 255
    place = np.array([(labels[:row] == label).sum() for row, label in enumerate(labels)])
    return pictures, labels, place < taught


@pytest.mark.slow
@pytest.mark.parametrize(("name", "taught", "side"), [
    ("orl-faces", 7, 64), ("orl-faces", 7, 32), ("csu-faces", 3, 64), ("csu-faces", 3, 32)
])  # fmt: skip
def test_sface_tells_people_by_a_few_small_grey_pictures(name, taught, side):
    path = cache_folder() / "sface" / "face_recognition_sface_2021dec.onnx"
    if not path.is_file() or not (cache_folder() / name).is_dir():
        pytest.skip("the recogniser or the faces are not in the cache")
    pictures, labels, known = faces(name, taught)
    small = F.interpolate(pictures, (side, side), mode="bilinear", antialias=True, align_corners=False)
    judge = Embedder.open(path).fit(small[known], labels[known], int(labels.max()) + 1)
    answers, _ = judge.look(small[~known])
    assert top(answers, labels[~known]).mean() > 0.94
    assert top(answers, labels[~known], 5).mean() > 0.98


@pytest.mark.slow
def test_sface_does_not_recognise_noise():
    path = cache_folder() / "sface" / "face_recognition_sface_2021dec.onnx"
    if not path.is_file() or not (cache_folder() / "orl-faces").is_dir():
        pytest.skip("the recogniser or the faces are not in the cache")
    pictures, labels, known = faces("orl-faces", 7)
    judge = Embedder.open(path).fit(pictures[known], labels[known], 40)
    answers, noise = judge.look(images(60, side=64))
    assert top(answers, np.arange(60) % 40).mean() <= 0.1
    assert np.bincount(answers.argmax(1)).max() > 20  # it has favourites: hence the wrong-class control
    own = (judge.features(pictures[~known][::4]) * judge.centroids[labels[~known][::4]]).sum(axis=1)
    assert (noise @ judge.centroids.T).max() < np.quantile(own, 0.1)
