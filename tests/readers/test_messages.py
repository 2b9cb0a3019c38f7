"""What a file or a path holds never steers the terminal, and no message is longer than a person reads."""

import json

import pytest
from click.testing import CliRunner

from seepage.cli import main
from seepage.data import read_file
from seepage.errors import MOST_CHARACTERS, DataFileError, InputError, unknown_name
from tests.readers.samples import readers
from tests.readers.test_results import KINDS

STEERING = ["\x1b[2J\x1b[31m", "\u202egpj", "\x07", "\x9b31m", "\u2066", "\r"]


@pytest.mark.parametrize("text", STEERING)
def test_nothing_in_a_message_steers_the_terminal(text, tmp_path):
    name = f"a{text}b"
    with pytest.raises(DataFileError) as missing:
        read_file(f"{name}.npz")
    (tmp_path / "d.csv").write_text(f"x\u2028{text}y,b\n1,2\nc,d,e\n", newline="")
    with pytest.raises(InputError) as unknown:
        read_file(tmp_path / "d.csv", **{name: 1})
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
