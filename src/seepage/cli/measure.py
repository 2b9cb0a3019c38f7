"""Commands that measure: demo, audit."""

from pathlib import Path

import click

from seepage.cli.command import TaskCommand, carry_out
from seepage.cli.group import main, say


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option("--references", type=click.IntRange(2), default=64, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def demo(out: Path, references: int, seed: int) -> None:
    """Audit a leaky model and a null model on real data (handwritten digits)."""
    from seepage.cli.demo import demo as run_demo

    run_demo(out, references=references, seed=seed, echo=say)


@main.command(cls=TaskCommand, spec="audit:AuditConfig", hint="; 'seepage init' writes an example")
def audit(task) -> None:
    """Audit a model, a recipe, or outputs; from a YAML CONFIG, flags, or both.

    \b
    seepage audit --outputs probs.npz --out DIR
    seepage audit --model m.onnx --members in.npz --nonmembers out.npz
    seepage audit --data digits --references 64
    seepage audit --defended DIR
    seepage audit audit.yaml
    """
    carry_out(task)
