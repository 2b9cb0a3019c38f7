"""Numbers that have an interval, and those that are shares: probabilities, rates, AUCs, from 0 to 1."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from seepage.errors import InputError
from seepage.schema.saved import MOST_RATES, MOST_ROWS, Part, distinct


def _of_rates(by_rate: dict[str, "Estimate"]) -> dict[str, "Estimate"]:
    for rate in by_rate:
        try:
            fits = 0 <= float(rate) <= 1
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"expected rates from 0 to 1, got '{rate[:100]}'")
    distinct("rates", (str(float(rate)) for rate in by_rate))
    return by_rate


def _between_0_and_1(values: list[float]) -> list[float]:
    if not all(-1e-6 <= value <= 1 + 1e-6 for value in values):
        raise ValueError("expected rates from 0 to 1")
    return values


def _share(value: float) -> float:
    if value < -1e-6 or value > 1 + 1e-6:
        raise ValueError(f"expected a number from 0 to 1, got {value:g}")
    return value


Share = Annotated[float, AfterValidator(_share)]
Rates = Annotated[list[float], Field(max_length=MOST_ROWS), AfterValidator(_between_0_and_1)]


class Estimate(Part):
    """A number, its interval and the count behind it. `value` is None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="records (non-members for a TPR, members for a TNR, both for an AUC)")
    flag: str | None = Field(None, description="why the number is undefined or to be read with care")

    @classmethod
    def of(
        cls, value: float | None, low: float | None, high: float | None, n: int, flag: str | None = None
    ) -> "Estimate":
        return Estimate(value=value, low=low, high=high, n=n, flag=flag)

    def through(self, transform: Callable[[float], float]) -> "Estimate":
        """The same estimate on another scale; `transform` must be non-decreasing, so that the interval carries over."""

        def moved(one: float | None) -> float | None:
            return None if one is None else transform(one)

        return Estimate.of(moved(self.value), moved(self.low), moved(self.high), self.n, self.flag)

    def defined(self) -> tuple[float, float, float]:
        """Value, low and high.

        Raises:
            InputError: the estimate has no value or no interval.
        """
        if self.value is None or self.low is None or self.high is None:
            raise InputError(f"expected an estimate with a value and an interval, got none: {self.flag or 'undefined'}")
        return self.value, self.low, self.high


def _of_a_share(estimate: Estimate) -> Estimate:
    for value in (estimate.value, estimate.low, estimate.high):
        if value is not None:
            _share(value)
    return estimate


ShareEstimate = Annotated[Estimate, AfterValidator(_of_a_share)]
ByRate = Annotated[dict[str, ShareEstimate], Field(max_length=MOST_RATES), AfterValidator(_of_rates)]


def at_rate(by_rate: dict[str, Estimate], wanted: float) -> Estimate | None:
    """The estimate at this rate; None where there is none."""
    return next((estimate for at, estimate in by_rate.items() if float(at) == wanted), None)
