"""Commands that release data: synthesise."""

import sys
from pathlib import Path

import click

from seepage.cli.flags import command_line, renamed, show
from seepage.cli.group import main, say


@main.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="A named data set (digits, adult, fashion-mnist, ...) or a file of records.")
@click.option("--label", help="Column of the labels, in .csv and .parquet files.")
@click.option("--limit", type=click.IntRange(4), help="Use this many records, drawn at random.  [default: all]")
@click.option("--epsilon", type=float, help="Of metric privacy, per unit of distance and release; inf: no noise.")
@click.option("--latent", type=click.IntRange(1), help="Dimensions of a code.  [default: 16]")
@click.option("--clip", type=float, help="Bound on a code's norm.  [default: none]")
@click.option("--labels", type=click.Choice(["kept", "conditional", "per-class", "randomised-response"]))
@click.option("--label-epsilon", type=float, help="Of randomised response.")
@click.option("--releases", type=click.IntRange(1), help="Records made of each original.  [default: 1]")
@click.option("--public", help="Train the networks on this data set or file instead.")
@click.option("--epochs", type=click.IntRange(1), help="Of the VAE.  [default: those that make 3,000 steps]")
@click.option("--noise-multiplier", type=float, help="Train the networks by DP-SGD with this noise.")
@click.option("--audit", is_flag=True, default=None, help="Hold half of the records back and audit the release.")
@click.option("--compare-epsilon", type=float, multiple=True, help="Audit a release at this epsilon too; repeatable.")
@click.option("--seed", type=click.IntRange(0), help="Of records drawn or held back; the noise has none.  [default: 0]")
@click.option("--out", type=click.Path(path_type=Path), help=".npz, .csv or a folder.  [default: synthetic.npz]")
def synthesise(config: Path | None, **flags) -> None:
    """Make synthetic records, and say exactly what is guaranteed.

    \b
    seepage synthesise --data digits --epsilon 20 --out digits.npz
    seepage synthesise --data adult --epsilon 30 --out adult.csv --audit --compare-epsilon 5 --compare-epsilon inf
    seepage synthesise --data mine.csv --label income --epsilon 30 --clip 3 --noise-multiplier 1 --out release.csv
    """
    from seepage.cli.specs.synthesise import SynthesiseConfig

    compared = flags.pop("compare_epsilon")
    given = {name: value for name, value in flags.items() if value is not None}
    if compared:
        given["compare_epsilons"] = list(compared)
    if config is None and not {"data", "epsilon"} <= set(given):
        raise click.UsageError("give a CONFIG, or --data and --epsilon")
    public = given.pop("public", None)
    given = renamed(given, trains=False)
    if public is not None:
        of_public = renamed({"data": public, **({"label": flags["label"]} if flags["label"] else {})}, trains=False)
        given |= {f"public.{key.removeprefix('data.')}": value for key, value in of_public.items()}
    for flag, key in (("limit", "data.limit"), ("recipe.epochs", "epochs")):
        if flag in given:
            given[key] = given.pop(flag)
    parsed = SynthesiseConfig.read(config, given)
    made = parsed.run(progress=sys.stderr.isatty(), command=command_line())
    say(f"{made['n_records']:,} synthetic records: {parsed.out} (guarantee: {parsed.out}.json)")
    for sentence in (*made["sentences"], *made["distances"]):
        say(f"- {sentence}")
    if made["audit"] is not None:
        show(made["audit"])
        say(f"\nReport, for you and not for publication: {parsed.audit_folder / 'report.html'}")
