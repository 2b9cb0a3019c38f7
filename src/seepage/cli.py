"""The command line. Nothing heavy is imported before it is needed: `seepage --help` answers at once."""

import json
import shlex
import sys
from pathlib import Path

import click

import seepage
from seepage.errors import SeepageError

EXIT_OK, EXIT_ERROR, EXIT_INTERRUPTED = 0, 2, 130


class Commands(click.Group):
    """Turns this package's errors and Ctrl-C into one clear line; anything else is a bug and shows itself."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except SeepageError as error:
            click.echo(f"seepage: {error}", err=True)
            context.exit(EXIT_ERROR)
        except MemoryError:
            click.echo("seepage: out of memory; finished trainings are kept, try fewer --workers", err=True)
            context.exit(EXIT_ERROR)
        except KeyboardInterrupt:
            again = shlex.join(["seepage", *sys.argv[1:]])
            click.echo(f"\nStopped. Finished trainings are kept; go on with:\n  {again}", err=True)
            context.exit(EXIT_INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(seepage.__version__)
def main() -> None:
    """Measure what a trained model leaks about its training data."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option("--references", type=click.IntRange(2), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def demo(out: Path, references: int, seed: int) -> None:
    """Audit a leaky model and a null model on real data (handwritten digits)."""
    from seepage.demo import run

    run(out, references=references, seed=seed, echo=click.echo)


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
@click.option("--population", type=click.Path(path_type=Path), help="Further records no model was trained on.")
@click.option("--outputs", type=click.Path(path_type=Path), help="Outputs computed elsewhere (.npz).")
@click.option(
    "--model-outputs", type=click.Choice(["logits", "probabilities", "labels"]), help="What the model returns."
)
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
    from seepage.config.audit import AuditConfig

    given = {name: value for name, value in flags.items() if value is not None}
    if config is None and not given:
        raise click.UsageError("nothing to audit: give a CONFIG or flags; 'seepage init' writes an example")
    # Data alone ask for a recipe too; a CONFIG has said by itself what is trained.
    trains = config is None and "model" not in given and "data" in given
    parsed = AuditConfig.read(config, _renamed(given, trains=trains))
    result = parsed.run(progress=sys.stderr.isatty(), command=shlex.join(["seepage", *sys.argv[1:]]))
    _show(result)
    click.echo(f"\nReport: {parsed.out / 'report.html'}")


def _renamed(flags: dict, *, trains: bool) -> dict:
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
        values["attacks"] = [name.strip() for name in values["attacks"].split(",") if name.strip()]
    return values


@main.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="A named data set of images (cifar10, digits, ...) or a file of labelled images.")
@click.option("--limit", type=click.IntRange(4), help="Use this many records, drawn at random.  [default: all]")
@click.option("--architecture", help="What to train.  [default: cnn]")
@click.option("--epochs", type=float, help="Training epochs.  [default: 50]")
@click.option("--evaluated", type=click.IntRange(10), help="Records of each set, at most.  [default: 2500]")
@click.option("--smoothing", type=float, help="Of the variant with label smoothing.  [default: 0.0083]")
@click.option("--weight-decay", type=float, help="Of the L2 variant.  [default: 0.0003]")
@click.option("--generator", help="gan (train one), none, or a .npz with 'images'.  [default: gan]")
@click.option("--gan-steps", type=click.IntRange(1), help="Training steps of the generator.  [default: 10000]")
@click.option("--far", help="Other data sets as non-members, with commas, or none.  [default: those in the cache]")
@click.option("--doublings", type=click.IntRange(0, 60), help="Scale inputs up to 2^this; 0: not.  [default: 20]")
@click.option("--prior", type=float, help="Share of members among the records asked about.  [default: 0.5]")
@click.option("--workers", type=click.IntRange(0), help="Processes that train.  [default: planned]")
@click.option("--seed", type=click.IntRange(0), help="Everything random derives from it.  [default: 0]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for run, result and report.  [default: trust]")
def trust(config: Path | None, **flags) -> None:
    """Count who is wrongly called a member: calibrated models, far, generated and spoilt non-members.

    \b
    seepage trust --data cifar10 --out DIR
    seepage trust --data digits --epochs 15 --gan-steps 300 --far none
    seepage trust trust.yaml
    """
    from seepage.config.trust import TrustConfig

    given = {name: value for name, value in flags.items() if value is not None}
    if config is None and "data" not in given:
        raise click.UsageError("nothing to study: give a CONFIG or --data")
    if "far" in given:
        given["far"] = [name.strip() for name in given["far"].split(",") if name.strip() not in ("", "none")]
    given = _renamed(given, trains=False)
    for flag, key in (("limit", "data.limit"), ("architecture", "recipe.architecture")):
        if flag in given:
            given[key] = given.pop(flag)
    parsed = TrustConfig.read(config, given)
    result = parsed.run(progress=sys.stderr.isatty(), command=shlex.join(["seepage", *sys.argv[1:]]))
    click.echo(str(result))
    click.echo(f"\nReport: {parsed.out / 'report.html'}")


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
    import yaml

    from seepage.config.defend import DefendConfig

    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if config is None and not {"data", "defence"} <= set(given):
        raise click.UsageError("give a CONFIG, or --data and --defence; 'seepage defences' lists them")
    for option in given.pop("options", ()):
        name, equals, value = option.partition("=")
        if not equals:
            raise click.UsageError(f"--option {option}: expected NAME=VALUE")
        given[f"recipe.defence.options.{name}"] = yaml.safe_load(value)
    given = _renamed(given, trains=False)
    if "architecture" in given:
        given["recipe.architecture"] = given.pop("architecture")
    parsed = DefendConfig.read(config, given)
    summary = parsed.run(progress=sys.stderr.isatty())
    for part in ("train", "test"):
        if part in summary:
            numbers = ", ".join(f"{name} {number['value']:.3f}" for name, number in summary[part].items())
            click.echo(f"{part}: {numbers} ({summary[part]['accuracy']['n']} records)")
    for note in summary["notes"]:
        click.echo(f"note: {note}")
    click.echo(f"\nModel, recipe and membership: {parsed.out}\nAudit it with: seepage audit --defended {parsed.out}")


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
@click.option("--canary-kind", type=click.Choice(["clean", "mislabelled", "blank", "ood", "near-duplicates"]))
@click.option("--workers", type=click.IntRange(0), help="Processes that train.  [default: planned]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for runs and result.  [default: comparison]")
def compare(config: Path | None, **flags) -> None:
    """Compare defences: how much privacy each buys for how much accuracy.

    \b
    seepage compare --data digits --defences hamp,label-smoothing,dp-sgd --out DIR
    seepage compare --data digits --defences hamp,dp-sgd --floor 0.02
    seepage compare comparison.yaml
    """
    from seepage.config.compare import CompareConfig

    given = {name: value for name, value in flags.items() if value is not None}
    if config is None and not {"data", "defences"} <= set(given):
        raise click.UsageError("give a CONFIG, or --data and --defences; 'seepage defences' lists them")
    if "defences" in given:
        given["defences"] = [name.strip() for name in given["defences"].split(",") if name.strip()]
    if "seeds" in given:
        given["seeds"] = list(range(given["seeds"]))
    given = _renamed(given, trains=False)
    for flag, key in (("limit", "data.limit"), ("architecture", "recipe.architecture")):
        if flag in given:
            given[key] = given.pop(flag)
    parsed = CompareConfig.read(config, given)
    result = parsed.run(progress=sys.stderr.isatty(), command=shlex.join(["seepage", *sys.argv[1:]]))
    click.echo(str(result))
    click.echo(f"\nReport: {parsed.out / 'report.html'}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def defences(as_json: bool) -> None:
    """List the defences: what each changes, its options, where it comes from."""
    from seepage.defences import table

    rows = table()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        options = ", ".join(f"{name}={value}" for name, value in row["options"].items()) or "no options"
        click.echo(f"{row['name']}\n    {row['title']}; changes: {row['kind']}; {options}\n    {row['source']}")


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help=".html or .md; otherwise a summary is printed.")
def report(result: Path, out: Path | None) -> None:
    """Render a saved RESULT (a result.json or its folder) again."""
    from seepage.report.reading import load_result
    from seepage.report.result import AuditResult

    loaded = load_result(result)
    if out is None:
        _show(loaded) if isinstance(loaded, AuditResult) else click.echo(str(loaded))
    else:
        click.echo(f"Report: {loaded.report(out)}")


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("audit.yaml"), show_default=True)
def init(out: Path) -> None:
    """Write a commented configuration to start from."""
    from seepage.config.example import EXAMPLE

    if out.exists():
        raise click.UsageError(f"{out} exists already: choose another name with --out, or delete it")
    try:
        out.write_text(EXAMPLE)
    except OSError as error:
        raise click.UsageError(f"cannot write {out}: {error.strerror}") from None
    click.echo(f"Wrote {out}. Run it with: seepage audit {out}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def attacks(as_json: bool) -> None:
    """List the attacks: what each needs and where it comes from."""
    from seepage.attacks import table

    rows = table()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        needs = ", ".join(row["needs"]) or "nothing else"
        default = "" if row["default"] else "  (not run by default)"
        click.echo(
            f"{row['name']}{default}\n    {row['title']}; access: {row['access']}; needs: {needs}\n    {row['source']}"
        )


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Say how far the run in FOLDER is."""
    from seepage.errors import DataFileError
    from seepage.signals.store import run_status

    rows = run_status(folder)
    if not rows and not (folder / "result.json").exists():
        raise DataFileError(f"no run in {folder}: expected the folder that was given as --out")
    for row in rows:
        click.echo(f"{row['name']}: {row['done']} of {row['models']} models trained ({row['engine']} engine)")
    finished = (folder / "result.json").exists()
    click.echo(f"result: {folder / 'result.json'}" if finished else "no result yet: the same command again goes on")


@main.command()
def doctor() -> None:
    """Check this installation: versions, cores, memory, PyTorch build, caches."""
    from seepage.doctor import checks

    failed = False
    for name, value, problem in checks():
        failed = failed or problem is not None
        click.echo(f"{name:12} {value}" + (f"\n{'':12} ! {problem}" if problem else ""))
    if failed:
        click.get_current_context().exit(1)


def _show(result) -> None:
    from seepage.report.terminal import summary

    click.echo(summary(result, colour=sys.stdout.isatty()))
