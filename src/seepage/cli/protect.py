"""Commands that protect: defend, compare, and the list of defences."""

import json
import sys
from pathlib import Path

import click

from seepage.cli.flags import command_line, names, renamed, show
from seepage.cli.group import main, say


@main.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="A named data set (digits, adult, cifar10, ...) or a file of records.")
@click.option("--label", help="Column of the labels, in .csv and .parquet files.")
@click.option("--defence", help="One of 'seepage defences'.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the defence; repeatable.")
@click.option("--architecture", help="What to train.  [default: mlp]")
@click.option("--epochs", type=float, help="Training epochs.  [default: 50]")
@click.option("--seed", type=click.IntRange(0), help="Everything random derives from it.  [default: 0]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for model and recipe.  [default: defended]")
def defend(config: Path | None, **flags) -> None:
    """Train a model with a defence, and keep what an audit of it needs.

    \b
    seepage defend --data digits --defence hamp --out DIR
    seepage defend --data digits --defence dp-sgd --option noise_multiplier=1.5
    seepage audit --defended DIR
    """
    from seepage.cli.specs.defend import DefendConfig
    from seepage.cli.specs.strict_yaml import parse_yaml

    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if config is None and not {"data", "defence"} <= set(given):
        raise click.UsageError("give a CONFIG, or --data and --defence; 'seepage defences' lists them")
    for option in given.pop("options", ()):
        name, equals, value = option.partition("=")
        if not equals:
            raise click.UsageError(f"--option {option}: expected NAME=VALUE")
        given[f"recipe.defence.options.{name}"] = parse_yaml(value, f"--option {name}")
    given = renamed(given, trains=False)
    if "architecture" in given:
        given["recipe.architecture"] = given.pop("architecture")
    parsed = DefendConfig.read(config, given)
    summary = parsed.run(progress=sys.stderr.isatty())
    for part in ("train", "test"):
        if part in summary:
            numbers = ", ".join(f"{name} {number['value']:.3f}" for name, number in summary[part].items())
            say(f"{part}: {numbers} ({summary[part]['accuracy']['n']} records)")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"\nModel, recipe and membership: {parsed.out}\nAudit it with: seepage audit --defended {parsed.out}")


@main.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="A named data set (digits, adult, cifar10, ...) or a file of records.")
@click.option("--label", help="Column of the labels, in .csv and .parquet files.")
@click.option("--limit", type=click.IntRange(4), help="Use this many records, drawn at random.  [default: all]")
@click.option("--defences", help="Names separated by commas; of a CONFIG's rows those of these names.")
@click.option("--attacks", help="Names separated by commas.  [default: those that fit]")
@click.option("--architecture", help="What to train.  [default: mlp]")
@click.option("--epochs", type=float, help="Training epochs.  [default: 50]")
@click.option("--references", type=click.IntRange(2), help="Models for each defence and seed.  [default: 64]")
@click.option("--seeds", type=click.IntRange(1), help="Repetitions: seeds 0, 1, ...  [default: 3]")
@click.option("--floor", type=float, help="Validation accuracy that a defence may cost; its options are searched.")
@click.option("--canaries", type=click.IntRange(4), help="Audit so many planted canaries too.")
@click.option(
    "--canary-kind",
    type=click.Choice(["strongest", "clean", "mislabelled", "blank", "ood", "near-duplicates"]),
    help="What the canaries are; strongest: for each defence those that it hides least.  [default: strongest]",
)
@click.option("--workers", type=click.IntRange(0), help="Processes that train.  [default: planned]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for runs and result.  [default: comparison]")
def compare(config: Path | None, **flags) -> None:
    """Compare defences: how much privacy each buys for how much accuracy.

    \b
    seepage compare --data digits --defences hamp,label-smoothing,dp-sgd --out DIR
    seepage compare --data digits --defences hamp,dp-sgd --floor 0.02
    seepage compare comparison.yaml
    """
    from seepage.cli.specs.compare import CompareConfig

    given = {name: value for name, value in flags.items() if value is not None}
    if config is None and not {"data", "defences"} <= set(given):
        raise click.UsageError("give a CONFIG, or --data and --defences; 'seepage defences' lists them")
    if "defences" in given:
        given["defences"] = names(given["defences"])
    if "seeds" in given:
        given["seeds"] = list(range(given["seeds"]))
    given = renamed(given, trains=False)
    for flag, key in (("limit", "data.limit"), ("architecture", "recipe.architecture")):
        if flag in given:
            given[key] = given.pop(flag)
    parsed = CompareConfig.read(config, given)
    result = parsed.run(progress=sys.stderr.isatty(), command=command_line())
    show(result)
    say(f"\nReport: {parsed.out / 'report.html'}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def defences(as_json: bool) -> None:
    """List the defences: what each changes, its options, where it comes from."""
    from seepage.defences import table

    rows = table()
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    for row in rows:
        options = ", ".join(f"{name}={value}" for name, value in row["options"].items()) or "no options"
        say(f"{row['name']}\n    {row['title']}; changes: {row['kind']}; {options}\n    {row['source']}")
