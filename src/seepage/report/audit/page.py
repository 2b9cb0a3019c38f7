"""What the page of an audit says after the verdict, in order."""

from collections.abc import Sequence

from seepage.report import nonmembers, plots
from seepage.report.audit import decisions, together, wording
from seepage.report.audit.method import method, plain, provenance, scored
from seepage.report.blocks import (
    Cell,
    Column,
    Facts,
    Figure,
    Figures,
    Paragraph,
    Section,
    Table,
    estimates,
    hoisted,
    numbers,
    words,
)
from seepage.schema.attack import AttackResult
from seepage.schema.audit import AuditResult, Control, Gate, Slice
from seepage.schema.estimates import Estimate, at_rate
from seepage.schema.numbers import (
    UNDEFINED,
    count,
    decimal,
    duration,
    epsilon_kind,
    listed,
    p_value,
    percent,
    rate,
    significant,
    with_interval,
)

MOST_SLICES = 12  # a longer table of classes moves to the appendix
MOST_VALUES = 16


def sections(result: AuditResult) -> list[Section]:
    """Everything after the verdict."""
    parts = [
        Section("gates", "Gates", _gates(result.gates)),
        Section("attacks", "Attacks", _attacks(result)),
        *([Section("together", "Attacks together", together.blocks(result))] if result.ensemble else []),
        *([Section("decisions", decisions.TITLE, decisions.blocks(result))] if result.decisions else []),
        *nonmembers.sections(
            result.other_nonmembers, {attack.name: attack.title for attack in result.attacks}, result.prior
        ),
        Section("consequences", "What an attacker could claim", _consequences(result)),
        Section("controls", "Controls", _controls(result)),
        Section("records", "Most exposed records", _records(result)),
        Section("classes", "Classes and groups", _classes(result)),
        Section("training", "Target and reference models", _training(result)),
        Section("method", "Method and limits", method(result)),
        Section("provenance", "Provenance", provenance(result)),
    ]
    if len(result.classes) > MOST_SLICES:
        parts.append(Section("appendix", "Appendix: all classes", [_slices("All classes", _worst(result.classes))]))
    return parts


def _gates(gates: Sequence[Gate]) -> list:
    order = {"fail": 0, "not run": 1, "pass": 2}
    gates = sorted(gates, key=lambda gate: order[gate.status])
    tally = ", ".join(
        f"{sum(gate.status == status for gate in gates)} {word}"
        for status, word in (("pass", "passed"), ("fail", "failed"), ("not run", "not run"))
    )
    columns = [
        Column("Question", [Cell(gate.question, details=(gate.name,)) for gate in gates]),
        Column("Status", [Cell(gate.status, tone=gate.status.replace(" ", "-")) for gate in gates]),
        words("Finding", [gate.detail for gate in gates]),
        words("Way out", [gate.way_out or UNDEFINED for gate in gates]),
    ]
    return [
        Paragraph(f"Each of these must hold before the audit may claim anything: {tally}."),
        Table("Gates", columns, style="text"),
    ]


def _attacks(result: AuditResult) -> list:
    attacks = result.attacks
    text = "The leading attack stands first. A dash is an undefined number; its note says why."
    if len(attacks) > 1:
        text += (
            " Each interval is that of its attack alone. The verdict's lower bound, p (Holm) and epsilon hold for all "
            f"{count(len(attacks))} attacks together, since the leading one was chosen from them."
        )
    if result.verdict in ("INVALID", "INCONCLUSIVE"):
        text += f" The verdict is {result.verdict}: these figures support no claim."
    return [
        Paragraph(text),
        _main_table(attacks),
        Figures([_roc(result), _aucs(result)]),
        *_histograms(attacks),
        _log_mia(attacks),
        _costs(attacks),
    ]


def _main_table(attacks: Sequence[AttackResult]) -> Table:
    columns = [
        hoisted("Attack", [Cell(attack.title, details=(scored(attack),)) for attack in attacks], number=False),
        estimates("AUC", [attack.auc for attack in attacks]),
        *_rates("TPR at FPR", [attack.tpr_at_fpr for attack in attacks], (0.01, 0.001, 0.0)),
        estimates("Balanced accuracy", [attack.balanced_accuracy for attack in attacks]),
        estimates("Log-MIA A", [attack.log_mia.a for attack in attacks]),
        estimates("Log-MIA B", [attack.log_mia.b for attack in attacks]),
        numbers("p (Holm)", [p_value(attack.p_value_holm) for attack in attacks]),
        hoisted("Epsilon", [_epsilon(attack) for attack in attacks]),
    ]
    return Table("Every attack, with intervals", columns, style="wide")


def _log_mia(attacks: Sequence[AttackResult]) -> Table:
    """What the Log-MIA of the main table says in words, counts included."""
    columns = [words("Attack", [attack.title for attack in attacks])]
    for regime, about in (("a", "no false positive"), ("b", "few false positives")):
        found = [getattr(attack.log_mia, regime) for attack in attacks]
        columns += [
            numbers(f"Log-MIA {regime.upper()}", [decimal(one.chance_corrected) for one in found], "chance taken off"),
            words(f"At {about}", [one.reading for one in found]),
        ]
    return Table("How many members can be named surely (Log-MIA), by each attack alone", columns, style="text")


def _costs(attacks: Sequence[AttackResult]) -> Table:
    """What each attacker needs: the price of a leak is part of the risk."""
    costs = [attack.cost for attack in attacks]
    columns = [
        words("Attack", [attack.title for attack in attacks]),
        numbers("Reference models", [count(cost.references) for cost in costs]),
        numbers("Known records", [count(cost.known) for cost in costs]),
        numbers("Queries of the target", [count(cost.queries) for cost in costs], "records sent"),
        numbers("Scoring", [duration(cost.seconds) for cost in costs], "once the shared answers are there"),
        numbers("With its references", [duration(cost.seconds + cost.training_seconds) for cost in costs]),
    ]
    return Table("What each attack takes", columns)


def _rates(label: str, by_attack: Sequence[dict[str, Estimate]], rates: Sequence[float]) -> list[Column]:
    return [
        estimates(f"{label} {rate(at)}", [at_rate(by_rate, at) for by_rate in by_attack], as_rate=True) for at in rates
    ]


def _epsilon(attack: AttackResult) -> Cell:
    epsilon = attack.epsilon
    if epsilon is None:
        return Cell(UNDEFINED, flag="not computed")
    terms = (epsilon_kind(epsilon), f"{rate(epsilon.confidence)}, δ {epsilon.delta:g}", f"n {count(epsilon.n)}")
    return Cell(decimal(epsilon.value, 2), "", terms, f"{epsilon.method}: {epsilon.note}")


def _roc(result: AuditResult) -> Figure:
    lead, *rest = result.attacks
    rates = sorted(lead.tpr_at_fpr, key=float, reverse=True)
    read = ", ".join(
        f"{with_interval(lead.tpr_at_fpr[at], as_rate=True, n=False)} at FPR {rate(float(at))}" for at in rates
    )
    others = f", and {listed([attack.title for attack in rest[:3]])}" if rest else ""
    return Figure(
        "roc",
        "ROC on logarithmic axes, which show the few and sure accusations. Band: pointwise, of the leading attack. "
        "Shaded: fewer than 10 false positives.",
        f"{lead.title} with its band{others}. True-positive rate of {lead.title}: {read}. "
        "Guessing lies on the diagonal.",
        lambda: plots.roc(result),
    )


def _aucs(result: AuditResult) -> Figure:
    read = [f"{attack.title} {with_interval(attack.auc)}" for attack in result.attacks]
    read += [f"control: {control.name} {with_interval(control.auc)}" for control in result.controls]
    return Figure("auc", "AUC of every attack and control.", "; ".join(read) + ".", lambda: plots.auc(result))


def _histograms(attacks: Sequence[AttackResult]) -> list[Figures]:
    figures = [
        Figure(
            f"histogram-{at}",
            f"Scores of members and of non-members, each as a share of its own group: {attack.title}.",
            f"Where the two differ, {attack.title} can tell them apart. AUC {with_interval(attack.auc)}.",
            lambda attack=attack: plots.histogram(attack),
        )
        for at, attack in enumerate([attack for attack in attacks if attack.histogram is not None][:2])
    ]
    return [Figures(figures)] if figures else []


def _consequences(result: AuditResult) -> list:
    attacks = result.attacks
    prior = "the declared prior" if result.prior is None else f"a prior of {rate(result.prior)} members"
    names = words("Attack", [attack.title for attack in attacks])
    tables = []
    for title, label, by_attack in (
        ("Members found, by the share of non-members wrongly named", "TPR at FPR", [a.tpr_at_fpr for a in attacks]),
        (
            "Non-members ruled out, by the share of members wrongly ruled out",
            "TNR at FNR",
            [a.tnr_at_fnr for a in attacks],
        ),
        (f"Members among the records named, at {prior}", "PPV at FPR", [a.positive_predictive_value for a in attacks]),
    ):
        rates = sorted({float(at) for by_rate in by_attack for at in by_rate}, reverse=True)
        if rates:
            tables.append(Table(title, [names, *_rates(label, by_attack, rates)]))
    tables.append(Table("At the best single threshold", [
        names,
        estimates("Advantage", [attack.advantage for attack in attacks]),
        estimates("Balanced accuracy", [attack.balanced_accuracy for attack in attacks]),
        numbers("p", [p_value(attack.p_value) for attack in attacks], "uncorrected"),
    ]))  # fmt: skip
    text = (
        "An attack is a threat when the records that it names really are members. How sure it can be depends on how "
        f"common members are among the records that the attacker holds; the positive predictive value assumes {prior}."
    )
    return [Paragraph(text), *tables]


def _controls(result: AuditResult) -> list:
    controls = result.controls
    if not controls:
        return [
            Paragraph(
                "No control was audited. A null model, which never saw the records, would show that the attacks raise "
                "no false alarm here; an overfitted model, that they have the power to find a leak."
            )
        ]
    titles = {attack.name: attack.title for attack in result.attacks}
    columns = [
        words("Control", [control.name for control in controls]),
        words("Expected", [control.expects for control in controls]),
        Column("Found", [_found(control, result.smallest_detectable.alpha) for control in controls]),
        estimates("AUC", [control.auc for control in controls]),
        numbers("p (Holm)", [p_value(control.p_value_holm) for control in controls]),
        words("Best attack", [titles.get(control.best_attack, control.best_attack) for control in controls]),
    ]
    text = (
        "Models whose answer is known beforehand, audited by the same attacks. One that disagrees discredits the rest."
    )
    return [Paragraph(text), Table("Controls", columns)]


def _found(control: Control, alpha: float) -> Cell:
    found = "leak found" if control.p_value_holm < alpha else "nothing found"
    agrees = found == control.expects
    return Cell(found, details=() if agrees else ("not as expected",), tone="pass" if agrees else "fail")


def _records(result: AuditResult) -> list:
    records, lead = result.records, result.attacks[0]
    if not records:
        return [Paragraph("This result lists no single records.")]
    shown = any(record.values is not None for record in records)
    columns = [
        words("Record", [record.id for record in records]),
        words("Class", [_or_dash(record.label) for record in records]),
        words("Group", [_or_dash(record.group) for record in records]),
        numbers("Score", [significant(record.score) for record in records]),
        numbers("p", [p_value(record.p_value) for record in records], "conformal"),
        numbers("q", [p_value(record.q_value) for record in records], "false discovery"),
        numbers("Named by", [count(record.n_found) for record in records], f"of {count(len(result.attacks))} attacks"),
        numbers("Mean rank", [decimal(record.rank_average) for record in records], "over all attacks"),
        words("Values", [_values(record.values) for record in records]),
    ]
    empty = {"Group"} if all(record.group is None for record in records) else set()
    empty |= set() if result.labelled else {"Class"}
    empty |= set() if shown else {"Values"}
    alpha = result.smallest_detectable.alpha
    found = sum(record.q_value <= alpha for record in records)
    text = (
        f"The members that {lead.title} scores highest, beside {count(lead.n_nonmembers)} non-members. p is the share "
        "of non-members that score at least as high; q is the share of false alarms to expect down to that row. "
        f"{count(found)} of the {count(len(records))} listed have a q of at most {rate(alpha)}."
    )
    hidden = "" if shown else " Only ids are shown: the records' values stay out of the report unless asked for."
    return [
        Paragraph(text + hidden),
        Table("Most exposed records", [column for column in columns if column.title not in empty]),
    ]


def _or_dash(text: str | None) -> str:
    return UNDEFINED if text is None else text


def _values(values: Sequence[float] | None) -> str:
    if values is None:
        return UNDEFINED
    more = f" … ({count(len(values))} values)" if len(values) > MOST_VALUES else ""
    return ", ".join(significant(value) for value in values[:MOST_VALUES]) + more


def _classes(result: AuditResult) -> list:
    tables = []
    for name, parts in (("classes", _worst(result.classes)), ("groups", _worst(result.groups))):
        few = parts[:MOST_SLICES] if name == "classes" else parts
        if few:
            cut = len(few) < len(parts)
            title = f"The {len(few)} most exposed of {count(len(parts))} classes; all are in the appendix"
            tables.append(_slices(title if cut else name.capitalize(), few, name))
    why = "The records have no labels, so there are no classes to compare: those that the model predicts are its own."
    notes = [] if result.labelled else [Paragraph(why)]
    if not tables:
        return notes or [Paragraph("The result holds no class or group with enough records.")]
    text = (
        f"A mean can hide the worst-off. These are the same scores ({result.attacks[0].title}) within each part, the "
        "highest AUC first. Among many parts some look bad by chance: nothing here is corrected for that."
    )
    return [*notes, Paragraph(text), *tables]


def _worst(parts: Sequence[Slice]) -> list[Slice]:
    return sorted(parts, key=lambda part: -1.0 if part.auc.value is None else part.auc.value, reverse=True)


def _slices(title: str, parts: Sequence[Slice], figure: str | None = None) -> Table:
    columns = [
        words("Class or group", [part.name for part in parts]),
        estimates("AUC", [part.auc for part in parts]),
        numbers("Members", [count(part.n_members) for part in parts]),
        numbers("Non-members", [count(part.n_nonmembers) for part in parts]),
        numbers("Accuracy", [percent(part.accuracy_members) for part in parts], "members"),
        numbers("Accuracy", [percent(part.accuracy_nonmembers) for part in parts], "non-members"),
    ]
    if figure is None or not 3 <= len(parts) <= 40:
        return Table(title, columns)
    read = "; ".join(f"{part.name} {with_interval(part.auc)}" for part in parts)
    figure = Figure(f"{figure}-auc", f"AUC within each of the {figure}.", read + ".", lambda: plots.slices(parts))
    return Table(title, columns, figure=figure)


def _training(result: AuditResult) -> list:
    target, training = result.target, result.training
    members, others = target.accuracy_members.value, target.accuracy_nonmembers.value
    facts = [
        ("Target", f"{target.kind}, seen through {wording.ACCESS.get(target.access, target.access)}"),
        ("Models audited", f"{count(target.n_targets)}, with {count(target.n_queries)} queries"),
        ("Accuracy on members", _accuracy(target.accuracy_members)),
        ("Accuracy on non-members", _accuracy(target.accuracy_nonmembers)),
    ]
    if members is not None and others is not None:
        facts.append(("Gap", f"{100 * (members - others):.1f} percentage points"))
    if target.n_parameters is not None:
        ratio = significant(target.n_parameters / max(result.attacks[0].n_members, 1))
        facts.append(("Parameters", f"{count(target.n_parameters)}, which is {ratio} per audited member"))
    if training is None:
        return [Facts(facts, short=True), Paragraph("No reference model was trained for this audit.")]
    steps = (("stacked", training.stacked_step_s), ("one by one", training.single_step_s))
    timed = [f"{name} {duration(seconds)}" for name, seconds in steps if seconds is not None]
    facts += [
        ("Reference models", f"{count(training.n_models)}, trained in {duration(training.seconds)}"),
        ("Engine", f"{training.engine}, {count(training.workers)} workers, {count(training.chunk)} models at a time"),
        ("Timed per model step", "; ".join(timed) or UNDEFINED),
        ("References' training accuracy", with_interval(training.train_accuracy, as_rate=True)),
        ("References' test accuracy", with_interval(training.test_accuracy, as_rate=True)),
    ]
    recipe = [(name, plain(value)) for name, value in training.recipe.items()]
    text = "References stand in for the target only as far as they behave like it: compare the accuracies."
    return [Paragraph(text), Facts(facts, short=True), Facts(recipe, "Recipe of the references", short=True)]


def _accuracy(accuracy: Estimate) -> str:
    if accuracy.value is None and accuracy.flag:
        return accuracy.flag
    return with_interval(accuracy, as_rate=True)
