"""Commands that protect: defend, compare, and the list of defences."""

import json
import sys

import click

from seepage.cli.command import TaskCommand, carry_out
from seepage.cli.group import main, say

LISTED = "; 'seepage defences' lists them"


@main.command(cls=TaskCommand, spec="defend:DefendConfig", needs=("data", "defence"), hint=LISTED)
def defend(task) -> None:
    """Train a model with a defence, and keep what an audit of it needs.

    \b
    seepage defend --data digits --defence hamp --out DIR
    seepage defend --data digits --defence dp-sgd --option noise_multiplier=1.5
    seepage audit --defended DIR
    """
    summary = task.run(progress=sys.stderr.isatty())
    for part in ("train", "test"):
        if part in summary:
            numbers = ", ".join(f"{name} {number['value']:.3f}" for name, number in summary[part].items())
            say(f"{part}: {numbers} ({summary[part]['accuracy']['n']} records)")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"\nModel, recipe and membership: {task.out}\nAudit it with: seepage audit --defended {task.out}")


@main.command(cls=TaskCommand, spec="compare:CompareConfig", needs=("data", "defences"), hint=LISTED)
def compare(task) -> None:
    """Compare defences: how much privacy each buys for how much accuracy.

    \b
    seepage compare --data digits --defences hamp,label-smoothing,dp-sgd --out DIR
    seepage compare --data digits --defences hamp,dp-sgd --floor 0.02
    seepage compare comparison.yaml
    """
    carry_out(task)


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
