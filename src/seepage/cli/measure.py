"""Commands that measure: demo, audit."""

import sys
from pathlib import Path

import click

from seepage.cli.flags import command_line, renamed, show
from seepage.cli.group import main, say


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option("--references", type=click.IntRange(2), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def demo(out: Path, references: int, seed: int) -> None:
    """Audit a leaky model and a null model on real data (handwritten digits)."""
    from seepage.cli.demo import demo as run_demo

    run_demo(out, references=references, seed=seed, echo=say)


@main.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="A named data set (digits, adult, cifar10, ...) or a file of records.")
@click.option("--model", type=click.Path(path_type=Path), help="A trained model: .safetensors, .pt, .onnx.")
@click.option("--architecture", help="What the weights belong to; with --data, what to train.")
@click.option("--defence", help="Train target and references with this defence ('seepage defences').")
@click.option("--defended", type=click.Path(path_type=Path), help="A folder that 'seepage defend' wrote.")
@click.option("--members", type=click.Path(path_type=Path), help="Records the model was trained on.")
@click.option("--nonmembers", type=click.Path(path_type=Path), help="Records it was not trained on.")
@click.option("--label", help="Column of the labels, in .csv and .parquet files.")
@click.option("--no-labels", is_flag=True, default=None, help="The records have no labels: a weaker audit.")
@click.option("--float32", is_flag=True, default=None, help="Round the records, as the model's own training did.")
@click.option("--population", type=click.Path(path_type=Path), help="Further records no model was trained on.")
@click.option("--outputs", type=click.Path(path_type=Path), help="Outputs computed elsewhere (.npz).")
@click.option(
    "--model-outputs", type=click.Choice(["logits", "probabilities", "labels"]), help="What the model returns."
)
@click.option("--output-name", help="Which output of an ONNX graph is read, where it has several.")
@click.option("--origin", type=click.Choice(["declared", "unknown"]), help="declared: members were chosen at random.")
@click.option("--references", type=click.IntRange(0), help="Reference models to train.  [default: 64]")
@click.option("--every-model", is_flag=True, default=None, help="Each reference takes its turn as the target.")
@click.option("--epochs", type=float, help="Training epochs of the recipe.  [default: 50]")
@click.option("--attacks", help="Names separated by commas.  [default: all that fit]")
@click.option("--access", type=click.Choice(["label", "probabilities", "logits", "gradients", "weights"]))
@click.option("--canaries", type=click.IntRange(4), help="Plant so many canaries and judge them alone.")
@click.option(
    "--canary-kind",
    type=click.Choice(["clean", "mislabelled", "blank", "ood", "near-duplicates"]),
    help="What the canaries are.  [default: mislabelled]",
)
@click.option("--known", type=click.IntRange(0), help="Records whose membership the attacker knows.  [default: 0]")
@click.option("--queries", help="Augmented copies of images: none, flip, flip-shift, rotate, translate.")
@click.option("--layer", help="Whose output the features are.  [default: the penultimate layer]")
@click.option("--alpha", type=float, help="Chance of a false alarm over all attacks.  [default: 0.05]")
@click.option("--prior", type=float, help="Share of members among the records asked about.  [default: 0.5]")
@click.option("--workers", type=click.IntRange(0), help="Processes that train.  [default: planned]")
@click.option("--replay", type=click.Path(path_type=Path), help="Train as RESULT did (a result.json or its folder).")
@click.option("--seed", type=click.IntRange(0), help="Everything random derives from it.  [default: 0]")
@click.option("--show-values", is_flag=True, default=None, help="Put the exposed records' values into the report.")
@click.option("--trust-code", is_flag=True, default=None, help="Open model files that can run code.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for run, result and report.  [default: audit]")
def audit(config: Path | None, **flags) -> None:
    """Audit a model, a recipe, or outputs; from a YAML CONFIG, flags, or both.

    \b
    seepage audit --outputs probs.npz --out DIR
    seepage audit --model m.onnx --members in.npz --nonmembers out.npz
    seepage audit --data digits --references 64
    seepage audit --defended DIR
    seepage audit audit.yaml
    """
    from seepage.cli.specs.audit import AuditConfig

    given = {name: value for name, value in flags.items() if value is not None}
    if config is None and not given:
        raise click.UsageError("nothing to audit: give a CONFIG or flags; 'seepage init' writes an example")
    # Data alone ask for a recipe too; a CONFIG has said by itself what is trained.
    trains = config is None and "model" not in given and "data" in given
    parsed = AuditConfig.read(config, renamed(given, trains=trains))
    result = parsed.run(progress=sys.stderr.isatty(), command=command_line())
    show(result)
    say(f"\nReport: {parsed.out / 'report.html'}")
