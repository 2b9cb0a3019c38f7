"""Commands that release data: synthesise."""

import sys

from seepage.cli.command import TaskCommand, command_line, show
from seepage.cli.group import main, say


@main.command(cls=TaskCommand, spec="synthesise:SynthesiseConfig", needs=("data", "epsilon"))
def synthesise(task) -> None:
    """Make synthetic records, and say exactly what is guaranteed.

    \b
    seepage synthesise --data digits --epsilon 20 --out digits.npz
    seepage synthesise --data adult --epsilon 30 --out adult.csv --audit --compare-epsilon 5 --compare-epsilon inf
    seepage synthesise --data mine.csv --label income --epsilon 30 --clip 3 --noise-multiplier 1 --out release.csv
    """
    made = task.run(progress=sys.stderr.isatty(), command=command_line())
    say(f"{made['n_records']:,} synthetic records: {task.out} (guarantee: {task.out}.json)")
    for sentence in (*made["sentences"], *made["distances"]):
        say(f"- {sentence}")
    if made["audit"] is not None:
        show(made["audit"])
        say(f"\nReport, for you and not for publication: {task.audit_folder / 'report.html'}")
