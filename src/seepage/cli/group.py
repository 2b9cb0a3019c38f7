"""The group of all commands: errors as one line, Ctrl-C with the way to go on."""

import shlex
import sys

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
