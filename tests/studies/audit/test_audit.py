"""`seepage.audit` in its three forms, on models that train in a moment."""

import errno
import json
from functools import partial

import numpy as np
import pytest
import torch

import seepage
from seepage import MLP, Adam, Membership, Pool, Recipe, TargetModel
from seepage.errors import InputError, SeepageError, StorageError
from seepage.runs import Inline
from tests.flat import audit

N, N_FEATURES, N_CLASSES = 240, 8, 3
RECIPE = Recipe(partial(MLP, hidden=[32]), optimiser=Adam(lr=2e-2), epochs=30, batch_size=32, version="1")
QUICK = Recipe(partial(MLP, hidden=[8]), optimiser=Adam(lr=1e-2), epochs=1, batch_size=64, version="1")
ATTACKS = ["loss", "lira-offline-fixed-variance"]
HERE = {"engine": "single", "workers": 0}  # nothing to time, no process to start


def records(n=N, seed=0, **options):
    """Noise with random labels: all that can be learnt about them is by heart."""
    rng = np.random.default_rng(seed)
    return Pool(rng.normal(size=(n, N_FEATURES)), rng.integers(0, N_CLASSES, n), n_classes=N_CLASSES, **options)


class Memory:
    """A model that knows some records by heart and answers others by a fixed random rule."""

    def __init__(self, pool, members, sure=4.0, n_classes=N_CLASSES):
        labels = zip(pool.batch(members), pool.labels[members], strict=True)
        self.known = {record.astype(np.float32).tobytes(): label for record, label in labels}
        self.rule = np.random.default_rng(7).normal(size=(pool.inputs.shape[1], n_classes))
        self.sure = sure
        self.n_asked = 0

    def __call__(self, inputs):
        self.n_asked += len(inputs)
        logits = inputs @ self.rule
        for row, record in enumerate(np.asarray(inputs, dtype=np.float32)):
            if record.tobytes() in self.known:
                logits[row, self.known[record.tobytes()]] += self.sure
        return logits


def lists(pool, members):
    return {
        "members": (pool.inputs[members], pool.labels[members]),
        "nonmembers": (pool.inputs[~members], pool.labels[~members]),
    }


def coin(n=N, seed=1):
    return np.random.default_rng(seed).random(n) < 0.5


def target(sure=4.0, **options):
    return TargetModel.wrap(Memory(records(), coin(), sure), outputs="logits", **options)


@pytest.fixture(scope="module")
def trained():
    """A pool and a recipe, everything else drawn and trained by the audit, controls too."""
    return audit(None, records(), recipe=RECIPE, references=8, attacks=ATTACKS, workers=0, rng=3)


@pytest.fixture(scope="module")
def in_turns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    options = {"attacks": ATTACKS, "controls": False, **HERE, "out": folder}
    return audit(None, records(), recipe=RECIPE, references=6, every_model=True, **options), folder


# 1. A trained model and two sets of records


def test_three_lines_show_the_leak_of_a_model_that_knows_its_records_by_heart(tmp_path):
    result = audit(target(), **lists(records(), coin()))
    assert result.verdict == "LEAK SHOWN"
    assert "LEAK SHOWN" in str(result)
    assert result.report(tmp_path / "report.html").stat().st_size < 1 << 20
    assert (result.claim, result.provenance.membership) == ("association", "unknown")
    assert result.training is None
    assert {attack.name for attack in result.attacks} == {"loss", "entropy", "modified-entropy", "correctness"}


def test_a_model_that_never_saw_the_records_gives_nothing_away():
    model, pool = target(sure=0.0), records()
    guesses = Pool(pool.inputs, model.labels(pool.batch()), n_classes=N_CLASSES)  # labels that its rule explains
    result = audit(model, **lists(guesses, coin()), origin="declared")
    assert result.verdict == "NO EVIDENCE"
    assert result.claim == "causal"


def test_a_model_that_knows_neither_the_members_nor_the_task_shows_no_absence():
    result = audit(target(sure=0.0), **lists(records(), coin()), origin="declared")
    assert result.verdict == "INCONCLUSIVE"
    assert any("trained weights were loaded" in reason for reason in result.reasons)


def test_a_target_that_the_audit_trained_is_on_its_own_scale(trained):
    scale = next(gate for gate in trained.gates if gate.name == "scale")
    assert (scale.status, scale.detail) == ("pass", "this audit trained the model and asks it alike")


def test_every_question_to_the_model_is_counted():
    # 64 are asked twice again; one that knows its members is not asked on other scales.
    for sure, at_most in ((4.0, 4 * N + 128), (50.0, N + 128)):
        memory = Memory(records(), coin(), sure)
        result = audit(TargetModel.wrap(memory, outputs="logits"), **lists(records(), coin()), attacks=["loss"])
        assert N <= result.target.n_queries == memory.n_asked <= at_most


def test_a_population_is_neither_scored_nor_on_a_side():
    extra = records(60, seed=5)
    given = lists(records(), coin()) | {"population": (extra.inputs, extra.labels)}
    result = audit(target(), **given, attacks=["attack-p"])
    assert result.attacks[0].n_members + result.attacks[0].n_nonmembers == N
    assert result.provenance.n_records == N + 60


def test_pools_are_as_good_as_pairs():
    pool, members = records(), coin()
    pairs = audit(target(), **lists(pool, members), attacks=["loss"])
    pools = audit(
        target(), members=pool.subset(members), nonmembers=pool.subset(~members), attacks=["loss"]
    )  # fmt: skip
    assert pools.attacks[0].auc == pairs.attacks[0].auc


def test_with_a_recipe_references_are_trained_for_the_given_model():
    result = audit(
        target(), **lists(records(), coin()), recipe=QUICK, references=4, controls=False, attacks=ATTACKS, **HERE
    )
    assert result.training.n_models == 4
    assert {attack.name for attack in result.attacks} == set(ATTACKS)


@pytest.mark.parametrize(
    ("access", "seen", "attacks"),
    [
        (None, "logits", {"loss", "entropy", "modified-entropy", "correctness"}),
        ("label", "label", {"correctness"}),
        ("probabilities", "probabilities", {"loss", "entropy", "modified-entropy", "correctness"}),
        ("weights", "weights", {"loss", "entropy", "modified-entropy", "correctness", "gradient-norm"}),
    ],
)
def test_the_attacker_sees_what_the_access_level_says_and_logits_by_default(access, seen, attacks):
    module = torch.nn.Linear(N_FEATURES, N_CLASSES)
    result = audit(module, **lists(records(), coin()), access=access)
    assert result.target.access == seen
    assert {attack.name for attack in result.attacks} == attacks


def test_gradients_are_asked_for_where_an_attack_by_name_needs_them():
    module = torch.nn.Linear(N_FEATURES, N_CLASSES)
    result = audit(module, **lists(records(), coin()), attacks=["gradient-norm"])
    assert result.target.access == "gradients"


def test_an_attack_beyond_the_access_is_refused():
    with pytest.raises(InputError, match="'loss' needs access 'probabilities', the attacker has 'label'"):
        audit(target(access="label"), **lists(records(), coin()), attacks=["loss"])
    with pytest.raises(InputError, match="'gradient-norm' needs access 'gradients', the attacker has 'logits'"):
        audit(target(), **lists(records(), coin()), attacks=["gradient-norm"], access="logits")


# 2. A pool and a recipe


def test_the_line_from_a_recipe_to_a_verdict(trained):
    assert (trained.verdict, trained.claim, trained.provenance.membership) == ("LEAK SHOWN", "causal", "drawn")
    assert trained.training.n_models == 8
    assert trained.target.n_targets == 1
    assert trained.target.accuracy_members.value > trained.target.accuracy_nonmembers.value + 0.3
    assert trained.attacks[0].epsilon.kind == "epsilon_lower"


def test_the_audit_checks_itself_on_models_whose_answer_is_known(trained):
    assert {gate.name: gate.status for gate in trained.gates if gate.name in ("null model", "positive control")} == {
        "null model": "pass",
        "positive control": "pass",
    }
    null, positive = trained.controls
    assert (null.expects, positive.expects) == ("nothing found", "leak found")
    assert null.p_value_holm > 1e-3
    assert positive.p_value_holm < 0.05
    assert positive.auc.value > 0.7


def test_everything_is_recorded(trained):
    assert trained.provenance.seed == 3
    assert trained.training.recipe["epochs"] == 30
    assert trained.provenance.data_fingerprint == records().fingerprint
    assert trained.provenance.settings["attacks"] == ATTACKS
    assert json.loads(trained.to_json())["schema"] == "seepage.audit/2"


def test_a_generator_s_root_seed_is_recorded_and_repeats_the_audit():
    options = {"recipe": QUICK, "references": 2, "attacks": ["loss"], "controls": False, **HERE}
    first = audit(None, records(), rng=np.random.default_rng(9), **options)
    again = audit(None, records(), rng=first.provenance.seed, **options)
    assert first.attacks[0].auc == again.attacks[0].auc


def test_a_model_of_one_s_own_with_pool_and_membership():
    rng = np.random.default_rng(0)
    membership = Membership.split(records(), references=4, rng=rng)
    model = seepage.train(RECIPE, records(), membership.target, rng=rng)
    result = audit(model, records(), membership, recipe=RECIPE, controls=False, attacks=ATTACKS, **HERE)
    assert result.verdict == "LEAK SHOWN"
    assert result.training.n_models == 4
    assert result.target.n_parameters == sum(p.numel() for p in model.parameters())


def test_a_null_model_among_references_that_saw_the_records_shows_nothing():
    membership = Membership.split(records(), references=6, population=0.3, rng=np.random.default_rng(0))
    stranger = seepage.train(RECIPE, records(), membership.population, rng=np.random.default_rng(1))
    attacks = ["loss", "lira-online", "rmia-online", "attack-r"]
    result = audit(stranger, records(), membership, recipe=RECIPE, controls=False, attacks=attacks, **HERE)
    assert result.verdict in ("NO EVIDENCE", "INCONCLUSIVE")
    assert {attack.name for attack in result.attacks} == set(attacks)


@pytest.mark.parametrize("references", [0, 1])
def test_without_enough_references_the_attacks_that_need_none_run(references):
    result = audit(None, records(), recipe=QUICK, references=references, controls=False, **HERE)
    assert {attack.name for attack in result.attacks} == {"loss", "entropy", "modified-entropy", "correctness"}


def test_augmented_queries_are_asked_of_target_and_references():
    rng = np.random.default_rng(0)
    images = Pool(rng.normal(size=(60, 1, 4, 4)), rng.integers(0, 2, 60), n_classes=2)
    options = {"recipe": QUICK, "references": 2, "attacks": ["loss"], "controls": False, **HERE}
    result = audit(None, images, queries="flip", **options)
    assert result.target.n_queries == 120
    assert result.provenance.settings["queries"] == "flip"


def test_groups_classes_and_values_are_told_only_as_asked():
    pool = records(groups=np.repeat(["ann", "bob"], N // 2), classes=("red", "green", "blue"))
    options = {"recipe": QUICK, "references": 0, "attacks": ["loss"], "controls": False, **HERE}
    hidden = audit(None, pool, **options)
    shown = audit(None, pool, settings=seepage.Settings(show_values=True, show_records=3), **options)
    assert [part.name for part in hidden.classes] == ["red", "green", "blue"]
    assert [part.name for part in hidden.groups] == ["ann", "bob"]
    assert all(record.values is None for record in hidden.records)
    assert len(shown.records) == 3
    for record in shown.records:
        np.testing.assert_allclose(record.values, pool.batch([int(record.id)])[0])
        assert record.label == ("red", "green", "blue")[pool.labels[int(record.id)]]
        assert record.group == pool.groups[int(record.id)]


# every model in its turn


def test_every_model_takes_its_turn_as_the_target(in_turns):
    result, folder = in_turns
    assert result.target.n_targets == 6
    assert all(attack.n_targets == 6 for attack in result.attacks)
    assert result.verdict == "LEAK SHOWN"
    with np.load(folder / "scores.npz") as arrays:
        n_rows = len(np.load(folder / "rows.npy"))
        assert arrays["membership"].shape == arrays["loss"].shape == (n_rows, 6)
        aucs = [
            np.mean(s[m][:, None] > s[~m]) + np.mean(s[m][:, None] == s[~m]) / 2
            for s, m in zip(arrays["loss"].T, arrays["membership"].T, strict=True)
        ]
        assert arrays["membership"].sum(axis=1).tolist() == [3] * n_rows
    assert result.attack("loss").auc.value == pytest.approx(np.mean(aucs))
    assert result.attack("loss").auc.low < result.attack("loss").auc.value < result.attack("loss").auc.high


def test_k_targets_are_trained_for_the_price_of_k_references(in_turns):
    _, folder = in_turns
    manifest = json.loads((folder / "run" / "models" / "manifest.json").read_text())
    assert sum(len(unit["models"]) for unit in manifest["units"]) == 6


def test_turns_pass_the_gates_that_look_at_the_counts(in_turns):
    result, _ = in_turns
    assert {gate.status for gate in result.gates if gate.name == "references balanced"} == {"pass"}


def test_turns_are_audited_with_both_controls_too():
    options = {"recipe": RECIPE, "references": 4, "every_model": True, "attacks": ["loss"], **HERE}
    null, positive = audit(None, records(), **options).controls
    assert null.p_value_holm > 1e-3
    assert positive.p_value_holm < 0.05


def test_the_largest_epsilon_of_many_targets_is_corrected_for_their_number(monkeypatch):
    levels = []
    monkeypatch.setattr(
        "seepage.metrics.epsilon_lower_one_run_from_scores",
        lambda scores, members, alpha, delta, rng: levels.append(alpha) or float(len(levels)),
    )
    options = {"recipe": QUICK, "references": 4, "every_model": True, "attacks": ["loss"], "controls": False, **HERE}
    epsilon = audit(None, records(), **options).attacks[0].epsilon
    assert levels == [0.05 / 4] * 4
    assert (epsilon.kind, epsilon.value, epsilon.confidence) == ("epsilon_lower", 4.0, 0.95)


# what is kept, and what a killed run goes on from


class Killed(Inline):
    """An executor that is killed after some units."""

    def __init__(self, after):
        self.left = after

    def map(self, task, units, progress):
        for done in super().map(task, units, progress):
            yield done
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def resumable(folder, **options):
    given = {"recipe": QUICK, "references": 5, "attacks": ["loss", "lira-online"], "controls": False}
    return audit(None, records(), out=folder, **HERE, **given, **options)


def test_a_killed_run_goes_on_where_it_was_and_ends_alike(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        resumable(tmp_path / "killed", executor=Killed(after=2))
    units = tmp_path / "killed" / "run" / "models" / "units"
    kept = {path: path.stat().st_mtime_ns for path in units.iterdir()}
    assert len(kept) == 2
    again, whole = resumable(tmp_path / "killed"), resumable(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert [attack.auc for attack in again.attacks] == [attack.auc for attack in whole.attacks]


def test_a_folder_of_another_run_is_left_alone(tmp_path):
    resumable(tmp_path)
    before = (tmp_path / "result.json").read_bytes()
    with pytest.raises(StorageError, match=r"another run: its .*seed.* differ"):
        resumable(tmp_path, rng=1)
    assert (tmp_path / "result.json").read_bytes() == before


def no_space(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_at_the_end_loses_no_training(tmp_path, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(np, "savez_compressed", no_space)
        with pytest.raises(StorageError, match=r"No space left.*finished trainings are kept.*same command again"):
            resumable(tmp_path)
    assert not list(tmp_path.glob("*.part"))
    monkeypatch.setattr("seepage.signals.collect.TrainUnit.__call__", no_space)  # nothing is trained again
    assert resumable(tmp_path).attacks


def test_a_disk_that_is_full_from_the_start_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("seepage.runs.store.os.fsync", no_space)
    with pytest.raises(StorageError, match=r"No space left.*free some space"):
        resumable(tmp_path)


def test_a_folder_that_cannot_be_written_is_found_out_before_anything_is_computed(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    memory = Memory(records(), coin())
    with pytest.raises(StorageError, match="cannot write to"):
        audit(TargetModel.wrap(memory, outputs="logits"), **lists(records(), coin()), out=tmp_path / "file" / "out")
    assert memory.n_asked == 0


# what is refused


@pytest.fixture
def nothing_is_trained(monkeypatch):
    def collect(*arguments, **options):
        raise AssertionError("models were trained for an audit that cannot be")

    monkeypatch.setattr("seepage.studies.audit.gather.collect", collect)


def pair(n=50, n_features=N_FEATURES, label=None, seed=0):
    pool = records(n, seed)
    return pool.inputs[:, :n_features], pool.labels if label is None else np.full(n, label)


TWO = {"members": pair(seed=1), "nonmembers": pair(seed=2)}
REFUSED = {
    "members alone": ({"model": target(), "members": pair()}, "got only one of them"),
    "an array instead of a pair": (
        {"model": target(), "members": pair()[0], "nonmembers": pair()},
        "nonmembers have labels and members have none",
    ),
    "a label out of range": (
        {"model": target(), **TWO, "members": pair(label=3)},
        r"record 0 has label 3, .* 3 classes \(labels 0 to 2\)",
    ),
    "records of two shapes": ({"model": target(), **TWO, "members": pair(n_features=3)}, "same shape"),
    "records that do not suit the model": (
        {"model": torch.nn.Linear(4, 3), **TWO},
        "could not answer a batch",
    ),
    "the same records on both sides": (
        {"model": target(), "members": pair(), "nonmembers": pair()},
        "100 records that are on both sides",
    ),
    "NaN answers": (
        {"model": TargetModel.wrap(lambda x: np.full((len(x), 3), np.nan), outputs="logits"), **TWO},
        "record 0 is not finite",
    ),
    "infinite answers": (
        {"model": TargetModel.wrap(lambda x: np.full((len(x), 3), np.inf), outputs="logits"), **TWO},
        "record 0 is not finite",
    ),
    "probabilities that are none": (
        {"model": TargetModel.wrap(lambda x: np.full((len(x), 3), 0.5), outputs="probabilities"), **TWO},
        "miss a sum of 1",
    ),
    "probabilities called logits": (
        {"model": TargetModel.wrap(lambda x: np.full((len(x), 3), 1 / 3), outputs="logits"), **TWO},
        "probability vector",
    ),
    "a callable that does not say what it returns": ({"model": lambda x: x, **TWO}, "outputs='logits'"),
    "what is no model": ({"model": 7, **TWO}, "cannot audit a int"),
    "an unknown attack": ({"model": target(), **TWO, "attacks": ["lira-onlin"]}, "did you mean 'lira-online'"),
    "an attack's name instead of a list": ({"model": target(), **TWO, "attacks": "loss"}, r"attacks=\['loss'\]"),
    "an attack without its references": ({"model": target(), **TWO, "attacks": ["lira-online"]}, "reference models"),
    "an unknown access level": ({"model": target(), **TWO, "access": "logit"}, "did you mean 'logits'"),
    "access beside a target that has its own": ({"model": target(), **TWO, "access": "weights"}, "which has its own"),
    "an unknown query set": ({"model": target(), **TWO, "queries": "flips"}, "did you mean 'flip'"),
    "an unknown origin": ({"model": target(), **TWO, "origin": "random"}, "origin must be one of"),
    "a model and a pool without membership": ({"model": target(), "pool": records()}, "need a membership"),
    "a pool without a recipe": ({"pool": records()}, "a recipe= is needed"),
    "a membership of another length": (
        {
            "pool": records(),
            "recipe": QUICK,
            "membership": Membership.split(100, references=2, rng=np.random.default_rng(0)),
        },
        "100 records and the pool 240",
    ),
    "one model for many targets": (
        {
            "model": target(),
            "pool": records(),
            "membership": Membership.every_model(N, references=4, rng=np.random.default_rng(0)),
            "recipe": QUICK,
        },
        "has 4 targets",
    ),
    "one reference in turns": (
        {"pool": records(), "recipe": QUICK, "references": 1, "every_model": True},
        "at least 2 references",
    ),
    "an attack beyond the access": (
        {"pool": records(), "recipe": QUICK, "attacks": ["loss"], "access": "label"},
        "'loss' needs access 'probabilities', the attacker has 'label'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("nothing_is_trained")
def test_what_cannot_be_audited_is_refused_before_anything_is_trained(case):
    options, message = REFUSED[case]
    with pytest.raises(SeepageError, match=message):
        audit(**options)


def test_a_recipe_that_cannot_be_recognised_later_needs_a_version_for_a_folder(tmp_path):
    recipe = Recipe(lambda shape, n_classes: MLP(shape, n_classes, hidden=[4]), optimiser=Adam(lr=1e-2), epochs=1)
    with pytest.raises(InputError, match="version="):
        audit(None, records(), recipe=recipe, references=2, out=tmp_path, workers=0)


def test_an_attack_named_twice_is_one_attack():
    result = audit(target(), **TWO, attacks=["loss", "loss"])
    assert [attack.name for attack in result.attacks] == ["loss"]


def test_some_overlap_is_left_out_and_much_is_invalid():
    pool, members = records(), coin()
    options = lists(pool, members)
    (x_in, y_in), (x_out, y_out) = options["members"], options["nonmembers"]
    few = audit(
        target(), members=(x_in, y_in), nonmembers=(np.r_[x_out, x_in[:3]], np.r_[y_out, y_in[:3]]), attacks=["loss"]
    )
    assert few.verdict == "LEAK SHOWN"
    assert few.attacks[0].n_members == len(x_in) - 3
    assert few.attacks[0].n_nonmembers == len(x_out)
    many = audit(
        target(), members=(x_in, y_in), nonmembers=(np.r_[x_out, x_in[:50]], np.r_[y_out, y_in[:50]]), attacks=["loss"]
    )
    assert many.verdict == "INVALID"
    assert any("on both sides" in reason for reason in many.reasons)


def test_members_from_elsewhere_make_the_audit_invalid_however_the_model_answers():
    pool, members = records(), coin()
    given = lists(pool, members)
    given["members"] = (given["members"][0] + 1.0, given["members"][1])
    result = audit(target(), **given, attacks=["loss"])
    assert result.verdict == "INVALID"
    assert any("blind baseline" in reason for reason in result.reasons)


def test_a_record_s_p_value_is_twice_the_median_over_the_targets_that_hold_it(in_turns):
    result, folder = in_turns
    with np.load(folder / "scores.npz") as arrays:
        scores, members, index = arrays[result.attacks[0].name], arrays["membership"], np.load(folder / "rows.npy")
    for record in result.records[:5]:
        row = int(np.flatnonzero(index == int(record.id))[0])
        each = []
        for target in np.flatnonzero(members[row]):
            others = scores[~members[:, target], target]
            each.append((1 + (others >= scores[row, target]).sum()) / (1 + len(others)))
        assert record.p_value == pytest.approx(min(1.0, 2 * np.median(each)))


def test_the_most_exposed_come_first_and_classes_tell_their_own_accuracy():
    pool, members = records(), coin()
    result = audit(target(), **lists(pool, members), attacks=["loss"])
    p_values = [record.p_value for record in result.records]
    assert p_values == sorted(p_values)
    assert len(p_values) == 20
    answers = Memory(pool, members)(pool.batch()).argmax(axis=1) == pool.labels
    for at, part in enumerate(result.classes):
        here = pool.labels == at
        assert part.accuracy_members == pytest.approx(answers[here & members].mean())
        assert part.accuracy_nonmembers == pytest.approx(answers[here & ~members].mean())
        assert (part.n_members, part.n_nonmembers) == ((here & members).sum(), (here & ~members).sum())


def test_histograms_count_every_record_on_its_side():
    result = audit(target(), **lists(records(), coin()), attacks=["loss"])
    histogram = result.attacks[0].histogram
    assert (sum(histogram.members), sum(histogram.nonmembers)) == (coin().sum(), (~coin()).sum())
