"""The tables of model inversion: recognition, baselines, likeness, cost, targets, controls, classes."""

from collections.abc import Sequence

from seepage.metrics.reconstruction import paired
from seepage.report.blocks import Cell, Column, Paragraph, Table, estimates, numbers, words
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import InversionResult, Reconstructed, TargetResult
from seepage.schema.inversion_reading import (
    best_accuracy,
    best_baseline,
    controls,
    is_beyond,
    level_of,
    ranked,
    reference,
    rivals,
    subjects,
    title_of,
    titles,
)
from seepage.schema.numbers import UNDEFINED, count, duration, option_text, p_value, percent, significant

MOST_CLASSES = 40
Option = str | int | float | bool | None | list[float]


def recognition(result: InversionResult, target: TargetResult, title: str) -> Table:
    """Who is recognised beyond what."""
    at = level_of(target, result.targets, result.alpha)
    rows = ranked(target, at)
    columns = [
        _attacks(result, rows),
        estimates("Recognised by the judge", [one.accuracy for one in rows], as_rate=True),
        _named(rows),
        _top_5(rows),
        _best(rows),
        Column("Advantage, points", [points(one.advantage) for one in rows], number=True),
        numbers("p (Holm)", [p_value(one.p_value_holm) for one in rows]),
        Column("Beyond every baseline", [
            Cell("yes", tone="fail") if is_beyond(one, at) else Cell("no", tone="pass") for one in rows
        ]),
        _search(result, rows),
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


def ceilings(result: InversionResult) -> Table:
    """What each prior can show at all."""
    rows = result.ceilings
    names = titles(result.targets)
    told = [f"against {names.get(one.target, one.target)}" if one.target else "knows no target" for one in rows]
    columns = [
        Column("Prior", [Cell(one.prior, details=(of,)) for one, of in zip(rows, told, strict=True)]),
        numbers("Images", [count(one.n_images) for one in rows]),
        estimates("Recognised, as the prior shows them", [one.accuracy for one in rows], as_rate=True),
        estimates("Recognised, as they are", [one.real for one in rows], as_rate=True),
        Column(
            "Beyond the best baseline, points",
            [points(one.advantage, one.baseline) for one in rows], number=True,
        ),
        numbers("Difference of pixels", [significant(one.distance) for one in rows]),
        Column("It can show classes", [
            Cell("yes", tone="pass") if one.is_high else Cell("no", tone="fail") for one in rows
        ]),
    ]  # fmt: skip
    return Table("Real private images, searched for in each prior by their pixels", columns, style="wide")


def taken(result: InversionResult) -> Table | None:
    """What the judge takes for a private class though it shows none; None where it was not asked."""
    rows = result.evaluator.taken
    if not rows:
        return None
    real = [("Held-out real images, for their own class", result.evaluator.accuracy)]
    every = real + [(one.title, one.share) for one in rows]
    return Table(
        "Taken for a private class",
        [words("Images", [title for title, _ in every]), estimates("Share", [one for _, one in every], as_rate=True)],
    )


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
    rows, first = rivals(result.targets), reference(result.targets)
    names = titles(result.targets)
    beside = None
    if first is not None:
        beside = Column(
            f"Beside {names[first.name]}, points by class",
            [_paired(result, first.worst, one.worst, one.name == first.name) for one in rows], number=True,
        )  # fmt: skip
    columns = [
        Column("Target", [Cell(names[one.name], details=(_trained(one),)) for one in rows]),
        estimates("Natural accuracy", [one.test_accuracy for one in rows], as_rate=True),
        estimates("Accuracy in training", [one.train_accuracy for one in rows], as_rate=True),
        Column("Best attack", [Cell(title_of(result.attacks, one.worst.attack)) for one in rows]),
        estimates("Recognised by the judge", [one.worst.accuracy for one in rows], as_rate=True),
        estimates("Its best baseline", [best_accuracy(one.worst) for one in rows], as_rate=True),
        numbers("p (Holm)", [p_value(one.worst.p_value_holm) for one in rows]),
        beside,
    ]
    columns = [column for column in columns if column is not None]
    return Table("Targets, and the attack that gets furthest with each", columns, style="wide")


def every_attack(result: InversionResult) -> Table:
    """Targets down, attacks across."""
    rows, names = rivals(result.targets), titles(result.targets)
    columns = [words("Target", [names[one.name] for one in rows])]
    for info in result.attacks:
        found = [next((each for each in one.attacks if each.attack == info.name), None) for one in rows]
        columns.append(estimates(info.title, [None if one is None else one.accuracy for one in found], as_rate=True))
    return Table("Recognised by the judge, attack by attack", columns, style="wide")


def every_pair(result: InversionResult) -> Table | None:
    """Each target less the first undefended one, by the same attack on the same classes; None where there is none."""
    first, names = reference(result.targets), titles(result.targets)
    if first is None:
        return None
    rows = [one for one in rivals(result.targets) if one.name != first.name]
    columns = [words("Target", [names[one.name] for one in rows])]
    for before in first.attacks:
        after = [next((each for each in one.attacks if each.attack == before.attack), None) for one in rows]
        cells = [Cell(UNDEFINED) if one is None else _paired(result, before, one) for one in after]
        columns.append(Column(title_of(result.attacks, before.attack), cells, number=True))
    return Table(f"Points beside {names[first.name]}, class by class, attack by attack", columns, style="wide")


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
    return ", ".join(f"{name} {option_text(value)}" for name, value in options.items())


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


def _named(rows: Sequence[Reconstructed]) -> Column | None:
    """What a judge says that knows nobody else."""
    values = [one.named for one in rows]
    return estimates("Named among the private", values, as_rate=True) if any(values) else None


def _search(result: InversionResult, rows: Sequence[Reconstructed]) -> Column | None:
    """What the search has beyond a selection."""
    if not any(one.beyond_selection for one in rows):
        return None
    cells = [
        Cell("a selection")
        if one.beyond_selection is None
        else points(one.beyond_selection, title_of(result.attacks, one.selection))
        for one in rows
    ]
    return Column("Search minus selection, points", cells, number=True)


def _paired(result: InversionResult, before: Reconstructed, after: Reconstructed, same: bool = False) -> Cell:
    found = None if same else paired(before, after, result.confidence)
    return Cell(UNDEFINED) if found is None else points(found[0], f"p {p_value(found[1])}")


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


def points(one: Estimate, *details: str, signed: bool = False) -> Cell:
    """A difference of rates in percentage points."""
    if one.value is None:
        return Cell(UNDEFINED, flag=one.flag or "undefined")
    ends = "" if one.low is None or one.high is None else f"[{100 * one.low:.1f}, {100 * one.high:.1f}]"
    return Cell(f"{100 * one.value:{'+' if signed else ''}.1f}", ends, details, flag=one.flag)


def _own(one: Reconstructed) -> Cell:
    """What the attacked model says of the images, with the alarm where it alone is convinced."""
    plain = estimates("", [one.target_accuracy], as_rate=True)
    alarm = ("adversarial",) if one.adversarial else ()
    return Cell(plain.cells[0].text, plain.cells[0].interval, alarm, plain.flag or plain.cells[0].flag)


def _trained(one: TargetResult) -> str:
    if one.n_trained == one.n_parameters:
        return f"all {count(one.n_parameters)} parameters trained on private images"
    return f"{count(one.n_trained)} of {count(one.n_parameters)} parameters trained on private images"
