"""The progress bars of a run: what is done, time left."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def _bar(of: str, show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{of},"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        disable=not show,
    )


@contextmanager
def share_bar(title: str, *, show: bool) -> Iterator[Callable[[float], None]]:
    """A bar for work that tells which share of it is done, in [0, 1]; gone at its end."""
    with Progress(console=Console(stderr=True), disable=not show, transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda share: bar.update(task, completed=share)


class Steps:
    """Follows steps that come one after another, each with a name; prints to standard error."""

    def __init__(self, n_steps: int, of: str, *, show: bool):
        self.bar, self.done = _bar(of, show), 0
        self.task = self.bar.add_task("", total=n_steps)

    def __enter__(self) -> "Steps":
        self.bar.start()
        return self

    def __exit__(self, *exception) -> None:
        self.bar.update(self.task, completed=self.done)
        self.bar.stop()

    def begin(self, name: str) -> None:
        self.bar.update(self.task, description=name, completed=self.done)
        self.done += 1


class Watch:
    """Follows the units of a run by the number of their models; prints to standard error."""

    def __init__(self, title: str, units: Sequence[dict], missing: Sequence[dict], *, of: str = "models", show: bool):
        self.sizes = [len(unit["models"]) for unit in missing]
        self.total = sum(len(unit["models"]) for unit in units)
        self.before = self.total - sum(self.sizes)
        self.fractions = [0.0] * len(missing)
        self.bar = _bar(of, show)
        self.task = self.bar.add_task(title, total=self.total, completed=self.before)

    def __enter__(self) -> "Watch":
        self.bar.start()
        return self

    def __exit__(self, *exception) -> None:
        self.bar.stop()

    def update(self, position: int, fraction: float) -> None:
        self.fractions[position] = fraction
        done = sum(size * fraction for size, fraction in zip(self.sizes, self.fractions, strict=True))
        self.bar.update(self.task, completed=self.before + int(done))

    def done(self, position: int) -> None:
        self.update(position, 1.0)
