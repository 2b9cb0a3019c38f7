"""Seepage measures what a trained model leaks about its training data.

    result = seepage.audit(model, members=(x_in, y_in), nonmembers=(x_out, y_out))
    print(result)
    result.report("report.html")

Names are imported when they are first used, so that `import seepage` and `seepage --help` do not wait
for PyTorch.
"""

import importlib

from seepage.schema import display
from seepage.version import __version__

_HOMES = {
    "audit": "seepage.studies.audit",
    "audit_recipe": "seepage.studies.audit",
    "audit_outputs": "seepage.studies.audit",
    "Attacker": "seepage.studies.attacker",
    "Settings": "seepage.studies.settings",
    "Run": "seepage.runs.run",
    "train": "seepage.models.train",
    "AuditResult": "seepage.schema.audit",
    "load": "seepage.data",
    "Pool": "seepage.data",
    "Membership": "seepage.data",
    "TargetModel": "seepage.models.target",
    "load_model": "seepage.models.files",
    "Recipe": "seepage.models.recipe",
    "SGD": "seepage.models.optimisers",
    "Adam": "seepage.models.optimisers",
    "Cosine": "seepage.models.optimisers",
    "Steps": "seepage.models.optimisers",
    "MLP": "seepage.models.architectures",
    "CNN": "seepage.models.architectures",
    "ATTACKS": "seepage.attacks",
    "defend": "seepage.studies.defended",
    "defended": "seepage.defences",
    "DEFENCES": "seepage.defences",
    "compare": "seepage.studies.compare",
    "invert": "seepage.studies.invert",
    "INVERSIONS": "seepage.inversion",
    "synthesise": "seepage.synthesis",
    "SeepageError": "seepage.errors",
}

__all__ = ["__version__", *_HOMES]


def _page(result, path):
    from seepage.report.render import write_report

    return write_report(result, path)


def _text(result):
    from seepage.report.terminal import summary

    return summary(result)


# A result shows itself, and how is the report's affair, which stands above results.
display.page, display.text = _page, _text


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'seepage' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
