"""The report of a release's audit: the answer, the sections of its page, what a screen shows."""

from collections.abc import Sequence

from seepage.report.blocks import (
    Answer,
    Block,
    Cell,
    Column,
    Facts,
    KeyFigure,
    Paragraph,
    Point,
    Points,
    Section,
    Table,
    brief,
    dashes,
    estimates,
    next_steps,
    numbers,
    sentences,
    words,
)
from seepage.report.provenance import provenance
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import UNDEFINED, count, decimal, interval_of, odds, p_value, percent, rate, with_interval
from seepage.schema.release import ReleaseAttack, ReleaseAudit, ReleaseResult, Risk, strongest

PRIVATE = "It was measured on the originals: it is for you, not for publication."
LEADS = (
    "A release is judged by its originals. Attackers who have it try to tell its members, the records that it was made "
    "from, from hold-out records of the same population, and to single out, link and infer what they should not know.",
    PRIVATE,
)
NOT_MEANT = (
    "It does not mean that the release is private. Only these attacks were tried, and none of them trained the "
    "pipeline again. A risk whose attack did not work says nothing. What is guaranteed is what the mechanism promises."
)
TEXTS = {
    "settings": "What attackers get, what the release is worth and what the mechanism promises. Of several attacks or "
    "secrets that with the least p-value is shown. Numbers in brackets are intervals.",
    "attacks": "Each attack scores every original by the release alone; those that begin with 'networks' have encoder "
    "and decoder too. An AUC of 0.5 is guessing. p is corrected for all tests of the audit (Holm).",
    "closeness": "Of as many members as hold-out records, half of the released records are closest to a member where "
    "nothing leaks. Copies of hold-out records are chance: nobody used them.",
    "risks": "The attack's success on members, on a control group that was in no training data, and by guessing. The "
    "risk is (members - control) / (1 - control): what having been in the training data adds.",
    "use": "Models trained on the release and on the originals, tested on hold-out records that neither saw.",
    "promise": "The mechanism bounds the odds by which two records can be told apart; the bound grows with the "
    "distance of their codes. These distances were measured without noise, and no guarantee covers them.",
}


def answer(result: ReleaseResult) -> Answer:
    return Answer(
        heading="What does the release tell about its originals?",
        title=f"Audit of a release, {result.provenance.data}, Seepage",
        about=[result.provenance.data],
        headline=result.headline,
        lead=LEADS,
        not_meant=NOT_MEANT,
        key_figures=_key_figures(result),
        reasons=list(dict.fromkeys(remark for one in result.settings for remark in one.remarks)),
        reasons_title="What makes this audit say less",
    )


def _key_figures(result: ReleaseResult) -> list[KeyFigure]:
    best, use = result.best, result.usefulness
    told = f"{best.name}; {interval_of(best.auc)}, n {count(best.auc.n)}"
    figures = [
        KeyFigure("p if nothing leaks", p_value(result.p_value), "corrected for all tests (Holm)"),
        KeyFigure("AUC of the strongest attack", decimal(best.auc.value), told),
    ]
    if use is not None:
        told = f"{percent(use.originals.value)} by the originals, {percent(use.majority.value)} by the largest class"
        figures.append(KeyFigure("Accuracy by the release", percent(use.released.value), told))
    return figures


def sections(result: ReleaseResult) -> list[Section]:
    """Everything after the answer; what was not measured has no section."""
    made = [
        ("conclusions", "What the numbers say", [sentences(result.conclusions)] if result.conclusions else []),
        ("settings", "What is gained, lost and promised", [Paragraph(TEXTS["settings"]), _settings(result)]),
        ("attacks", "Membership of the originals", _each(result, "attacks", _attacks)),
        ("closeness", "Whom the release is closest to", [Paragraph(TEXTS["closeness"]), _closeness(result)]),
        ("risks", "Singling out, linking, inference", _each(result, "risks", _risks)),
        ("use", "What the release is worth", _use(result)),
        ("promise", "What the mechanism promises", _promise(result)),
        ("method", "Method and limits", _method(result)),
        ("provenance", "Provenance", provenance(result.provenance)),
    ]
    return [Section(name, title, blocks) for name, title, blocks in made if blocks]


def screen(result: ReleaseResult) -> list[Block]:
    warnings = [Point("WARNING:", remark) for remark in result.remarks]
    warnings += [Point(f"{one.setting}: WARNING:", remark) for one in result.others for remark in one.remarks]
    attacks = list(result.attacks.values())
    columns = [
        Column("", [Cell(attack.name) for attack in attacks]),
        brief("AUC", [attack.auc for attack in attacks]),
        numbers("p (Holm)", [p_value(attack.p_value_holm) for attack in attacks]),
    ]
    return [
        Points(warnings),
        dashes(f"{one.about}: {one.sentence}" for one in result.conclusions),
        _settings(result),
        Table("Membership of the originals, all attacks", columns),
        *([_risk_lines(result)] if result.risks or result.left_out else []),
        next_steps(result, "Rates, copies, every setting, methods"),
        Paragraph(PRIVATE, "bold"),
    ]


def _risk_lines(result: ReleaseResult) -> Points:
    points = [Point(f"{name}:", _success(risk), [f"{risk.remark}, p {p_value(risk.p_value_holm)}"])
              for name, risk in result.risks.items()]  # fmt: skip
    points += [Point(f"{name}:", f"not measured: {why}") for name, why in result.left_out.items()]
    return Points(points, "Risks: members, control group, guessing; risk")


def _success(risk: Risk) -> str:
    tried = (_short(risk.attack), _short(risk.control), decimal(risk.guessing))
    return f"{', '.join(tried)}; {_short(risk.risk)}"


def _short(one: Estimate) -> str:
    return f"undefined ({one.flag})" if one.value is None else with_interval(one, n=False)


def _settings(result: ReleaseResult) -> Table:
    """A row for each question, a column for each setting; a dash where a setting does not have the answer."""
    columns = {one.setting: _answers(one) for one in result.settings}
    rows = list(dict.fromkeys(row for answers in columns.values() for row in answers))
    told = [words(name, [answers.get(row, UNDEFINED) for row in rows]) for name, answers in columns.items()]
    return Table("Settings side by side", [words("", rows), *told], style="text")


def _answers(audit: ReleaseAudit) -> dict[str, str]:
    known = audit.by(networks=True)
    answers = {"Membership by the release, AUC": _of_attacks(audit.by(networks=False))}
    if known:
        answers["Membership by release and networks, AUC"] = _of_attacks(known)
    answers["Released records closer to a member"] = _short(audit.closeness.closer_to_members)
    inferred = [risk for name, risk in audit.risks.items() if name.startswith("inference")]
    for name, risk in audit.risks.items():
        if risk not in inferred:
            answers[f"Risk: {name}"] = _of_risk(risk)
    if inferred:
        worst = min(inferred, key=lambda risk: (risk.p_value, -(risk.risk.value or 0)))
        secret = worst.name.removeprefix("inference of ")
        told = f"{_of_risk(worst)}: {secret}, p {p_value(worst.p_value_holm)}"
        answers["Risk: inference, most exposed secret"] = told
    if (use := audit.usefulness) is not None:
        answers["Accuracy, trained on the release"] = _short(use.released)
        answers["Accuracy, trained on the originals"] = _short(use.originals)
        answers["Accuracy, most frequent class"] = _short(use.majority)
    for name, told in _bounds(audit).items():
        answers[f"Odds at most, {name}"] = told
    answers["p if the release leaks nothing (Holm)"] = p_value(audit.p_value_alone)
    if known:
        answers["p if release and networks leak nothing (Holm)"] = p_value(audit.p_value)
    return answers


def _of_attacks(attacks: dict[str, ReleaseAttack]) -> str:
    best = strongest(attacks)
    return f"{_short(best.auc)}: {best.name}, p {p_value(best.p_value_holm)}"


def _of_risk(risk: Risk) -> str:
    return _short(risk.risk) if risk.works or risk.is_significant else f"did not work ({_short(risk.risk)})"


def _bounds(audit: ReleaseAudit) -> dict[str, str]:
    """The bound on the odds at distances of codes that occur."""
    if (codes := audit.distances) is None or codes.median is None:
        return {}
    at = {"nearest code": codes.nearest, "median of two codes": codes.median}
    return {
        name: f"{odds(codes.log_odds(distance))} (d = {distance:.3g})"
        for name, distance in at.items()
        if distance is not None
    }


def _each(result: ReleaseResult, text: str, table) -> list[Block]:
    """A table of each setting that has something to show."""
    tables = [table(one, f", {one.setting}" if result.others else "") for one in result.settings]
    found = [one for one in tables if one is not None]
    return [Paragraph(TEXTS[text]), *found] if found else []


def _attacks(audit: ReleaseAudit, of: str) -> Table:
    attacks = list(audit.attacks.values())
    rates = list(dict.fromkeys(at for attack in attacks for at in attack.tpr_at_fpr))
    columns = [
        words("Attack", [attack.name for attack in attacks]),
        estimates("AUC", [attack.auc for attack in attacks]),
        *(
            estimates(f"TPR at FPR {rate(float(at))}", [attack.tpr_at_fpr.get(at) for attack in attacks], as_rate=True)
            for at in rates
        ),
        numbers("p", [p_value(attack.p_value) for attack in attacks], "uncorrected"),
        numbers("p (Holm)", [p_value(attack.p_value_holm) for attack in attacks]),
        numbers("Members", [count(attack.n_members) for attack in attacks]),
        numbers("Hold-out", [count(attack.n_holdout) for attack in attacks]),
    ]
    return Table(f"Every attack{of}", columns, style="wide")


def _closeness(result: ReleaseResult) -> Table:
    rows, close = result.settings, [one.closeness for one in result.settings]
    columns = [
        words("Setting", [one.setting for one in rows]),
        estimates("Closer to a member", [one.closer_to_members for one in close], as_rate=True),
        numbers("p (Holm)", [p_value(one.closeness_p_value_holm) for one in rows]),
        estimates("Released records that are a member", [one.identical for one in close], as_rate=True),
        estimates("Members that were released", [one.copied_members for one in close], as_rate=True),
        estimates("Hold-out records that were released", [one.copied_holdout for one in close], as_rate=True),
    ]
    return Table("Nearest originals, and copies", columns)


def _risks(audit: ReleaseAudit, of: str) -> Table | None:
    risks = list(audit.risks.values())
    if not risks:
        return None
    columns = [
        Column("Risk", [Cell(risk.name, details=(risk.known,)) for risk in risks]),
        estimates("Members", [risk.attack for risk in risks], as_rate=True),
        estimates("Control group", [risk.control for risk in risks], as_rate=True),
        numbers("Guessing", [percent(risk.guessing) for risk in risks]),
        estimates("Risk", [risk.risk for risk in risks]),
        numbers("p (Holm)", [p_value(risk.p_value_holm) for risk in risks]),
        Column("What to make of it", [_remark(risk) for risk in risks]),
    ]
    return Table(f"Risks{of}", columns, style="wide")


def _remark(risk: Risk) -> Cell:
    return Cell(risk.remark, tone="fail" if risk.is_significant else "" if risk.works else "not-run")


def _use(result: ReleaseResult) -> list[Block]:
    rows = [(one, one.usefulness) for one in result.settings if one.usefulness is not None]
    if not rows:
        return []
    columns = [
        Column("Setting", [Cell(one.setting, details=(use.model,)) for one, use in rows]),
        estimates("Trained on the release", [use.released for _, use in rows], as_rate=True),
        estimates("Trained on the originals", [use.originals for _, use in rows], as_rate=True),
        estimates("Most frequent class", [use.majority for _, use in rows], as_rate=True),
    ]
    return [Paragraph(TEXTS["use"]), Table("Accuracy on hold-out records", columns)]


def _promise(result: ReleaseResult) -> list[Block]:
    rows = [(one, _bounds(one)) for one in result.settings]
    names = list(dict.fromkeys(name for _, bounds in rows for name in bounds))
    if not names:
        return []
    columns = [words("Setting", [one.setting for one, _ in rows])]
    columns += [words(name.capitalize(), [bounds.get(name, UNDEFINED) for _, bounds in rows]) for name in names]
    return [Paragraph(TEXTS["promise"]), Table("Bound on the odds", columns, style="text")]


def _method(result: ReleaseResult) -> list[Block]:
    sizes = (
        f"{count(result.n_released)} released, {count(result.n_members)} members, {count(result.n_holdout)} hold-out"
    )
    about: Sequence[tuple[str, str]] = [
        ("Records", sizes),
        ("The population", result.reference),
        *((f"Not measured: {name}", why) for name, why in result.left_out.items()),
    ]
    return [Facts(about, "Set-up"), sentences(result.limits, "Limits")]
