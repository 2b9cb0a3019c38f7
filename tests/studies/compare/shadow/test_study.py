"""The whole study on a few hundred digits: parts apart, numbers kept and rendered, a stopped study goes on."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from seepage.cli import main
from seepage.data import load
from seepage.errors import DataFileError, InputError, StorageError
from seepage.models.architectures import CNN
from seepage.models.generators import from_callable
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe
from seepage.report.render import html, markdown
from seepage.report.terminal import summary
from seepage.runs.run import Run
from seepage.schema.comparison import ComparisonResult
from seepage.schema.reading import load_result
from seepage.schema.trust import TrustResult
from seepage.studies.audit import Settings
from seepage.studies.compare import Choice, ShadowStudy
from seepage.studies.compare.choice import entries
from seepage.studies.compare.shadow.attackers import STUDIED
from seepage.studies.compare.shadow.conclusions import conclusions
from seepage.studies.compare.shadow.seeds import combined
from seepage.studies.compare.shadow.signs import comparisons
from seepage.studies.compare.shadow.study import studies, study, variants_of
from seepage.studies.compare.shadow.world import SHARES, split

RECIPE = Recipe(CNN, epochs=1)
RUN = Run(engine="single", workers=0)
ROWS = [
    {"name": "label-smoothing", "options": {"smoothing": 0.0083}},
    {"name": "l2", "options": {"weight_decay": 3e-4}},
    {"name": "temperature", "options": {}},
    {"name": "temperature", "options": {"temperature": 10.0}, "label": "temperature-10"},
    {"name": "laplace", "options": {}},
]
NAMES = ["standard", "label-smoothing", "l2", "temperature", "temperature-10", "laplace"]
ASKED = {
    "data": {"name": "digits", "limit": 240},
    "recipe": {"architecture": "cnn", "epochs": 1},
    "defences": ROWS,
    "shadow_study": {"near": ["generated", "warped"], "far": [], "gan_steps": 3},
    "attacks": ["loss"],
    "queries": "none",
    "references": 4,
    "seeds": [0],
    "engine": "single",
    "workers": 0,
}


def compared(folder, **changes):
    """`seepage compare` of a configuration that is written to `folder`."""
    (folder / "compare.yaml").write_text(yaml.safe_dump(ASKED | changes))
    return CliRunner().invoke(main, ["compare", str(folder / "compare.yaml"), "--out", str(folder / "out")])


def variants(*names, recipe=RECIPE):
    rows = [Choice(one["name"], one["options"], label=one.get("label")) for one in ROWS]
    rows = entries([row for row in rows if (row.label or row.name) in names], recipe, 4, search=False)
    return variants_of(rows, [row.defence for row in rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("shadow")
    done = compared(out)
    assert done.exit_code == 0, (done.output, done.exception)
    for attack in ("Largest score", "Loss", "RMIA offline", "Difficulty calibration (loss)"):
        assert done.output.count(f"\n{attack} ") >= 2  # at its own threshold, and at the strict one
    return out


@pytest.fixture(scope="module")
def comparison(folder):
    return ComparisonResult.load(folder / "out")


@pytest.fixture(scope="module")
def result(comparison):
    return comparison.shadow_study


def test_parts_are_disjoint_and_all_records_are_used():
    parts = split(103, rng=np.random.default_rng(0))
    assert sorted(np.concatenate(list(parts.values()))) == list(range(103))
    assert list(parts) == list(SHARES)
    assert sum(share for share, _ in SHARES.values()) == pytest.approx(1)


def test_every_variant_attack_and_set_has_its_numbers(result):
    assert [variant.name for variant in result.variants] == NAMES
    assert {one.kind for one in result.sets} == {"same", "near", "corrupted"}
    attacks = [name for name in STUDIED if name not in result.attacks_left_out]
    assert len(attacks) == len(STUDIED) - 1  # too few records are known for the few-shot learner
    for variant in result.variants:
        assert variant.test_accuracy.n == 24
        assert sum(variant.reliability.counts) == 24
        assert [attack.name for attack in variant.attacks] == ["max-score", "top-3", "entropy", *attacks]
        for attack in variant.attacks:
            assert [accused.set for accused in attack.sets] == [one.name for one in result.sets]
            assert all(accused.false_positive_rate.n == 24 for accused in attack.sets)
            assert all(accused.strict_false_positive_rate.n == 24 for accused in attack.sets)
    # temperature changes neither the likeliest class nor the order of the logits
    tempered, plain = result.variant("temperature-10"), result.variant("standard")
    assert tempered.test_accuracy == plain.test_accuracy
    assert result.variant("laplace").options["prior variance"] >= 1
    assert [ray.variant for ray in result.rays] == NAMES
    assert all(np.diff([estimate.value for estimate in ray.called]).min() >= 0 for ray in result.rays)


def test_it_is_kept_and_read_again(comparison, result, folder, tmp_path):
    assert result.schema_ == TrustResult.SCHEMA
    assert load_result(folder / "out") == comparison
    assert [one.name for one in comparison.defences] == ["undefended", *NAMES[1:]]
    # As `seepage trust` of 0.1.0 wrote it, by itself.
    assert TrustResult.load(result.save(tmp_path / "result.json")) == result
    values = json.loads(result.to_json())
    (tmp_path / "odd.json").write_text(json.dumps({**values, "surprise": 1}))
    with pytest.raises(DataFileError, match="surprise"):
        TrustResult.load(tmp_path / "odd.json")
    (tmp_path / "old.json").write_text(json.dumps({**values, "schema": "seepage.trust/0"}))
    with pytest.raises(DataFileError, match=r"seepage\.trust/0"):
        TrustResult.load(tmp_path / "old.json")


def test_the_report_loads_nothing_and_says_what_the_numbers_say(comparison, result, folder):
    page = (folder / "out" / "report.html").read_text()
    assert page == html(comparison)
    assert (folder / "out" / "report.md").read_text() == markdown(comparison)
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "<script" not in page
    assert len(page) < 1_000_000
    assert len(set(re.findall(r'<section id="([^"]+)"', page))) == page.count('<section id="')
    for text in (page, markdown(comparison)):
        for one in result.sets:
            assert one.title in text
        for variant in result.variants:
            assert variant.title in text
        assert "Shadow study: The answer" in text
    alone = html(result)
    assert page.count("<svg") == 2 + alone.count("<svg") == 8
    for attack in result.variant("laplace").attacks:
        assert page.count(attack.title) >= len(result.variants)


def test_a_finished_study_is_not_trained_again_and_gives_the_same_numbers(result, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")  # another run writes another time into its result
    before = {path: path.stat().st_mtime_ns for path in (copy / "out" / "shadow-study").rglob("*.safetensors")}
    done = compared(copy)
    assert done.exit_code == 0, done.output
    units = {path: at for path, at in before.items() if "units" in path.parts}
    assert units
    assert units == {path: path.stat().st_mtime_ns for path in units}
    again = ComparisonResult.load(copy / "out").shadow_study
    assert again.variants == result.variants
    assert again.rays == result.rays


def test_another_study_does_not_mix_with_it(folder):
    pool = load("digits", flat=False).subset(np.arange(200))
    with pytest.raises(StorageError, match="holds"):
        study(pool, variants(), ShadowStudy(near=(), far=()), 0, Settings(), RUN, folder / "out/shadow-study/seed-0")


def test_the_published_signs_are_read_off_the_numbers(result):
    standard = result.variant("standard")
    lead = standard.attack("max-score")

    def with_rate(value, auc=0.6):
        rate = lead.on("same").false_positive_rate.model_copy(update={"value": value, "low": value, "high": value})
        sets = [a.model_copy(update={"false_positive_rate": rate}) if a.set == "same" else a for a in lead.sets]
        area = lead.auc.model_copy(update={"value": auc, "low": auc - 0.05, "high": auc + 0.05})
        attacks = [lead.model_copy(update={"sets": sets, "auc": area}), *standard.attacks[1:]]
        changed = [standard.model_copy(update={"attacks": attacks}), *result.variants[1:]]
        said = conclusions(changed, result.sets, result.rays, 0.5, 0.01)
        found = comparisons(changed, result.sets, result.rays)[0]
        assert (said[0].about == "The target") == (found.holds == "undecided") == ("says nothing" in found.ours)
        return found.holds

    assert with_rate(0.45) == "yes"
    assert with_rate(0.02) == "no"
    assert with_rate(0.45, auc=0.52) == "undecided"  # a target that leaks nothing accuses nobody in particular
    assert with_rate(1.0) == "undecided"  # a threshold that everybody passes
    assert comparisons(result.variants, result.sets, [])[-1].holds == "not run"


def test_rows_become_variants():
    found = variants(*NAMES)
    assert [one.name for one in found] == NAMES
    assert found[0].recipe is RECIPE
    assert found[2].training.optimiser.weight_decay == 3e-4
    assert len({one.training.fingerprint for one in found}) == 3  # temperature and Laplace train plainly
    with pytest.raises(InputError, match="without weight decay"):
        variants(recipe=replace(RECIPE, optimiser=Adam(weight_decay=0.1)))
    rows = entries([Choice("rounding")], RECIPE, 4, search=False)
    with pytest.raises(InputError, match="those of temperature and laplace; the row 'rounding'"):
        variants_of(rows, [row.defence for row in rows])


def test_somebody_s_own_generator_and_files_of_images(tmp_path):
    pool = load("digits", flat=False).subset(np.arange(200))
    seen, made_of = [], np.random.default_rng(0).integers(0, 256, (50, 1, 8, 8), dtype=np.uint8)

    def noise(labels, rng):
        seen.append(labels)
        return made_of[: len(labels)]

    def studied(near):
        choices = ShadowStudy(near=near, far=(), doublings=0, attacks=("loss",))
        return study(pool, variants("l2"), choices, 0, Settings(), RUN, tmp_path / "a")

    made = studied(from_callable(noise))
    assert len(seen[0]) == 20
    assert made.rays == []
    np.savez(tmp_path / "images.npz", images=made_of)
    file = studied([tmp_path / "images.npz", "warped"])
    rates = [r.variant("l2").attack("entropy").on("given").false_positive_rate for r in (made, file)]
    assert rates[0] == rates[1]
    assert {one.name: one.labels for one in file.sets if one.kind == "near"} == {"given": "predicted", "warped": "own"}
    none = studied(())
    assert set(none.left_out) == {"blended", "interpolated", "warped", "generated"}
    default = studied(None)  # 24 held-out digits: too few for pairs of one class, enough to warp
    assert [one.name for one in default.sets if one.kind == "near"] == ["warped"]
    assert "expected at least 10" in default.left_out["blended"]
    with pytest.raises(InputError, match="expected at least 10"):
        studied("interpolated")


def test_studies_of_several_seeds_are_one_result_and_go_on(tmp_path):
    pool = load("digits", flat=False).subset(np.arange(240))
    choices = ShadowStudy(near="warped", far=(), attacks=("loss",), doublings=0)

    def of(seeds, *names, where="all"):
        return studies(pool, variants(*names), choices, seeds, Settings(), RUN, tmp_path / where)

    whole, parts = of((0, 1), *NAMES), [of((seed,), *NAMES) for seed in (0, 1)]
    assert whole.seeds == [0, 1]
    assert whole.variants == parts[0].variants
    rates = [part.variant("standard").attack("loss").on("warped").false_positive_rate.value for part in parts]
    (figure,) = (one for one in whole.over_seeds if one.name == "FPR: loss: warped")
    assert figure.values == rates
    assert figure.mean.value == pytest.approx(np.mean(rates))
    half = 12.706 * np.std(rates, ddof=1) / np.sqrt(2)  # Student's, one degree of freedom
    assert figure.mean.high == pytest.approx(min(1, np.mean(rates) + half), abs=1e-4)
    assert "Over seeds" in html(whole)
    assert "Over seeds" in markdown(whole)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("units/*")}
    assert len(before) >= 6
    of((0, 1), *NAMES)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("units/*")}
    # A variant's numbers do not depend on the rows beside it, and nothing else is trained.
    few = of((0,), "laplace", where="few")
    assert [one.name for one in (tmp_path / "few" / "seed-0" / "run").iterdir()] == ["standard"]
    assert [v.name for v in few.variants] == ["standard", "laplace"]
    assert few.variants[1].attacks == parts[0].variant("laplace").attacks
    assert [c.holds == "not run" for c in few.comparisons] == [False, True, True, False, True, False, False, True]
    plain = of((0,), where="few")
    assert [v.name for v in plain.variants] == ["standard"]
    assert html(plain).count("Last-layer Laplace") == 0
    for results, words in ((parts[:1], "at least 2 seeds"), (parts[:1] * 2, "different seeds")):
        with pytest.raises(InputError, match=words):
            combined(results, confidence=0.95)
    other = parts[1].model_copy(update={"sets": parts[1].sets[:-1]})
    with pytest.raises(InputError, match="sets of non-members differ"):
        combined([parts[0], other], confidence=0.95)


def test_a_result_of_before_is_read_and_drawn(result, tmp_path):
    """Results without strict rates, further attacks, labels and seeds."""
    values = json.loads(result.to_json())
    for name in ("strict_rate", "attacks_left_out", "seeds", "over_seeds"):
        del values[name]
    for one in values["sets"]:
        del one["labels"]
    for variant in values["variants"]:
        variant["attacks"] = variant["attacks"][:3]
        for attack in variant["attacks"]:
            del attack["strict_threshold"], attack["strict_recall"]
            for accused in attack["sets"]:
                del accused["strict_false_positive_rate"]
    (tmp_path / "result.json").write_text(json.dumps(values))
    old = TrustResult.load(tmp_path)
    assert "Who is accused" in html(old)
    assert "Who is accused" in markdown(old)
    assert "Largest score" in summary(old)
    assert "shadow's own non-members (per" not in summary(old)


def test_mistakes_are_named(tmp_path):
    pool = load("digits", flat=False)
    with pytest.raises(InputError, match="too few records"):
        study(pool.subset(np.arange(60)), variants(), ShadowStudy(near=()), 0, Settings(), RUN, tmp_path / "a")
    with pytest.raises(InputError, match="strict_rate must be a number above 0 and below 1"):
        ShadowStudy(strict_rate=1.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        study(pool, variants(), ShadowStudy(near=()), 0, Settings(), RUN, tmp_path / "file")
    for changes, expected in (
        ({"data": {"name": "location30"}}, "holds rows of a table"),
        ({"shadow_study": {"far": ["digits"]}}, "own data set"),
        ({"shadow_study": {"near": ["interpoled"]}}, "did you mean 'interpolated'"),
        ({"shadow_study": {"attacks": ["lira-offline"]}}, "one shadow"),
        ({"shadow_study": {"attacks": ["gradient-norm"]}}, "probabilities"),
        ({"shadow_study": {"strict_rat": 0.1}}, "did you mean 'strict_rate'"),
        ({"defences": [{"name": "rounding"}]}, "those of temperature and laplace"),
    ):
        done = compared(tmp_path, **changes)
        assert done.exit_code == 2, done.output
        assert expected in " ".join(done.output.split())
