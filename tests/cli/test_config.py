"""The configuration: one to one with the arguments in Python, and an error for every key that is not there."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import seepage
from seepage.cli.specs import EXAMPLE, AuditConfig, CompareConfig
from seepage.cli.specs.fields import filled
from seepage.errors import DataFileError, InputError
from seepage.models.recipe import Augmentation, StopAt
from seepage.studies.draw import Draw
from seepage.studies.settings import COMPARED


def read(text, flags=None, *, folder):
    path = folder / "audit.yaml"
    path.write_text(text)
    return AuditConfig.read(path, flags or {})


@pytest.mark.parametrize(
    ("text", "wrong", "close"),
    [
        ("modle: {file: x}", "modle", "model"),
        ("data: {nmae: digits}", "nmae", "name"),
        ("model: {flie: x}", "flie", "file"),
        ("recipe: {epoch: 3}", "epoch", "epochs"),
        ("recipe: {optimiser: {optoins: {}}}", "optoins", "options"),
        ("recipe: {schedule: {nam: cosine}}", "nam", "name"),
        ("recipe: {augmentation: {shfit: 2}}", "shfit", "shift"),
        ("reference: 3\nalpha: 7", "reference", "references"),
    ],
)
def test_an_unknown_key_names_the_closest_one_at_every_level(text, wrong, close, tmp_path):
    with pytest.raises(InputError, match=f"unknown key '{wrong}': did you mean '{close}'"):
        read(text, folder=tmp_path)


@pytest.mark.parametrize(
    ("recipe", "wrong", "close"),
    [
        ({"architecture": "mpl"}, "architecture 'mpl'", "mlp"),
        ({"optimiser": {"options": {"lrr": 1}}}, "recipe.optimiser.options: 'lrr'", "lr"),
        ({"schedule": {"name": "cosine", "options": {"warm_up": 1}}}, "recipe.schedule.options: 'warm_up'", None),
        ({"optimiser": {"options": {"lr": "x"}}}, "Adam cannot be made of", None),
        ({"optimiser": {"options": {"betas": 3}}}, "Adam cannot be made of", None),
        ({"schedule": {"name": "steps"}}, "Steps cannot be made of .*milestones", None),
    ],
)
def test_an_option_of_a_recipe_that_is_unknown_or_unusable_is_named(recipe, wrong, close):
    config = AuditConfig.model_validate({"recipe": recipe})
    with pytest.raises(InputError, match=wrong) as caught:
        config.recipe.recipe()
    if close:
        assert f"did you mean '{close}'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "expected keys and values, got list"),
        ("just words", "expected keys and values, got str"),
        ("1: x", "Keys should be strings"),
        ("references: many", "references must be a whole number, got 'many'"),
        ("references: -1", "references must be greater than or equal to 0"),
        ("recipe: {epochs: 0}", "recipe.epochs must be greater than 0"),
        ("recipe: {optimiser: {name: adamw}}", "recipe.optimiser.name must be 'adam' or 'sgd'"),
        ("recipe: mlp", "recipe must be keys and values"),
        ("data: digits", "data must be keys and values"),
        ("data: {}", "give a name or a file"),
        ("data: {name: digits, file: x.npz}", "give a name or a file"),
        ("attacks: loss", "attacks must be a list"),
        ("access: everything", "access must be 'label'"),
        ("origin: drawn", "origin must be 'declared' or 'unknown'"),
        ("alpha: 0.6", "alpha must be less than 0.5"),
        ("rates: []", "rates must have at least 1 item"),
    ],
)
def test_an_unusable_value_is_named_with_its_place(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(text, folder=tmp_path)


@pytest.mark.parametrize("content", [b"a: [1,", b"\xff\xfe\x00", b"a: !!python/object:os.system {}", b"a: b: c"])
def test_what_is_not_yaml_is_refused_and_never_run(content, tmp_path):
    (tmp_path / "audit.yaml").write_bytes(content)
    with pytest.raises(DataFileError, match=r"not YAML|cannot read"):
        AuditConfig.read(tmp_path / "audit.yaml", {})


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_a_clear_error(name, tmp_path):
    with pytest.raises(DataFileError, match="cannot read the configuration"):
        AuditConfig.read(tmp_path / name, {})


def test_an_empty_file_is_all_defaults(tmp_path):
    assert read("", folder=tmp_path) == AuditConfig()


def test_flags_go_over_the_file(tmp_path):
    text = "alpha: 0.01\nseed: 3\nrecipe: {epochs: 7, batch_size: 32}"
    config = read(text, {"alpha": 0.1, "recipe.epochs": 9.0, "out": Path("there")}, folder=tmp_path)
    assert (config.alpha, config.seed, config.out) == (0.1, 3, Path("there"))
    assert (config.recipe.epochs, config.recipe.batch_size) == (9.0, 32)


@pytest.mark.parametrize("section", ["data:", "data: digits", "data: {file: x.csv, options: {label: y}}"])
def test_data_on_the_command_line_take_the_place_of_the_file_s(section, tmp_path):
    config = read(section, {"data.name": "mnist"}, folder=tmp_path)
    assert config.data.model_dump(exclude_defaults=True) == {"name": "mnist"}


def test_fewer_records_on_the_command_line_are_of_the_file_s_data(tmp_path):
    config = read("data: {name: mnist}", {"data.limit": 50}, folder=tmp_path)
    assert config.data.model_dump(exclude_defaults=True) == {"name": "mnist", "limit": 50}


def test_a_configuration_without_keys_fills_the_values_of_python_with_their_own_defaults():
    config = AuditConfig()
    assert filled(config, seepage.Settings) == seepage.Settings()
    assert filled(config, seepage.Attacker) == seepage.Attacker()
    assert filled(config, seepage.Run) == seepage.Run()
    compared = CompareConfig.model_validate({"data": {"name": "digits"}, "defences": [{"name": "hamp"}]})
    assert filled(compared, seepage.Settings) == COMPARED
    assert filled(compared, Draw) == Draw()


def test_bounds_and_descriptions_of_a_key_are_those_of_the_value(tmp_path):
    assert AuditConfig.model_fields["alpha"].description == "chance of a false alarm over all attacks together"
    for wrong in (0, 0.5):
        with pytest.raises(InputError, match="alpha must be"):
            seepage.Settings(alpha=wrong)
        with pytest.raises(InputError, match="alpha must be"):
            read(f"alpha: {wrong}", folder=tmp_path)


def test_the_example_is_a_valid_configuration_and_so_is_each_line_of_it():
    values = yaml.safe_load(EXAMPLE)
    config = AuditConfig.model_validate(values)
    assert config.data.name == "digits"
    assert config.recipe.recipe().epochs == 100
    assert config.delta == 1e-5
    commented = [line.removeprefix("# ").strip() for line in EXAMPLE.splitlines() if line.startswith("# ")]
    keys = [line for line in commented if line.split(":")[0] in AuditConfig.model_fields]
    assert len(keys) >= 8
    for line in keys:
        AuditConfig.model_validate(yaml.safe_load(line))


def test_a_limit_draws_records_by_the_seed(tmp_path):
    config = AuditConfig.model_validate({"data": {"name": "digits", "limit": 50}})
    one, same, other = (config.data.pool(seed) for seed in (0, 0, 1))
    assert len(one) == 50
    np.testing.assert_array_equal(one.ids, same.ids)
    assert set(one.ids) != set(other.ids)


def test_a_recipe_s_sections_reach_the_recipe():
    values = {
        "architecture": "mlp",
        "options": {"hidden": [5]},
        "optimiser": {"name": "sgd", "options": {"lr": 0.1, "momentum": 0.5}},
        "schedule": {"name": "cosine"},
        "augmentation": {"flip": False, "shift": 2},
        "stop_at_accuracy": 0.9,
        "epochs": 2,
    }
    recipe = AuditConfig.model_validate({"recipe": values}).recipe.recipe()
    assert (recipe.optimiser, recipe.schedule) == (seepage.SGD(lr=0.1, momentum=0.5), seepage.Cosine())
    assert recipe.augmentation == Augmentation(False, 2)
    assert recipe.stop == StopAt(0.9)
    assert next(recipe.model((4,), 3).parameters()).shape == (5, 4)


def save(path, n=60, labels=True, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {"inputs": rng.normal(size=(n, 4))} | ({"labels": rng.integers(0, 3, n)} if labels else {})
    np.savez(path, **arrays)
    return path


def test_a_pool_and_a_membership_file_audit_a_model(tmp_path):
    import safetensors.torch

    model = seepage.MLP((4,), 3, hidden=[4])
    safetensors.torch.save_model(model, tmp_path / "model.safetensors")
    np.savez(tmp_path / "membership.npz", members=np.arange(60) % 2 == 0, population=np.arange(60) % 6 == 1)
    values = {
        "data": {"file": save(tmp_path / "data.npz")},
        "membership": tmp_path / "membership.npz",
        "model": {"file": tmp_path / "model.safetensors", "architecture": "mlp", "options": {"hidden": [4]}},
        "attacks": ["loss"],
        "origin": "declared",
        "out": tmp_path / "out",
    }
    result = AuditConfig.model_validate(values).run(progress=False, command="again")
    assert (result.attacks[0].n_members, result.attacks[0].n_nonmembers) == (30, 20)
    assert (result.claim, result.provenance.command) == ("causal", "again")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"membership": "m.npz"}, "needs data"),
        ({"data": {"file": "data.npz"}, "membership": "data.npz"}, "expected an array 'members', got inputs, labels"),
        ({"data": {"file": "bare.npz"}}, "data: bare.npz holds no labels: expected a .npz"),
        ({"members": "bare.npz", "nonmembers": "data.npz"}, "members: .*holds no labels"),
        ({"data": {"name": "digit"}}, "did you mean 'digits'"),
        ({"data": {"file": "data.npz", "options": {"labl": "x"}}}, "labl"),
        ({"data": {"file": "data.txt"}}, "expected a file ending in"),
        ({"outputs": "data.npz"}, "unknown array 'inputs'"),
        ({"data": {"file": "data.npz"}, "recipe": {"options": {"hiden": [3]}}}, "did you mean 'hidden'"),
        ({"data": {"file": "data.npz"}, "recipe": {"options": {"hidden": 5}}}, "recipe.options: 'mlp' cannot be built"),
        ({"data": {"file": "data.npz"}, "recipe": {"options": {"hidden": [-2]}}}, "recipe.options: 'mlp' cannot be"),
        (
            {"data": {"file": "data.npz"}, "model": {"file": "x", "architecture": "mlp", "options": {"hidden": "a"}}},
            "model.options: 'mlp' cannot be built",
        ),
    ],
)
def test_files_that_do_not_hold_what_they_should_are_named(values, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("data.npz"))
    save(Path("bare.npz"), labels=False)
    with pytest.raises(InputError, match=message):
        AuditConfig.model_validate(values).run(progress=False, command="")


def test_a_class_that_only_non_members_have_counts_for_the_architecture(tmp_path):
    import safetensors.torch

    rng = np.random.default_rng(0)
    for name, n_classes in (("in", 2), ("out", 3)):
        np.savez(tmp_path / f"{name}.npz", inputs=rng.normal(size=(60, 4)), labels=np.arange(60) % n_classes)
    safetensors.torch.save_model(seepage.MLP((4,), 3, hidden=[4]), tmp_path / "model.safetensors")
    values = {
        "model": {"file": tmp_path / "model.safetensors", "architecture": "mlp", "options": {"hidden": [4]}},
        "members": tmp_path / "in.npz",
        "nonmembers": tmp_path / "out.npz",
        "attacks": ["loss"],
        "out": tmp_path / "out",
    }
    assert AuditConfig.model_validate(values).run(progress=False, command="").attacks


def test_canaries_are_planted_and_judged_alone(tmp_path):
    flags = {"data.name": "digits", "data.limit": 200, "recipe.architecture": "mlp", "recipe.epochs": 2}
    flags |= {"canaries.n": 40, "references": 4, "attacks": ["loss"], "controls": False, "out": tmp_path}
    result = AuditConfig.read(None, flags).run(progress=False, command="seepage audit")
    assert result.attacks[0].n_targets == 4
    assert result.attacks[0].n_members + result.attacks[0].n_nonmembers == 40
    assert result.provenance.settings["config"]["canaries"] == {"kind": "mislabelled", "n": 40}


@pytest.mark.parametrize("wrong", [{"known": 20}, {"data": None, "outputs": "x.npz"}, {"recipe": None}])
def test_canaries_go_with_data_and_a_recipe_alone(wrong):
    values = {"data": {"name": "digits"}, "recipe": {}, "canaries": {"n": 40}} | wrong
    with pytest.raises(InputError, match="canaries: need data: and recipe:"):
        AuditConfig.model_validate(values).run(progress=False, command="")
