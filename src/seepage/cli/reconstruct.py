"""Commands about model inversion: invert, inversions, fisher."""

import json
from pathlib import Path

import click

from seepage.cli.command import TaskCommand, carry_out
from seepage.cli.group import main, say


@main.command(cls=TaskCommand, spec="invert:InvertConfig", needs=("data",))
@click.option("--defences", metavar="NAMES", help="Attack models with these defences too, with commas.")
@click.option("--sweep", is_flag=True, default=None, help="Each defence at every setting of its grid.")
@click.option("--controls", is_flag=True, default=None, help="Attack a null and a shuffled-label model too.")
@click.option("--full-budget", is_flag=True, default=None, help="The steps, restarts and queries of each source.")
def invert(task) -> None:
    """Reconstruct what a model's classes look like, and judge how much of that is the model's doing.

    \b
    seepage invert --data digits --attack gmi --out DIR
    seepage invert --data quickdraw --private 60 --attacks gmi,ked-mi,brep-mi --defences tl-dmi --sweep
    seepage invert inversion.yaml
    """
    carry_out(task)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def inversions(as_json: bool) -> None:
    """List the inversion attacks: access, prior, budget, source."""
    from seepage.inversion import table

    rows = table()
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    for row in rows:
        budget = f"{row['steps']:,} steps x {row['restarts']}"
        say(
            f"{row['name']}\n    {row['title']}; access: {row['access']}; needs: {', '.join(row['needs'])}; its own "
            f"budget: {budget}\n    {row['source']}"
        )


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The figure, .svg.  [default: FOLDER/fisher.svg]")
@click.option("--json", "as_json", is_flag=True, help="The curves as JSON.")
def fisher(folder: Path, out: Path | None, as_json: bool) -> None:
    """Which layers know the classes, and which give images away: Fisher information of the models in FOLDER.

    \b
    seepage invert --data digits --attack gmi --out DIR
    seepage fisher DIR
    """
    from seepage.errors import InputError
    from seepage.report.fisher_plot import slope_of, write_fisher
    from seepage.schema.inversion import InversionResult

    result = InversionResult.load(folder)
    if not result.fisher:
        raise InputError(
            f"{folder} has no Fisher information: its study was told to leave it out, no attack there has gradients, "
            "or the targets are too sure of all images to have any left"
        )
    if as_json:
        say(json.dumps([curve.model_dump() for curve in result.fisher], indent=1))
        return
    for curve in result.fisher:
        where = f"at steps {', '.join(map(str, curve.steps))}" if curve.steps else "finished"
        say(f"{curve.target}, images of {curve.attack}, {where} ({curve.n_inversion}); slope {slope_of(curve)}:")
        say(f"    {'layer':24}{'classification':>16}{'inversion':>12}{'ratio':>24}")
        ratios = zip(curve.ratio, curve.ratio_low, curve.ratio_high, strict=True)
        told = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in ratios] or [""] * len(curve.layers)
        for row in zip(curve.layers, curve.classification, curve.inversion, told, strict=True):
            say("    {:24}{:16.3f}{:12.3f}{:>24}".format(*row))
    beside = folder if folder.is_dir() else folder.parent
    say(f"Figure: {write_fisher(result.fisher, out or beside / 'fisher.svg')}")
