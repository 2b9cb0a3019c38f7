"""Model files: the safe formats load what was saved, the unsafe ones are refused unopened, broken ones say so."""

import contextlib
import gzip
import io
import pathlib
import pickle
import struct
import time
import zipfile

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from torch import nn

from seepage.errors import DataFileError, InputError, SeepageError, UnsafeFileError
from seepage.models.architectures import build
from seepage.models.files import LoadedModel, load_model
from seepage.models.sandbox import Sandbox, SandboxError, decode, encode
from seepage.models.target import TargetModel
from tests.models.graphs import graph

torch.set_num_threads(1)

CNN = {"architecture": "cnn", "options": {"widths": (4,)}, "input_shape": (1, 8, 8), "n_classes": 3}


@pytest.fixture
def cnn():
    torch.manual_seed(0)
    module = build("cnn", (1, 8, 8), 3, widths=(4,))
    module(torch.randn(16, 1, 8, 8))  # running statistics other than 0 and 1
    return module.eval()


class Evil:
    """Unpickling it leaves a file behind."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return pathlib.Path.touch, (self.trace,)


class Whole(nn.Module):
    """A module that is saved whole."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x)


# Weights


@pytest.mark.parametrize("file_format", ["safetensors", "state-dict"])
def test_weights_come_back(cnn, tmp_path, file_format):
    path = tmp_path / "weights.anything"  # the name means nothing
    state = cnn.state_dict()
    save_file(state, path) if file_format == "safetensors" else torch.save(state, path)
    stream = torch.get_rng_state()
    loaded = load_model(path, **CNN)
    assert torch.equal(stream, torch.get_rng_state())
    assert (loaded.format, loaded.trusted, loaded.model.training) == (file_format, False, False)
    target = TargetModel.wrap(loaded)
    inputs = np.random.default_rng(0).normal(size=(5, 1, 8, 8))
    np.testing.assert_array_equal(target.logits(inputs), TargetModel.wrap(cnn).logits(inputs))
    assert target.fingerprint == TargetModel.wrap(cnn).fingerprint
    assert not target.trusted


def test_an_architecture_may_be_the_users_own(tmp_path):
    torch.save(Whole().state_dict(), tmp_path / "m.pt")
    loaded = load_model(tmp_path / "m.pt", architecture=lambda *_: Whole(), input_shape=(4,), n_classes=3)
    assert type(loaded.model) is Whole


def test_half_precision_weights_fit_a_float_architecture(cnn, tmp_path):
    state = {name: value.half() if value.is_floating_point() else value for name, value in cnn.state_dict().items()}
    save_file(state, tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors", **CNN).model.head.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"n_classes": 4}, ["'head.weight' has shape (3, 64) in the file, (4, 64) in the architecture", "head.bias"]),
        (
            {"architecture": "mlp", "options": {}},
            ["'body.1.weight' is missing", "'body.0.weight' is not in the arch", "and 4 more"],
        ),
        ({"options": {"widths": (4,), "batch_norm": False}}, ["'body.0.bias' is missing", "is not in the archit"]),
        ({"architecture": "cn"}, ["did you mean 'cnn'"]),
        ({"architecture": None}, ["weights only: pass the architecture", "densenet-bc"]),
    ],
)
def test_weights_that_do_not_fit_say_where(cnn, tmp_path, change, messages):
    save_file(cnn.state_dict(), tmp_path / "m.safetensors")
    with pytest.raises(InputError) as caught:
        load_model(tmp_path / "m.safetensors", **{**CNN, **change})
    for message in messages:
        assert message in str(caught.value)


def test_integers_are_no_weights(cnn, tmp_path):
    save_file({name: value.long() for name, value in cnn.state_dict().items()}, tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"torch.int64 in the file, torch.float32 in the architecture"):
        load_model(tmp_path / "m.safetensors", **CNN)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "state_dict": {"a": torch.ones(1)}}, r"weights_only=True\)\['state_dict'\]"),
        ([torch.ones(1)], "holds a list, expected a state dict"),
        ({1: torch.ones(1)}, "expected a state dict"),
        ({"a": 1}, "save model.state_dict"),
        ({"head.weight": torch.ones(1).expand(1 << 40)}, "tensors larger than itself"),
    ],
)
def test_a_torch_file_that_is_no_state_dict(tmp_path, content, message):
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(SeepageError, match=message):
        load_model(tmp_path / "m.pt", **CNN)


# Files that could run code


def evil_files(folder, trace):
    evil = Evil(trace)
    files = {}
    for protocol in range(6):
        files[f"pickle{protocol}"] = pickle.dumps(evil, protocol=protocol)
    for name in ["gzip", "bz2", "lzma", "xz", "zlib"]:
        joblib.dump(evil, folder / "dump", compress=(name, 3))
        files[f"joblib-{name}"] = (folder / "dump").read_bytes()
    joblib.dump(evil, folder / "dump")
    files["joblib"] = (folder / "dump").read_bytes()
    files["gzip-pickle"] = gzip.compress(pickle.dumps(evil))
    torch.save({"a": evil}, folder / "dump")
    files["torch"] = (folder / "dump").read_bytes()
    torch.save({"a": evil}, folder / "dump", _use_new_zipfile_serialization=False)
    files["torch-legacy"] = (folder / "dump").read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("m/archive_format", "pt2")
        file.writestr("m/models/model.json", "{}")
        file.writestr("m/data/sample_inputs/model.pt", files["torch"])
    files["pt2"] = archive.getvalue()
    return files


def test_a_file_that_would_run_code_is_refused_unopened(tmp_path):
    trace = tmp_path / "the-code-ran"
    for name, content in evil_files(tmp_path, trace).items():
        path = tmp_path / f"{name}.safetensors"  # a harmless name does not help
        path.write_bytes(content)
        with pytest.raises(UnsafeFileError, match="on a machine that trusts the file") as caught:
            load_model(path, **CNN)
        assert not trace.exists(), name
        assert str(path) in str(caught.value)
        assert ("trust_code=True" in str(caught.value)) == (name != "pt2")
    pickle.loads(pickle.dumps(Evil(trace)))
    assert trace.exists()  # the control: it does run where it is let


def test_torchscript_is_refused(tmp_path):
    archive = tmp_path / "m.pt"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("m/data.pkl", b"")
        file.writestr("m/constants.pkl", b"")
        file.writestr("m/code/__torch__.py", "pass", compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeFileError, match=r"TorchScript[\s\S]*torch\.jit\.load"):
        load_model(archive, **CNN)


def test_trusted_files_are_opened_and_marked(tmp_path):
    inputs = np.random.default_rng(0).normal(size=(30, 4))
    estimator = LogisticRegression().fit(inputs, np.arange(30) % 3)
    torch.save(Whole(), tmp_path / "whole.pt")
    torch.save(Whole(), tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    joblib.dump(estimator, tmp_path / "m.joblib", compress=3)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(estimator))
    for name in ["whole.pt", "legacy.pt", "m.joblib", "m.pkl"]:
        with pytest.raises(UnsafeFileError):
            load_model(tmp_path / name)
        loaded = load_model(tmp_path / name, trust_code=True)
        target = TargetModel.wrap(loaded)
        assert loaded.trusted
        assert target.trusted
        assert target.logits(inputs).shape == (30, 3)
        assert target.fingerprint is not None
    assert TargetModel.wrap(load_model(tmp_path / "m.pkl", trust_code=True)).fingerprint == loaded.sha256


def test_trust_does_not_change_how_safe_files_are_read(cnn, tmp_path):
    save_file(cnn.state_dict(), tmp_path / "m.safetensors")
    torch.save(cnn.state_dict(), tmp_path / "m.pt")
    for name in ["m.safetensors", "m.pt"]:
        assert not load_model(tmp_path / name, **CNN, trust_code=True).trusted


# Broken and hostile files


def stored(**members):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return archive.getvalue()


def compressed():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("m/data.pkl", bytes(1_000_000))
    return archive.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no model file that can be read here"),
        (b"hello, world, this is some text", "no model file that can be read here"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "no model file that can be read here"),
        (b"PK\x03\x04" + bytes(100), "not a usable zip"),
        (stored(**{"arr_0.npy": b"\x93NUMPY"}), "not one that torch.save writes"),
        (stored(**{"m/data.pkl": b"", "m/../../data/0": b""}), "outside of the archive"),
        (stored(**{"m/data.pkl": b"", "/data/0": b""}), "outside of the archive"),
        (stored(**{"m/data.pkl": b"\x80\x02}q\x00.", "m/version": b"3"}), "not a usable torch file|weights_only|fit"),
        (compressed(), "compressed member"),
        (struct.pack("<Q", 1 << 40) + b'{"a":1}', "header of 1099511627776 bytes"),
        (struct.pack("<Q", 100) + b'{"a":1}', "not a usable safetensors file"),
        (
            struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(60) + bytes(8),
            "not a usable safetensors file",
        ),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    with pytest.raises(SeepageError, match=message):
        load_model(path, **CNN)


def test_missing_and_too_large_files(cnn, tmp_path):
    with pytest.raises(DataFileError, match="there is no model file"):
        load_model(tmp_path / "nothing")
    with pytest.raises(DataFileError, match="there is no model file"):
        load_model(tmp_path)
    save_file(cnn.state_dict(), tmp_path / "m.safetensors")
    with pytest.raises(DataFileError, match="more than the limit of 100"):
        load_model(tmp_path / "m.safetensors", **CNN, max_bytes=100)


def test_no_mutant_of_a_sound_file_does_more_than_fail(cnn, tmp_path):
    save_file(cnn.state_dict(), tmp_path / "a")
    torch.save(cnn.state_dict(), tmp_path / "b")
    rng = np.random.default_rng(0)
    for name in ["a", "b"]:
        sound = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        for _ in range(60):
            mutant = sound.copy()
            mutant[rng.integers(len(mutant) if rng.random() < 0.5 else 200, size=3)] = rng.integers(256, size=3)
            (tmp_path / "mutant").write_bytes(mutant[: rng.integers(8, len(mutant) + 1)].tobytes())
            with contextlib.suppress(SeepageError):
                load_model(tmp_path / "mutant", **CNN)


# ONNX and LightGBM, in the child process


WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
INPUTS = np.random.default_rng(1).normal(size=(10, 4))


def write(path, content):
    path.write_bytes(content)
    return path


def test_onnx_round_trip(tmp_path):
    path = write(tmp_path / "m", graph([("MatMul", ["x", "w"], ["y"])], weights=[("w", WEIGHTS)]))
    loaded = load_model(path)
    target = TargetModel.wrap(loaded, batch_size=4)
    np.testing.assert_allclose(target.logits(INPUTS), INPUTS.astype(np.float32) @ WEIGHTS, rtol=1e-5)
    assert (target.kind, loaded.format, target.fingerprint, target.n_queries) == ("onnx", "onnx", loaded.sha256, 10)
    with pytest.raises(InputError, match="could not answer"):
        target.logits(np.zeros((2, 7)))
    target.logits(INPUTS)  # a batch that it refused does not end it
    loaded.model.close()
    with pytest.raises(InputError, match="has ended"):
        target.logits(INPUTS)


def test_onnx_with_a_fixed_batch_size(tmp_path):
    content = graph(
        [("MatMul", ["x", "w"], ["y"])], (("y", "FLOAT", [4, 3]),), [("w", WEIGHTS)], inputs=(("x", [4, 4]),)
    )
    target = TargetModel.wrap(load_model(write(tmp_path / "m", content)))
    np.testing.assert_allclose(target.logits(INPUTS), INPUTS.astype(np.float32) @ WEIGHTS, rtol=1e-5)


def test_onnx_outputs_are_chosen_by_name(tmp_path):
    nodes = [("MatMul", ["x", "w"], ["y"]), ("Softmax", ["y"], ["p"]), ("ArgMax", ["p"], ["label"], {"axis": 1})]
    outputs = (("y", "FLOAT", ["n", 3]), ("p", "FLOAT", ["n", 3]), ("label", "INT64", ["n", 1]))
    path = write(tmp_path / "m", graph(nodes, outputs, [("w", WEIGHTS)]))
    with pytest.raises(DataFileError, match="name one with output_name="):
        load_model(path)
    with pytest.raises(DataFileError, match="there is no output 'q'"):
        load_model(path, output_name="q")
    logits = TargetModel.wrap(load_model(path, output_name="y")).logits(INPUTS)
    probabilities = TargetModel.wrap(load_model(path, output_name="p"), outputs="probabilities").logits(INPUTS)
    labels = TargetModel.wrap(load_model(path, output_name="label"), outputs="labels").labels(INPUTS)
    np.testing.assert_allclose(np.diff(probabilities, axis=1), np.diff(logits, axis=1), atol=1e-5)
    np.testing.assert_array_equal(labels, logits.argmax(axis=1))


def test_scikit_learn_by_way_of_onnx(tmp_path):
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    estimator = LogisticRegression().fit(INPUTS, np.arange(10) % 3)
    onnx = skl2onnx.to_onnx(estimator, INPUTS[:1].astype("float32"), options={"zipmap": False})
    loaded = load_model(write(tmp_path / "m", onnx.SerializeToString()))
    target = TargetModel.wrap(loaded, outputs="probabilities")
    np.testing.assert_allclose(np.exp(target.logits(INPUTS)), estimator.predict_proba(INPUTS), atol=1e-6)


def test_onnx_cannot_read_other_files(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")
    model = onnx.load_from_string(graph([("MatMul", ["x", "w"], ["y"])], weights=[("w", WEIGHTS)]))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "secret")
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    write(tmp_path / "secret", WEIGHTS.tobytes())
    for location in ["secret", "../secret", str(tmp_path / "secret")]:
        model.graph.initializer[0].external_data[0].value = location
        with pytest.raises(DataFileError, match="could not be opened as onnx"):
            load_model(write(tmp_path / "m", model.SerializeToString()))


def test_onnx_that_asks_for_terabytes_is_stopped(tmp_path):
    shape = np.array([1 << 40], np.int64)
    nodes = [
        ("ConstantOfShape", ["s"], ["c"]),
        ("ReduceSum", ["c"], ["t"], {"keepdims": 0}),
        ("Add", ["x", "t"], ["y"]),
    ]
    content = graph(nodes, (("y", "FLOAT", ["n", 4]),), [("s", shape)])
    with pytest.raises(SeepageError):  # while it is opened or when it is asked, but never with that memory
        TargetModel.wrap(load_model(write(tmp_path / "m", content), memory_bytes=2 << 30)).logits(INPUTS)


def test_onnx_that_never_ends_is_stopped(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")
    helper, kinds = onnx.helper, onnx.TensorProto
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sin", ["v"], ["u"])],
        "body",
        [
            helper.make_tensor_value_info(n, k, s)
            for n, k, s in [("i", kinds.INT64, []), ("go", kinds.BOOL, []), ("v", kinds.FLOAT, None)]
        ],
        [helper.make_tensor_value_info("on", kinds.BOOL, []), helper.make_tensor_value_info("u", kinds.FLOAT, None)],
    )
    content = graph(
        [("Loop", ["count", "true", "x"], ["y"], {"body": body})],
        (("y", "FLOAT", ["n", 4]),),
        [("count", np.array(1 << 62, np.int64)), ("true", np.array(True))],
    )
    target = TargetModel.wrap(load_model(write(tmp_path / "m", content), batch_time_s=1.0))
    start = time.monotonic()
    with pytest.raises(InputError, match=r"out of processor time|did not answer"):
        target.logits(INPUTS)
    assert time.monotonic() - start < 60  # seconds where the machine is quiet; without a limit it never ends


@pytest.mark.parametrize("n_classes", [2, 3])
def test_lightgbm_text_files(tmp_path, n_classes):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(100, 4))
    labels = inputs[:, :n_classes].argmax(axis=1)
    settings = {"objective": "binary"} if n_classes == 2 else {"objective": "multiclass", "num_class": 3}
    booster = lightgbm.train(settings | {"verbose": -1, "num_threads": 1}, lightgbm.Dataset(inputs, labels), 4)
    booster.save_model(tmp_path / "m.txt")
    target = TargetModel.wrap(load_model(tmp_path / "m.txt"))
    np.testing.assert_allclose(target.logits(inputs), TargetModel.wrap(booster).logits(inputs), rtol=1e-6)
    (tmp_path / "broken.txt").write_text("tree\nversion=v4\nthis is no tree\n")
    with pytest.raises(DataFileError, match="could not be opened as lightgbm"):
        load_model(tmp_path / "broken.txt")


def test_the_child_has_no_secrets_and_writes_no_files(tmp_path, monkeypatch):
    """Its environment, limits and folder, read from /proc."""
    path = write(tmp_path / "m", graph([("MatMul", ["x", "w"], ["y"])], weights=[("w", WEIGHTS)]))
    monkeypatch.setenv("SECRET_TOKEN", "x")
    sandbox = Sandbox("onnx", path)
    process = pathlib.Path(f"/proc/{sandbox._child.pid}")
    if not process.exists():
        pytest.skip("this platform has no /proc")
    assert b"SECRET_TOKEN" not in (process / "environ").read_bytes()
    limits = {line[:25].strip(): line[25:].split()[0] for line in (process / "limits").read_text().splitlines()}
    assert limits["Max file size"] == "0"
    assert limits["Max address space"].isdigit()
    assert limits["Max cpu time"].isdigit()
    folder = (process / "cwd").readlink()
    assert list(folder.iterdir()) == []
    sandbox.close()
    assert not folder.exists()
    with pytest.raises(SandboxError, match="has ended"):
        sandbox.predict(INPUTS)


def test_the_child_ends_with_the_model(tmp_path):
    path = write(tmp_path / "m", graph([("MatMul", ["x", "w"], ["y"])], weights=[("w", WEIGHTS)]))
    sandbox = Sandbox("onnx", path)
    child = sandbox._child
    assert child.poll() is None
    del sandbox
    assert child.poll() is not None


def test_arrays_cross_the_pipe_and_objects_do_not():
    for array in [np.arange(6.0).reshape(2, 3), np.array(3, np.int64), np.zeros((0, 2), np.float32), np.array([True])]:
        back = decode(encode(array))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)
    with pytest.raises(ValueError, match="allow_pickle"):
        encode(np.array([{}], dtype=object))
    hostile = io.BytesIO()
    np.lib.format.write_array(hostile, np.array([{}], dtype=object), allow_pickle=True)
    sound = encode(np.zeros(4))
    for payload in [hostile.getvalue(), sound[:-1], sound + b"x", b"", b"junk", sound.replace(b"(4,)", b"(9,)")]:
        with pytest.raises(ValueError, match=r"."):
            decode(payload)


def test_a_loaded_model_is_a_value():
    with pytest.raises(AttributeError):
        LoadedModel(None, "onnx", "").trusted = True
