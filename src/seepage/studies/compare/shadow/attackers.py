"""Registered attacks in the study: with labels, with the shadow as a reference, or from records that are known.

The attacker is the study's: one shadow, trained and answering as the target does, and questions to the target. The
threshold of each attack is fixed on the shadow's own records before the target's are looked at.

                          asked     reference   its IN records   its OUT records
    judged                target    shadow      shadow train     shadow test, population, all that is judged
    threshold             shadow    target      none known       shadow train and test, population
    threshold, learned    shadow    shadow      shadow train     shadow test, population

An attack that learns from IN records ("learned") is told of no reference on the judged records, so that nothing it
learns depends on the set that it is judged on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from seepage.attacks import ATTACKS, BY_DEFAULT, Attack, find_attack
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.signals.view import View
from seepage.studies.compare.shadow.threats import LogProbabilities, Scores

STUDIED = (
    "loss",
    "modified-entropy",
    "correctness",
    "modified-entropy-per-class",
    "shokri",
    "nasr",
    "attack-r",
    "difficulty-calibration",
    "rmia-offline",
    "fes-mia-ss-outputs",
)
BY_SCORES = ("entropy",)  # registered attacks that are the source's own
LEARNED = frozenset(name for name, attack in ATTACKS.items() if attack.learns)
AT_HAND = frozenset({"labels", "in-references", "out-references", "population", "known"})
MEMBERS = "members"  # of the target, among the sets that are judged


@dataclass(frozen=True, eq=False)
class Answers:
    """What target and shadow answer about the same records, and the labels that are claimed for these."""

    target: LogProbabilities
    shadow: LogProbabilities
    labels: Int64[np.ndarray, " records"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a registered attack may see in a study.

    Attributes:
        judged: the target's `MEMBERS` and each set of non-members.
        shadow: the shadow's own records, those that it was trained on first.
        shadow_members: which of them these are.
        population: records that neither model was trained on.
        known: members and as many non-members, of the target and of the shadow, whose membership the attacker knows.
    """

    judged: Mapping[str, Answers]
    shadow: Answers
    shadow_members: Bool[np.ndarray, " shadow"]
    population: Answers
    known_of_target: tuple[Answers, Answers]
    known_of_shadow: tuple[Answers, Answers]


@dataclass(frozen=True, eq=False)
class Scored:
    """One attack's scores, higher = more likely a member: of what is judged, and of the shadow's own records."""

    judged: Mapping[str, Scores]
    shadow: Float64[np.ndarray, " shadow"]


def check_studied(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once.

    Raises:
        InputError: an unknown attack, or one that needs more than one shadow, a population and known records.
    """
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if reason := why_not(name, find_attack(name)):
            raise InputError(f"the attack '{name}' cannot be in the study: {reason}; choose from {', '.join(STUDIED)}")
    return chosen


def why_not(name: str, attack: Attack) -> str:
    """Why an attack cannot be in the study; empty where it can."""
    if attack.access > Access.PROBABILITIES:
        return "it needs more than the target's probabilities"
    if lacking := attack.needs - AT_HAND:
        return f"it needs {', '.join(sorted(lacking))}, which the study does not collect"
    if attack.least_references > 1:
        return f"it needs {attack.least_references} references a record, and the attacker has one shadow"
    if "in-references" in attack.needs and name not in LEARNED:
        return "it needs references that were trained on the judged records, and the shadow was not"
    return ""


def choose(asked: tuple[str, ...] | None, n_known: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """The attacks that are run, and why others of the study's or of an audit's defaults are not.

    Raises:
        InputError: an attack that was asked for needs more known records than there are.
    """
    left_out = {}
    for name in STUDIED if asked is None else asked:
        if (least := find_attack(name).least_known) > n_known:
            left_out[name] = f"it needs {least} known members and as many known non-members, and there are {n_known}"
    if asked is not None and left_out:
        name, reason = next(iter(left_out.items()))
        raise InputError(f"the attack '{name}': {reason}: use more records, or leave it out of attacks")
    chosen = tuple(name for name in (STUDIED if asked is None else asked) if name not in left_out)
    for name in dict.fromkeys((*STUDIED, *BY_DEFAULT)):
        if name not in (*chosen, *BY_SCORES, *left_out):
            left_out[name] = why_not(name, find_attack(name)) or "not asked for"
    return chosen, left_out


def score(name: str, evidence: Evidence, *, rng: np.random.Generator) -> Scored:
    """Scores of the registered attack `name`."""
    attack, is_learned, seed = find_attack(name), name in LEARNED, int(rng.integers(2**62))
    judged = _concatenated(evidence.judged.values())
    known = evidence.known_of_target, evidence.known_of_shadow
    of_target = _view(judged, evidence, known[0], asks_target=True, is_learned=is_learned)
    scores = attack.score(of_target, rng=np.random.default_rng(seed))[: len(judged)]
    of_shadow = _view(evidence.shadow, evidence, known[1], asks_target=False, is_learned=is_learned)
    ends = np.cumsum([len(answers) for answers in evidence.judged.values()])[:-1]
    return Scored(
        dict(zip(evidence.judged, np.split(scores, ends), strict=True)),
        attack.score(of_shadow, rng=np.random.default_rng(seed))[: len(evidence.shadow)],
    )


def _view(judged: Answers, evidence: Evidence, known, *, asks_target: bool, is_learned: bool) -> View:
    """The judged records first, then the shadow's own (where it is a reference), the population, the known."""
    shadow = evidence.shadow
    parts = [judged, shadow, evidence.population, *known]
    rows = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    every = _concatenated(parts)
    other = every.shadow if asks_target or is_learned else every.target
    logits = np.stack([every.target if asks_target else every.shadow, other], axis=1)[:, :, None]
    is_in, is_out = np.zeros(len(rows), dtype=bool), rows == 2
    is_in[rows == 1] = evidence.shadow_members
    is_out[rows == 1] = ~evidence.shadow_members
    if not is_learned:
        # The shadow's own records stand in the view twice where they are asked about: the second time as references.
        is_out[rows == 0] = True
        is_in[:] = False
    return View.from_logits(
        logits,
        every.labels,
        target_column=0,
        reference_columns=[1],
        reference_in=is_in[:, None],
        reference_out=is_out[:, None],
        population=rows == 2,
        known=np.where(rows == 3, 1, np.where(rows == 4, 0, -1)),
        audited=rows == 0,
    )


def _concatenated(parts: Iterable[Answers]) -> Answers:
    parts = list(parts)
    return Answers(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("target", "shadow", "labels"))
    )
