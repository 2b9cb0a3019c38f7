"""How an audit was made: each attack's threat model, what was not tested, the record of the test, provenance."""

import json
from collections.abc import Sequence

from seepage.report.audit import wording
from seepage.report.blocks import Cell, Code, Column, Facts, Paragraph, Table, words
from seepage.schema.attack import AttackResult
from seepage.schema.audit import AuditResult
from seepage.schema.numbers import UNDEFINED, count, duration, moment


def method(result: AuditResult) -> list:
    attacks = result.attacks
    threat = [
        Column("Attack", [Cell(attack.title, details=(attack.name,)) for attack in attacks]),
        words("Sees", [wording.ACCESS.get(attack.access, attack.access) for attack in attacks]),
        words("Needs besides", [_needs(attack.needs) for attack in attacks]),
        words("Options", [_options(attack) for attack in attacks]),
        words("Source", [attack.source for attack in attacks]),
    ]
    kinds, unknown = zip(*wording.attacks_not_run(result), strict=True)
    missing = [words("Kind of attack", kinds), words("What stays unknown", unknown)]
    return [
        Paragraph(
            "Each attack gives every record a score without knowing which were members; the audit then compares. "
            "Intervals are pointwise. Attacks are corrected together, and the worst finding decides the verdict."
        ),
        Table("Threat model of each attack", threat, style="text"),
        Table("Not tested", missing, style="text"),
        Facts(_documentation(result), "Documentation of this test"),
        Facts(wording.TERMS, "Terms"),
    ]


def _needs(needs: Sequence[str]) -> str:
    if {"in-references", "out-references"} <= set(needs):  # the first includes the second
        needs = [need for need in needs if need != "out-references"]
    return ", ".join(wording.NEEDS.get(need, need) for need in needs) or "nothing"


def _options(attack: AttackResult) -> str:
    return ", ".join(f"{name} = {plain(value)}" for name, value in attack.options.items()) or UNDEFINED


def _documentation(result: AuditResult) -> list[tuple[str, str]]:
    """Who tested what, when, how and how far: what a supervisory authority asks to see (EDPB Opinion 28/2024)."""
    target, made = result.target, result.provenance
    references = f", {count(result.training.n_models)} reference models" if result.training else ""
    blank = "____________________ (to be filled in)"
    return [
        ("When", moment(made.created)),
        ("By whom, and for whom", blank),
        ("Release and intended use", blank),
        ("What was tested", f"{target.kind}; fingerprint {target.fingerprint or 'not recorded'}"),
        ("Against what", f"{count(len(result.attacks))} membership inference attacks"),
        ("How far", f"{scored(result.attacks[0])}{references}, {count(target.n_queries)} queries"),
        ("Membership", f"{wording.MEMBERSHIP[made.membership]}. {wording.claim(result)}"),
        ("Result", f"{result.verdict}. {wording.bound(result)}"),
        ("Test again", wording.RETEST),
        ("Decision, name, date", blank),
    ]


def provenance(result: AuditResult) -> list:
    made = result.provenance
    facts = [
        ("Created", moment(made.created)),
        ("Took", duration(made.seconds)),
        ("Seed", str(made.seed)),
        ("Data", f"{made.data}, {count(made.n_records)} records"),
        ("Membership", wording.MEMBERSHIP[made.membership]),
        ("Seepage", made.seepage),
        ("Python, PyTorch, NumPy", f"{made.python}, {made.torch}, {made.numpy}"),
        ("Platform", made.platform),
        ("Schema", result.schema_),
    ]
    hashes = [
        ("Data fingerprint", made.data_fingerprint),
        ("Model fingerprint", result.target.fingerprint or "not recorded"),
    ]
    return [
        Facts(facts, short=True),
        Facts(hashes),
        Code("To get this result again", made.command),
        Code("Settings", json.dumps(made.settings, indent=2, default=str)),
    ]


def plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items())
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def scored(attack: AttackResult) -> str:
    targets = f", {count(attack.n_targets)} targets" if attack.n_targets > 1 else ""
    return f"{count(attack.n_members)} members, {count(attack.n_nonmembers)} non-members{targets}"
