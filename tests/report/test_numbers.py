import pytest

from seepage.errors import printable
from seepage.schema import numbers
from seepage.schema.estimates import Estimate


def test_an_interval_is_written_as_finely_as_its_value():
    small = Estimate(value=0.0042, low=0.0011, high=0.0123, n=5000)
    assert numbers.with_interval(small, as_rate=True) == "0.42 % [0.11, 1.23], n 5,000"


def test_a_rate_of_zero_keeps_its_upper_bound():
    none = Estimate(value=0.0, low=0.0, high=0.0041, n=898)
    assert numbers.with_interval(none, as_rate=True) == "0 % [0, 0.41], n 898"


def test_an_undefined_number_is_a_dash_with_its_n():
    undefined = Estimate(value=None, low=None, high=None, n=40, flag="too few")
    assert numbers.with_interval(undefined, as_rate=True) == "\N{EN DASH}, n 40"


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x9b", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800"])
def test_what_could_steer_a_terminal_or_reorder_text_is_made_visible(character):
    shown = printable(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\")
    shown.encode()


def test_letters_of_every_script_stay():
    assert printable("Überdachung 図書館 مكتبة €") == "Überdachung 図書館 مكتبة €"
