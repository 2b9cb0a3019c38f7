"""How a study of model inversion was made: limits, judge, attacks, targets; and the contact sheet of what was made."""

from seepage.report.blocks import Facts, Paragraph, PictureRow, Pictures, sentences
from seepage.report.inversion import tables
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import AttackInfo, InversionResult, Picture, TargetResult
from seepage.schema.inversion_reading import title_of, titles
from seepage.schema.numbers import count, with_interval

MOST_OF_A_CLASS = 8  # images on either side of a row of the contact sheet
MOST_CHARACTERS = 6_000_000  # of pictures on a page


def method(result: InversionResult) -> list:
    judge, shape = result.evaluator, " x ".join(map(str, result.image_shape))
    private = (
        f"{count(result.n_private_classes)} classes, {count(result.n_attacked_classes)} of them attacked; "
        f"{count(result.n_private_images)} images to train on, {count(result.n_held_out_images)} held out; {shape}"
    )
    judged = with_interval(judge.accuracy, as_rate=True)
    if judge.accuracy_top_5 is not None:
        judged += f"; among its five likeliest {_told(judge.accuracy_top_5)}"
    names = titles(result.targets)
    return [
        sentences(result.limits, "Limits"),
        Facts(
            [
                ("Private images", private),
                ("The attacker's images", f"{result.public}; {count(result.n_public_images)}"),
                *((f"Prior: {kind}", about) for kind, about in result.priors.items()),
                ("Seeds", ", ".join(map(str, result.seeds))),
            ],
            title="Set-up",
        ),
        Facts(
            [
                ("Judge", f"{judge.name}: {judge.about}"),
                *([("A hit", judge.rule)] if judge.rule else []),
                ("Right on real images", judged),
                *([("Named among the private, real images", _told(judge.named))] if judge.named else []),
                *(("Checked", sentence) for sentence in judge.checks),
            ],
            title="The judge",
        ),
        *(_attack(one) for one in result.attacks),
        *(_target(names[one.name], one) for one in result.targets),
    ]


def _attack(one: AttackInfo) -> Facts:
    tries = "1 try" if one.restarts == 1 else f"{count(one.restarts)} tries"
    budget = f"{count(one.steps)} steps, {tries}, {count(one.queries)} questions"
    rows = [
        ("Name", one.name),
        ("Source", one.source),
        ("Access", one.access),
        ("Prior", one.prior),
        ("Budget an image", budget),
        ("Options", tables.options_of(one.options)),
        *(("To know", note) for note in one.notes),
    ]
    return Facts([(term, text) for term, text in rows if text], title=one.title)


def _target(title: str, one: TargetResult) -> Facts:
    told = {"null": "on the private images that others are trained on", "shuffled": "in training, by the true labels"}
    seen = told.get(one.role, "in training")
    rows = [
        ("Name", one.name),
        ("Role", one.role),
        ("Options", tables.options_of(one.options)),
        ("Parameters", f"{count(one.n_parameters)}, of which {count(one.n_trained)} saw private images"),
        ("Accuracy", f"{_told(one.train_accuracy)} {seen}, {_told(one.test_accuracy)} on held-out images"),
        *(("To know", note) for note in one.notes),
    ]
    return Facts([(term, text) for term, text in rows if text], title=title)


def _told(one: Estimate) -> str:
    return with_interval(one, as_rate=True, n=False)


def pictures(result: InversionResult) -> list:
    """The contact sheet, as far as a page has room for it."""
    if not result.pictures:
        return []
    names, groups, room = titles(result.targets), {}, MOST_CHARACTERS
    for one in result.pictures:
        row = _row(one)
        room -= sum(map(len, row.real)) + sum(len(image) for image, _ in row.made)
        if room < 0:
            break
        title = f"{names.get(one.target, one.target)}, {title_of(result.attacks, one.attack)}"
        groups.setdefault(title, []).append(row)
    shown = sum(map(len, groups.values()))
    left = len(result.pictures) - shown
    rest = f" {count(left)} more {'row' if left == 1 else 'rows'} are in the result." if left else ""
    return [
        Paragraph(
            "This page shows private images, so whoever has it has those. In each row: the class; images of it that "
            f"the target was trained on; what the attack made. Framed and ticked: recognised by the judge.{rest}"
        ),
        *(Pictures(title, rows) for title, rows in groups.items()),
    ]


def _row(one: Picture) -> PictureRow:
    made = list(zip(one.reconstructed, one.recognised, strict=False))
    return PictureRow(one.class_name, one.private[:MOST_OF_A_CLASS], made[:MOST_OF_A_CLASS])
