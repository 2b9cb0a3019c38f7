"""A command that carries out a configuration: its flags are made from the configuration when they are asked for."""

import importlib
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from seepage.cli.group import say


class TaskCommand(click.Command):
    """A command of a configuration.

    The function behind it takes the configuration that was read, as its only argument. Options that it has beside the
    configuration's fields go to `_placed` of the configuration, under their own names.

    Args:
        spec: module and class of the configuration, below `seepage.cli.specs`.
        needs: flags that must be given where there is no file.
        hint: what to do where they are not.
    """

    def __init__(self, *args: Any, spec: str, needs: tuple[str, ...] = (), hint: str = "", **options: Any):
        super().__init__(*args, **options)
        self._spec, self._needs, self._hint = spec, needs, hint
        self._flags: dict[str, Any] = {}
        self.params.insert(0, click.Argument(["config"], type=click.Path(path_type=Path), required=False))

    def _kind(self) -> Any:
        module, _, name = self._spec.partition(":")
        return getattr(importlib.import_module(f"seepage.cli.specs.{module}"), name)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The configuration is imported here, so that `seepage --help` does not wait for it."""
        from seepage.cli.flags import flags_of

        if not self._flags:
            self._flags = {flag.key: flag for flag in flags_of(self._kind())}
            self.params[1:1] = [flag.option() for flag in self._flags.values()]
        return super().get_params(ctx)

    def invoke(self, ctx: click.Context) -> Any:
        given = {name: value for name, value in ctx.params.items() if value not in (None, ())}
        config = given.pop("config", None)
        names = {name for key in given for name in (self._flags[key].names if key in self._flags else (key,))}
        if config is None and not (names and names >= set(self._needs)):
            flags = " and ".join(f"--{need}" for need in self._needs) or "flags"
            raise click.UsageError(f"nothing to {self.name}: give a CONFIG or {flags}{self._hint}")
        values: dict[str, Any] = {}
        spellings = {}
        for name, value in given.items():
            flag = self._flags.get(name)
            placed = {name: value} if flag is None else flag.set(value)
            values |= placed
            spellings |= dict.fromkeys(placed, "--" + name if flag is None else flag.spellings[0])
        ctx.params = {"task": self._kind().read(config, values, spellings)}
        return super().invoke(ctx)


def carry_out(task: Any) -> None:
    """Run a configuration, show its result and say where the report is."""
    show(task.run(progress=sys.stderr.isatty(), command=command_line()))
    say(f"\nReport: {task.out / 'report.html'}")


def command_line() -> str:
    """What was typed, as it goes into a result."""
    return shlex.join(["seepage", *sys.argv[1:]])


def show(result: Any) -> None:
    """A result on the terminal."""
    from seepage.report.terminal import summary

    click.echo(summary(result, colour=sys.stdout.isatty()))
