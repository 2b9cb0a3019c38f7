"""Where there is no leak, nobody alarms more often than stated: every attack, every design of the references."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.stats import binom

import seepage
from seepage.attacks import ATTACKS, resolve_attacks
from seepage.data import Membership, Pool
from seepage.models.access import Access
from seepage.models.architectures import MLP
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import score
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.settings import Settings
from tests.studies.audit.worlds import outputs

ALPHA = 0.05
RECIPE = Recipe(partial(MLP, hidden=(12,)))
# They fit networks to every target's references: a tenth of a second where the others take a thousandth.
LEARNED = {name for name in ATTACKS if name.startswith(("shokri", "salem", "nasr", "rank-only", "augmentation-l"))}
QUICK = [name for name in ATTACKS if name not in LEARNED]
FEW = 4
# They fine-tune, distil or query, and take a second where the others take a hundredth.
EXPENSIVE = {name for name in ATTACKS if name.startswith(("fes-mia-tt", "loss-trajectory", "sequence", "quantile-"))}


def most_alarms(repetitions: int, chance: float = ALPHA) -> int:
    """As many alarms as a rate of `chance` gives, but for once in a hundred thousand."""
    return int(binom.isf(1e-5, repetitions, chance))


def noise_in_turns(seed: int, *, references: int = 8, n: int = 80) -> Evidence:
    """Balanced columns that take turns as the target, over logits that know nothing of them."""
    rng = np.random.default_rng([1, seed])
    membership = Membership.every_model(n, references=references, population=0.25, rng=rng)
    columns = list(range(references))
    return Evidence(
        logits=rng.normal(0, 2, (n, references, 1, 3)).astype(np.float32),
        labels=rng.integers(0, 3, n),
        membership=membership,
        target_models=columns,
        reference_models=columns,
        access=Access.WEIGHTS,
        kind="noise",
        n_queries=n,
        gradient_norm=rng.random(n),
    )


def noise_balanced_together(seed: int, *, references: int = 7, **sizes) -> Evidence:
    """The target's column balanced together with those of the references, as in Carlini et al."""
    arrays = outputs(together=True, references=references, seed=seed, **{"n": 80, "population": 20} | sizes)
    evidence = evidence_from_outputs(arrays, origin="declared", access=None)
    return replace(evidence, gradient_norm=np.random.default_rng([2, seed]).random(len(evidence.labels)))


def strangers_answers(seed: int, n: int = 150) -> Evidence:
    """A live target that was never trained, among references that leak, with all that an attack may ask for.

    25 known members and as many known non-members, 20 records of a population, 80 to audit; members by a coin.
    """
    rng = np.random.default_rng([4, seed])
    is_known, population = np.arange(n) < 50, (np.arange(n) >= 50) & (np.arange(n) < 70)
    members = np.where(is_known, np.arange(n) % 2 == 0, rng.random(n) < 0.5) & ~population
    references = rng.permuted(np.tile(np.arange(6) < 3, (n, 1)), axis=1) & ~population[:, None]
    membership = Membership(
        references=references,
        targets=members[:, None],
        audit=~is_known & ~population,
        known=is_known,
        population=population,
        origin="declared",
    )
    pool = Pool(rng.normal(size=(n, 1, 4, 4)), rng.integers(0, 3, n), n_classes=3)
    target = TargetModel.wrap(RECIPE.build((1, 4, 4), 3, seed))
    logits = rng.normal(0, 2, (n, 7, 2, 3)).astype(np.float32)
    logits[np.arange(n), 1:, :, pool.labels] += 3 * references[..., None]
    logits[:, 0] = np.stack([target.logits(pool.batch()), target.logits(pool.batch()[..., ::-1])], axis=1)
    return Evidence(
        logits=logits,
        labels=pool.labels,
        membership=membership,
        target_models=[0],
        reference_models=list(range(1, 7)),
        access=Access.WEIGHTS,
        kind="a stranger",
        n_queries=n,
        records=pool,
        live=[target],
        architecture=RECIPE.model,
    )


def p_values(evidence: Evidence, seed: int, names: Iterable[str] = tuple(ATTACKS)) -> dict[str, float]:
    rows = np.flatnonzero(evidence.membership.audit)
    fitting = [name for name in names if ATTACKS[name].needs <= evidence.available]
    return score(evidence, resolve_attacks(fitting), rows, Settings(), np.random.default_rng([3, seed])).p_values


def each(*groups: list[dict[str, float]]) -> Iterator[tuple[str, np.ndarray]]:
    """(attack, its p-values) of groups of repetitions, each of the same attacks."""
    for group in groups:
        for name in group[0]:
            yield name, np.array([p[name] for p in group])


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_alarms_more_than_stated_on_a_live_stranger(name):
    repetitions = 4 if name in EXPENSIVE else 8 if name in LEARNED else 20
    found = [p_values(strangers_answers(seed), seed, [name])[name] for seed in range(repetitions)]
    assert sum(p <= ALPHA for p in found) <= most_alarms(repetitions)


@pytest.mark.slow
def test_hundred_null_audits_of_every_attack():
    """The figures of docs/results.md: how often each attack alarms on a stranger, at a stated rate of 5 %."""
    repetitions = 100
    found = [p_values(strangers_answers(seed), seed) for seed in range(repetitions)]
    alarms = {name: sum(p[name] <= ALPHA for p in found) for name in ATTACKS}
    print("\n".join(f"| {name} | {count} of {repetitions} |" for name, count in alarms.items()))
    assert max(alarms.values()) <= most_alarms(repetitions), alarms


@pytest.mark.parametrize("references", [7, 8])
def test_no_attack_alarms_more_than_stated_where_every_model_takes_its_turn(references):
    found = [p_values(noise_in_turns(seed, references=references), seed, QUICK) for seed in range(30)]
    learned = [p_values(noise_in_turns(seed, references=references), seed, LEARNED) for seed in range(FEW)]
    for name, p in each(found, learned):
        assert sum(p <= ALPHA) <= most_alarms(len(p)), name


@pytest.mark.parametrize("references", [5, 7])
def test_no_attack_alarms_more_than_stated_where_the_target_was_balanced_with_the_references(references):
    found = [p_values(noise_balanced_together(seed, references=references), seed, QUICK) for seed in range(60)]
    learned = [p_values(noise_balanced_together(seed, references=references), seed, LEARNED) for seed in range(2 * FEW)]
    for name, p in each(found, learned):
        assert sum(p <= ALPHA) <= most_alarms(len(p)), name
        assert sum(p <= 0.5) <= most_alarms(len(p), 0.5), name


def test_counts_left_as_they_are_would_give_the_answer_away(monkeypatch):
    """What the two tests above look for does happen: without evening the counts out, attacks alarm on noise."""
    monkeypatch.setattr(Membership, "reference_masks", lambda self, at, rng: (self.references, ~self.references))
    found = [p_values(noise_balanced_together(seed, references=3, n=400), seed, QUICK) for seed in range(10)]
    often = {name for name in found[0] if sum(p[name] <= ALPHA for p in found) > most_alarms(10)}
    assert {"lira-online", "lira-offline"} <= often


@pytest.mark.parametrize("references", [8, 16])
def test_an_odd_balance_of_all_columns_together_never_ends_in_a_claim(references):
    arrays = outputs(together=True, references=references, n=200, seed=4)
    result = seepage.audit_outputs(
        arrays, origin="declared", attacker=seepage.Attacker(attacks=["difficulty-calibration", "lira-online"])
    )
    assert result.verdict != "LEAK SHOWN"


def alarms_after_correction(repetitions: int) -> int:
    names = ["loss", "modified-entropy", "correctness", "attack-r", "lira-online", "lira-offline", "rmia-online"]
    alarms = 0
    for seed in range(repetitions):
        evidence = evidence_from_outputs(outputs(seed=seed, n=100, population=40), origin="declared", access=None)
        rows = np.flatnonzero(evidence.membership.audit)
        scored = score(evidence, resolve_attacks(names), rows, Settings(), np.random.default_rng(seed))
        alarms += min(scored.p_values_holm.values()) <= ALPHA
    return alarms


def test_the_best_of_many_attacks_alarms_at_the_stated_rate():
    assert alarms_after_correction(200) <= most_alarms(200)


def verdicts(repetitions: int, **sizes) -> list[str]:
    found = []
    for seed in range(repetitions):
        arrays = outputs(seed=seed, **sizes)
        attacks = ["loss", "lira-online"]
        found.append(
            seepage.audit_outputs(
                arrays, origin="declared", attacker=seepage.Attacker(attacks=attacks), run=seepage.Run(seed=seed)
            ).verdict
        )
    return found


def test_whole_audits_of_nothing_seldom_end_in_a_claim_and_are_seldom_thrown_away():
    found = verdicts(10, n=120, references=4, population=0)
    assert found.count("LEAK SHOWN") <= most_alarms(10)
    assert found.count("INVALID") <= 1
    assert found.count("NO EVIDENCE") >= 6


@pytest.mark.slow
def test_over_many_whole_audits_of_nothing_the_rate_of_claims_is_the_stated_one():
    found = verdicts(200, n=200, references=8, population=40)
    assert found.count("LEAK SHOWN") <= most_alarms(200)
    assert found.count("INVALID") <= 3


@pytest.mark.slow
def test_over_many_repetitions_no_attack_alarms_in_any_design():
    for make in (noise_in_turns, noise_balanced_together):
        found = [p_values(make(seed, n=150), seed, QUICK) for seed in range(400)]
        for name in found[0]:
            for level in (0.01, ALPHA, 0.2):
                assert sum(p[name] <= level for p in found) <= most_alarms(400, level), (make.__name__, name, level)
