"""What the page of model inversion says, in order."""

from seepage.report import inversion_plots as plots
from seepage.report.blocks import TONES, Answer, Figure, Figures, KeyFigure, Paragraph, Section, sentences
from seepage.report.fisher_plot import fisher_figure, slope_of
from seepage.report.inversion import tables
from seepage.report.inversion.method import method, pictures
from seepage.report.provenance import provenance
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import InversionResult, TargetResult
from seepage.schema.inversion_reading import (
    best_accuracy,
    best_baseline,
    controls,
    is_beyond,
    is_given,
    leading,
    level,
    rivals,
    subjects,
    title_of,
    titles,
)
from seepage.schema.numbers import count, interval_of, listed, percent, rate, value_of, with_interval

MEANS = {
    "LEAK SHOWN": "Someone with the access of the leading attack can get images of a class that a model apart from "
    "the attacked one recognises, among other classes too, more often than what can be had without asking the target.",
    "NO EVIDENCE": "What these attacks get of a class is recognised no more often than what asks no target.",
    "INCONCLUSIVE": "This study could not decide whether classes can be pictured from the model.",
    "INVALID": "A check failed on which every figure rests. The figures below are kept to find the cause; do not quote "
    "them.",
}
NOT_MEANT = {
    "LEAK SHOWN": "It does not mean that a training record can be read out: an image of a class may show what all its "
    "records share. Whether it lies nearer to the records that were trained on stands under Class or record. Nor is "
    "the figure a ceiling: a stronger attack or a better prior may get further.",
    "NO EVIDENCE": "It does not mean that the model gives nothing away. Only these attacks were tried, with these "
    "public images and this budget, and one model judged what they made.",
    "INCONCLUSIVE": "It means neither that the model leaks nor that it does not. The figures below describe this run; "
    "they support no claim.",
    "INVALID": "It means neither that the model leaks nor that it does not: this judge cannot tell. Take another one, "
    "or more classes, and attack again.",
}


def answer(result: InversionResult) -> Answer:
    data = result.provenance.data
    return Answer(
        heading=result.verdict,
        title=f"{result.verdict}: Seepage model inversion, {data}",
        about=[data],
        headline=result.headline,
        lead=lead(result),
        not_meant=NOT_MEANT[result.verdict],
        key_figures=_key_figures(result),
        tone=TONES[result.verdict],
    )


def lead(result: InversionResult) -> list[str]:
    n = len(result.seeds)
    trained = "" if n == 1 else f", with {count(n)} trainings of every target"
    if trained and is_given(result):
        trained = f", once for each of {count(n)} seeds"
    if trained and controls(result.targets):
        trained += "; a control is made once"
    return [
        MEANS[result.verdict],
        f"Each attack made {count(result.images_per_class)} {_plural('image', result.images_per_class)} of each of "
        f"{count(result.n_attacked_classes)} classes{trained}. A judge that no attack saw names the class of each "
        "image. The attacked model's own word does not count, for it is what an attack sets out to convince.",
        *_old(result),
    ]


def _old(result: InversionResult) -> list[str]:
    """What a reader must know of a result whose judge was a closed one."""
    if result.evaluator.rule:
        return []
    return [
        "This result is of a closed judge: it knew the private classes alone and named one for any image. "
        "Its verdict is as it was written, and none may rest on such a figure: run the study again."
    ]


def _key_figures(result: InversionResult) -> list[KeyFigure]:
    figures, ceiling = [], result.evaluator.accuracy
    if (target := _shown(result)) is not None:
        found = leading(target, level(result.targets, result.alpha))
        best = best_baseline(found)
        told = f"{title_of(result.attacks, found.attack)}, {titles(result.targets)[target.name]}"
        figures.append(_key("Recognised, leading attack", found.accuracy, told))
        if best is not None:
            figures.append(_key("Recognised, no target asked", best.accuracy, best.title))
    if result.ceilings:
        best = max(result.ceilings, key=lambda one: one.accuracy.value or 0.0)
        figures.append(_key("The prior's ceiling", best.accuracy, best.prior))
    return [*figures, _key("Recognised, real images", ceiling, result.evaluator.name)]


def _key(label: str, one: Estimate, what: str) -> KeyFigure:
    return KeyFigure(label, percent(one.value), _about(one, what))


def sections(result: InversionResult) -> list[Section]:
    """Everything after the answer; what was not run has no section."""
    made = [
        ("ceiling", "Can anything be shown here?", _ceiling(result)),
        ("conclusions", "What the numbers say", [sentences(result.conclusions)] if result.conclusions else []),
        ("attacks", "What each attack makes", _attacks(result)),
        ("frontier", "Accuracy against inversion", _frontier(result)),
        ("controls", "Can the judge be fooled?", tables.checks(result)),
        ("likeness", "Class or record", _likeness(result)),
        ("pictures", "Pictures", pictures(result)),
        ("fisher", "Which layers hold it", _fisher(result)),
        ("classes", "Class by class", tables.classes(result)),
        ("targets", "Every other target", _others(result)),
        ("method", "Method and limits", method(result)),
        ("provenance", "Provenance", provenance(result.provenance, recipe=result.recipe)),
    ]
    return [Section(name, title, blocks) for name, title, blocks in made if blocks]


def _shown(result: InversionResult) -> TargetResult | None:
    """The target of the leading attack."""
    at = level(result.targets, result.alpha)

    def rank(target: TargetResult) -> tuple[bool, float]:
        found = leading(target, at)
        return is_beyond(found, at), found.accuracy.value or 0.0

    return max(subjects(result.targets), key=rank, default=None)


def _ceiling(result: InversionResult) -> list:
    """What limits every attack: the priors, and the judge."""
    blocks = []
    if result.ceilings:
        blocks += [
            Paragraph(
                "Before any attack: held-out real images of the attacked classes were searched for in each prior by "
                "their pixels, and the judge was asked about what was found. Where this is not clearly above the "
                "baselines, no verdict rests on that prior. An attack may get further than the search: pixels that are "
                "near on average are blurred, and an attack goes by the class."
            ),
            tables.ceilings(result),
        ]
    if result.evaluator.rule:
        blocks.append(Paragraph(f"An image is a hit if {result.evaluator.rule}."))
    if (table := tables.taken(result)) is not None:
        blocks.append(table)
    return blocks


def _attacks(result: InversionResult) -> list:
    about, names = subjects(result.targets), titles(result.targets)
    if not about:
        return []
    blocks = [
        Paragraph(
            "An attack tells something about the model only as far as its images are recognised beyond what can be had "
            "without asking the target: a guess, a random code of a prior that knows no target, a random public image, "
            "images of another class, and the same attack on a model that never saw the private images. Selections ask "
            "the target and search for nothing: they are attacks, and what a search is worth is what it has beyond "
            "them. Named is the class that a judge of the private classes alone would choose. Where the target is sure "
            f"and the judge is not, the images are adversarial examples. Brackets are {rate(result.confidence)} "
            "intervals over classes."
        )
    ]
    blocks.append(Figures([_panel(result, one) for one in about]))
    for one in about:
        blocks.append(tables.recognition(result, one, f"Recognised, {names[one.name]}"))
        blocks.append(tables.baselines(result, one, f"Baselines: recognised, no target asked, {names[one.name]}"))
        blocks.append(tables.cost(result, one, f"Cost, {names[one.name]}"))
    return blocks


def _panel(result: InversionResult, target: TargetResult) -> Figure:
    read = "; ".join(
        f"{title_of(result.attacks, one.attack)}: judge {_rate(one.accuracy)}, best baseline "
        f"{_rate(best_accuracy(one))}, target {_rate(one.target_accuracy)}{' (adversarial)' if one.adversarial else ''}"
        for one in target.attacks
    )
    return Figure(
        f"attacks-{result.targets.index(target)}",
        f"{titles(result.targets)[target.name]}: share of each attack's images that the judge takes for the class "
        "attacked, above the same for what asks no target; lines are intervals. Hollow: what the attacked model "
        "itself says.",
        f"{read}.",
        lambda: plots.attacks_figure(result, target).axes[0],
    )


def _frontier(result: InversionResult) -> list:
    rows, names = rivals(result.targets), titles(result.targets)
    if len(rows) < 2:
        return []
    read = "; ".join(
        f"{names[one.name]} {value_of(one.worst.accuracy, as_rate=True)} at {percent(one.test_accuracy.value)}"
        for one in rows
    )
    missing = [names[one.name] for one in rows if None in (one.test_accuracy.value, one.worst.accuracy.value)]
    left_out = f" Not drawn, for they are undefined: {listed(missing)}." if missing else ""
    return [
        Paragraph(
            "Right is more useful, down is more private. A defence that costs more accuracy may give less away for "
            "that reason alone: judge it beside others of the same accuracy. Two targets are compared by the same "
            "classes, in pairs: intervals that overlap say little about a difference. Controls are left out."
        ),
        Figures(
            [
                Figure(
                    "frontier-panel",
                    "Share of the best attack's images that the judge recognises, against natural accuracy; lines "
                    "through a point are intervals, and a thin line joins the settings of one defence. Dotted: the "
                    f"best baseline of the first target.{left_out}",
                    f"{read}.",
                    lambda: plots.frontier_figure(result).axes[0],
                )
            ]
        ),
        tables.targets(result),
        tables.every_attack(result),
        *filter(None, [tables.every_pair(result)]),
    ]


def _likeness(result: InversionResult) -> list:
    names = titles(result.targets)
    made = [(one, tables.likeness(result, one, f"Likeness, {names[one.name]}")) for one in subjects(result.targets)]
    found = [table for _, table in made if table is not None]
    if not found:
        return []
    return [
        Paragraph(
            "Distances are squared, of features of the judge. Nearer to a training image: the share that lie nearer to "
            "an image of the class that was trained on than to one that was held out, as many of each. At 50 % the "
            "image shows the class, and no record more than any other of it. A judge that was trained on the same "
            "images has features that lie nearer to them, so read a larger share beside that of a control. Diversity "
            "is a share of that of real images; near 0 all images of a class are alike."
        ),
        *found,
    ]


def _fisher(result: InversionResult) -> list:
    if not result.fisher:
        return []
    names = titles(result.targets)
    if not all(one.ratio for one in result.fisher):
        return _fisher_shares(result)
    first = result.fisher[0]
    steps = f"steps {listed([str(step) for step in first.steps])} of " if first.steps else "the finished images of "
    read = "; ".join(
        f"{names.get(one.target, one.target)}: slope {slope_of(one)}, ratio "
        f"{listed([f'{layer} {value:.2f}' for layer, value in zip(one.layers, one.ratio, strict=True)])}"
        for one in result.fisher
    )
    return [
        Paragraph(
            "Fisher information says how much a loss hangs on the weights of a layer: squared gradients of each image, "
            "averaged. Each curve is normalised to a sum of one, and that of inversion is divided by that of "
            "classifying private images, so that the size and the scale of a layer cancel. Above 1 inversion hangs on "
            "the layer more than classification does; a slope below 0 says that it hangs on early layers. A "
            "description, and no proof that a layer holds what is given away."
        ),
        Figures(
            [
                Figure(
                    "fisher-panel",
                    f"Share of each layer in the information of inversion ({steps}"
                    f"{title_of(result.attacks, first.attack)}, by the attack's own loss) over its share in that of "
                    "classification; bands are intervals over classes, or over images of fewer than five.",
                    f"{read}.",
                    lambda: fisher_figure(result.fisher),
                )
            ]
        ),
    ]


def _fisher_shares(result: InversionResult) -> list:
    """Of results that were written before the ratio: finished images, and the cross-entropy for every attack."""
    names = titles(result.targets)
    read = "; ".join(
        f"{names.get(one.target, one.target)}: classification most in {one.layers[_largest(one.classification)]}, "
        f"inversion ({title_of(result.attacks, one.attack)}) most in {one.layers[_largest(one.inversion)]}"
        for one in result.fisher
    )
    return [
        Paragraph(
            "Fisher information says how much a loss hangs on the weights of a layer: squared gradients of each image, "
            "averaged, and each curve normalised to a sum of one. These are of images that an attack had finished, on "
            "which little of its loss is left, by the cross-entropy: run the study again for the attack's own path."
        ),
        Figures(
            [
                Figure(
                    "fisher-panel",
                    "Share of each layer in the Fisher information of classifying private images, and of the attack's "
                    "images; bands are intervals over classes, or over images of fewer than five.",
                    f"{read}.",
                    lambda: fisher_figure(result.fisher),
                )
            ]
        ),
    ]


def _largest(values: list[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _others(result: InversionResult) -> list:
    """The full tables of whom the verdict is not about."""
    about, names = {one.name for one in subjects(result.targets)}, titles(result.targets)
    blocks = []
    for one in result.targets:
        if one.name in about or not one.attacks:
            continue
        title = names[one.name]
        blocks.append(tables.recognition(result, one, f"Recognised, {title}"))
        blocks.append(tables.baselines(result, one, f"Baselines, {title}"))
        if (table := tables.likeness(result, one, f"Likeness, {title}")) is not None:
            blocks.append(table)
    return blocks


def _about(one: Estimate, what: str) -> str:
    numbers = ", ".join(filter(None, [interval_of(one, as_rate=True), f"n {count(one.n)}"]))
    return f"{numbers}; {what}"


def _rate(one: Estimate) -> str:
    return with_interval(one, as_rate=True, n=False)


def _plural(word: str, n: float) -> str:
    return word if n == 1 else f"{word}s"
