"""Commands about model inversion: invert, inversions, fisher."""

import json
import sys
from pathlib import Path

import click

from seepage.cli.flags import command_line, names, renamed, show
from seepage.cli.group import main, say


@main.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="Labelled images: a named data set (digits, quickdraw, ...) or a file.")
@click.option("--limit", type=click.IntRange(4), help="Use this many records, drawn at random.  [default: all]")
@click.option("--public", help="The attacker's images: another data set or file.  [default: the other classes]")
@click.option("--private", type=click.IntRange(2), help="So many private classes.  [default: half; all with --public]")
@click.option("--attacked", type=click.IntRange(2), help="Private classes that are inverted.  [default: all]")
@click.option("--model", type=click.Path(path_type=Path), help="Attack this (.safetensors, .pt): output c is label c.")
@click.option("--architecture", help="What to train, by default cnn; or what the weights of --model belong to.")
@click.option("--nonmembers", help="With --model: images of its classes that it was not trained on.")
@click.option("--attack", "--attacks", "attacks", help="Names separated by commas ('seepage inversions').")
@click.option("--defences", help="Attack models with these defences too, with commas.")
@click.option("--sweep", is_flag=True, default=None, help="Each defence at every setting of its grid.")
@click.option("--controls", is_flag=True, default=None, help="Attack a null and a shuffled-label model too.")
@click.option("--steps", type=click.IntRange(1), help="Updates of an image.  [default: 200]")
@click.option("--restarts", type=click.IntRange(1), help="Tries for an image.  [default: 1]")
@click.option("--full-budget", is_flag=True, default=None, help="The steps, restarts and questions of each source.")
@click.option("--images-per-class", type=click.IntRange(1), help="[default: 1]")
@click.option("--generator", help="In place of a GAN on public images: dcgan-faces or a .safetensors.")
@click.option("--samples", type=click.IntRange(0), help="Images of that generator that join the public ones.")
@click.option("--prior-steps", type=click.IntRange(1), help="Training steps of a GAN.  [default: 2000]")
@click.option("--judge", help="sface or an embedder's .onnx.  [default: train one]")
@click.option("--epochs", type=float, help="Training epochs of the targets.  [default: 50]")
@click.option("--seeds", type=click.IntRange(1), help="Repetitions of the whole line: seeds 0, 1, ...  [default: 1]")
@click.option("--show-records", is_flag=True, default=None, help="Private images beside reconstructions in the report.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[default: the GPU where there is one]")
@click.option("--workers", type=click.IntRange(0), help="Processes.  [default: one a core]")
@click.option("--seed", type=click.IntRange(0), help="Of which classes are private.  [default: 0]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for run, result and report.  [default: inversion]")
def invert(config: Path | None, **flags) -> None:
    """Reconstruct what a model's classes look like, and judge how much of that is the model's doing.

    \b
    seepage invert --data digits --attack gmi --out DIR
    seepage invert --data quickdraw --private 60 --attacks gmi,ked-mi,brep-mi --defences tl-dmi --sweep
    seepage invert inversion.yaml
    """
    from seepage.cli.specs.invert import FULL, InvertConfig

    given = {name: value for name, value in flags.items() if value is not None}
    if config is None and "data" not in given:
        raise click.UsageError("nothing to invert: give a CONFIG or --data")
    if given.pop("full_budget", False):
        if {"steps", "restarts"} & set(given):
            raise click.UsageError("--full-budget sets steps and restarts: leave out --steps and --restarts")
        given["budget"] = FULL
    targets = []
    if "defences" in given or given.get("controls"):
        sweep = given.pop("sweep", False)
        targets = [{"name": "undefended"}, *({"name": n, "sweep": sweep} for n in names(given.pop("defences", "")))]
        targets += [{"name": "null"}, {"name": "shuffled"}] if given.pop("controls", False) else []
        given["targets"] = targets
    elif given.pop("sweep", False):
        raise click.UsageError("--sweep goes through the grids of --defences: name some")
    if "seeds" in given:
        given["seeds"] = list(range(given["seeds"]))
    for section in ("public", "nonmembers"):
        if section in given:
            placed = renamed({"data": given.pop(section)}, trains=False)
            given |= {f"{section}.{key.removeprefix('data.')}": value for key, value in placed.items()}
    own = "model" in given
    given = renamed(given, trains=False)
    for flag, key in (
        ("limit", "data.limit"),
        ("architecture", "model.architecture" if own else "recipe.architecture"),
        ("steps", "budget.steps"),
        ("restarts", "budget.restarts"),
        ("generator", "prior.generator"),
        ("samples", "prior.samples"),
        ("prior_steps", "prior.steps"),
    ):
        if flag in given:
            given[key] = given.pop(flag)
    parsed = InvertConfig.read(config, given)
    result = parsed.run(progress=sys.stderr.isatty(), command=command_line())
    show(result)
    say(f"\nReport: {parsed.out / 'report.html'}")


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
