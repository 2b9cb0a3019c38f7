"""Configurations: YAML or flags, one to one with the arguments in Python.

Every field has the default of the function that it goes to. An unknown key is an error that names the closest one, and
the resolved configuration is saved in the result.
"""

from seepage.cli.specs.audit import AuditConfig
from seepage.cli.specs.compare import CompareConfig
from seepage.cli.specs.defend import DefendConfig
from seepage.cli.specs.example import EXAMPLE
from seepage.cli.specs.invert import InvertConfig
from seepage.cli.specs.synthesise import SynthesiseConfig

__all__ = ["EXAMPLE", "AuditConfig", "CompareConfig", "DefendConfig", "InvertConfig", "SynthesiseConfig"]
