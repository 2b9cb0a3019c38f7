"""Audits of releases as text: one table for what is gained, what is lost and what is promised."""

from __future__ import annotations

from collections.abc import Mapping

from seepage.schema.estimates import Estimate
from seepage.studies.release.released import ReleaseAttack, ReleasedResult
from seepage.studies.release.risks import Risk
from seepage.synthesis.distances import odds_text

GAP = "   "
MOST_COPIES = 0.5  # of the hold-out: beyond it values repeat more than they tell
LEVEL = 0.05  # of the least p-value, below which something was found


def text(results: Mapping[str, ReleasedResult]) -> str:
    """The table of all settings; of the first, the release itself, every attack and every risk too.

    Args:
        results: audits by the name of their setting, such as "epsilon 5".
    """
    (name, first), *others = results.items()
    lines = _heading(first)
    for setting, result in others:
        lines += [f"{setting}: {line}" for line in _warnings(result)]
    if others:
        lines.append(f"All settings are by the same networks; only {name} was released, and the rest below is of it.")
    return "\n".join([*lines, "", table(results), "", *_details(first)])


def table(results: Mapping[str, ReleasedResult]) -> str:
    """What attackers get, what the release is worth and what the mechanism promises: a column for each setting.

    Of several attacks or secrets that with the least p-value is shown; p is corrected for all tests of its audit.
    Numbers in brackets are intervals.

    Args:
        results: as for `text`.
    """
    columns = [_cells(result) for result in results.values()]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [["", *results], *([name, *(column.get(name, "-") for column in columns)] for name in names)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)  # fmt: skip


def _cells(result: ReleasedResult) -> dict[str, str]:
    alone, known = ({name: attack for name, attack in result.attacks.items() if name.startswith("networks") is wanted}
                    for wanted in (False, True))  # fmt: skip
    cells = {"attack: membership by the release, AUC": _of_attacks(alone)}
    if known:
        cells["attack: membership by release and networks, AUC"] = _of_attacks(known)
    cells["released records closer to a member"] = told(result.closeness.closer_to_members)
    singled = {name: risk for name, risk in result.risks.items() if not name.startswith("inference")}
    for name, risk in singled.items():
        cells[f"risk: {name}"] = _of_risk(risk)
    inferred = [risk for name, risk in result.risks.items() if name.startswith("inference")]
    if inferred:
        worst = min(inferred, key=lambda risk: (risk.p_value, -(risk.risk.value or 0)))
        secret = worst.name.removeprefix("inference of ")
        cells["risk: inference, most exposed secret"] = f"{_of_risk(worst)}: {secret}, p = {worst.p_value_holm:.2g}"
    if (use := result.usefulness) is not None:
        cells["utility: trained on the release"] = told(use.released)
        cells["utility: trained on the originals"] = told(use.originals)
        cells["utility: most frequent class"] = told(use.majority)
    if (distances := result.distances) is not None and distances.median is not None:
        for name, distance in (("nearest code", distances.nearest), ("median of two codes", distances.median)):
            if distance is not None:
                odds = odds_text(distances.log_odds(distance))
                cells[f"promise: odds at most, {name}"] = f"{odds} (d = {distance:.3g})"
    cells["p-value if the release leaks nothing (Holm)"] = f"{result.p_value_alone:.2g}"
    if known:
        cells["p-value if release and networks leak nothing (Holm)"] = f"{result.p_value:.2g}"
    return cells


def _of_attacks(attacks: Mapping[str, ReleaseAttack]) -> str:
    best = min(attacks.values(), key=lambda attack: (attack.p_value, -(attack.auc.value or 0)))
    return f"{told(best.auc)}: {best.name}, p = {best.p_value_holm:.2g}"


def _of_risk(risk: Risk) -> str:
    return told(risk.risk) if risk.works or risk.is_significant else f"did not work ({told(risk.risk)})"


def _warnings(result: ReleasedResult) -> list[str]:
    return [f"WARNING: {remark}" for remark in result.remarks]


def _heading(result: ReleasedResult) -> list[str]:
    return [
        *_warnings(result),
        f"Release of {result.n_released:,} records: {result.n_members:,} members against {result.n_holdout:,} others; "
        f"p = {result.p_value:.2g} if nothing leaks (Holm). Reference: {result.reference}.",
        *_conclusions(result),
    ]


def _conclusions(result: ReleasedResult) -> list[str]:
    """What the least p-value and the utility do not mean."""
    said = []
    if (result.closeness.copied_holdout.value or 0.0) > MOST_COPIES:
        said.append(
            f"Of the members {told(result.closeness.copied_members)} stand in the release value for value, and "
            f"{told(result.closeness.copied_holdout)} of those who were never used: there are so few different records "
            "that who was a member cannot show, and nearly everybody's record is in it."
        )
    if result.p_value > LEVEL:
        said.append("Nothing was found. That is no proof of safety: more records find smaller leaks.")
    use = result.usefulness
    least, majority = (None, None) if use is None else (use.released.low, use.majority.value)
    if least is not None and majority is not None and least <= majority:
        said.append(
            "A model trained on the release is not surely better than naming the most frequent class: that the attacks "
            "find little may only mean that little is in it."
        )
    return said


def _details(result: ReleasedResult) -> list[str]:
    lines = ["Membership of the originals, all attacks"]
    widest = max(map(len, result.risks), default=0)
    for name, attack in result.attacks.items():
        lines.append(f"  {name:24} AUC {told(attack.auc)}, p = {attack.p_value_holm:.2g} (Holm)")
    copies = result.closeness.copied_members
    lines.append(f"  closer to a member       {told(result.closeness.closer_to_members)}; 0.5 without a leak")
    lines.append(f"  copies of members        {told(copies)}; of others {told(result.closeness.copied_holdout)}")
    if result.risks or result.left_out:
        lines += [
            "",
            "Risks: success on members, on the control group, by guessing; (members - control) / (1 - control)",
        ]
    for name, risk in result.risks.items():
        lines.append(
            f"  {name:{widest}} {told(risk.attack)}, {told(risk.control)}, {risk.guessing:.3f}; {told(risk.risk)}, "
            f"p = {risk.p_value_holm:.2g} (Holm): {risk.remark}"
        )
    lines += [f"  {name}: not measured: {reason}" for name, reason in result.left_out.items()]
    if result.usefulness is not None:
        lines += ["", f"Utility: accuracy of {result.usefulness.model} on {result.usefulness.released.n:,} others"]
    return lines


def told(estimate: Estimate) -> str:
    """Three decimals and the interval."""
    if estimate.value is None:
        return f"undefined ({estimate.flag})"
    interval = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{interval}"
