"""Configurations: YAML or flags, one to one with the arguments in Python.

Every field has the default of the function that it goes to. An unknown key is an error that names the closest one, and
the resolved configuration is saved in the result.
"""

from seepage.config.audit import AuditConfig
from seepage.config.compare import CompareConfig
from seepage.config.defend import DefendConfig
from seepage.config.example import EXAMPLE
from seepage.config.invert import InvertConfig
from seepage.config.synthesise import SynthesiseConfig
from seepage.config.trust import TrustConfig

__all__ = ["EXAMPLE", "AuditConfig", "CompareConfig", "DefendConfig", "InvertConfig", "SynthesiseConfig", "TrustConfig"]
