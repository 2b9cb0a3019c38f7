"""Files that promise more than they hold, hold what nobody expects, or would steer a terminal: one clear error each."""

import gzip
import json
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from seepage.cli import main
from seepage.config import AuditConfig, CompareConfig, InvertConfig, SynthesiseConfig
from seepage.data import Pool
from seepage.data.files import read_arrays
from seepage.data.grey import read_pgm
from seepage.data.idx import read_idx
from seepage.errors import MOST_CHARACTERS, DataFileError, InputError, SeepageError, unknown_name
from seepage.models.files import load_model
from seepage.report.comparison_result import ComparisonResult
from seepage.report.inversion_result import InversionResult
from seepage.report.reading import load_result
from seepage.report.render import html, markdown
from seepage.report.result import AuditResult, RocCurve
from seepage.report.saved import MOST_ATTACKS, MOST_BYTES, MOST_ROWS, check_room
from seepage.report.trust_result import TrustResult
from tests.readers.samples import readers
from tests.report.example_results import leak

ALIASES = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALIASES, "line 1, column 4: 'a' is an anchor"),
        ("recipe: &r {epochs: 1}\ndata:\n  <<: *r", "'r' is an anchor"),
        ("a: &a [*a]", "'a' is an anchor"),
        ("a: " + "[" * 5000, "more than 20 levels"),
        ("\n".join(" " * k + "a:" for k in range(200)), "more than 20 levels"),
        ("rates: [" + "0.1, " * 30_000 + "0.1]", "more than 20,000 values"),
        ("#" * 2**21, "more than 1,048,576 bytes"),
        ("references: " + "9" * 5000, "5,000 characters that is no text"),
        ("references: 0x" + "f" * 5000, "no text"),
        ("references: " + "1:" * 500 + "1", "no text"),
        ("seed: 1\nalpha: 0.1\nseed: 2", "line 3, column 1: the key 'seed' stands here for the second time"),
        ("recipe:\n  epochs: 1\n  epochs: 2", "'epochs' stands here for the second time"),
        ("recipe:\n\tepochs: 1", "indented with a tab"),
        ("recipe: {epochs: 1}\n\tseed: 1", "tab|mapping"),
        ("layer: a\0b", "unacceptable character"),
        ('layer: "a\\0b"', "layer: .*without NUL"),
        ("layer: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("layer: !!python/name:os.system", "could not determine a constructor"),
        ("layer: 2026-99-99", "no sound timestamp"),
        ("seed: !!int abc", "no sound int"),
        ("seed: 1\n---\nseed: 2", "expected a single document"),
        ("layer: " + "x" * 5000, "layer: expected a text of at most"),
    ],
)
def test_yaml_that_would_unfold_or_mislead_is_refused(text, words, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(SeepageError, match=words) as caught:
        AuditConfig.read(path, {})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (AuditConfig, "recipe: {epochs: 1e400}", "recipe.epochs: .*finite number"),
        (AuditConfig, "recipe: {epochs: .inf}", "recipe.epochs: .*finite number"),
        (AuditConfig, "recipe: {epochs: 1.0e+300}", "recipe.epochs: .*1000000"),
        (AuditConfig, "alpha: .nan", "alpha: expected a finite number"),
        (AuditConfig, "rates: [0.1, .inf]", "rates.1: .*finite"),
        (AuditConfig, "recipe: {optimiser: {options: {lr: .nan}}}", "options.lr: expected a finite number"),
        (AuditConfig, "recipe: {optimiser: {options: {lr: .inf}}}", "options.lr: expected a finite number"),
        (AuditConfig, "workers: 1" + "0" * 30, "workers: expected an integer up to"),
        (AuditConfig, "workers: 5000", "workers: .*4096"),
        (AuditConfig, "references: 2000000", "references: .*100000"),
        (AuditConfig, "seed: 1" + "0" * 20, "seed: expected an integer up to"),
        (AuditConfig, "recipe: {options: {widths: [1" + "0" * 40 + "]}}", "widths.0: expected an integer up to"),
        (SynthesiseConfig, "data: {name: digits}\nepsilon: .nan", "epsilon: expected a finite number"),
        (SynthesiseConfig, "data: {name: digits}\nepsilon: 1\nclip: .inf", "clip: .*finite"),
        (InvertConfig, "data: {name: digits}\nattacks: [{nam: gmi}]", "unknown key 'nam': did you mean 'name'"),
        (InvertConfig, "data: {name: digits}\nbudget: {step: 3}", "unknown key 'step': did you mean 'steps'"),
        (CompareConfig, "data: {name: digits}\ndefences: [{nme: hamp}]", "unknown key 'nme': did you mean 'name'"),
    ],
)
def test_a_number_that_no_run_could_use_is_refused_before_it(kind, text, words, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        kind.read(path, {})


def test_no_noise_is_still_said_by_an_infinite_epsilon(tmp_path):
    (tmp_path / "c.yaml").write_text("data: {name: digits}\nepsilon: .inf")
    assert SynthesiseConfig.read(tmp_path / "c.yaml", {}).epsilon == float("inf")


def test_an_option_on_the_command_line_is_read_as_strictly():
    for value in ("&a [*a]", "[" * 3000):
        done = CliRunner().invoke(
            main, ["defend", "--data", "digits", "--defence", "hamp", "--option", f"alpha={value}"]
        )
        assert done.exit_code == 2
        assert "--option alpha is not YAML that can be read" in done.output


def npy(shape, descr="<f4", body=64):
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(437) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(body)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("shape", "descr", "words"),
    [
        ((-1, 4), "<f4", "negative size"),
        ((2, -3), "|u1", "negative size"),
        ((2**40, 4), "<f4", "shorter than its header"),
        ((2**61, 2), "<f8", "shorter than its header"),
        ((10**30,), "<f4", "size in its header that no array can have"),
        ((0, 10**30), "<f4", "size in its header that no array can have"),
        ((10**9,), "<U0", "shorter than its header"),
        ((1,) * 70, "<f4", "dimension"),
        ((2, 2), "|O", "could run code"),
    ],
)
def test_an_array_that_promises_what_it_cannot_hold(shape, descr, words, packed, tmp_path):
    path = tmp_path / ("d.npz" if packed else "d.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", npy(shape, descr))
    else:
        path.write_bytes(npy(shape, descr))
    with pytest.raises(DataFileError, match=words):
        Pool.from_file(path)


def patched(content: bytes, place: int, number: int) -> bytes:
    """With another number of four bytes at a place of the first entry in a zip's directory."""
    at = content.index(b"PK\x01\x02") + place
    return content[:at] + number.to_bytes(4, "little") + content[at + 4 :]


def test_an_archive_is_measured_by_what_it_unpacks_to(tmp_path):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.zeros((20, 2**20), np.uint8))
    assert path.stat().st_size < 30_000
    with pytest.raises(DataFileError, match=r"0\.0195 GiB, more than .* give max_bytes"):
        read_arrays(path, max_bytes=10 * 2**20)
    content = path.read_bytes()
    path.write_bytes(patched(content, 24, 1000))  # says that it unpacks to 1,000 bytes
    with pytest.raises(DataFileError, match="CRC"):
        read_arrays(path, max_bytes=10 * 2**20)
    path.write_bytes(patched(content, 24, 2**31))  # says that it unpacks to two gigabytes
    with pytest.raises(DataFileError, match="holds fewer bytes than it says"):
        read_arrays(path)


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_by_others_than_numpy_is_refused(way, tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w", way) as archive:
        archive.writestr("x.npy", npy((4, 4)))
    with pytest.raises(DataFileError, match="compressed in a way"):
        read_arrays(tmp_path / "d.npz")


def test_an_archive_with_encrypted_doubled_or_nested_members_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.zeros(3))
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flags of the member, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="encrypted"):
        read_arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy((4, 4)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", npy((2, 8)))
    with pytest.raises(DataFileError, match="two arrays of one name"):
        read_arrays(path)
    for name in ("../x.npy", "a/x.npy", "/x.npy"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, npy((4, 4)))
        with pytest.raises(DataFileError, match="expected the arrays inputs"):
            Pool.from_file(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\0\n", "NUL"),
        (b"a\0,b\n1,2\n", "NUL"),
        (b"a,b\n1," + b"x" * 200_000 + b"\n", "larger than field limit"),
        (b"a,b\n1," + b"9" * 200_000 + b"\n", "larger than field limit"),
        (b'a,b\n1,"2\n3,4\n', "unexpected end"),
        (b'a,b\n"1,2\n3,4\n', "unexpected end"),
        (b"a,b\n\n\n", "at least one row"),
        (b"a,b\n" + b"x,1\n" * 30_000 + b"y" * 120_000 + b",2\n", "text of 120,000 characters"),
    ],
)
def test_a_csv_that_is_none(content, words, tmp_path):
    (tmp_path / "d.csv").write_bytes(content)
    with pytest.raises(DataFileError, match=words):
        Pool.from_file(tmp_path / "d.csv", max_bytes=2**33)


def test_a_parquet_file_of_other_columns_than_a_table_has(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "d.parquet"
    columns = {
        "list<": pyarrow.array([[1], [2, 3]]),
        "struct<": pyarrow.array([{"x": 1}, {"x": 2}]),
        "binary": pyarrow.array([b"\xff", b"\xfe"]),
        "holds binary": pyarrow.array([b"\xff", b"a"]).dictionary_encode(),
        "date32": pyarrow.array([1, 2], pyarrow.date32()),
        "duration": pyarrow.array([1, 2], pyarrow.duration("s")),
        "UTF8|UTF-8": pyarrow.Array.from_buffers(pyarrow.string(), 2, pyarrow.array([b"\xff\xfe", b"ab"]).buffers()),
    }
    for words, column in columns.items():
        parquet.write_table(pyarrow.table({"a": column, "b": [1, 2]}), path)
        with pytest.raises(DataFileError, match=words):
            Pool.from_file(path)
    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(50_000, np.int32)), pyarrow.array(["x" * 10**6]))
    parquet.write_table(pyarrow.table({"t": text}), path)
    assert path.stat().st_size < 100_000
    with pytest.raises(DataFileError, match="text of 1,000,000 characters, too many for 50,000 rows"):
        Pool.from_file(path)
    decimals = pyarrow.array([1, 2]).cast(pyarrow.decimal128(25, 2))
    parquet.write_table(pyarrow.table({"a": decimals, "b": [True, False]}), path)
    np.testing.assert_array_equal(Pool.from_file(path).inputs, [[1, 1], [2, 0]])


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("shape", "words"), [((2**32 - 1, 2**32 - 1), "more than any original"), ((2**31, 2, 2), "more than any original")]
)
def test_idx_headers_are_not_believed(shape, words, zipped, tmp_path):
    path = tmp_path / ("i.gz" if zipped else "i")
    content = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + bytes(20)
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataFileError, match=words):
        read_idx(path)


def test_a_picture_or_a_model_that_is_none(tmp_path):
    for content in (b"P5 99999999999 99999999999 255\n", b"P5 " + b"9" * 5000 + b" 1 255\n"):
        (tmp_path / "p.pgm").write_bytes(content)
        with pytest.raises(DataFileError, match="cannot be read"):
            read_pgm(tmp_path / "p.pgm")
    header = b'{"a":' * 3000
    for content in (len(header).to_bytes(8, "little") + header, (2**60).to_bytes(8, "little") + b'{"a":1}'):
        (tmp_path / "m.safetensors").write_bytes(content)
        with pytest.raises(DataFileError, match="not a usable safetensors file"):
            load_model(tmp_path / "m.safetensors", architecture="mlp", input_shape=(4,), n_classes=2)


@pytest.mark.parametrize("name", ["x" * 300, "x\0y"])
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv"])
def test_a_name_that_no_file_can_have_is_a_missing_file(name, suffix):
    with pytest.raises(DataFileError, match="no file at"):
        Pool.from_file(name + suffix)
    with pytest.raises(DataFileError, match="no model file"):
        load_model(name + suffix)
    with pytest.raises(DataFileError, match="no result at"):
        load_result(name + suffix)


KINDS = {"audit": AuditResult, "outputs": AuditResult, "comparison": ComparisonResult, "inversion": InversionResult,
         "trust": TrustResult}  # fmt: skip


@pytest.fixture(params=KINDS)
def saved(request, tmp_path):
    """A kind of result, its values and the place for a changed one."""
    content = readers(tmp_path)[f"result: {request.param}"].content()
    return KINDS[request.param], json.loads(content), tmp_path / "result.json"


def refused(kind, path, text, words):
    path.write_text(text)
    for load in (kind.load, load_result):
        with pytest.raises(DataFileError, match=words) as caught:
            load(path)
        assert len(str(caught.value)) <= MOST_CHARACTERS


def test_a_result_that_is_no_json(saved):
    kind, values, path = saved
    text = json.dumps(values)
    first = next(iter(values))
    for wrong, words in (
        (text.replace(": 0.05", ": NaN", 1).replace(": 0.5,", ": NaN,", 1), "NaN is no finite number"),
        (text.replace('"seconds": ', '"seconds": -Infinity, "x": ', 1), "-Infinity is no finite number"),
        (text.replace('"seconds": ', '"seconds": 1e999, "x": ', 1), "1e999 is no finite number"),
        (text.replace('"seed": ', f'"seed": {"9" * 5000}, "y": ', 1), "cannot be read as JSON"),
        (f'{{"{first}": 1, {text[1:]}', f"expected distinct keys, '{first}'"),
        (text[: len(text) // 2], "cannot be read as JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "holds a list"),
        ("", "cannot be read as JSON"),
    ):
        refused(kind, path, wrong, words)


def test_a_result_whose_values_are_not_what_they_must_be(saved):
    kind, values, path = saved
    deep: dict = {}
    for _ in range(200):
        deep = {"a": deep}
    for change, words in (
        ({"settings": deep}, "nested too deeply"),
        ({"seconds": 1e200}, "beyond 1e"),
        ({"n_records": 10**300}, "beyond"),
        ({"n_records": -1}, "is a count, and negative"),
        ({"n_records": "7"}, "valid integer"),
        ({"seconds": "nan"}, "valid number"),
        ({"created": 5}, "valid string"),
    ):
        refused(kind, path, json.dumps({**values, "provenance": {**values["provenance"], **change}}), words)
    refused(kind, path, json.dumps({**values, "schema": values["schema"][:-1] + "9"}), "expected seepage")


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("audit", lambda v: v.update(attacks=[]), "at least 1 item"),
        ("audit", lambda v: v["attacks"].append(v["attacks"][0]), "expected distinct attacks"),
        ("audit", lambda v: v["attacks"][0]["roc"]["tpr"].pop(), "lists of one length.*tpr"),
        ("audit", lambda v: v["attacks"][0]["roc"].update(fpr=[], tpr=[], low=[], high=[]), "something in them"),
        ("audit", lambda v: v["attacks"][0]["roc"]["tpr"].__setitem__(0, 7.0), "rates from 0 to 1"),
        ("audit", lambda v: v["attacks"][0]["histogram"]["edges"].pop(), "lists of one length"),
        ("audit", lambda v: v["attacks"][0]["histogram"]["members"].__setitem__(0, -5), "counts of 0 or more"),
        ("audit", lambda v: v["attacks"][0]["tpr_at_fpr"].update(x=v["attacks"][0]["auc"]), "expected rates .*'x'"),
        ("audit", lambda v: v["attacks"][0]["tpr_at_fpr"].update(nan=v["attacks"][0]["auc"]), "expected rates .*'nan'"),
        ("audit", lambda v: v["lower_bound"].update(attack="nobody"), "unknown attack 'nobody'"),
        ("audit", lambda v: v["records"].append(v["records"][0]), "expected distinct ids"),
        (
            "audit",
            lambda v: v.update(records=[{**v["records"][0], "id": str(k)} for k in range(MOST_ROWS + 1)]),
            "5000",
        ),
        ("audit", lambda v: v.update(attacks=[{**v["attacks"][0], "name": str(k)} for k in range(201)]), "200"),
        ("trust", lambda v: v["variants"].pop(), "unknown variant 'laplace'"),
        ("trust", lambda v: v["variants"][0]["attacks"].pop(0), "unknown attack 'max-score'"),
        ("trust", lambda v: v["variants"][0]["attacks"][0]["sets"].pop(), "unknown set 'noise'"),
        ("trust", lambda v: v["rays"][0]["called"].pop(), "lists of one length"),
        ("trust", lambda v: v["rays"][0].update(variant="x"), "unknown variant 'x'"),
        ("trust", lambda v: v["rays"][0].update(doublings=[0, 2, 4]), "doublings 0, 1, 2"),
        ("trust", lambda v: v["variants"][0]["reliability"].update(counts=[0, 0]), "one that is more"),
        ("comparison", lambda v: v.update(defences=[]), "at least 1 item"),
        ("comparison", lambda v: v["frontier"].append("x"), "unknown defence 'x'"),
        ("comparison", lambda v: v["frontier_auc"].append("x"), "unknown defence 'x'"),
        ("comparison", lambda v: v["defences"].append(v["defences"][0]), "expected distinct defences"),
        ("comparison", lambda v: v["rates"].update(fpr=-1.0), "greater than or equal to 0"),
        ("inversion", lambda v: v.update(targets=[]), "at least 1 item"),
        ("inversion", lambda v: v["targets"].append(v["targets"][0]), "expected distinct targets"),
        ("inversion", lambda v: v["fisher"][0]["inversion"].pop(), "lists of one length"),
        ("inversion", lambda v: v["fisher"][0]["layers"].append("x"), "lists of one length"),
    ],
)
def test_a_result_that_could_not_be_drawn_is_not_loaded(kind, change, words, tmp_path):
    values = json.loads(readers(tmp_path)[f"result: {kind}"].content())
    change(values)
    refused(KINDS[kind], tmp_path / "result.json", json.dumps(values), words)


def test_a_file_too_large_for_a_result_is_not_read(tmp_path):
    with open(tmp_path / "result.json", "wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(DataFileError, match="has more than 67,108,864 bytes"):
        load_result(tmp_path)


def with_many(n_attacks, n_classes, n_records):
    whole = leak(n=120)
    names = [{"name": f"a{k}", "title": f"A {k}"} for k in range(n_attacks)]
    return AuditResult(**{
        **dict(whole),
        "attacks": [whole.attacks[k % 8].model_copy(update=name) for k, name in enumerate(names)],
        "classes": [whole.classes[0].model_copy(update={"name": f"c{k}"}) for k in range(n_classes)],
        "records": [whole.records[0].model_copy(update={"id": f"r{k}"}) for k in range(n_records)],
        "lower_bound": whole.lower_bound.model_copy(update={"attack": "a0"}),
    })  # fmt: skip


def test_the_largest_results_are_written_read_and_told(tmp_path):
    for size in ((60, 1000, 20), (MOST_ATTACKS, 500, 500)):
        result = with_many(*size)
        assert load_result(result.save(tmp_path / "result.json")) == result
        assert len(str(result)) < 100_000
        assert f"A {size[0] - 1}" in markdown(result)


def test_a_long_table_takes_as_long_as_it_has_rows():
    """Whether a column has intervals was asked in every row, of every row."""
    source = html(with_many(2, 3000, 3000))
    assert source.count("<tr") > 6000


def test_what_has_no_room_in_a_result_is_said_before_the_run():
    check_room(attacks=200, targets=100, rows=5000)
    for counts in ({"attacks": 201}, {"targets": 101}, {"defences": 101}, {"rows": 5001}):
        with pytest.raises(InputError, match="a result has room for"):
            check_room(**counts)
    with pytest.raises(ValueError, match="lists of one length"):
        RocCurve(fpr=[0.0], tpr=[0.0, 1.0], low=[0.0], high=[0.0])


STEERING = ["\x1b[2J\x1b[31m", "\u202egpj", "\x07", "\x9b31m", "\u2066", "\r"]


@pytest.mark.parametrize("text", STEERING)
def test_nothing_in_a_message_steers_the_terminal(text, tmp_path):
    name = f"a{text}b"
    with pytest.raises(DataFileError) as missing:
        Pool.from_file(f"{name}.npz")
    (tmp_path / "d.csv").write_text(f"x\u2028{text}y,b\n1,2\nc,d,e\n", newline="")
    with pytest.raises(InputError) as unknown:
        Pool.from_file(tmp_path / "d.csv", **{name: 1})
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({name: 1}))
    commands = [
        ["audit", str(path)],
        ["report", name],
        [name],
        ["audit", f"--{name}"],
        ["audit", "--workers", name],
        ["init", "--out", f"{tmp_path}/{name}/x"],
    ]
    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2, done.output
        assert text not in done.output
        assert text not in done.stderr
    for error in (missing, unknown):
        assert text not in str(error.value)


def test_a_line_break_in_a_name_begins_no_line_of_ours():
    done = CliRunner().invoke(main, ["report", "x\nseepage: no leak"])
    assert [line[:4] for line in done.stderr.splitlines()[1:]] == ["    "]


def test_messages_are_cut_and_keep_their_beginning_and_their_end():
    error = InputError("begin " + "x" * 9_000_000 + " end")
    assert len(str(error)) == MOST_CHARACTERS
    assert (str(error)[:5], str(error)[-3:]) == ("begin", "end")
    assert str(InputError(str(error))) == str(error)
    assert len(str(unknown_name("column", "y" * 10**6, [f"{k}" * 1000 for k in range(2000)]))) <= MOST_CHARACTERS


@pytest.mark.parametrize("text", STEERING)
def test_nothing_in_a_result_steers_the_terminal(text, tmp_path):
    for name, kind in KINDS.items():
        values = json.loads(readers(tmp_path)[f"result: {name}"].content())
        values["headline"] = f"a{text}\nb"
        for part in ("records", "attacks", "defences", "targets", "conclusions"):
            for one in values.get(part, []):
                if isinstance(one, dict):
                    one |= {key: f"c{text}\nd" for key in ("label", "title", "about", "sentence") if key in one}
        values["provenance"]["command"] = f"seepage{text}\nrm"
        (tmp_path / "result.json").write_text(json.dumps(values))
        done = CliRunner().invoke(main, ["report", str(tmp_path)])
        assert done.exit_code == 0, (done.output, done.exception)
        assert text not in done.output
        assert text not in str(kind.load(tmp_path))
        assert "\nrm" not in done.output
