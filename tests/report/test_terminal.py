import re

import pytest

from seepage.report.terminal import summary
from seepage.schema.numbers import decimal


@pytest.mark.parametrize("width", [50, 80, 120])
def test_it_fits_the_width_and_leads_with_the_verdict(variant, width):
    lines = summary(variant, width=width).splitlines()
    assert lines[0] == variant.verdict
    assert max(map(len, lines)) <= width


def test_it_names_each_attack_with_its_interval(leak):
    text = summary(leak, width=80)
    for attack in leak.attacks:
        assert f"{decimal(attack.auc.value)} [{decimal(attack.auc.low)}, {decimal(attack.auc.high)}]" in text
    assert "n 1,796" in text


def test_open_gates_stand_with_their_way_out(variant):
    text = " ".join(summary(variant, width=120).split())
    open_gates = [gate for gate in variant.gates if gate.status != "pass"]
    assert open_gates
    assert all(f"{gate.status} {gate.question}" in text for gate in open_gates)
    assert text.count("Way out: ") == sum(bool(gate.way_out) for gate in open_gates)


def test_it_says_where_to_look_next(variant):
    text = " ".join(summary(variant, width=120).split())
    assert "result.report(" in text
    assert "This result again: " in text


def test_colour_is_only_there_when_asked_for(leak):
    assert "\x1b" not in summary(leak, width=80)
    coloured = summary(leak, width=80, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == summary(leak, width=80).split()


def test_other_peoples_text_steers_nothing(hostile):
    text = summary(hostile, width=80)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]" in text  # not read as a style


def test_print_gives_the_summary(leak):
    assert str(leak).startswith("LEAK SHOWN\n")
