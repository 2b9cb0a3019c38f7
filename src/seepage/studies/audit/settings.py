"""The choices of an audit that shape its numbers, not its models."""

from dataclasses import dataclass

from seepage.errors import InputError
from seepage.outside import check_kinds
from seepage.schema.saved import MOST_RATES, MOST_ROWS


@dataclass(frozen=True)
class Settings:
    """Levels and rates.

    Attributes:
        alpha: chance of a false alarm over all attacks together.
        confidence: of every interval.
        delta: of the privacy bounds.
        prior: declared share of members among the records that an attacker would ask about.
        rates: false-positive (and false-negative) rates at which the attacks are read.
        power: chance of finding the smallest detectable leak.
        show_records: how many of the most exposed records to list.
        show_values: whether to put the values of those records into the result.
        controls: train a null model and an overfitted model beside the references, to check the audit itself.
    """

    alpha: float = 0.05
    confidence: float = 0.95
    delta: float = 1e-5
    prior: float = 0.5
    rates: tuple[float, ...] = (0.1, 0.01, 0.001, 0.0)
    power: float = 0.8
    show_records: int = 20
    show_values: bool = False
    controls: bool = True

    def __post_init__(self):
        check_kinds("Settings", controls=(self.controls, bool), show_values=(self.show_values, bool))
        for name, low, high in (("alpha", 0, 0.5), ("confidence", 0, 1), ("prior", 0, 1), ("power", 0.5, 1)):
            if not low < getattr(self, name) < high:
                raise InputError(f"{name} must be between {low} and {high}, got {getattr(self, name)}")
        if not 0 <= self.delta < 1:
            raise InputError(f"delta must be in [0, 1), got {self.delta}")
        if not self.rates or any(not 0 <= rate < 1 for rate in self.rates):
            raise InputError(f"rates must be one or more numbers in [0, 1), got {self.rates}")
        if not 0 <= self.show_records <= MOST_ROWS:
            raise InputError(f"show_records must be from 0 to {MOST_ROWS:,}, got {self.show_records}")
        if len(self.rates) > MOST_RATES:
            raise InputError(f"rates must be at most {MOST_RATES} numbers, got {len(self.rates)}")
