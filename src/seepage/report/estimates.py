"""From an estimate as it is computed to one as it is saved."""

from dataclasses import fields

from seepage.metrics.intervals import Estimate
from seepage.report.result import Estimate as Saved


def saved(estimate: Estimate) -> Saved:
    return Saved(**{field.name: getattr(estimate, field.name) for field in fields(Estimate)})
