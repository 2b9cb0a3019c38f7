"""YAML that would unfold, mislead or ask for what no run could use: one clear error each."""

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import save_file

from seepage.cli import main
from seepage.cli.specs import AuditConfig, CompareConfig, InvertConfig, SynthesiseConfig
from seepage.cli.specs.defend import DefendConfig, read_defended
from seepage.cli.specs.parts import check_architecture
from seepage.cli.specs.reading import from_yaml
from seepage.errors import DataFileError, InputError, SeepageError
from seepage.studies.defended import write_digests

ALIASES = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALIASES, "more than 20,000 values, aliases followed"),
        (
            "a: &a {x: 1}\n"
            + "".join(f"{k}: &{k} {{<<: [*a{', *a' * 500}]}}\n" for k in "bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR"),
            "more than 20,000 values, aliases followed",
        ),
        (
            "a: &a [x]\n"
            + "".join(
                f"{b}: &{b} [*{a}]\n" for a, b in zip("abcdefghijklmnopqrstuv", "bcdefghijklmnopqrstuvw", strict=True)
            ),
            "more than 20 levels",
        ),
        ("a: &a [*a]", "the alias 'a' stands inside of what it stands for"),
        ("a: &a {b: {c: *a}}", "the alias 'a' stands inside of what it stands for"),
        ("a: *b", "undefined alias"),
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
        ('layer: "a\\0b"', "layer must be .*without NUL"),
        ("layer: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("layer: !!python/name:os.system", "could not determine a constructor"),
        ("layer: 2026-99-99", "no sound timestamp"),
        ("seed: !!int abc", "no sound int"),
        ("seed: 1\n---\nseed: 2", "expected a single document"),
        ("layer: " + "x" * 5000, "layer must be a text of at most"),
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
    ("text", "words"),
    [
        ("references: true", "references must be a number, not true or false.* got True"),
        ("known: yes", "known must be a number"),
        ("seed: on", "seed must be a number"),
        ("rates: [true]", "rates must be a number"),
        ("rates: [0.1, no]", "rates must be a number"),
        ("workers: off", "workers must be a number"),
        ("recipe: {epochs: yes}", "recipe.epochs must be a number"),
        ("recipe: {batch_size: true}", "recipe.batch_size must be a number"),
        ("recipe: {best_validation: {patience: true}}", "patience must be a number"),
        ("data: {name: digits, limit: true}", "data.limit must be a number"),
        ("canaries: {n: true}", "canaries.n must be a number"),
        ("references: 010", "line 1, column 13: 010 is octal"),
        ("references: -0_17", "is octal"),
        ("seed: 007", "is octal"),
        ("references: 1:30", "1:30 is a number to the base 60"),
        ("alpha: 1:30.5", "to the base 60"),
        ("rates: [0.1, 12:30:45]", "to the base 60"),
        ('out: ""', "out must be a path, which is not empty"),
        ('replay: ""', "replay must be a path"),
        ("outputs: ''", "outputs must be a path"),
        ("data: {file: ''}", "data.file must be a path"),
    ],
)
def test_what_yaml_reads_otherwise_than_it_was_meant_is_refused(text, words, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(SeepageError, match=words):
        AuditConfig.read(path, {})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed:\t1", {"seed": 1}),
        ("seed: 1\t# a comment", {"seed": 1}),
        ("rates: [0.1,\t0.2]", {"rates": [0.1, 0.2]}),
        ("seed: 0\ncontrols: no\nalpha: 0.01", {"seed": 0, "controls": False, "alpha": 0.01}),
        ("seed: &n 1\nreferences: &n 2\nworkers: *n", {"seed": 1, "references": 2, "workers": 2}),
        ("x-mine: &r {epochs: 3}\nrecipe: *r", {"recipe": {"epochs": 3}}),
        ("recipe: {<<: {epochs: 3}}\nlayer: '010'", {"recipe": {"epochs": 3}, "layer": "010"}),
        ("known: 3", {"known": 3}),
    ],
)
def test_sound_yaml_is_read(text, values, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert from_yaml(path) == values
    assert AuditConfig.read(path, {}).model_dump(exclude_unset=True) is not None


@pytest.mark.parametrize(
    "text", ["recipe:\n\tepochs: 1", "recipe:\n  epochs: 1\n\tbatch_size: 2", "recipe: {\n\tepochs: 1}"]
)
def test_a_tab_that_indents_is_named(text, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(DataFileError, match="indented with a tab"):
        from_yaml(tmp_path / "c.yaml")


def test_an_unknown_key_below_the_top_is_one_with_x_in_front_too(tmp_path):
    (tmp_path / "c.yaml").write_text("recipe: {x-mine: 1}")
    with pytest.raises(InputError, match="unknown key 'x-mine'"):
        AuditConfig.read(tmp_path / "c.yaml", {})


@pytest.mark.parametrize("command", [["audit", "--out", ""], ["audit", "--out="], ["audit", ""], ["report", ""],
                                     ["audit", "--replay="], ["compare", "--data", "digits", "--out", ""]],
                         ids=" ".join)  # fmt: skip
def test_an_empty_argument_is_not_the_working_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 2
    assert "is a variable empty?" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (AuditConfig, "recipe: {epochs: 1e400}", "recipe.epochs must be .*finite number"),
        (AuditConfig, "recipe: {epochs: .inf}", "recipe.epochs must be .*finite number"),
        (AuditConfig, "recipe: {epochs: 1.0e+300}", "recipe.epochs must be .*1000000"),
        (AuditConfig, "alpha: .nan", "alpha must be a finite number"),
        (AuditConfig, "rates: [0.1, .inf]", "rates.1 must be .*finite"),
        (AuditConfig, "recipe: {optimiser: {options: {lr: .nan}}}", "options.lr must be a finite number"),
        (AuditConfig, "recipe: {optimiser: {options: {lr: .inf}}}", "options.lr must be a finite number"),
        (AuditConfig, "workers: 1" + "0" * 30, "workers must be an integer up to"),
        (AuditConfig, "workers: 5000", "workers must be .*4096"),
        (AuditConfig, "references: 2000000", "references must be .*100000"),
        (AuditConfig, "seed: 1" + "0" * 20, "seed must be an integer up to"),
        (AuditConfig, "recipe: {options: {widths: [1" + "0" * 40 + "]}}", "widths.0 must be an integer up to"),
        (SynthesiseConfig, "data: {name: digits}\nepsilon: .nan", "epsilon must be a finite number"),
        (SynthesiseConfig, "data: {name: digits}\nepsilon: 1\nclip: .inf", "clip must be .*finite"),
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


def test_a_part_may_be_written_once_and_used_twice(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "data: {name: digits}\ndefences:\n- {name: hamp, recipe: &r {epochs: 3}}\n- {name: mixup, recipe: *r}"
    )
    config = CompareConfig.read(path, {})
    assert [one.recipe for one in config.defences] == [{"epochs": 3}] * 2
    values = from_yaml(path)
    values["defences"][0]["recipe"]["epochs"] = 4
    assert values["defences"][1]["recipe"] == {"epochs": 3}
    path.write_text("recipe: &r {epochs: 3}\ndata: {<<: *r, epochs: 5, name: digits}")
    assert from_yaml(path)["data"] == {"epochs": 5, "name": "digits"}


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


@pytest.mark.parametrize("options", [{"hidden": [2_000_000_000]}, {"hidden": [100_000] * 200}])
def test_a_network_that_fits_no_memory_is_refused_before_it_is_built(options):
    with pytest.raises(InputError, match=r"recipe\.options: 'mlp' cannot be built .*(GiB|overflow)"):
        check_architecture("mlp", options, (1000,), 10, "recipe")


@pytest.mark.parametrize("change", [{"members": None}, {"members": np.ones(3, bool)}, {"population": np.zeros(20)}])
def test_a_defended_folder_whose_masks_are_not_those_of_its_records_is_refused(change, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", inputs=rng.normal(size=(20, 3)).astype(np.float32), labels=np.arange(20) % 2)
    recipe = "{architecture: mlp, defence: {name: hamp}}"
    (tmp_path / "defended.yaml").write_text(f"data: {{file: {tmp_path / 'd.npz'}}}\nrecipe: {recipe}\n")
    config = DefendConfig.read(tmp_path / "defended.yaml", {})
    save_file(config.recipe.recipe().skeleton((3,), 2).state_dict(), tmp_path / "model.safetensors")
    masks = {name: np.arange(20) < 10 for name in ("members", "validation", "population")}
    np.savez(tmp_path / "membership.npz", **masks)
    pool = config.data.pool(0)
    write_digests(tmp_path, pool)
    assert read_defended(tmp_path)[2].members.sum() == 10
    masks |= change
    np.savez(tmp_path / "membership.npz", **{name: mask for name, mask in masks.items() if mask is not None})
    write_digests(tmp_path, pool)
    with pytest.raises(DataFileError, match=f"membership.npz: expected '{next(iter(change))}'"):
        read_defended(tmp_path)
