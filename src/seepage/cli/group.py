"""The group of all commands: errors as one line, Ctrl-C with the way to go on."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from seepage.errors import SeepageError, printable, shortened, unknown_name
from seepage.version import __version__

EXIT_ERROR, EXIT_INTERRUPTED = 2, 130


def say(text: object, *, err: bool = False) -> None:
    """Print a text that may quote files and paths: nothing in it steers the terminal."""
    click.echo(printable(str(text)), err=err)


class Commands(click.Group):
    """Turns this package's errors and Ctrl-C into one clear line; anything else is a bug and shows itself."""

    def make_context(self, info_name: str | None, args: list[str], *parts, **extra) -> click.Context:
        with _printable_usage():
            for before, one in zip(["", *args], args, strict=False):
                if not one or (one.startswith("--") and one.endswith("=")):
                    # An empty path would be the working folder: `--out "$UNSET"`.
                    name = (one or before or "seepage").rstrip("=")
                    raise click.UsageError(f"nothing stands behind {name}: is a variable empty?")
            return super().make_context(info_name, args, *parts, **extra)

    def invoke(self, context: click.Context):
        try:
            with _printable_usage():
                return super().invoke(context)
        except SeepageError as error:
            # Further lines are indented: a line break in a file name cannot begin one that passes for our own.
            say("seepage: " + str(error).replace("\n", "\n    "), err=True)
            context.exit(EXIT_ERROR)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
                raise
            say("seepage: out of memory; finished trainings are kept, try fewer --workers", err=True)
            context.exit(EXIT_ERROR)
        except SystemExit as error:  # click ends by an exception of its own
            say(f"seepage: code that is not Seepage's ended the command by sys.exit({error.code!r})", err=True)
            context.exit(EXIT_ERROR)
        except KeyboardInterrupt:
            again = shlex.join(["seepage", *sys.argv[1:]])
            say(f"\nStopped. Finished trainings are kept; go on with:\n  {again}", err=True)
            context.exit(EXIT_INTERRUPTED)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """torch has no error of its own for the processor's memory."""
    return "not enough memory" in str(error) or "allocate memory" in str(error) or "out of memory" in str(error)


@contextmanager
def _printable_usage() -> Iterator[None]:
    """What was typed, or a script put there, is quoted in click's own complaints."""
    try:
        yield
    except click.NoSuchOption as error:
        known = [name for option in error.ctx.command.get_params(error.ctx) for name in option.opts if name[:2] == "--"]
        raise unknown_name("flag", error.option_name, known) from None
    except click.ClickException as error:
        error.message = shortened(printable(error.message))
        raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Measure what a trained model leaks about its training data."""
