"""A whole comparison on a few hundred digits: fair, resumable, and its figures are those of its audits."""

import functools
import json
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest

import seepage.signals.collect as collecting
from seepage.attacks import ATTACKS, Attack, LiRA
from seepage.data import Pool, load
from seepage.errors import InputError, StorageError
from seepage.models.architectures import MLP
from seepage.models.recipe import Recipe
from seepage.runs.store import DamagedFile, run_status
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.studies.compare import Choice, default_attacks, protocol
from tests.flat import compare
from tests.reference import comparison as naive

RECIPE = Recipe(functools.partial(MLP, hidden=(16,)), epochs=12, batch_size=16)
CHOICES = [Choice("label-smoothing"), Choice("hamp-answers", {})]
ASKED = {
    "recipe": RECIPE,
    "defences": CHOICES,
    "attacks": ["loss", "correctness"],
    "seeds": (0, 1),
    "references": 4,
    "validation": 0.15,
    "floor": 0.1,
    "engine": "single",
    "workers": 1,
}


@pytest.fixture(scope="module")
def pool():
    return load("digits").subset(np.arange(260))


@pytest.fixture(scope="module", autouse=True)
def no_pages():
    """The audits' own reports, which take longer than the audits here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AuditResult, "report", lambda self, path: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def result(pool, folder):
    return compare(pool, out=folder, **ASKED)


def nothing_more(*arguments, **named):
    raise RuntimeError("nothing is left to be done")


def without_times(result):
    return result.model_copy(
        update={"provenance": result.provenance.model_copy(update={"created": "", "seconds": 0.0})}
    )


def test_rows_settings_and_attacks_are_those_asked_for(result):
    assert [one.name for one in result.defences] == ["undefended", "label-smoothing", "hamp-answers"]
    assert [one.kind for one in result.defences] == ["none", "training", "answers"]
    assert [one.setting for one in result.defences] == ["as given", "searched", "as given"]
    assert result.undefended is result.defences[0]
    assert [info.name for info in result.attacks] == ["loss", "correctness"]
    assert result.seeds == [0, 1]
    smoothed = result.defence("label-smoothing")
    chosen = next(point for point in smoothed.tuning if point.chosen)
    assert smoothed.options["smoothing"] == chosen.options["smoothing"]
    assert smoothed.reached_floor == (chosen.validation_accuracy.value >= result.utility_floor)
    assert result.defence("hamp-answers").notes
    assert result.matched[0].name == "undefended"


def test_figures_are_those_of_the_audits(result, folder):
    key = f"{result.rates.fpr:g}"
    for one in result.defences:
        folders = [folder / seed.folder for seed in one.per_seed]
        for name, found in one.attacks.items():
            audited = [naive.attack(each, name) for each in folders]
            for metric, path in (
                ("auc", lambda a: a["auc"]),
                ("balanced_accuracy", lambda a: a["balanced_accuracy"]),
                ("tpr", lambda a: a["tpr_at_fpr"][key]),
                ("tnr", lambda a: a["tnr_at_fnr"][key]),
            ):
                parts = [path(each) for each in audited]
                expected = naive.combined(*([part[end] for part in parts] for end in ("value", "low", "high")))
                estimate = getattr(found, metric)
                assert (estimate.value, estimate.low, estimate.high) == pytest.approx(expected, abs=1e-4)
        for metric in ("auc", "tpr"):
            worst = getattr(one.worst, metric)
            assert worst.estimate.value == max(getattr(found, metric).value for found in one.attacks.values())
        targets = [json.loads((each / "result.json").read_text())["target"] for each in folders]
        for name, saved in (("test_accuracy", "accuracy_nonmembers"), ("calibration_error", "calibration_error")):
            expected = np.mean([target[saved]["value"] for target in targets])
            assert getattr(one.utility, name).value == pytest.approx(expected)
        assert [seed.test_accuracy for seed in one.per_seed] == [t["accuracy_nonmembers"]["value"] for t in targets]
        for seed, each in zip(one.per_seed, folders, strict=True):
            assert seed.auc == max(naive.attack(each, name)["auc"]["value"] for name in one.attacks)
    points = [(d.name, d.utility.test_accuracy.value, d.worst.tpr.estimate.value) for d in result.defences]
    assert result.frontier == naive.frontier(points)


def test_members_are_drawn_once_a_seed_for_all_defences(result, folder):
    def members(one, seed):
        with np.load(folder / one.per_seed[seed].folder / "scores.npz") as file:
            return file["membership"]

    for seed in (0, 1):
        for one in result.defences[1:]:
            np.testing.assert_array_equal(members(one, seed), members(result.undefended, seed))
    assert not np.array_equal(members(result.undefended, 0), members(result.undefended, 1))


def test_references_are_trained_with_the_defence(result, folder):
    trained = json.loads((folder / "hamp-answers" / "seed-0" / "result.json").read_text())["training"]
    assert trained["recipe"]["wrapper"]["kind"] == "OutputModification"
    assert trained["n_models"] == result.defences[0].n_references == 4


def test_it_is_kept_rendered_and_read_again(result, folder):
    assert ComparisonResult.load(folder) == result
    for name in ("report.html", "report.md"):
        assert "label-smoothing" in (folder / name).read_text()
    assert result.headline in " ".join(str(result).split())


def test_a_finished_comparison_audits_and_trains_nothing_and_gives_the_same(
    result, folder, pool, tmp_path, monkeypatch
):
    copy = shutil.copytree(folder, tmp_path / "copy")  # another run writes another time into its result
    monkeypatch.setattr("seepage.studies.compare.protocol.audit_recipe", nothing_more)
    monkeypatch.setattr("seepage.signals.collect.train_models", nothing_more)
    assert without_times(compare(pool, out=copy, **ASKED)) == without_times(result)


SMALL = {**ASKED, "defences": [], "seeds": (0,), "floor": None}


def test_a_stopped_one_goes_on_and_gives_the_same(result, folder, pool, tmp_path, monkeypatch):
    real, begun = protocol.audit_recipe, []

    def stopped(*arguments, **named):
        begun.append(named["run"].folder)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    asked = {**SMALL, "seeds": (0, 1)}
    monkeypatch.setattr("seepage.studies.compare.protocol.audit_recipe", stopped)
    with pytest.raises(KeyboardInterrupt):
        compare(pool, out=tmp_path, **asked)
    again = compare(pool, out=tmp_path, **asked)
    assert [path.name for path in begun] == ["seed-0", "seed-1", "seed-1"]
    # what was there already is read back, and the rest is what an undisturbed comparison found
    for name, found in again.undefended.attacks.items():
        assert found == result.undefended.attacks[name]


def test_rows_can_be_had_one_by_one_into_one_folder(pool, tmp_path, monkeypatch):
    real, begun = protocol.audit_recipe, []

    def noted(*arguments, **named):
        begun.append(named["run"].folder.parent.name)
        return real(*arguments, **named)

    monkeypatch.setattr("seepage.studies.compare.protocol.audit_recipe", noted)
    last = CHOICES[1]
    compare(pool, out=tmp_path, **{**SMALL, "defences": [last]})
    result = compare(pool, out=tmp_path, **{**SMALL, "defences": [Choice("label-smoothing", {}, references=6), last]})
    assert begun == ["undefended", "hamp-answers", "label-smoothing"]
    assert [(row.name, row.n_references) for row in result.defences] == [
        ("undefended", 4), ("label-smoothing", 6), ("hamp-answers", 4)
    ]  # fmt: skip


def test_a_result_of_another_question_or_another_hand_is_not_believed(pool, tmp_path, monkeypatch):
    real, begun = protocol.audit_recipe, []

    def counted(*arguments, **named):
        begun.append(named["attacker"].attacks)
        return real(*arguments, **named)

    monkeypatch.setattr("seepage.studies.compare.protocol.audit_recipe", counted)
    first = compare(pool, out=tmp_path, **SMALL)
    assert len(begun) == 1
    compare(pool, out=tmp_path, **{**SMALL, "attacks": ["entropy"]})
    assert begun[1:] == [[ATTACKS["entropy"]]]
    back = compare(pool, out=tmp_path, **SMALL)
    assert len(begun) == 3
    assert back.undefended.attacks == first.undefended.attacks
    saved = tmp_path / "undefended" / "seed-0" / "result.json"
    auc = json.loads(saved.read_text())["attacks"][0]["auc"]["value"]
    saved.write_text(saved.read_text().replace(str(auc), "0.999"))
    with pytest.warns(DamagedFile, match=r"result\.json cannot be used \(it is not what was written\)"):
        mended = compare(pool, out=tmp_path, **SMALL)
    assert len(begun) == 4
    assert mended.undefended.attacks == first.undefended.attacks
    with pytest.raises(StorageError, match="holds another run"):
        compare(pool, out=tmp_path, **{**SMALL, "seeds": (0,), "recipe": Recipe(MLP, epochs=1)})


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def other_question(path):
    path.write_text(path.read_text().replace('"asked": "', '"asked": "0'))


@pytest.fixture(scope="module")
def small(pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return compare(pool, out=folder, **SMALL), folder


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *[(name, cut) for name in (*protocol.KEPT, "about.json")],
        ("scores.npz", Path.unlink),
        ("about.json", other_question),
    ],
)
def test_a_damaged_file_of_a_finished_audit_is_named_and_made_again(small, pool, tmp_path, name, damage):
    shutil.copytree(small[1], tmp_path / "copy")
    cell = tmp_path / "copy" / "undefended" / "seed-0"
    before = {one: (cell / one).read_bytes() for one in ("scores.npz", "together.npz", "rows.npy")}
    damage(cell / name)
    with pytest.warns(DamagedFile, match=rf"seed-0.{re.escape(name)} cannot be used"):
        again = compare(pool, out=tmp_path / "copy", **SMALL)
    assert again.undefended.attacks == small[0].undefended.attacks
    assert {one: (cell / one).read_bytes() for one in before} == before
    with warnings.catch_warnings():
        warnings.simplefilter("error", DamagedFile)
        compare(pool, out=tmp_path / "copy", **SMALL)


def test_a_folder_in_the_place_of_the_result_is_named_before_anything_is_trained(pool, tmp_path, monkeypatch):
    monkeypatch.setattr("seepage.signals.collect.train_models", nothing_more)
    (tmp_path / "result.json").mkdir()
    with pytest.raises(StorageError, match=r"a folder stands at .*result\.json, where a file belongs: delete it"):
        compare(pool, out=tmp_path, **SMALL)


def test_a_folder_in_the_place_of_a_file_of_an_audit_is_named(small, pool, tmp_path):
    shutil.copytree(small[1], tmp_path / "copy")
    path = tmp_path / "copy" / "undefended" / "seed-0" / "rows.npy"
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match=r"a folder stands at .*rows\.npy, where a file belongs: delete it"):
        compare(pool, out=tmp_path / "copy", **SMALL)


def test_one_target_with_references_canaries_and_a_row_of_its_own(pool, tmp_path):
    found = compare(
        pool,
        out=tmp_path,
        recipe=RECIPE,
        defences=[Choice("label-smoothing", {"smoothing": 0.3}, Recipe(RECIPE.model, epochs=4), 6, "soft, shorter")],
        attacks=["loss", "correctness"],
        seeds=(3,),
        references=4,
        every_model=False,
        canaries=("strongest", 8),
        rate=0.2,
        engine="single",
        workers=1,
    )
    plain, other = found.defences
    assert (other.name, other.options["smoothing"], other.n_references) == ("soft, shorter", 0.3, 6)
    assert len(other.notes) >= 2
    assert found.rates.fpr == 0.2
    assert other.per_seed[0].folder == "soft-shorter/seed-3"
    assert plain.canaries.kind == "mislabelled"
    assert plain.canaries.n == 8
    assert plain.canaries.fpr == 0.1 or plain.canaries.fpr == 0.2
    assert set(plain.canaries.attacks) == {"loss", "correctness"}
    audited = naive.attack(tmp_path / "undefended" / "canaries-3", plain.canaries.worst.attack)
    assert plain.canaries.worst.estimate.value == audited["tpr_at_fpr"][f"{plain.canaries.fpr:g}"]["value"]
    assert audited["n_members"] == 4
    one = naive.attack(tmp_path / "undefended" / "seed-3", "loss")
    assert (one["n_targets"], plain.attacks["loss"].auc.low) == (1, one["auc"]["low"])


def made(shape, values=None):
    rng = np.random.default_rng(0)
    inputs = rng.random((40, *shape)).astype(np.float32) if values is None else rng.choice(values, (40, *shape))
    return Pool(inputs, rng.integers(0, 3, 40))


@pytest.mark.parametrize("references", [4, 8, 64])
@pytest.mark.parametrize("every_model", [True, False])
@pytest.mark.parametrize(
    ("records", "label_only"),
    [(made((3, 8, 8)), "label-only-aerni"), (made((9,)), "noise"), (made((9,), [0, 1]), "noise")],
)
def test_attacks_that_see_no_score_are_always_among_the_defaults(records, label_only, references, every_model):
    names = default_attacks(records, references=references, every_model=every_model)
    families = [protocol.family(ATTACKS[name]) for name in names]
    assert "rank-only" in families
    assert "label-only" in families
    assert {label_only, "rank-only", "loss"} <= set(names)
    assert ("lira-online" in names) == (references - 2 * every_model >= 4)  # two references on each side
    assert len(names) == len(set(names))
    assert set(names) - set(default_attacks(records, references=references, population=False)) >= {"rmia-online"}


def test_the_defaults_run(pool, tmp_path):
    found = compare(
        pool, recipe=RECIPE, defences=[], out=tmp_path, seeds=(0,), references=6, engine="single", workers=1
    )
    assert {info.family for info in found.attacks} == {"scores", "references", "label-only", "rank-only"}
    assert set(found.undefended.by_family) == {"scores", "references", "label-only", "rank-only"}


@dataclass(frozen=True)
class Margin(Attack):
    """An attack of one's own."""

    sign: Callable = np.positive  # no text says what it does
    title = "Margin"
    source = "a test"

    def _score(self, view, *, rng):
        return self.sign(view.target("hinge").mean(axis=1))


def test_objects_and_names_are_attacks_of_all_rows_and_canaries(pool, tmp_path, monkeypatch):
    real, begun = protocol.audit_recipe, []

    def counted(*arguments, **named):
        begun.append(named["run"].folder)
        return real(*arguments, **named)

    monkeypatch.setattr("seepage.studies.compare.protocol.audit_recipe", counted)
    variant = LiRA("offline", variance="official", centre="mean")
    asked = {**SMALL, "attacks": [variant, LiRA("offline"), "lira-offline", Margin()], "canaries": ("mislabelled", 8)}
    found = compare(pool, out=tmp_path, **asked)
    names = ["LiRA(mode='offline', variance='official', centre='mean')", "lira-offline", "Margin()"]
    assert [info.name for info in found.attacks] == found.provenance.settings["attacks"] == names
    assert [info.family for info in found.attacks] == ["references", "references", "scores"]
    assert set(found.undefended.attacks) == set(found.undefended.canaries.attacks) == set(names)
    audited = naive.attack(tmp_path / "undefended" / "seed-0", names[0])
    assert audited["options"] == asdict(variant)
    assert found.undefended.attacks[names[0]].auc.value == audited["auc"]["value"]
    assert ComparisonResult.load(tmp_path) == found
    assert names[0] in (tmp_path / "report.html").read_text().replace("&#39;", "'")

    compare(pool, out=tmp_path, **asked)
    assert len(begun) == 4  # Margin's option may have become another one
    asked["attacks"] = [Margin(np.negative)]
    turned = compare(pool, out=tmp_path, **asked).undefended.attacks["Margin(sign=<ufunc 'negative'>)"]
    assert turned.auc.value == pytest.approx(1 - found.undefended.attacks["Margin()"].auc.value)
    asked = {**SMALL, "attacks": [variant]}
    compare(pool, out=tmp_path, **asked)
    n_audits = len(begun)
    compare(pool, out=tmp_path, **asked)
    assert len(begun) == n_audits


def test_mistakes_are_named(pool, tmp_path):
    for changes, expected in (
        ({"defences": ["hamp"]}, r"Choice\('hamp'\)"),
        ({"defences": [Choice("hump")]}, "did you mean"),
        ({"defences": [Choice("hamp", {"gama": 0.5})]}, "did you mean 'gamma'"),
        ({"defences": [Choice("hamp"), Choice("hamp")]}, "label"),
        ({"defences": [Choice("hamp", label="tuning")]}, "reserved"),
        ({"seeds": (0, 0)}, "different whole numbers"),
        ({"seeds": ()}, "different whole numbers"),
        ({"floor": 2}, "floor as a difference"),
        ({"references": 2}, "at least 4 references"),
        ({"attacks": "loss"}, r"attacks=\['loss'\]"),
        ({"attacks": ["los"]}, "did you mean 'loss'"),
        ({"attacks": [LiRA]}, r"write LiRA\(\)"),
        ({"canaries": ("mislabeled", 8)}, "did you mean 'mislabelled'"),
        ({"rate": 1.0}, "rate in"),
        ({"validation": 0}, r"validation=0\.1"),
    ):
        with pytest.raises(InputError, match=expected):
            compare(pool, out=tmp_path, **{**ASKED, **changes})
    with pytest.raises(InputError, match="labels"):
        compare(Pool(pool.inputs), out=tmp_path, **ASKED)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        compare(pool, out=tmp_path / "file", **ASKED)


def test_targets_that_share_references_are_judged_together_and_wrapped_rows_train_nothing(pool, tmp_path, monkeypatch):
    asked = {
        "recipe": RECIPE, "attacks": ["loss"], "seeds": (0,), "references": 4, "every_model": False, "targets": 3,
        "rate": 0.2, "engine": "single", "workers": 1, "out": tmp_path,
    }  # fmt: skip
    plain = compare(pool, defences=[Choice("label-smoothing", {})], **asked).defences[0]
    one = naive.attack(tmp_path / "undefended" / "seed-0", "loss")
    assert one["n_targets"] == 3
    assert plain.attacks["loss"].auc.low == one["auc"]["low"]
    monkeypatch.setattr(collecting, "train_models", nothing_more)
    wrapped = compare(pool, defences=[Choice("hamp-answers", {})], **asked).defences[1]
    assert wrapped.utility.test_accuracy == plain.utility.test_accuracy
    with pytest.raises(InputError, match="targets"):
        compare(pool, defences=[Choice("hamp-answers", {})], **{**asked, "targets": 0})


def test_status_tells_how_far_every_row_is(folder, result):
    rows = {row["name"]: row for row in run_status(folder)}
    assert rows["undefended/seed-1/models"]["done"] == rows["undefended/seed-1/models"]["models"] == 4
    assert {name.split("/")[0] for name in rows} >= {"undefended", "label-smoothing", "hamp-answers"}
