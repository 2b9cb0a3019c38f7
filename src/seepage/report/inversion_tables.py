"""The tables of model inversion: recognition, baselines, likeness, cost, targets, controls, classes."""

from collections.abc import Sequence

from seepage.report.blocks import Cell, Column, Paragraph, Table, estimates, numbers, words
from seepage.report.inversion_result import InversionResult, Reconstructed, TargetResult
from seepage.report.inversion_view import (
    best_accuracy,
    best_baseline,
    controls,
    is_beyond,
    level_of,
    ranked,
    rivals,
    subjects,
    title_of,
    titles,
)
from seepage.report.numbers import UNDEFINED, count, duration, p_value, percent, significant
from seepage.report.result import Estimate

MOST_CLASSES = 40
Option = str | int | float | bool | None | list[float]


def recognition(result: InversionResult, target: TargetResult, title: str) -> Table:
    """Who is recognised beyond what."""
    at = level_of(target, result.targets, result.alpha)
    rows = ranked(target, at)
    columns = [
        _attacks(result, rows),
        estimates("Recognised by the judge", [one.accuracy for one in rows], as_rate=True),
        _top_5(rows),
        _best(rows),
        Column("Advantage, points", [_points(one.advantage) for one in rows], number=True),
        numbers("p (Holm)", [p_value(one.p_value_holm) for one in rows]),
        Column("Beyond every baseline", [
            Cell("yes", tone="fail") if is_beyond(one, at) else Cell("no", tone="pass") for one in rows
        ]),
        Column("By the target itself", [_own(one) for one in rows], number=True),
    ]  # fmt: skip
    return Table(title, [column for column in columns if column is not None], style="wide")


def baselines(result: InversionResult, target: TargetResult, title: str) -> Table:
    rows = _rows(result, target)
    known = {one.name: one.title for attack in rows for one in attack.baselines}
    found = [{one.name: one.accuracy for one in attack.baselines} for attack in rows]
    columns = [_attacks(result, rows)]
    columns += [estimates(head, [of.get(name) for of in found], as_rate=True) for name, head in known.items()]
    return Table(title, columns, style="wide")


def likeness(result: InversionResult, target: TargetResult, title: str) -> Table | None:
    """How near the images are to the private ones; None where nothing of it was measured."""
    rows = _rows(result, target)
    heads = {
        "nearer_private": ("Nearer to a training image", True),
        "distance_private": ("Distance, training", False),
        "distance_held_out": ("Distance, held out", False),
        "frechet": ("Frechet distance (FID)", False),
        "kernel": ("Kernel distance (KID)", False),
        "diversity": ("Diversity", False),
    }
    columns = [
        estimates(head, [getattr(one, name) for one in rows], as_rate=as_rate)
        for name, (head, as_rate) in heads.items()
        if any(getattr(one, name) is not None for one in rows)
    ]
    return Table(title, [_attacks(result, rows), *columns], style="wide") if columns else None


def cost(result: InversionResult, target: TargetResult, title: str) -> Table:
    rows = _rows(result, target)
    columns = [
        words("Attack", [title_of(result.attacks, one.attack) for one in rows]),
        numbers("Images", [count(one.n_images) for one in rows]),
        numbers("Questions an image", [count(round(one.queries, 1)) for one in rows]),
        numbers("Time an image", [duration(one.seconds) for one in rows]),
        words("Recognised, seed by seed", [", ".join(map(percent, one.seeds)) or UNDEFINED for one in rows]),
    ]
    return Table(title, columns)


def targets(result: InversionResult) -> Table:
    """What each way to train costs, and what is left."""
    rows = rivals(result.targets)
    names = titles(result.targets)
    columns = [
        Column("Target", [Cell(names[one.name], details=(_trained(one),)) for one in rows]),
        estimates("Natural accuracy", [one.test_accuracy for one in rows], as_rate=True),
        estimates("Accuracy in training", [one.train_accuracy for one in rows], as_rate=True),
        Column("Best attack", [Cell(title_of(result.attacks, one.worst.attack)) for one in rows]),
        estimates("Recognised by the judge", [one.worst.accuracy for one in rows], as_rate=True),
        estimates("Its best baseline", [best_accuracy(one.worst) for one in rows], as_rate=True),
        numbers("p (Holm)", [p_value(one.worst.p_value_holm) for one in rows]),
    ]
    return Table("Targets, and the attack that gets furthest with each", columns, style="wide")


def every_attack(result: InversionResult) -> Table:
    """Targets down, attacks across."""
    rows, names = rivals(result.targets), titles(result.targets)
    columns = [words("Target", [names[one.name] for one in rows])]
    for info in result.attacks:
        found = [next((each for each in one.attacks if each.attack == info.name), None) for one in rows]
        columns.append(estimates(info.title, [None if one is None else one.accuracy for one in found], as_rate=True))
    return Table("Recognised by the judge, attack by attack", columns, style="wide")


def checks(result: InversionResult) -> list:
    """The targets that cannot show the classes; nothing where there are none."""
    rows = [(target, attack) for target in controls(result.targets) for attack in _rows(result, target)]
    if not rows:
        return []
    names = titles(result.targets)
    quiet = [not is_beyond(attack, result.alpha) for _, attack in rows]
    columns = [
        Column("Control and attack", [
            Cell(names[target.name], details=(title_of(result.attacks, attack.attack),)) for target, attack in rows
        ]),
        estimates("Recognised by the judge", [attack.accuracy for _, attack in rows], as_rate=True),
        _best([attack for _, attack in rows]),
        Column("By the target itself", [_own(attack) for _, attack in rows], number=True),
        numbers("p (Holm)", [p_value(attack.p_value_holm) for _, attack in rows]),
        Column("Judge", [Cell("not fooled", tone="pass") if well else Cell("fooled", tone="fail") for well in quiet]),
    ]  # fmt: skip
    return [
        Paragraph(
            "These targets cannot show what the classes look like. If the judge recognises the classes in images made "
            "of them, beyond every baseline, it does not judge what it should, and no other figure counts."
        ),
        Table("Targets that cannot show the classes", columns, style="wide"),
    ]


def classes(result: InversionResult) -> list:
    """The classes that are recognised most, by each attack on the subject of the verdict."""
    found = [(target, [one for one in _rows(result, target) if one.classes]) for target in subjects(result.targets)]
    blocks, names = [], titles(result.targets)
    for target, attacks in found:
        if not attacks:
            continue
        means = {
            name: sum(one.classes.get(name, 0.0) for one in attacks) / len(attacks)
            for name in dict.fromkeys(name for one in attacks for name in one.classes)
        }
        shown = sorted(means, key=lambda name: -means[name])[:MOST_CLASSES]
        columns = [
            words("Class", shown),
            numbers("All attacks", [percent(means[name]) for name in shown]),
            *(numbers(title_of(result.attacks, one.attack), [percent(one.classes.get(name)) for name in shown])
              for one in attacks),
        ]  # fmt: skip
        left = f"; the first {MOST_CLASSES} of {count(len(means))}" if len(means) > MOST_CLASSES else ""
        blocks.append(Table(f"Share recognised, {names[target.name]}{left}", columns))
    if not blocks:
        return []
    told = "Most recognised first. A class rests on few images, so the order of neighbours means little."
    return [Paragraph(told), *blocks]


def options_of(options: dict[str, Option]) -> str:
    return ", ".join(f"{name} {_option(value)}" for name, value in options.items())


def _option(value: Option) -> str:
    if isinstance(value, list):
        return f"({', '.join(map(_option, value))})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return significant(value) if isinstance(value, float) else str(value)


def _rows(result: InversionResult, target: TargetResult) -> list[Reconstructed]:
    return ranked(target, level_of(target, result.targets, result.alpha))


def _attacks(result: InversionResult, rows: Sequence[Reconstructed]) -> Column:
    access = {one.name: f"access: {one.access}" for one in result.attacks}
    return Column(
        "Attack",
        [
            Cell(title_of(result.attacks, one.attack), details=tuple(filter(None, [access.get(one.attack)])))
            for one in rows
        ],
    )


def _top_5(rows: Sequence[Reconstructed]) -> Column | None:
    values = [one.accuracy_top_5 for one in rows]
    return estimates("Among its five likeliest", values, as_rate=True) if any(values) else None


def _best(rows: Sequence[Reconstructed]) -> Column:
    plain = estimates("Best baseline", [best_accuracy(one) for one in rows], as_rate=True)
    best = [best_baseline(one) for one in rows]
    cells = [
        Cell(cell.text, cell.interval, () if of is None else (of.title,), cell.flag)
        for cell, of in zip(plain.cells, best, strict=True)
    ]
    return Column("Best baseline", cells, flag=plain.flag, number=True)


def _points(one: Estimate) -> Cell:
    if one.value is None:
        return Cell(UNDEFINED, flag=one.flag or "undefined")
    ends = "" if one.low is None or one.high is None else f"[{100 * one.low:.1f}, {100 * one.high:.1f}]"
    return Cell(f"{100 * one.value:.1f}", ends, flag=one.flag)


def _own(one: Reconstructed) -> Cell:
    """What the attacked model says of the images, with the alarm where it alone is convinced."""
    plain = estimates("", [one.target_accuracy], as_rate=True)
    alarm = ("adversarial",) if one.adversarial else ()
    return Cell(plain.cells[0].text, plain.cells[0].interval, alarm, plain.flag or plain.cells[0].flag)


def _trained(one: TargetResult) -> str:
    if one.n_trained == one.n_parameters:
        return f"all {count(one.n_parameters)} parameters trained on private images"
    return f"{count(one.n_trained)} of {count(one.n_parameters)} parameters trained on private images"
