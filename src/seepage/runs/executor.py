"""The one seam between a run and the machines it runs on: map a task over units.

A task is a callable `task(unit, report)` that commits what it makes to files and returns a small
JSON value; `report(fraction)` says how far it is. A unit is a JSON value that names a piece of work.
An executor promises that every unit is carried out at least once, in any order; because a unit's
state is files, carrying it out twice does no harm, and a run that was killed goes on with the units
whose files are missing. Other back ends need nothing but this call.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from seepage.errors import InputError, TrainingError
from seepage.outside import from_outside
from seepage.schema.saved import MOST_WORKERS

Unit = Any
Report = Callable[[float], None]
Task = Callable[[Unit, Report], Any]
Progress = Callable[[int, float], None]


def check_workers(workers: Any, where: str) -> None:
    """Check a number of processes, before it is written anywhere; None leaves it to the planner.

    Raises:
        InputError: it is no whole number from 0 to MOST_WORKERS.
    """
    if workers is None or (type(workers) is int and 0 <= workers <= MOST_WORKERS):
        return
    raise InputError(
        f"{where}: workers= must be a whole number from 0 (train in this process) to {MOST_WORKERS}, got "
        f"{workers!r:.40}: leave it out to have as many as suit"
    )


class Executor(Protocol):
    def map(self, task: Task, units: Sequence[Unit], progress: Progress) -> Iterator[tuple[int, Any]]:
        """Carry out every unit; yield (position of the unit, what the task returned) as they finish.

        `progress(position, fraction)` is called while a unit runs.
        """
        ...


class Inline:
    """Every unit in this process, one after another."""

    def map(self, task: Task, units: Sequence[Unit], progress: Progress) -> Iterator[tuple[int, Any]]:
        """See `Executor.map`.

        Raises:
            TrainingError: the task raised an error of its own.
            SeepageError: whatever error of this package the task raised.
        """
        for position, unit in enumerate(units):
            with from_outside("a training failed", TrainingError):
                value = task(unit, lambda fraction, position=position: progress(position, fraction))
            yield position, value
