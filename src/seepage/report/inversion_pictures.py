"""The contact sheet of model inversion: private images beside what was made of them."""

from seepage.report.blocks import Paragraph, PictureRow, Pictures
from seepage.schema.inversion import InversionResult, Picture
from seepage.schema.inversion_reading import title_of, titles
from seepage.schema.numbers import count

MOST_OF_A_CLASS = 8  # images on either side of a row of the contact sheet
MOST_CHARACTERS = 6_000_000  # of pictures on a page


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
