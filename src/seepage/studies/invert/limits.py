"""What a study of inversion does not say."""

from __future__ import annotations

from seepage.inversion.base import Budget
from seepage.schema.inversion import AttackInfo
from seepage.schema.inversion_reading import controls, rivals
from seepage.schema.numbers import count, listed
from seepage.schema.parts import Finding
from seepage.studies.invert.verdict import Evidence, rate_of

MANY_CLASSES, SURE_JUDGE = 20, 0.9


def limits(found: Evidence) -> list[Finding]:
    """What this study does not say."""
    told = [
        ("Attacks", "Only these attacks were tried, at this budget and with these public images. A floor, not a "
         "ceiling: a stronger attack, or a prior nearer to the private images, may get further."),
        ("One judge", "One model judges what an image shows. Another judge, or a person, may recognise more or less. "
         "To be recognised is not to be alike. Look at the pictures."),
    ]  # fmt: skip
    judge = found.evaluator.accuracy
    if judge.value is not None and judge.value < SURE_JUDGE:
        sentence = (
            f"The judge takes real images for their class in only {rate_of(judge)} of cases, so that no attack can be "
            "expected to score much higher."
        )
        told.append(("Ceiling", sentence))
    if found.n_attacked_classes < MANY_CLASSES:
        sentence = (
            f"Only {count(found.n_attacked_classes)} classes were attacked. Classes differ, and with so few the "
            "figures may be others for the next."
        )
        told.append(("Few classes", sentence))
    if found.is_given:
        sentence = "The attacked model is one that was given: what another training of it gives away is not known."
        told.append(("One model", sentence))
    elif len(found.seeds) < 3:
        times = "once" if len(found.seeds) <= 1 else "twice"
        sentence = f"Every target was trained and attacked {times}: how much a training differs is hardly known."
        told.append(("Seeds", sentence))
    told += filter(None, [_budget(found), _label_only(found), _no_controls(found), _undefined(found)])
    if any(len(one.attacks) > 1 for one in rivals(found.targets)):
        sentence = (
            "The best attack is chosen by the very images that its figure is about, and the largest of noisy figures "
            "is a little too large."
        )
        told.append(("Largest figures", sentence))
    return [Finding(about=about, sentence=sentence) for about, sentence in told]


def _budget(found: Evidence) -> tuple[str, str] | None:
    """Where an attack had less than its source gives it."""
    short = [
        f"{one.title} ({', '.join(gaps)})"
        for one in found.attacks
        if (own := found.own.get(one.name)) is not None and (gaps := _gaps(one, own))
    ]
    if not short:
        return None
    return "Budget", f"These had less than their sources give them, and may get further with it: {'; '.join(short)}."


def _gaps(given: AttackInfo, own: Budget) -> list[str]:
    names = ("restarts", "queries") if given.access == "label" else ("steps", "restarts")
    return [
        f"{count(getattr(given, name))} of {count(getattr(own, name))} {name}"
        for name in names
        if getattr(given, name) < getattr(own, name)
    ]


def _label_only(found: Evidence) -> tuple[str, str] | None:
    asked = [one for one in found.attacks if one.access == "label"]
    if not asked:
        return "Access", "No attack that sees labels alone was run: what such an attacker gets is not known."
    most = max(one.queries for one in asked)
    return (
        "Labels alone",
        f"{listed([one.title for one in asked])} asked at most {count(most)} questions a try. Such attacks gain with "
        "the number of questions.",
    )


def _no_controls(found: Evidence) -> tuple[str, str] | None:
    if controls(found.targets):
        return None
    return (
        "No control",
        "No target was attacked that cannot show the classes, so it was not checked here that the judge recognises "
        "nothing in its images.",
    )


def _undefined(found: Evidence) -> tuple[str, str] | None:
    """Figures that nobody could compute, once for each kind."""
    what = {
        "frechet": "the Frechet distance (FID)",
        "kernel": "the kernel distance (KID)",
        "nearer_private": "the share nearer to training images",
        "diversity": "the diversity",
    }
    everyone = [attack for target in rivals(found.targets) for attack in target.attacks]
    missing = []
    for name, title in what.items():
        values = [getattr(attack, name) for attack in everyone]
        undefined = [one for one in values if one is None or one.value is None]
        if undefined:
            some = "" if len(undefined) == len(values) else f" for {len(undefined)} of {len(values)} rows"
            why = next((f" ({one.flag})" for one in undefined if one is not None and one.flag), "")
            missing.append(f"{title}{some}{why}")
    return ("Undefined", f"Not computed: {'; '.join(missing)}.") if missing else None
