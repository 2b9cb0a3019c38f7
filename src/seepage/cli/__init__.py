"""The command line. Nothing heavy is imported before it is needed: `seepage --help` answers at once."""

from seepage.cli import look, measure, protect, reconstruct, release
from seepage.cli.group import main

__all__ = ["look", "main", "measure", "protect", "reconstruct", "release"]
