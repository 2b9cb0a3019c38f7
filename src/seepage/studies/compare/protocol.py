"""What makes a comparison fair: one draw of members for all defences, one list of attackers, one audit for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from seepage.attacks import ATTACKS, Attack, needs, titles
from seepage.attacks.learned.rank_only import RankOnly
from seepage.attacks.objects import identity
from seepage.data import Membership, Pool
from seepage.models.access import Access
from seepage.models.recipe import Recipe
from seepage.runs.notes import is_answered, remove_note, write_note
from seepage.runs.run import Run
from seepage.runs.store import digest
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import AttackInfo, Family
from seepage.studies.attacker import Attacker
from seepage.studies.audit.audit import WRITTEN, audit_recipe
from seepage.studies.settings import Settings
from seepage.version import __version__
from seepage.writing import check_place

# By what they see: the answers' values, those beside references, their order alone. What sees the label alone is in
# `label_only`. Left out: confidence, which orders records as the loss does, and networks (nasr), which are trained
# anew for every target.
GRADED = (
    "loss",
    "entropy",
    "modified-entropy",
    "modified-entropy-per-class",
    "lira-online",
    "lira-online-fixed-variance",
    "lira-offline",
    "rmia-online",
)
RANK_ONLY = "rank-only"
ON_CANARIES = ("loss", "lira-online", "lira-online-fixed-variance", "rank-only")
KEPT = tuple(name for name in WRITTEN if name != "report.html")  # which is drawn from the result


def default_queries(pool: Pool) -> str:
    """Eighteen flipped and shifted copies of an image; anything else is asked about as it is."""
    return "flip-shift" if pool.inputs.ndim == 4 else "none"


def label_only(queries: str) -> tuple[str, ...]:
    """Attacks that see the predicted label alone.

    Which copies of an image are right, where copies are asked about; else how much noise a record bears.
    """
    return ("correctness", "noise" if queries == "none" else "label-only-aerni")


def default_attacks(
    pool: Pool,
    *,
    queries: str | None = None,
    references: int = 64,
    every_model: bool = True,
    population: bool = True,
) -> list[str]:
    """The attacks that every defence meets: on scores, beside references, on the ranking and on the label alone.

    The last two are always there: a defence that changes the scores and keeps their order, or the label, is not
    judged by what it changes.

    Args:
        pool: the records.
        queries: what is asked about each; by default `default_queries`.
        references: trained models.
        every_model: whether each is the target in its turn, which leaves one fewer on each side.
        population: whether there are records that no model is trained on.
    """
    queries = default_queries(pool) if queries is None else queries
    on_each_side = references // 2 - every_model
    lacking = set() if population else {"population"}
    graded = [
        name for name in GRADED if ATTACKS[name].least_references <= on_each_side and not ATTACKS[name].needs & lacking
    ]
    return [*graded, *label_only(queries), RANK_ONLY]


def family(attack: Attack) -> Family:
    """What an attack lives on."""
    if isinstance(attack, RankOnly):
        return "rank-only"
    if attack.access == Access.LABEL:
        return "label-only"
    return "references" if "references" in needs(attack) else "scores"


def attack_infos(attacks: Mapping[str, Attack]) -> list[AttackInfo]:
    title_of = titles(attacks)
    return [
        AttackInfo(name=name, title=title_of[name], access=str(attack.access), family=family(attack))
        for name, attack in attacks.items()
    ]


@dataclass(frozen=True)
class Attackers:
    """What every defence is attacked with, and how models are trained for it."""

    attacks: Mapping[str, Attack]
    attacker: Attacker
    settings: Settings
    run: Run
    other_nonmembers: Mapping[str, Pool] = field(default_factory=dict)

    def audit(
        self,
        recipe: Recipe,
        pool: Pool,
        membership: Membership,
        folder: Path,
        seed: int,
        attacks: Mapping[str, Attack] | None = None,
    ) -> AuditResult:
        """One audit in a folder of its own: read back where it is finished, gone on with where it was stopped.

        A result is believed only if it stands with a note of what was asked and of what was written, and both are as
        they should be now. One of an attack whose scores cannot be kept is made anew.
        """
        attacks = attacks or self.attacks
        others = {name: other.fingerprint for name, other in self.other_nonmembers.items()}
        identities = {name: identity(attack) for name, attack in attacks.items()}
        settings = asdict(self.settings)
        controls = settings.pop("controls")
        asked = digest(
            [
                __version__,
                recipe.fingerprint,
                pool.fingerprint,
                membership.fingerprint,
                list(identities.items()),
                [self.attacker.queries, self.attacker.access, controls, settings, seed],
                *([others] if others else []),
            ]
        )
        saved = folder / "result.json"
        for name in WRITTEN:
            check_place(folder / name)
        if None not in identities.values() and is_answered(folder, asked, KEPT):
            return AuditResult.load(saved)
        remove_note(folder)
        audit_recipe(
            recipe,
            pool,
            membership,
            other_nonmembers=self.other_nonmembers,
            attacker=replace(self.attacker, attacks=list(attacks.values())),
            settings=self.settings,
            run=replace(self.run, folder=folder, seed=seed),
        )
        write_note(folder, asked, KEPT)
        return AuditResult.load(saved)  # as a resumed comparison reads it
