"""Commands that release data: synthesise."""

import sys

from seepage.cli.command import TaskCommand
from seepage.cli.group import main, say


@main.command(cls=TaskCommand, spec="synthesise:SynthesiseConfig", needs=("data", "epsilon"))
def synthesise(task) -> None:
    """Make synthetic records, and say exactly what is guaranteed.

    \b
    seepage synthesise --data digits --epsilon 20 --out digits.npz
    seepage synthesise --data adult --epsilon 30 --out adult.csv --audit --compare-epsilon 5 --compare-epsilon inf
    seepage synthesise --data mine.csv --label income --epsilon 30 --clip 3 --noise-multiplier 1 --out release.csv
    """
    made = task.run(progress=sys.stderr.isatty())
    say(f"{made['n_records']:,} synthetic records: {task.out} (guarantee: {task.out}.json)")
    for sentence in (*made["sentences"], *made["distances"]):
        say(f"- {sentence}")
    if made["audits"]:
        from seepage.studies.release.shown import text

        say(text(made["audits"]))
        say(f"\nThe audit was measured on the originals; it is for you, not for publication: {task.out}.audit.json")
