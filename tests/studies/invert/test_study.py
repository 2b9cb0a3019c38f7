"""The whole line on small drawn images: from a pool to a result that can be believed, and stopped at any time."""

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

import seepage
from seepage.cli import main
from seepage.data import Pool
from seepage.errors import InputError, StorageError
from seepage.inversion import INVERSIONS, Budget, find_inversion, table
from seepage.inversion.priors import ModulePrior, PriorOptions
from seepage.models.architectures import CNN
from seepage.models.train import train
from seepage.schema.inversion import InversionResult
from seepage.schema.reading import load_result
from seepage.studies.invert import Choice
from seepage.studies.invert.line import Line
from seepage.writing import DamagedFile
from tests.flat import invert
from tests.studies.invert.drawn import JUDGE, PRIORS, RECIPE, bars

QUICK = {"recipe": RECIPE, "judge": JUDGE, "priors": PRIORS, "budget": Budget(8, 1, 40), "random": 8, "workers": 0}


def study(out, **options):
    return invert(bars(), **{**QUICK, "private": 6, "attacks": ["gmi", "brep-mi"], "out": out, **options})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    return study(out, targets=["undefended", "null", "shuffled"], seeds=(0, 1), images_per_class=2), out


def test_a_study_says_what_it_measured(made):
    result, out = made
    assert result.verdict in ("LEAK SHOWN", "NO EVIDENCE", "INCONCLUSIVE", "INVALID")
    assert [target.name for target in result.targets] == ["undefended", "null", "shuffled"]
    assert (result.n_private_classes, result.n_attacked_classes, result.n_public_images) == (6, 6, 36)
    assert result.targets[0].test_accuracy.value > 0.9 > result.targets[1].test_accuracy.value
    assert result.targets[2].test_accuracy.value < 0.6
    assert result.evaluator.accuracy.value > 0.9
    for target in result.targets:
        for attack in target.attacks:
            n_seeds = 2 if target.role == "undefended" else 1
            assert attack.n_images == n_seeds * 2 * 6
            assert attack.n_classes == 6
            assert len(attack.seeds) == n_seeds
            assert set(attack.classes) == set(result.targets[0].attacks[0].classes)
            assert all(name.startswith(("column", "row")) for name in attack.classes)
            assert np.mean(list(attack.classes.values())) == pytest.approx(attack.accuracy.value)
            assert np.mean(attack.seeds) == pytest.approx(attack.accuracy.value)
            names = [one.name for one in attack.baselines]
            null = [] if target.role == "null" else ["null-target"]
            assert names == ["chance", "random-code", "random-public", "wrong-class", *null]
            assert attack.baseline("chance").accuracy.value == pytest.approx(1 / 12)
            assert attack.named.value >= attack.accuracy.value
            assert attack.p_value_holm >= attack.p_value
    assert result.targets[0].attack("gmi").queries == 8 + 1
    assert result.targets[0].attack("brep-mi").queries <= 40 + 1
    for name, queries in (("best-code", 8), ("best-public", 36 / 12)):
        assert result.attack(name).is_selection
        assert result.attack(name).access == "probabilities"
        assert result.targets[0].attack(name).queries == queries
        assert result.targets[0].attack(name).beyond_selection is None
    assert result.targets[0].attack("gmi").selection in ("best-code", "best-public")
    (ceiling,) = result.ceilings
    assert (ceiling.prior, ceiling.target, ceiling.n_images) == ("gan", "", 12)
    assert 0 < ceiling.distance < 0.5
    assert result.evaluator.rule == "the class attacked is the likeliest of 6 private and 6 public classes"
    assert [one.name for one in result.evaluator.taken] == ["public", "texture", "noise"]
    assert not result.pictures
    saved = InversionResult.load(out)
    assert saved == load_result(out)
    assert saved.headline == result.headline
    assert {path.name for path in out.iterdir()} == {"run", "result.json", "report.html", "report.md"}
    assert "<img" not in (out / "report.html").read_text()


def test_what_cannot_be_had_is_not_found(made):
    result, _ = made
    for name in ("null", "shuffled"):
        for attack in result.target(name).attacks:
            assert attack.p_value_holm > 0.05


def test_fisher_information_is_of_targets_that_hold_something(made):
    result, out = made
    assert [(curve.target, curve.attack) for curve in result.fisher] == [("undefended", "gmi")]
    curve = result.fisher[0]
    assert sum(curve.classification) == pytest.approx(1)
    assert sum(curve.inversion) == pytest.approx(1)
    said = CliRunner().invoke(main, ["fisher", str(out), "--out", str(out.parent / "f.svg")])
    assert said.exit_code == 0, said.output
    assert curve.layers[0] in said.output
    assert (out.parent / "f.svg").read_text().startswith("<?xml")
    as_json = CliRunner().invoke(main, ["fisher", str(out), "--json"])
    assert json.loads(as_json.output)[0]["layers"] == curve.layers


def digest(out):
    return {path.name: path.read_bytes() for path in sorted((out / "run" / "units").iterdir())}


def images(out):
    from safetensors.numpy import load_file

    units = {path.name: load_file(path) for path in (out / "run" / "units").iterdir()}
    return {name: unit["images"] for name, unit in units.items() if "images" in unit}


def test_a_stopped_study_goes_on_class_by_class(tmp_path, monkeypatch):
    whole = study(tmp_path / "whole", fisher=False)
    calls, make = [], Line.__call__

    def stops(line, unit, report):
        calls.append(unit)
        if unit["make"] == "images":
            raise KeyboardInterrupt
        make(line, unit, report)

    monkeypatch.setattr(Line, "__call__", stops)
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "parts", fisher=False)
    monkeypatch.setattr(Line, "__call__", make)
    before = digest(tmp_path / "parts")
    said = CliRunner().invoke(main, ["status", str(tmp_path / "parts")])
    assert f"{len(before)} pieces made" in said.output
    assert "no result yet" in said.output
    again = study(tmp_path / "parts", fisher=False)
    after = digest(tmp_path / "parts")
    assert before
    assert before.items() <= after.items()
    for name, made in images(tmp_path / "whole").items():
        np.testing.assert_array_equal(images(tmp_path / "parts")[name], made)
    # One class is lost: it alone is made again, and comes out as it was.
    lost = next(iter(images(tmp_path / "parts")))
    (tmp_path / "parts" / "run" / "units" / lost).unlink()
    monkeypatch.setattr("seepage.studies.invert.line.train_models", None)
    study(tmp_path / "parts", fisher=False)
    np.testing.assert_array_equal(images(tmp_path / "parts")[lost], images(tmp_path / "whole")[lost])
    # One is damaged: so is that.
    path, kept = tmp_path / "parts" / "run" / "units" / lost, digest(tmp_path / "parts")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.warns(DamagedFile, match=f"{lost} cannot be used"):
        study(tmp_path / "parts", fisher=False)
    np.testing.assert_array_equal(images(tmp_path / "parts")[lost], images(tmp_path / "whole")[lost])
    assert {k: v for k, v in digest(tmp_path / "parts").items() if k != lost} == {
        k: v for k, v in kept.items() if k != lost
    }
    assert again.targets[0].attacks[0].accuracy == whole.targets[0].attacks[0].accuracy


def test_another_judge_judges_what_is_there_and_attacks_nothing_again(tmp_path, monkeypatch):
    first = study(tmp_path, attacks=["gmi"], fisher=False, targets=["undefended", "null"])
    kept = images(tmp_path)
    monkeypatch.setattr("seepage.inversion.descent.Descent.run", None)
    monkeypatch.setattr("seepage.studies.invert.selection.BestCode.run", None)
    monkeypatch.setattr("seepage.studies.invert.line.shown_at_best", None)
    again = study(
        tmp_path, attacks=["gmi"], fisher=False, targets=["undefended", "null"], judge=replace(JUDGE, epochs=1)
    )
    assert images(tmp_path).keys() == kept.keys()
    assert again.evaluator.accuracy.value < first.evaluator.accuracy.value
    assert again.targets[0].attack("gmi").target_accuracy == first.targets[0].attack("gmi").target_accuracy
    assert again.ceilings[0].distance == first.ceilings[0].distance


def test_a_prior_that_knows_the_target_gives_no_baseline_and_public_images_may_have_no_labels(
    tmp_path,
):
    public = bars(classes=range(6, 12))
    unlabelled = Pool(public.inputs, name="unlabelled", scale=1 / 255)
    result = invert(bars(classes=range(6)), public=unlabelled, out=tmp_path, attacks=["ked-mi"], fisher=False, **QUICK)
    (target,) = result.targets
    assert [one.attack for one in target.attacks] == ["ked-mi", "best-code-knowledge-gan", "best-public"]
    assert [one.name for one in target.attack("ked-mi").baselines] == ["chance", "random-public", "wrong-class"]
    assert [(one.prior, one.target) for one in result.ceilings] == [("knowledge-gan", "undefended")]
    assert "no public class is known to the judge" in result.evaluator.rule
    assert result.evaluator.n_public_classes == 0


def test_processes_make_what_one_process_makes(tmp_path):
    study(tmp_path / "one", attacks=["gmi"], fisher=False)
    study(tmp_path / "two", attacks=["gmi"], fisher=False, workers=2)
    one, two = images(tmp_path / "one"), images(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-4)


def test_defended_targets_stand_beside_the_undefended(tmp_path):
    smoothed = Choice("label-smoothing", {"smoothing": 0.2}, label="ls")
    targets = ["undefended", Choice("tl-dmi", {"freeze": 0.5}), smoothed]
    result = study(tmp_path, attacks=["gmi"], targets=targets)
    assert [target.name for target in result.targets] == ["undefended", "tl-dmi freeze 0.5", "ls"]
    plain, frozen, smooth = result.targets
    assert frozen.role == "defended"
    assert frozen.n_trained < frozen.n_parameters
    assert plain.n_trained == plain.n_parameters == smooth.n_trained
    assert [curve.target for curve in result.fisher] == [target.name for target in result.targets]


def test_a_model_that_is_there_is_attacked_as_it_is(tmp_path):
    pool = bars(classes=range(5))
    members = np.arange(len(pool)) % 3 > 0
    module = train(RECIPE, pool, members, rng=np.random.default_rng(0))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    result = invert(pool, model=module, members=members, public=bars(classes=range(6, 12)), attacks=["gmi"],
                    out=tmp_path, **QUICK)  # fmt: skip
    (target,) = result.targets
    assert target.name == "model"
    assert target.test_accuracy.value > 0.9
    assert result.n_private_images == members.sum()
    assert result.provenance.membership == "declared"
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert result.recipe == {"attacked": "CNN"}
    assert "One model" in {one.about for one in result.limits}


def test_outputs_of_a_model_that_is_there_are_labels_of_the_data(tmp_path):
    """Classes 0 to 4 are the model's and 5 to 8 the attacker's, though all are in one pool."""
    pool = bars(classes=range(9))
    ours, members = np.asarray(pool.labels) < 5, np.arange(len(pool)) % 3 > 0
    module = train(RECIPE, pool.subset(ours), members[ours], rng=np.random.default_rng(0))
    module = five_outputs(module)
    options = {**QUICK, "model": module, "attacks": ["gmi"], "fisher": False, "out": tmp_path / "out"}
    result = invert(pool, members=members, targets=["undefended", "null"], **options)
    assert [target.name for target in result.targets] == ["model", "null"]
    assert result.target("model").test_accuracy.value > 0.9
    assert result.target("null").n_trained == 0
    assert result.n_private_classes == 5
    assert set(result.recipe) > {"attacked", "model", "epochs"}
    before = (tmp_path / "out" / "result.json").read_bytes()
    for wrong, message in (
        ({"private": 5}, "has 5 outputs: expected private images of the labels 0 to 4"),
        ({"members": None}, "needs members"),
        ({"attacks": ["gmi"], "priors": PriorOptions(batch_size=500)}, "batches of 500"),
    ):
        with pytest.raises(InputError, match=message):
            invert(pool, **{"members": members, **options, **wrong})
    with pytest.raises(StorageError, match="a study of other data"):
        study(tmp_path / "out")
    assert (tmp_path / "out" / "result.json").read_bytes() == before


def five_outputs(module):
    """The head's rows of the classes that it was trained on, where it has more."""
    head = module.head
    module.head = torch.nn.Linear(head.in_features, 5)
    module.head.load_state_dict({name: value[:5] for name, value in head.state_dict().items()})
    return module.eval()


def test_weights_in_a_file_are_attacked_from_the_command_line(tmp_path):
    pool = bars(classes=range(5))
    members = np.arange(len(pool)) % 3 > 0
    for name, rows in (("private", members), ("held_out", ~members)):
        np.savez(tmp_path / f"{name}.npz", inputs=pool.inputs[rows], labels=np.asarray(pool.labels)[rows])
    np.savez(tmp_path / "public.npz", inputs=bars(classes=range(6, 12)).inputs)
    module = CNN((1, 8, 8), 5, widths=(8, 16)).eval()
    save_file(module.state_dict(), tmp_path / "m.safetensors")
    (tmp_path / "c.yaml").write_text(
        "model: {file: m.safetensors, architecture: cnn, options: {widths: [8, 16]}}\n"
        "data: {file: private.npz}\nnonmembers: {file: held_out.npz}\npublic: {file: public.npz}\n"
        "judge: {epochs: 2, options: {widths: [8, 8]}}\nattacks: [gmi]\nbudget: {steps: 4}\n"
        "prior: {steps: 4, width: 4, batch_size: 16}\nworkers: 0\nout: out\n"
    )
    run = CliRunner()

    def said(*flags):
        with contextlib.chdir(tmp_path):
            return run.invoke(main, ["invert", "c.yaml", *flags])

    assert said().exit_code == 0
    result = InversionResult.load(tmp_path / "out")
    assert (result.n_private_images, result.n_held_out_images) == (members.sum(), (~members).sum())
    drawn = said("--limit", "30", "--out", "less")  # the file's data, fewer of them
    assert drawn.exit_code == 0, drawn.output
    for flags, message in (
        (["--nonmembers", "private.npz"], "are also among those that it was"),
        (["--public", "private.npz"], "are private ones too"),
        (["--private", "3"], "5 outputs"),
        (["--controls"], "the public ones have no labels"),
    ):
        refused = said(*flags, "--out", "other")
        assert refused.exit_code == 2, refused.output
        assert message in refused.output
        assert len(refused.output.splitlines()) == 1
    assert not (tmp_path / "other").exists()


def test_a_generator_of_the_users_takes_the_place_of_a_gan(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Sigmoid(), torch.nn.Unflatten(1, (1, 8, 8)))
    given = ModulePrior(network.eval(), 4, (1, 8, 8), name="mine")
    result = study(
        tmp_path, attacks=["gmi"], private=np.arange(6), generator=given, samples=np.int64(10), fisher=False,
        show_records=True,
    )  # fmt: skip
    assert result.priors == {"gan": "mine"}
    assert result.provenance.settings["private"] == [0, 1, 2, 3, 4, 5]
    assert result.n_public_images == 36 + 10
    assert len(result.pictures) == 3 * 6
    assert len(result.pictures[0].private) == 2
    assert "data:image/png;base64" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attacks": ["gmy"]}, "gmi"),
        ({"attacks": "gmi"}, "attacks is a list"),
        ({"attacks": []}, "no attack to run"),
        ({"targets": ["undefended", "undefended"]}, "two targets are called"),
        ({"targets": []}, "nothing to attack"),
        ({"targets": "undefended"}, "targets is a list"),
        ({"targets": [("tl-dmi", {})]}, "a name or a Choice"),
        ({"seeds": 3}, "seeds is a list of whole numbers"),
        ({"seeds": "01"}, "seeds is a list of whole numbers"),
        ({"random": 0}, "random must be a whole number of at least 1"),
        ({"alpha": 0}, "alpha must lie strictly between 0 and 1"),
        ({"confidence": 1}, "confidence must lie strictly between 0 and 1"),
        ({"rng": -1}, "expected a seed"),
        ({"generator": torch.nn.Identity()}, "generator must be of type Prior or None, got a Identity"),
        ({"targets": [Choice("null", {"a": 1})]}, "has no options"),
        ({"targets": ["early-stoping"]}, "early-stopping"),
        ({"seeds": [0, 0]}, "different whole numbers"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        study(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_the_list_of_attacks_says_what_each_needs():
    rows = {row["name"]: row for row in table()}
    assert rows.keys() == INVERSIONS.keys()
    assert {row["access"] for row in rows.values()} == {"label", "probabilities", "weights"}
    assert rows["brep-mi"]["access"] == "label"
    assert rows["mirror-genetic"]["access"] == "probabilities"
    assert rows["mi-face"]["needs"] == ["nothing else"]
    said = CliRunner().invoke(main, ["inversions", "--json"])
    assert json.loads(said.output) == json.loads(json.dumps(table()))
    assert "GMI" in CliRunner().invoke(main, ["inversions"]).output
    with pytest.raises(InputError, match="weigth"):
        find_inversion("gmi", weigth=1)
    assert find_inversion("gmi", weight=10).weight == 10
    assert seepage.INVERSIONS is INVERSIONS


def test_the_command_line_runs_a_study(tmp_path):
    small = ["--limit", "300", "--epochs", "2", "--prior-steps", "5", "--steps", "5", "--workers", "0"]
    flags = ["--data", "digits", "--attack", "gmi", "--controls", *small]
    said = CliRunner().invoke(main, ["invert", *flags, "--out", str(tmp_path / "a")])
    assert said.exit_code == 0, said.output
    result = InversionResult.load(tmp_path / "a")
    assert result.headline[:20] in " ".join(said.output.split())
    assert [target.name for target in result.targets] == ["undefended", "null", "shuffled"]
    assert result.attacks[0].steps == 5
    shown = CliRunner().invoke(main, ["report", str(tmp_path / "a")])
    assert shown.exit_code == 0
    assert result.verdict in shown.output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "nothing to invert"),
        (["--data", "digits", "--sweep"], "--defences"),
        (["--data", "digits", "--full-budget", "--steps", "3"], "leave out --steps"),
        (["--data", "digits", "--attack", "gmy"], "gmi"),
        (["--data", "digits", "--model", "m.safetensors"], "nonmembers"),
        (["--data", "digits", "--samples", "5"], "name one with prior"),
        (["--data", "adult"], "expected images, and 'adult' holds rows of a table"),  # and nothing is downloaded
    ],
)
def test_flags_that_cannot_be_are_refused(tmp_path, flags, message):
    said = CliRunner().invoke(main, ["invert", *flags, "--out", str(tmp_path / "a")])
    assert said.exit_code == 2, said.output
    assert message in said.output
