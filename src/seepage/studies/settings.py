"""The choices of an audit that shape its numbers, not its models."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from seepage.options import Options
from seepage.schema.saved import MOST_RATES, MOST_ROWS

Rate = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True)
class Settings(Options):
    """Levels and rates.

    Attributes:
        alpha: chance of a false alarm over all attacks together.
        confidence: of every interval.
        delta: of the privacy bounds.
        prior: declared share of members among the records that an attacker would ask about.
        rates: false-positive (and false-negative) rates at which the attacks are read.
        power: chance of finding the smallest detectable leak.
        show_records: how many of the most exposed records to list.
        show_values: put the values of those records into the result and the report.
        controls: train a null model and an overfitted model beside the references, to check the audit itself.
    """

    alpha: Annotated[float, Gt(0), Lt(0.5)] = 0.05
    confidence: Annotated[float, Gt(0), Lt(1)] = 0.95
    delta: Annotated[float, Ge(0), Lt(1)] = 1e-5
    prior: Annotated[float, Gt(0), Lt(1)] = 0.5
    rates: Annotated[tuple[Annotated[float, Ge(0), Lt(1)], ...], MinLen(1), MaxLen(MOST_RATES)] = (
        0.1,
        0.01,
        0.001,
        0.0,
    )
    power: Annotated[float, Gt(0.5), Lt(1)] = 0.8
    show_records: Annotated[int, Ge(0), Le(MOST_ROWS)] = 20
    show_values: bool = False
    controls: bool = True


# Of a comparison: many audits, which check themselves no further.
COMPARED = Settings(rates=(0.1, 0.01, 0.001), controls=False)
