"""The attacker who has the networks, the result of an audit, and the command that writes it."""

import dataclasses
import math
import stat

import numpy as np
import pytest
from click.testing import CliRunner

import seepage
from seepage import Pool
from seepage.cli import main
from seepage.errors import InputError
from seepage.metrics import auc
from seepage.report.release import screen
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import UNDEFINED, p_value
from seepage.schema.reading import load_result
from seepage.studies.release import audit_released, side_by_side
from seepage.studies.release.findings import conclusions
from seepage.synthesis.distances import code_distances
from seepage.synthesis.networks import network_scores
from tests.flat import synthesise

RNG = np.random.default_rng(7)
QUICK = {"latent": 4, "rng": 1}


def levels(n, rng, shift=0.0):
    labels = rng.integers(0, 3, n)
    inputs = np.clip(rng.random((n, 6)) * 0.6 + 0.1 * labels[:, None] + shift, 0, 1)
    return Pool(inputs.astype(np.float32), labels, n_classes=3)


MEMBERS, HOLDOUT = levels(90, RNG), levels(90, RNG)


@pytest.fixture(scope="module")
def made():
    return synthesise(MEMBERS, epsilon=30.0, epochs=2, **QUICK)


# --- the attacker with the networks


@pytest.mark.parametrize("labels", ["conditional", "kept", "per-class"])
def test_scores_by_the_networks_are_those_of_one_record_at_a_time(labels):
    made = synthesise(MEMBERS, epsilon=30.0, epochs=2, labels=labels, **QUICK)
    found = network_scores(made, MEMBERS, HOLDOUT)
    for at in range(0, 90, 9):
        record, label = HOLDOUT.inputs[[at]], HOLDOUT.labels[[at]]
        vae = made.vaes[label[0] if labels == "per-class" else 0]
        told = label if labels == "conditional" else None
        code = vae.encode(record, told)
        sigma = np.exp(vae.network.bounded_log_sigma().numpy().mean())
        mean = vae.decode(code, told)
        scaled = (record - mean) / vae.network.spread.numpy() / sigma
        expected = (-0.5 * scaled**2 - np.log(sigma) - 0.5 * math.log(2 * math.pi)).sum()
        assert found["networks-reconstruction"][at] == pytest.approx(expected, rel=1e-3, abs=1e-3)
        gaps = []
        for other, theirs in zip(made.pool.inputs, made.pool.labels, strict=True):
            if labels == "kept" or theirs == label[0]:
                there = vae.encode(other[None], None if told is None else np.array([theirs]))
                gaps.append(np.linalg.norm(there - code))
        assert found["networks-code"][at] == pytest.approx(-min(gaps), rel=1e-3, abs=1e-4)


def test_networks_that_know_their_records_by_heart_are_found_and_public_ones_are_not():
    rng = np.random.default_rng(3)
    small = levels(30, rng)
    learnt = synthesise(small, epsilon=math.inf, epochs=1500, labels="kept", latent=6, draw=False, rng=1)
    inside, outside = (network_scores(learnt, small, side) for side in (small, HOLDOUT))
    for name in inside:
        scores = np.concatenate([inside[name], outside[name]])
        assert auc(scores, np.arange(120) < 30) > 0.9, name
    public = synthesise(small, epsilon=1.0, epochs=30, labels="kept", public=HOLDOUT, **QUICK)
    others = levels(200, rng)
    scores = [network_scores(public, small, side)["networks-reconstruction"] for side in (small, others)]
    assert abs(auc(np.concatenate(scores), np.arange(230) < 30) - 0.5) < 0.17


def test_a_class_that_no_member_has_is_the_least_likely(made):
    few = dataclasses.replace(MEMBERS, labels=np.minimum(MEMBERS.labels, 1))
    apart = synthesise(few, epsilon=30.0, epochs=1, labels="per-class", **QUICK)
    found = network_scores(apart, few, HOLDOUT)["networks-reconstruction"]
    strangers = HOLDOUT.labels == 2
    assert found[strangers].max() < found[~strangers].min()


def test_networks_of_other_members_are_refused(made):
    with pytest.raises(InputError, match="trained on other records than members="):
        audit_released(made.pool, HOLDOUT, MEMBERS, pipeline=made, rng=0)
    with pytest.raises(InputError, match="need labels"):
        network_scores(made, MEMBERS, Pool(HOLDOUT.inputs))
    with pytest.raises(InputError, match="pipeline must be of type Synthetic"):
        audit_released(made.pool, MEMBERS, HOLDOUT, pipeline=made.pool, rng=0)


# --- the same networks at another epsilon


def test_networks_of_an_earlier_release_serve_another_epsilon(made):
    again = synthesise(MEMBERS, epsilon=30.0, networks=made.vaes, **QUICK)
    np.testing.assert_array_equal(again.pool.inputs, made.pool.inputs)
    other = synthesise(MEMBERS, epsilon=2.0, networks=made.vaes, **QUICK)
    assert other.vaes == made.vaes
    assert other.distances.median == made.distances.median
    assert other.guarantee.epsilon == 2
    with pytest.raises(InputError, match="trained on other records"):
        synthesise(HOLDOUT, epsilon=2.0, networks=made.vaes, **QUICK)
    with pytest.raises(InputError, match="another latent"):
        synthesise(MEMBERS, epsilon=2.0, networks=made.vaes, latent=5)
    with pytest.raises(InputError, match="expected networks= to be the 3"):
        synthesise(MEMBERS, epsilon=2.0, networks=made.vaes, labels="per-class", **QUICK)


def test_the_nearest_code_is_that_of_a_loop(monkeypatch):
    groups = [RNG.normal(size=(n, 3)) for n in (30, 1, 12)]
    options = {"epsilon": 2.0, "releases": 1, "same_class": True, "rng": np.random.default_rng(0)}
    expected = []
    for codes in groups:
        for at in range(len(codes)):
            expected += (
                [min(np.linalg.norm(codes[at] - one) for one in np.delete(codes, at, 0))] if len(codes) > 1 else []
            )
    found = code_distances(groups, **options)
    assert found.nearest == pytest.approx(np.median(expected))
    assert f"nearest other one: median {found.nearest:.3g}; bound on the odds" in " ".join(found.sentences)
    monkeypatch.setattr("seepage.synthesis.distances.MOST_FOR_NEAREST", 10)
    assert min(expected) <= code_distances(groups, **options).nearest <= max(expected)


# --- the result: settings side by side


def rows(result):
    """The table of settings as a screen has it: row -> texts of the settings."""
    (table,) = [one for one in screen(result) if getattr(one, "title", "") == "Settings side by side"]
    return {names.text: [cell.text for cell in cells] for names, *cells in table.rows}


def test_one_table_has_attacks_risks_utility_and_promise(made):
    found = audit_released(made.pool, MEMBERS, HOLDOUT, pipeline=made, rng=0)
    told = {name: text for name, (text,) in rows(found).items()}
    best = min(
        (found.attacks[name] for name in ("networks-reconstruction", "networks-code")), key=lambda one: one.p_value
    )
    assert told["Membership by release and networks, AUC"].startswith(f"{best.auc.value:.3f} [")
    assert best.name in told["Membership by release and networks, AUC"]
    assert told["Accuracy, trained on the release"].startswith(f"{found.usefulness.released.value:.3f} [")
    assert told["Accuracy, trained on the originals"].startswith(f"{found.usefulness.originals.value:.3f} [")
    distance = made.distances.nearest
    bound = math.exp(30 * distance)
    shown = told["Odds at most, nearest code"]
    assert f"(d = {distance:.3g})" in shown
    assert float(shown.split()[0]) == pytest.approx(bound, abs=0.011) if bound < 1000 else "exp(" in shown
    assert "Risk: linkability" in told
    assert "Risk: inference, most exposed secret" in told
    assert told["p if release and networks leak nothing (Holm)"] == p_value(found.p_value)
    assert told["p if the release leaks nothing (Holm)"] == p_value(found.p_value_alone)
    known = found.attacks["networks-code"].model_copy(update={"p_value_holm": 1e-9})
    sure = found.model_copy(update={"attacks": {**found.attacks, "networks-code": known}})
    assert (sure.p_value, sure.p_value_alone) == (1e-9, found.p_value_alone)
    assert found.usefulness.model == "a random forest"


def test_a_p_value_is_not_the_chance_of_safety_and_a_useless_release_is_called_so(made):
    found = audit_released(made.pool, MEMBERS, HOLDOUT, pipeline=made, rng=0)
    assert f"p = {found.p_value:.2g} if nothing leaks" in " ".join(str(found).split())
    assert any("no proof of safety" in one.sentence for one in found.conclusions) == (found.p_value > 0.05)
    same = found.usefulness.model_copy(update={"released": found.usefulness.majority})
    better = found.usefulness.model_copy(update={"released": Estimate.of(0.99, 0.98, 1.0, 100)})
    for use, called in ((same, True), (better, False)):
        said = [one.sentence for one in conclusions([found.model_copy(update={"usefulness": use})])]
        assert any("not surely better than naming the most frequent class" in one for one in said) is called


def test_settings_stand_side_by_side_and_what_one_lacks_is_a_dash(made):
    full = audit_released(made.pool, MEMBERS, HOLDOUT, pipeline=made, rng=0)
    bare = audit_released(Pool(made.pool.inputs), Pool(MEMBERS.inputs), Pool(HOLDOUT.inputs), attacker=None, rng=0)
    warned = bare.model_copy(update={"remarks": ["Look out."]})
    both = side_by_side({"one": full, "two": warned}, seed=3, command="again")
    assert rows(both)["Accuracy, trained on the release"][1] == UNDEFINED
    assert "two: WARNING: Look out." in str(both)
    assert (both.attacks, both.others[0].closeness) == (full.attacks, bare.closeness)
    assert (both.provenance.seed, both.provenance.command) == (3, "again")


def test_what_an_audit_holds_is_read_back_and_no_noise_is_told_apart(made, tmp_path):
    endless = synthesise(MEMBERS, epsilon=math.inf, networks=made.vaes, **QUICK)
    found = audit_released(endless.pool, MEMBERS, HOLDOUT, pipeline=endless, rng=0)
    assert found.distances.epsilon is None
    assert found.distances.log_odds(1.0) == math.inf
    found.write(tmp_path)
    assert load_result(tmp_path) == found
    page = (tmp_path / "report.html").read_text()
    assert "not for publication" in page
    assert all(attack in page for attack in found.attacks)
    assert all(risk.remark in page for risk in found.risks.values())


# --- the command


def test_the_command_compares_epsilons_in_one_table_and_keeps_the_audit_to_its_owner(tmp_path):
    out = tmp_path / "adult.npz"
    frame = tmp_path / "people.csv"
    rng = np.random.default_rng(0)
    rows = [f"{rng.integers(18, 90)},{rng.choice(['a', 'b'])},{rng.choice(['x', 'y'])}" for _ in range(200)]
    frame.write_text("age,town,income\n" + "\n".join(rows))
    options = ["--data", str(frame), "--label", "income", "--epochs", "1", "--epsilon", "20", "--out", str(out)]
    done = CliRunner().invoke(
        main, ["synthesise", *options, "--audit", "--compare-epsilon", "2", "--compare-epsilon", "inf"]
    )
    assert done.exit_code == 0, done.output
    assert "inference of town" in done.output
    assert "not for publication" in done.output
    folder = tmp_path / "adult.npz.audit"
    assert {file.name for file in folder.iterdir()} == {"result.json", "report.html", "report.md"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    result = load_result(folder)
    assert [one.setting for one in result.settings] == ["epsilon 20", "epsilon 2", "no noise"]
    again = CliRunner().invoke(main, ["report", str(folder)])
    assert again.output.strip() in done.output


@pytest.mark.parametrize(("flags", "says"), [
    (["--compare-epsilon", "2"], "give audit"), (["--audit", "--compare-epsilon", "20"], "others than epsilon=20"),
    (["--audit", "--compare-epsilon", "-1"], "greater than 0"), (["--audit", "--compare-epsilon", "nan"], "number"),
])  # fmt: skip
def test_epsilons_that_cannot_be_compared_are_refused(flags, says, tmp_path):
    options = ["--data", "digits", "--limit", "60", "--epsilon", "20", "--out", str(tmp_path / "x.npz")]
    done = CliRunner().invoke(main, ["synthesise", *options, *flags])
    assert done.exit_code != 0
    assert says in done.output
    assert not (tmp_path / "x.npz").exists()


def test_the_default_model_of_usefulness_is_a_forest():
    digits = seepage.load("digits").subset(range(600))
    members, holdout = digits.subset(range(300)), digits.subset(range(300, 600))
    found = audit_released(members, members, holdout, attacker=None, rng=0).usefulness
    assert found.released.value > 0.7
    assert abs(found.released.value - found.originals.value) < 0.06


def test_few_different_records_are_named():
    def few(seed):
        rng = np.random.default_rng(seed)
        return Pool(rng.integers(0, 2, (200, 2)).astype(np.float32), rng.integers(0, 2, 200), n_classes=2)

    def shown(release):
        return " ".join(str(audit_released(release, few(1), few(2), attacker=None, rng=0)).split())

    assert "so few different records" in shown(few(3))
    far = few(3)
    assert "so few different records" not in shown(Pool(far.inputs + 0.25, far.labels, n_classes=2))
