"""Numbers and other people's text as a reader should meet them, alike in HTML, Markdown and the terminal."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from seepage.schema.attack import Epsilon
from seepage.schema.estimates import Estimate

UNDEFINED = "\N{EN DASH}"
VACUOUS_ODDS = 1000.0  # a bound above these says nothing


def decimal(value: float | None, digits: int = 3) -> str:
    """
    >>> decimal(0.59713), decimal(None)
    ('0.597', '–')
    """
    return UNDEFINED if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A measured rate: one decimal, more where it is small.

    >>> percent(0.058), percent(0.0004), percent(0.0), percent(0.5), percent(1.0)
    ('5.8 %', '0.04 %', '0 %', '50.0 %', '100 %')
    """
    return UNDEFINED if value is None else f"{_hundredths(value, like=value)} %"


def rate(value: float) -> str:
    """A chosen rate, which is exact.

    >>> rate(0.01), rate(0.001), rate(0.95)
    ('1 %', '0.1 %', '95 %')
    """
    return f"{100 * value:.4g} %"


def _hundredths(value: float, *, like: float) -> str:
    # `like` sets the decimals, so that an interval is written as finely as its value
    digits = 1 if like >= 0.00995 or like == 0 else 2 if like >= 0.00005 else 4
    text = f"{100 * value:.{digits}f}"
    return f"{float(text):g}" if float(text) in (0, 100) else text


def p_value(value: float) -> str:
    """
    >>> p_value(3e-9), p_value(0.00031), p_value(0.0312), p_value(1.0)
    ('< 0.0001', '0.0003', '0.031', '1')
    """
    if value < 0.0001:
        return "< 0.0001"
    return "1" if value > 0.9995 else f"{value:.4f}" if value < 0.001 else f"{value:.3f}"


def count(value: float) -> str:
    """
    >>> count(1797), count(898.5)
    ('1,797', '898.5')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """
    >>> duration(0.0042), duration(0.123), duration(7.25), duration(250), duration(3900)
    ('4.2 ms', '123 ms', '7.2 s', '4 min 10 s', '1 h 5 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else "1 s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(created: str) -> str:
    """
    >>> moment("2026-01-14T09:26:53Z"), moment("yesterday")
    ('2026-01-14 09:26 UTC', 'yesterday')
    """
    try:
        return datetime.fromisoformat(created).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):  # no date, or one that no calendar has in UTC
        return created


def significant(value: float) -> str:
    """
    >>> significant(12.3456), significant(-0.00123456)
    ('12.35', '-0.001235')
    """
    return f"{value:.4g}"


def value_of(estimate: Estimate, *, as_rate: bool = False) -> str:
    return percent(estimate.value) if as_rate else decimal(estimate.value)


def interval_of(estimate: Estimate, *, as_rate: bool = False) -> str:
    """
    >>> interval_of(Estimate(value=0.058, low=0.041, high=0.079, n=899), as_rate=True)
    '[4.1, 7.9]'
    >>> interval_of(Estimate(value=None, low=None, high=None, n=12))
    ''
    """
    if estimate.low is None or estimate.high is None:
        return ""
    if not as_rate:
        return f"[{decimal(estimate.low)}, {decimal(estimate.high)}]"
    like = estimate.value or estimate.high  # a rate of zero is written as finely as its upper bound
    return f"[{_hundredths(estimate.low, like=like)}, {_hundredths(estimate.high, like=like)}]"


def with_interval(estimate: Estimate, *, as_rate: bool = False, n: bool = True) -> str:
    """
    >>> with_interval(Estimate(value=0.597, low=0.563, high=0.63, n=1797))
    '0.597 [0.563, 0.630], n 1,797'
    """
    text = " ".join(filter(None, [value_of(estimate, as_rate=as_rate), interval_of(estimate, as_rate=as_rate)]))
    return f"{text}, n {count(estimate.n)}" if n else text


def epsilon_kind(epsilon: Epsilon) -> str:
    return "lower bound" if epsilon.kind == "epsilon_lower" else "heuristic, not a bound"


def option_text(value: str | float | bool | Sequence[str | float] | None) -> str:
    """The value of an option, as a table shows it.

    >>> option_text(True), option_text(None), option_text(0.123456), option_text([1, 2.5])
    ('yes', 'none', '0.1235', '(1, 2.5)')
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"({', '.join(map(option_text, value))})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return significant(value) if isinstance(value, float) else str(value)


def listed(names: Sequence[str]) -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def odds(exponent: float) -> str:
    """exp(exponent), rounded up; as a power where it is large.

    >>> [odds(x) for x in (0.0, 0.585, 81.2, 1e300, math.inf)]
    ['1', '1.8', 'exp(81.2), more than a factor of 10^35', 'exp(1e+300)', 'none']
    """
    if math.isinf(exponent):
        return "none"
    if exponent <= math.log(VACUOUS_ODDS):
        return f"{math.ceil(100 * math.exp(exponent)) / 100:g}"
    if exponent >= 1e6:
        return f"exp({exponent:.3g})"
    return f"exp({math.ceil(10 * exponent) / 10:.1f}), more than a factor of 10^{math.floor(exponent / math.log(10))}"
