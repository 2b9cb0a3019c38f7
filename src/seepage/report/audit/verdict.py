"""What the page of an audit says first: the verdict, what it means and does not mean, the few facts beside it."""

from seepage.report.audit import wording
from seepage.report.blocks import TONES, Answer, KeyFigure
from seepage.schema.audit import AuditResult
from seepage.schema.estimates import at_rate
from seepage.schema.numbers import UNDEFINED, count, decimal, listed, p_value, percent, rate, with_interval


def answer(result: AuditResult) -> Answer:
    verdict = wording.VERDICTS[result.verdict]
    bound = " ".join(filter(None, [wording.bound(result), wording.in_persons(result)]))
    data = result.provenance.data
    return Answer(
        heading=result.verdict,
        title=f"{result.verdict}: Seepage audit, {data}",
        about=[data, result.target.kind],
        headline=result.headline,
        lead=[verdict.means, bound, wording.claim(result)],
        not_meant=verdict.does_not_mean,
        key_figures=_key_figures(result),
        tone=TONES[result.verdict],
        reasons=result.reasons,
    )


def _key_figures(result: AuditResult) -> list[KeyFigure]:
    """The few facts that stand beside the verdict."""
    lower, smallest, lead = result.lower_bound, result.smallest_detectable, result.attacks[0]
    without = "only attacks that need none were made; an audit with labels is stronger"
    labels = [] if result.labelled else [KeyFigure("Labels of the records", "none", without)]
    if result.verdict in ("INVALID", "INCONCLUSIVE"):
        failed = [gate.name for gate in result.gates if gate.status == "fail"]
        if labels and not failed:
            return labels
        detail = "what to do about each stands under Gates"
        return [*labels, KeyFigure("Failed gates", listed(failed) or UNDEFINED, detail)]
    if lower is None:
        power = f"found in {rate(smallest.power)} of audits like this one, at level {rate(smallest.alpha)}"
        return [
            KeyFigure("Smallest AUC it could see", decimal(smallest.auc), power),
            KeyFigure(f"Smallest TPR at FPR {rate(smallest.fpr)} it could see", percent(smallest.tpr), power),
            KeyFigure(
                "Attacks run",
                count(len(result.attacks)),
                f"most is found by {lead.title}, AUC {decimal(lead.auc.value)}",
            ),
        ]
    shown = next((attack for attack in result.attacks if attack.name == lower.attack), lead)
    figures = []  # a bound no better than guessing is none
    if lower.auc > 0.5:
        detail = f"measured {with_interval(shown.auc)}; guessing: 0.5"
        figures.append(KeyFigure("AUC at least", decimal(lower.auc), detail))
    if lower.fpr is not None and lower.tpr is not None and lower.tpr > lower.fpr:
        measured = at_rate(shown.tpr_at_fpr, lower.fpr)
        before = f"measured {with_interval(measured, as_rate=True)}; " if measured is not None else ""
        label = f"TPR at FPR {rate(lower.fpr)} at least"
        figures.append(KeyFigure(label, percent(lower.tpr), f"{before}guessing: {rate(lower.fpr)}"))
    run = f"of {count(len(result.attacks))} run; p (Holm) {p_value(shown.p_value_holm)}"
    return [*labels, *figures, KeyFigure("Leading attack", shown.title, run)]
