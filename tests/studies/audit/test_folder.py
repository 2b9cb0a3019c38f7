"""What an audit leaves in its folder: believed only when it is sound, its owner's alone, and enough to repeat it."""

import json
import os
import stat
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import seepage
import seepage.signals.collect as collecting
from seepage import MLP, Adam, Pool, Recipe
from seepage.cli import main
from seepage.errors import DataFileError, InputError, StorageError
from seepage.runs.store import DamagedFile, Store
from seepage.studies.audit import findings
from tests.damage import flip, swap
from tests.flat import audit

RECIPE = Recipe(partial(MLP, hidden=[8]), optimiser=Adam(lr=1e-2), epochs=2, batch_size=64, version="1")
ATTACKS = ["loss", "lira-online"]


def records(seed=0):
    rng = np.random.default_rng(seed)
    return Pool(rng.normal(size=(240, 8)), rng.integers(0, 3, 240), n_classes=3)


def audited(folder, pool=None, **options):
    given = {"recipe": RECIPE, "references": 5, "attacks": ATTACKS, "workers": 0, "engine": "single"}
    return audit(None, pool or records(), out=folder, **given | options)


def numbers(folder):
    """All that is measured, without times and paths."""
    found = json.loads((folder / "result.json").read_text())
    del found["training"], found["provenance"]
    for attack in found["attacks"]:
        del attack["cost"]
    return found, (folder / "scores.npz").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    audited(folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    subprocess.run(["cp", "-rp", str(whole), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


@pytest.mark.parametrize("what", ["models", "null-model", "scores"])
def test_what_is_damaged_in_an_audit_is_named_and_made_again(whole, copy, what):
    for path in sorted((copy / "run" / what / "units").iterdir())[:2]:
        flip(path)
    with pytest.warns(DamagedFile, match=f"run/{what}/units/.*it is made again"):
        audited(copy)
    assert numbers(copy) == numbers(whole)


@pytest.mark.parametrize("what", ["models", "scores"])
def test_files_that_changed_places_change_no_number(whole, copy, what):
    swap(*sorted((copy / "run" / what / "units").iterdir())[:2])
    with pytest.warns(DamagedFile, match="its key is another one"):
        audited(copy)
    assert numbers(copy) == numbers(whole)


def test_sound_scores_are_taken_as_they_are(copy, monkeypatch):
    monkeypatch.setattr(findings, "_run", None)
    audited(copy)


def test_the_command_line_says_what_was_damaged_in_one_line(tmp_path):
    np.savez(tmp_path / "data.npz", inputs=records().inputs, labels=records().labels)
    (tmp_path / "a.yaml").write_text(
        "data: {file: data.npz}\nrecipe: {architecture: mlp, epochs: 1}\nreferences: 4\nattacks: [loss]\n"
        "controls: false\nengine: single\nworkers: 0\nout: out\n"
    )
    command = [sys.executable, "-m", "seepage", "audit", "a.yaml"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}

    def run():
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    first = run()
    assert (first.returncode, first.stderr) == (0, "")
    damaged = sorted((tmp_path / "out" / "run" / "models" / "units").iterdir())[0]
    flip(damaged)
    again = run()
    assert again.returncode == 0
    assert len(again.stderr.splitlines()) == 1
    assert f"{damaged.name} cannot be used" in again.stderr
    assert again.stdout == first.stdout


def test_an_audit_s_folder_is_its_owner_s_alone_and_the_user_s_stay_as_they_are(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o755)
    for out in (theirs, tmp_path / "new" / "below"):
        audited(out, controls=False, keep_weights=True)
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755
    for path in (*theirs.rglob("*"), tmp_path / "new", *(tmp_path / "new").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_what_killed_writers_left_is_swept(copy):
    names = ["result.json.there-1-0123abcd.part", "video.mp4.part"]
    for folder in (copy, copy / "run" / "scores" / "units"):
        for name in names:
            (folder / name).write_text("half")
            os.utime(folder / name, (0, 0))
    audited(copy)
    assert sorted(path.name for path in copy.rglob("*.part")) == ["video.mp4.part"] * 2


SEVERAL = """
    import sys
    sys.path.insert(0, sys.argv[1])
    from tests.studies.audit.test_folder import audited
    from pathlib import Path
    audited(Path(sys.argv[2]), controls=False)
"""


def test_several_audits_at_once_in_one_folder_all_succeed(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SEVERAL))
    command = [sys.executable, str(tmp_path / "script.py"), str(Path(__file__).parents[3]), str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [driver.communicate(timeout=300)[1] for driver in both]
    assert [(driver.returncode, text) for driver, text in zip(both, said, strict=True)] == [(0, "")] * 3
    assert not list(tmp_path.rglob("*.part"))
    audited(tmp_path / "alone", controls=False)
    assert numbers(tmp_path / "out") == numbers(tmp_path / "alone")


# Replay


class Clock:
    """Makes the planner of a machine choose: `growing` says how much slower each thing is than the one before."""

    def __init__(self, growing):
        self.growing, self.now = growing, 1e-4

    def __call__(self, training):
        self.now *= self.growing
        return self.now


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """An audit on a machine where stacks are fast."""
    folder = tmp_path_factory.mktemp("there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seepage.models.plan._seconds_per_step", Clock(0.5))
        audited(folder, engine=None)
    return folder


def test_a_replay_gives_the_same_numbers_where_the_planner_would_choose_otherwise(there, tmp_path, monkeypatch):
    monkeypatch.setattr("seepage.models.plan._seconds_per_step", Clock(9.0))  # a machine where stacks are slow
    other = audited(tmp_path / "other", engine=None)
    plans = seepage.AuditResult.load(there).training.plans
    assert set(plans) == {"models", "null-model", "positive-control"}
    assert [plan.n_models for plan in plans.values()] == [6, 1, 1]
    assert all(plan.engine == "stacked" for plan in plans.values())
    assert all(plan.engine == "single" for plan in other.training.plans.values())
    monkeypatch.setattr(collecting, "plan", None)  # nothing is timed
    for name, path in (("folder", there), ("file", there / "result.json")):
        again = audited(tmp_path / name, engine=None, workers=None, replay=path)
        assert numbers(tmp_path / name) == numbers(there)
        assert again.training.plans == plans
    audited(tmp_path / "again", engine=None, replay=tmp_path / "folder")  # of a replay
    assert numbers(tmp_path / "again") == numbers(there)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"references": 6}, "'models' trained 6 models, this one trains 7: replay the result of the same command"),
        ({"pool": records(1)}, r"'models' trained other models \(their recipe, records or memberships differ\)"),
        ({"recipe": Recipe(RECIPE.model, epochs=3, batch_size=64)}, "'models' trained other models"),
        ({"rng": 1}, "cannot be replayed to the same numbers: seed 0 there, 1 here: replay the result"),
        ({"engine": "single"}, "engine= does not go with replay="),
        ({"weights_cache": "cache"}, "weights_cache= does not go with replay="),
        ({"recipe": None, "references": None}, "replay= needs a recipe="),
    ],
    ids=["models", "records", "recipe", "seed", "engine", "weights cache", "no recipe"],
)
def test_a_result_of_another_audit_cannot_be_replayed(there, tmp_path, monkeypatch, change, said):
    monkeypatch.setattr(collecting.TrainUnit, "__call__", None)  # nothing is trained
    with pytest.raises(InputError, match=said):
        audited(tmp_path, **{"engine": None, "replay": there, **change})


def saved_with(folder, path, change):
    content = json.loads((folder / "result.json").read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["training"].pop("plans"), "holds no plan to replay .*: leave replay out"),
        (lambda one: one.update(training=None), "holds no plan to replay"),
        (lambda one: one["training"]["plans"].pop("models"), "no plan for the run 'models', only for null-model"),
        (lambda one: one["provenance"].update(torch="1.0"), r"torch 1\.0 there, .* here: replay the result"),
        (lambda one: one["provenance"].update(seepage="0.0"), r"seepage 0\.0 there"),
        (lambda one: one["training"]["plans"]["models"].update(device="cuda"), "'cuda', and there is none here"),
        (lambda one: one["training"]["plans"]["models"].update(chunk=7), "does not suit 6 models"),
        (lambda one: one["training"]["plans"]["models"].update(workers=10**6), "less than or equal to 4096"),
    ],
    ids=["no plans", "no training", "no run", "torch", "version", "device", "chunk", "workers"],
)
def test_a_result_whose_plan_does_not_suit_is_refused(there, tmp_path, monkeypatch, change, said):
    monkeypatch.setattr(collecting.TrainUnit, "__call__", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = saved_with(there, tmp_path / "result.json", change)
    with pytest.raises((InputError, DataFileError), match=said):
        audited(tmp_path / "out", engine=None, replay=path)


def test_what_is_no_result_cannot_be_replayed(there, tmp_path):
    with pytest.raises(DataFileError, match="no result at"):
        audited(tmp_path / "out", engine=None, replay=tmp_path / "nothing")
    path = saved_with(there, tmp_path / "r.json", lambda one: one["training"]["plans"]["models"].update(chunk="all"))
    with pytest.raises(DataFileError, match=r"training\.plans\.models\.chunk"):
        audited(tmp_path / "out", engine=None, replay=path)


def test_the_command_line_replays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", inputs=records().inputs, labels=records().labels)
    Path("a.yaml").write_text(
        "data: {file: data.npz}\nrecipe: {architecture: mlp, epochs: 1}\nreferences: 4\nattacks: [loss]\n"
        "controls: false\nworkers: 0\n"
    )

    def run(*arguments):
        main(["audit", "a.yaml", *arguments], standalone_mode=False)

    monkeypatch.setattr("seepage.models.plan._seconds_per_step", Clock(0.5))
    run("--out", "there")
    monkeypatch.setattr(collecting, "plan", None)
    run("--out", "here", "--replay", "there/result.json")
    Path("a.yaml").write_text(Path("a.yaml").read_text() + "replay: there\n")
    run("--out", "yaml")
    assert numbers(Path("there")) == numbers(Path("here")) == numbers(Path("yaml"))


@pytest.mark.parametrize("name", ["result.json", "scores.npz", "rows.npy", "together.npz", "report.html"])
def test_a_folder_in_the_place_of_a_result_is_named_before_anything_is_trained(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(collecting, "train_models", lambda *arguments, **named: pytest.fail("trained"))
    with pytest.raises(StorageError, match=f"a folder stands at .*{name}, where a file belongs: delete it"):
        audited(tmp_path)


@pytest.mark.parametrize(
    "said", [{"n_asked": 0}, {"seconds": "a while", "n_asked": 0}, {"seconds": 1.0, "n_asked": 0.5}]
)
def test_scores_that_do_not_say_what_they_took_are_made_again(copy, whole, said):
    store = Store(copy / "run" / "scores")
    path = sorted((copy / "run" / "scores" / "units").iterdir())[0]
    found = store.read(path.stem)
    about = {name: value for name, value in found.about.items() if name not in ("seconds", "n_asked")}
    store.write(path.stem, found.arrays, about | said)
    with pytest.warns(DamagedFile, match=path.stem):
        audited(copy)
    assert numbers(copy) == numbers(whole)


def test_scores_of_logits_are_not_those_of_probabilities_with_the_same_numbers(tmp_path):
    """The same array is read in two ways; a folder that has the scores of one way does not serve the other."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.992, 1, (200, 1)) * rng.dirichlet(np.ones(3), size=200)  # rows that miss a sum of 1
    common = {"labels": rng.integers(0, 3, 200), "membership": rng.random((200, 1)) < 0.5}
    ways = {"logits": np.log(p)[:, None], "probs": p[:, None]}

    def scores(name, folder):
        audit(outputs={name: ways[name], **common}, attacks=["loss"], access="probabilities", out=folder)
        return np.load(folder / "scores.npz")["loss"]

    assert not np.array_equal(scores("logits", tmp_path / "a"), scores("probs", tmp_path / "b"))
    np.testing.assert_array_equal(scores("probs", tmp_path / "a"), scores("probs", tmp_path / "b"))
