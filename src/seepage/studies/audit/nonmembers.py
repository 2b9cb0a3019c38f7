"""Other non-members: named sets of records that no model was trained on, which every attack is counted on.

The target and the references, all of them OUT, are asked about these records too. Each attack scores them beside the
audited records, on which its thresholds are fixed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from seepage.attacks import Attack
from seepage.data import Membership, Pool
from seepage.errors import InputError
from seepage.metrics.thresholds import mean_share, predictive_value, share_called, strict_threshold, youden_threshold
from seepage.runs.store import digest
from seepage.schema import nonmembers as report
from seepage.signals.functions import log_softmax
from seepage.signals.view import ScalarSignals
from seepage.studies.audit.classes import pools_of
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored

FEWEST = 10  # records in a set that is judged
PER_RECORD = "it needs references that were trained on each judged record, and none was trained on these"


def with_others(
    pool: Pool, membership: Membership, others: Mapping[str, Any] | None
) -> tuple[Pool, Membership, frozenset[str], dict[str, int]]:
    """The records and the membership with other non-members behind them.

    Args:
        others: name -> pool, (inputs, labels), or inputs alone, for which the labels that the target predicts are
            claimed.

    Returns:
        Pool, membership, the names of sets without labels, and how many copies were left out of each.

    Raises:
        InputError: records that do not go with the pool's, or fewer than `FEWEST` different ones.
    """
    if not isinstance(others, Mapping | None):
        raise InputError(f"audit: expected other_nonmembers= as {{name: records}}, got a {type(others).__name__}")
    unlabelled, copies = set(), {}
    for name, records in (others or {}).items():
        other, is_labelled = _as_part_of(pool, records, name)
        unlabelled |= set() if is_labelled else {name}
        together = pool.concat(other, name=pool.name)
        is_copy = np.zeros(len(together), dtype=bool)
        for group in together.duplicates():
            is_copy[group[group >= len(pool)] if group[0] < len(pool) else group[1:]] = True
        copies[name] = int(is_copy.sum())
        if len(other) - copies[name] < FEWEST:
            raise InputError(
                f"audit: other_nonmembers: '{name}' has {len(other) - copies[name]} different records that are not "
                f"in the audit or in an earlier set, expected at least {FEWEST}: give more, or leave the set out"
            )
        membership = membership.with_others({name: len(other) - copies[name]})
        pool = together.subset(np.flatnonzero(~is_copy)) if copies[name] else together
    return pool, membership, frozenset(unlabelled), copies


def _as_part_of(pool: Pool, records: Any, name: str) -> tuple[Pool, bool]:
    """The other records with the pool's classes and groups, so that the two can be one pool; and if they had labels."""
    is_pair = isinstance(records, (tuple, list)) and len(records) == 2
    is_labelled = pool.labels is not None and (records.labels is not None if isinstance(records, Pool) else is_pair)
    if is_labelled:
        (numbered, other), _ = pools_of({"records": pool, name: records})
        if numbered.n_classes != pool.n_classes or not np.array_equal(numbered.labels, pool.labels):
            raise InputError(
                f"audit: other_nonmembers: '{name}' has labels that no audited record has: give it without labels, "
                "then the class that the target predicts is claimed"
            )
        labels = other.labels
    else:
        other = records if isinstance(records, Pool) else Pool(records[0] if is_pair else records, name=name)
        labels = None if pool.labels is None else np.zeros(len(other), dtype=np.int64)  # nobody looks at them
    groups = None if pool.groups is None else np.full(len(other), name)
    own = {"classes": pool.classes, "n_classes": pool.n_classes, "groups": groups}
    return replace(other, labels=labels, ids=np.char.add(f"{name}/", other.ids.astype(str)), **own), is_labelled


def count_others(
    evidence: Evidence,
    attacks: Mapping[str, Attack],
    scored: Scored,
    copies: Mapping[str, int],
    rng: np.random.Generator,
) -> list[report.OtherNonmembers]:
    """How many of each set the attacks call members."""
    others = evidence.membership.others
    if not others:
        return []
    view_rng, attack_rng, interval_rng = rng.spawn(3)
    seed = int(attack_rng.integers(2**62))
    scores: dict[str, np.ndarray] = {}
    not_counted = {}
    rows = np.concatenate([scored.rows, np.flatnonzero(evidence.membership.any_other)])
    for others_out in (False, True):
        chosen = {name: a for name, a in attacks.items() if ("in-references" in a.needs) != others_out}
        not_counted |= {name: PER_RECORD for name, a in chosen.items() if not others_out and not a.learns}
        chosen = {name: a for name, a in chosen.items() if name not in not_counted}
        needed = set().union(*(attack.needs for attack in chosen.values()))
        columns: dict[str, list[np.ndarray]] = {name: [] for name in chosen}
        claimed = lambda target: _claimed(evidence, target)  # noqa: E731
        for target, view in enumerate(
            evidence.views(rows, needed, others_out=others_out, signals=claimed, rng=view_rng) if chosen else ()
        ):
            for name, attack in chosen.items():
                own = np.random.default_rng([seed, int(digest(name)[:15], 16), target])
                columns[name].append(attack.score(view, rng=own))
        scores |= {name: np.stack(column, axis=1) for name, column in columns.items()}
    largest = _largest_probability(evidence)
    return [
        report.OtherNonmembers(
            name=name,
            n=int(mask.sum()),
            n_copies=copies[name],
            labels="predicted" if name in evidence.unlabelled or not evidence.labelled else "given",
            strict_rate=scored.tested_rate,
            attacks=[
                _counted(attack, scores[attack], mask, largest, scored, interval_rng)
                for attack in attacks
                if attack in scores
            ],
            not_counted=not_counted,
        )
        for name, mask in others.items()
    ]


def _counted(
    attack: str, scores: np.ndarray, mask: np.ndarray, largest: np.ndarray, scored: Scored, rng: np.random.Generator
) -> report.FalsePositives:
    settings, members = scored.settings, scored.members
    own, others = scores[scored.rows], scores[mask]
    targets = range(members.shape[1])
    best = np.array([youden_threshold(own[:, t], members[:, t]) for t in targets])
    strict = np.array([strict_threshold(own[:, t], members[:, t], scored.tested_rate) for t in targets])

    def rate(said: np.ndarray, among: np.ndarray | None = None, confidence: float = settings.confidence):
        return share_called(said, among, confidence=confidence, rng=rng)

    half = (1 + settings.confidence) / 2
    said = others > best
    sure = [largest[mask][said[:, t], t] for t in targets]
    return report.FalsePositives(
        attack=attack,
        false_positive_rate=rate(said),
        own_false_positive_rate=rate(own > best, ~members),
        positive_predictive_value=predictive_value(
            rate(own > best, members, half), rate(said, confidence=half), settings.prior
        ),
        max_score_false_positives=mean_share(
            sure[0] if len(sure) == 1 else np.array([one.mean() for one in sure if len(one)]), settings.confidence
        ),
        strict_false_positive_rate=rate(others > strict),
        own_strict_false_positive_rate=rate(own > strict, ~members),
    )


def _claimed(evidence: Evidence, target: int) -> tuple[ScalarSignals, np.ndarray | None]:
    """Signals and labels, where records without labels have those that the target predicts."""
    if not evidence.labelled or not evidence.unlabelled:
        return evidence.signals, evidence.labels
    labels = evidence.labels.copy()
    for name in evidence.unlabelled:
        mask = evidence.membership.others[name]
        labels[mask] = evidence.logits[mask, evidence.target_models[target], 0].argmax(axis=-1)
    return ScalarSignals(evidence.logits, labels, evidence.probabilities), labels


def _largest_probability(evidence: Evidence) -> np.ndarray:
    """(samples, targets), of the answer about the record as it is."""
    found = []
    for model in evidence.target_models:
        answers = evidence.logits[:, model, 0]
        log_p = answers if evidence.probabilities[model] else log_softmax(answers)
        found.append(np.exp(log_p.max(axis=-1)))
    return np.stack(found, axis=1)
