"""`seepage defend` and the audit of what it leaves; configurations of comparisons."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
import yaml
from click.testing import CliRunner

import seepage
from seepage.cli import main
from seepage.cli.specs import CompareConfig, DefendConfig
from seepage.cli.specs.defend import read_defended
from seepage.defences import DEFENCES, defended, find_defence, table
from seepage.errors import DataFileError, InputError
from seepage.models.target import TargetModel
from seepage.studies.defended import write_digests


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("defend") / "made"
    done = run("defend", "--data", "digits", "--defence", "hamp", "--option", "gamma=0.6", "--epochs", 3, "--out", out)
    assert done.exit_code == 0, done.output
    assert f"seepage audit --defended {out}" in done.output
    assert "note: " in done.output
    return out


def test_the_folder_holds_model_recipe_membership_and_what_the_model_reaches(folder):
    config, pool, made = read_defended(folder)
    assert config.recipe.defence.options == {"gamma": 0.6}
    assert not (made.members & (made.validation | made.population)).any()
    summary = json.loads((folder / "summary.json").read_text())
    rows = np.flatnonzero(made.members)
    right = TargetModel.wrap(made.model).labels(pool.batch(rows)) == pool.labels[rows]
    assert summary["train"]["accuracy"]["value"] == right.mean()
    assert summary["n_members"] == summary["train"]["accuracy"]["n"] == len(rows)
    assert len(pool) * 0.4 == pytest.approx(len(rows), abs=2)  # half of what is left beside two tenths


def test_an_audit_trains_the_references_with_the_same_defence(folder, tmp_path):
    done = run(
        "audit", "--defended", folder, "--references", 2, "--attacks", "loss,difficulty-calibration", "--workers", 0,
        "--out", tmp_path,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "result.json").read_text())
    recipe = result["training"]["recipe"]
    assert recipe["wrapper"]["kind"] == "OutputModification"
    assert recipe["objective"]["options"]["gamma"] == 0.6
    assert result["provenance"]["membership"] == "declared"
    made = read_defended(folder)[2]
    n_judged = len(made.members) - made.validation.sum() - made.population.sum()
    assert result["attacks"][0]["n_members"] + result["attacks"][0]["n_nonmembers"] == n_judged


def test_a_defence_in_the_recipe_of_an_audit_is_trained_by_target_and_references(tmp_path):
    done = run(
        "audit", "--data", "digits", "--defence", "label-smoothing", "--references", 2, "--epochs", 1,
        "--attacks", "loss", "--workers", 0, "--out", tmp_path,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["training"]["recipe"]["objective"]["options"] == {"smoothing": 0.1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("defend", "--data", "digits", "--defence", "hmap"), "did you mean 'hamp'"),
        (("defend", "--data", "digits", "--defence", "hamp", "--option", "gama=1"), "did you mean 'gamma'"),
        (("defend", "--data", "digits", "--defence", "hamp", "--option", "gamma"), "expected NAME=VALUE"),
        (("defend", "--data", "digits"), "--data and --defence"),
        (("audit", "--defended", "nowhere"), "no model.safetensors in nowhere"),
        (("compare", "--data", "digits"), "--data and --defences"),
    ],
)
def test_each_mistake_is_one_line(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.output
    assert "Traceback" not in done.output


def test_a_defended_folder_brings_everything_and_damage_to_it_is_named(folder, tmp_path):
    done = run("audit", "--defended", folder, "--data", "digits", "--out", tmp_path / "a")
    assert done.exit_code == 2
    assert "leave out data" in done.output
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    config = yaml.safe_load((broken / "defended.yaml").read_text())
    config["recipe"]["options"] = {"hidden": [7]}
    (broken / "defended.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(DataFileError, match=r"defended\.yaml is not the configuration that was written here: run seep"):
        read_defended(broken)
    write_digests(broken, read_defended(folder)[1])
    with pytest.raises(InputError, match="do not fit"):
        read_defended(broken)
    (broken / "membership.npz").unlink()
    with pytest.raises(DataFileError, match=r"no membership\.npz"):
        read_defended(broken)


def other_model(folder):
    """The model of another training: all shapes are the same."""
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    safetensors.numpy.save_file({name: -array for name, array in weights.items()}, folder / "model.safetensors")


def flipped_bit(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-2] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def exchanged_sides(folder):
    masks = dict(np.load(folder / "membership.npz"))
    masks["members"] = ~(masks["members"] | masks["validation"] | masks["population"])
    np.savez(folder / "membership.npz", **masks)


def no_digests(folder):
    (folder / "written.json").unlink()


def digests_of_nothing(folder):
    (folder / "written.json").write_text("[]")


def other_records(folder):
    written = json.loads((folder / "written.json").read_text())
    (folder / "written.json").write_text(json.dumps({**written, "records": "0" * 64}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_model, r"model\.safetensors is not the model that was written here: run seepage defend again"),
        (flipped_bit, r"model\.safetensors is not the model that was written here: run seepage defend again"),
        (exchanged_sides, r"membership\.npz is not the membership that was written here: run seepage defend again"),
        (no_digests, r"no written\.json in .*an older version.*run seepage defend again"),
        (digests_of_nothing, r"written\.json is damaged: run seepage defend again"),
        (other_records, "the records .* are not those that the model was trained on"),
    ],
)
def test_a_defended_folder_is_believed_only_as_it_was_written(folder, tmp_path, change, says):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    read_defended(copy)
    change(copy)
    with pytest.raises(DataFileError, match=says):
        read_defended(copy)
    done = run("audit", "--defended", copy, "--out", tmp_path / "audit")
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_a_defence_by_flag_takes_the_place_of_the_file_and_its_options(tmp_path):
    path = tmp_path / "d.yaml"
    path.write_text("data: {name: digits}\nrecipe: {epochs: 4, defence: {name: hamp, options: {gamma: 0.3}}}\n")
    config = DefendConfig.read(path, {"recipe.defence.name": "mixup"})
    assert (config.recipe.epochs, config.recipe.defence.name, config.recipe.defence.options) == (4, "mixup", {})
    assert DefendConfig.read(path, {}).recipe.recipe().objective.keywords["gamma"] == 0.3


def test_rows_of_a_comparison_override_keys_of_the_recipe_and_a_flag_chooses_among_them(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "data: {name: digits}\nrecipe: {epochs: 4}\ndefences:\n"
        "  - {name: hamp, options: {gamma: 0.3}, recipe: {optimiser: {name: sgd}}}\n  - {name: mixup}\n"
    )
    config = CompareConfig.read(path, {})
    assert [row.name for row in config.defences] == ["hamp", "mixup"]
    assert CompareConfig.read(path, {"defences": ["hamp", "l2"]}).defences[0].options == {"gamma": 0.3}
    assert [row.name for row in CompareConfig.read(path, {"defences": ["hamp", "l2"]}).defences] == ["hamp", "l2"]
    path.write_text("data: {name: digits}\ndefences: [{name: hamp, recpie: {}}]\n")
    with pytest.raises(InputError, match="did you mean 'recipe'"):
        CompareConfig.read(path, {})


def test_every_defence_is_listed_with_what_a_user_must_know():
    rows = {row["name"]: row for row in table()}
    assert list(rows) == list(DEFENCES)
    for name, row in rows.items():
        assert row["kind"] in ("training", "answers", "both"), name
        assert row["title"], name
        assert row["source"], name
        for options in row["grid"]:
            assert find_defence(name, **options) is not None
    listed = json.loads(run("defences", "--json").output)
    assert [row["name"] for row in listed] == list(DEFENCES)
    assert "hamp" in run("defences").output


def test_two_defences_for_the_same_part_of_a_recipe_are_refused():
    recipe = defended(seepage.Recipe(seepage.MLP, optimiser=seepage.SGD()), "hamp")
    with pytest.raises(InputError, match="sets the objective"):
        defended(recipe, "label-smoothing")
    with pytest.raises(InputError, match="wraps the answers"):
        defended(defended(seepage.Recipe(seepage.MLP), "hamp-answers"), "hamp-answers")
