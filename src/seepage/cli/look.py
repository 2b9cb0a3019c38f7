"""Commands that look at what is there: report, status, attacks, init, doctor."""

import json
from pathlib import Path

import click

from seepage.cli.command import show
from seepage.cli.group import main, say


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=".html or .md (also .svg of a comparison or inversion); otherwise a summary is printed.",
)
def report(result: Path, out: Path | None) -> None:
    """Render a saved RESULT (a result.json or its folder) again."""
    from seepage.schema.reading import load_result

    loaded = load_result(result)
    if out is None:
        show(loaded)
    else:
        say(f"Report: {loaded.report(out)}")


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("audit.yaml"), show_default=True)
def init(out: Path) -> None:
    """Write a commented configuration to start from."""
    from seepage.cli.specs.example import EXAMPLE

    if out.exists():
        raise click.UsageError(f"{out} exists already: choose another name with --out, or delete it")
    try:
        out.write_text(EXAMPLE)
    except OSError as error:
        raise click.UsageError(f"cannot write {out}: {error.strerror}") from None
    say(f"Wrote {out}. Run it with: seepage audit {out}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def attacks(as_json: bool) -> None:
    """List the attacks: what each needs and where it comes from."""
    from seepage.attacks import table

    rows = table()
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    for row in rows:
        needs = ", ".join(row["needs"]) or "nothing else"
        default = "" if row["default"] else "  (not run by default)"
        say(f"{row['name']}{default}\n    {row['title']}; access: {row['access']}; needs: {needs}\n    {row['source']}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Say how far the run in FOLDER is."""
    from seepage.errors import DataFileError
    from seepage.runs.store import n_units, run_status

    rows, pieces = run_status(folder), n_units(folder / "run")
    if not rows and not pieces and not (folder / "result.json").exists():
        raise DataFileError(f"no run in {folder}: expected the folder that was given as --out")
    for row in rows:
        say(f"{row['name']}: {row['done']} of {row['models']} models trained ({row['engine']} engine)")
    if pieces:
        say(f"{pieces} pieces made: trained models, and images of one class by one attack")
    finished = (folder / "result.json").exists()
    say(f"result: {folder / 'result.json'}" if finished else "no result yet: the same command again goes on")


@main.command()
def doctor() -> None:
    """Check this installation: versions, cores, memory, PyTorch build, caches."""
    from seepage.cli.doctor import checks

    failed = False
    for name, value, problem in checks():
        failed = failed or problem is not None
        say(f"{name:12} {value}" + (f"\n{'':12} ! {problem}" if problem else ""))
    if failed:
        click.get_current_context().exit(1)
