"""What the numbers of a release's audit say, and what they do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seepage.schema.numbers import with_interval
from seepage.schema.parts import Finding
from seepage.schema.release import ReleaseAudit

MOST_COPIES = 0.5  # of the hold-out: beyond it values repeat more than they tell
LEVEL = 0.05  # of the least p-value, below which something was found
LIMITS = [
    Finding(
        about="No guarantee",
        sentence="Only these attacks were tried. A stronger one may find more; what is guaranteed is what the "
        "mechanism promises.",
    ),
    Finding(
        about="Random sides",
        sentence="Members and hold-out records must be drawn at random from one population: every p-value and every "
        "chance level rests on it.",
    ),
    Finding(
        about="For the holder of the originals",
        sentence="This was measured on the originals, without noise. No guarantee covers it: it is not for "
        "publication.",
    ),
]
FEW_RECORDS = (
    "Of the members {members} stand in the release value for value, and {others} of those who were never used: there "
    "are so few different records that who was a member cannot show, and nearly everybody's record is in it."
)
NOTHING_FOUND = "Nothing was found. That is no proof of safety: more records find smaller leaks."
NO_USE = (
    "A model trained on the release is not surely better than naming the most frequent class: that the attacks find "
    "little may only mean that little is in it."
)


def headline(audit: ReleaseAudit) -> str:
    return (
        f"Release of {audit.n_released:,} records: {audit.n_members:,} members against {audit.n_holdout:,} others; "
        f"p = {audit.p_value:.2g} if nothing leaks (Holm)."
    )


def conclusions(audits: Sequence[ReleaseAudit]) -> list[Finding]:
    """Of the release itself alone: the others were not released."""
    found = [Finding(about=about, sentence=sentence) for about, sentence in _of_release(audits[0])]
    if len(audits) > 1:
        only = f"All settings are by the same networks; only {audits[0].setting} was released."
        found.append(Finding(about="Settings", sentence=only))
    return found


def _of_release(audit: ReleaseAudit) -> Iterator[tuple[str, str]]:
    """What the least p-value and the utility do not mean."""
    close, use = audit.closeness, audit.usefulness
    if (close.copied_holdout.value or 0.0) > MOST_COPIES:
        members, others = (with_interval(one, n=False) for one in (close.copied_members, close.copied_holdout))
        yield "Copies", FEW_RECORDS.format(members=members, others=others)
    if audit.p_value > LEVEL:
        yield "Membership", NOTHING_FOUND
    if use is None or use.released.low is None or use.majority.value is None:
        return
    if use.released.low <= use.majority.value:
        yield "Utility", NO_USE
