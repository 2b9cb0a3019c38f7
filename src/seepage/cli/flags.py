"""What several commands share: flags as keys of a configuration, results on the terminal."""

import shlex
import sys
from pathlib import Path

import click


def renamed(flags: dict, *, trains: bool) -> dict:
    """Flags as keys of the configuration."""
    from seepage.data.catalogue import DATASETS

    values = dict(flags)
    if "data" in values:
        data = values.pop("data")
        is_file = data not in DATASETS and ("." in data or Path(data).exists())
        values["data.file" if is_file else "data.name"] = data
        if "label" in values:
            values["data.options.label"] = values.pop("label")
    if "label" in values:
        values["options.label"] = values.pop("label")
    if "model" in values:
        values["model.file"] = values.pop("model")
    for flag, key in (
        ("model_outputs", "model.outputs"),
        ("output_name", "model.output_name"),
        ("trust_code", "model.trust_code"),
        ("canaries", "canaries.n"),
        ("canary_kind", "canaries.kind"),
        ("defence", "recipe.defence.name"),
    ):
        if flag in values:
            values[key] = values.pop(flag)
    if trains:
        values.setdefault("architecture", "mlp")
    if "epochs" in values:
        values["recipe.epochs"] = values.pop("epochs")
    if "attacks" in values:
        values["attacks"] = names(values["attacks"])
    return values


def show(result) -> None:
    from seepage.report.terminal import summary

    click.echo(summary(result, colour=sys.stdout.isatty()))


def command_line() -> str:
    """What was typed, as it goes into a result."""
    return shlex.join(["seepage", *sys.argv[1:]])


def names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
