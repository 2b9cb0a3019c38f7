"""Configurations: YAML or flags, one to one with the values in Python.

Fields, bounds and defaults are those of the values that they fill, see `fields.py`. An unknown key is an error that
names the closest one, and the resolved configuration is saved in the result. Each is imported when it is first used:
the help of one command does not wait for the others.
"""

import importlib

_HOMES = {
    "AuditConfig": "audit",
    "CompareConfig": "compare",
    "DefendConfig": "defend",
    "EXAMPLE": "example",
    "InvertConfig": "invert",
    "SynthesiseConfig": "synthesise",
}

__all__ = ["EXAMPLE", "AuditConfig", "CompareConfig", "DefendConfig", "InvertConfig", "SynthesiseConfig"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'seepage.cli.specs' has no attribute '{name}'")
    return getattr(importlib.import_module(f"seepage.cli.specs.{_HOMES[name]}"), name)
