"""Saved results: whatever loads can be drawn, in bounded time; whatever is written loads."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from seepage.attacks import RMIA, resolve_attacks
from seepage.errors import MOST_CHARACTERS, DataFileError, InputError
from seepage.report.render import html, markdown
from seepage.schema.attack import RocCurve
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import ComparisonResult
from seepage.schema.inversion import InversionResult
from seepage.schema.reading import load_result
from seepage.schema.saved import MOST_ATTACKS, MOST_BYTES, MOST_ROWS, check_room
from seepage.schema.trust import TrustResult
from seepage.studies.audit import Settings, tables
from seepage.studies.audit.findings import _histogram
from tests.readers.samples import readers
from tests.report.example_results import leak

KINDS = {"audit": AuditResult, "outputs": AuditResult, "comparison": ComparisonResult, "inversion": InversionResult,
         "trust": TrustResult}  # fmt: skip


@pytest.fixture(params=KINDS)
def saved(request, tmp_path):
    """A kind of result, its values and the place for a changed one."""
    content = readers(tmp_path)[f"result: {request.param}"].content()
    return KINDS[request.param], json.loads(content), tmp_path / "result.json"


def refused(kind, path, text, words):
    path.write_text(text)
    for load in (kind.load, load_result):
        with pytest.raises(DataFileError, match=words) as caught:
            load(path)
        assert len(str(caught.value)) <= MOST_CHARACTERS


def test_a_result_that_is_no_json(saved):
    kind, values, path = saved
    text = json.dumps(values)
    first = next(iter(values))
    for wrong, words in (
        (text.replace(": 0.05", ": NaN", 1).replace(": 0.5,", ": NaN,", 1), "NaN is no finite number"),
        (text.replace('"seconds": ', '"seconds": -Infinity, "x": ', 1), "-Infinity is no finite number"),
        (text.replace('"seconds": ', '"seconds": 1e999, "x": ', 1), "1e999 is no finite number"),
        (text.replace('"seed": ', f'"seed": {"9" * 5000}, "y": ', 1), "cannot be read as JSON"),
        (f'{{"{first}": 1, {text[1:]}', f"expected distinct keys, '{first}'"),
        (text[: len(text) // 2], "cannot be read as JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "holds a list"),
        ("", "cannot be read as JSON"),
    ):
        refused(kind, path, wrong, words)


def test_a_result_whose_values_are_not_what_they_must_be(saved):
    kind, values, path = saved
    deep: dict = {}
    for _ in range(200):
        deep = {"a": deep}
    for change, words in (
        ({"settings": deep}, "nested too deeply"),
        ({"seconds": 1e200}, "beyond 1e"),
        ({"n_records": 10**300}, "beyond"),
        ({"n_records": -1}, "is a count, and negative"),
        ({"n_records": "7"}, "valid integer"),
        ({"seconds": "nan"}, "valid number"),
        ({"created": 5}, "valid string"),
    ):
        refused(kind, path, json.dumps({**values, "provenance": {**values["provenance"], **change}}), words)
    refused(kind, path, json.dumps({**values, "schema": values["schema"][:-1] + "9"}), "expected seepage")


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("audit", lambda v: v.update(attacks=[]), "at least 1 item"),
        ("audit", lambda v: v["attacks"].append(v["attacks"][0]), "expected distinct attacks"),
        ("audit", lambda v: v["attacks"][0]["roc"]["tpr"].pop(), "lists of one length.*tpr"),
        ("audit", lambda v: v["attacks"][0]["roc"].update(fpr=[], tpr=[], low=[], high=[]), "something in them"),
        ("audit", lambda v: v["attacks"][0]["roc"]["tpr"].__setitem__(0, 7.0), "rates from 0 to 1"),
        ("audit", lambda v: v["attacks"][0]["histogram"]["edges"].pop(), "lists of one length"),
        ("audit", lambda v: v["attacks"][0]["histogram"]["members"].__setitem__(0, -5), "counts of 0 or more"),
        ("audit", lambda v: v["attacks"][0]["tpr_at_fpr"].update(x=v["attacks"][0]["auc"]), "expected rates .*'x'"),
        ("audit", lambda v: v["attacks"][0]["tpr_at_fpr"].update(nan=v["attacks"][0]["auc"]), "expected rates .*'nan'"),
        ("audit", lambda v: v["lower_bound"].update(attack="nobody"), "unknown attack 'nobody'"),
        ("audit", lambda v: v["records"].append(v["records"][0]), "expected distinct ids"),
        (
            "audit",
            lambda v: v.update(records=[{**v["records"][0], "id": str(k)} for k in range(MOST_ROWS + 1)]),
            "5000",
        ),
        ("audit", lambda v: v.update(attacks=[{**v["attacks"][0], "name": str(k)} for k in range(201)]), "200"),
        ("audit", lambda v: v["attacks"][0].update(p_value=-1.0), "attacks.0.p_value: .*from 0 to 1, got -1"),
        ("audit", lambda v: v["attacks"][0].update(p_value_holm=1e99), "from 0 to 1, got 1e\\+99"),
        ("audit", lambda v: v["attacks"][0]["auc"].update(value=-1e99), "attacks.0.auc: .*from 0 to 1"),
        ("audit", lambda v: v["attacks"][0]["balanced_accuracy"].update(high=1.5), "from 0 to 1, got 1.5"),
        ("audit", lambda v: next(iter(v["attacks"][0]["tpr_at_fpr"].values())).update(low=-0.1), "from 0 to 1"),
        ("audit", lambda v: v["smallest_detectable"].update(tpr=2.0), "from 0 to 1"),
        ("audit", lambda v: v["lower_bound"].update(auc=-3.0), "lower_bound.auc: .*from 0 to 1"),
        ("audit", lambda v: v.update(lower_bound=None), "a lower_bound with LEAK SHOWN"),
        ("audit", lambda v: v.update(verdict="NO EVIDENCE"), "a lower_bound with LEAK SHOWN"),
        ("audit", lambda v: v.update(prior=7.0), "from 0 to 1"),
        ("audit", lambda v: v["records"][0].update(q_value=-0.5), "from 0 to 1"),
        ("audit", lambda v: v["target"]["accuracy_members"].update(value=50.0), "from 0 to 1"),
        ("trust", lambda v: v.update(prior=-1.0), "from 0 to 1"),
        ("trust", lambda v: v["variants"][0]["attacks"][0]["auc"].update(value=1e99), "from 0 to 1"),
        ("comparison", lambda v: v["defences"][0]["utility"]["test_accuracy"].update(value=-2.0), "from 0 to 1"),
        ("inversion", lambda v: v["targets"][0]["attacks"][0].update(p_value=9.0), "from 0 to 1"),
        ("trust", lambda v: v["variants"].pop(), "unknown variant 'laplace'"),
        ("trust", lambda v: v["variants"][0]["attacks"].pop(0), "unknown attack 'max-score'"),
        ("trust", lambda v: v["variants"][0]["attacks"][0]["sets"].pop(), "unknown set 'noise'"),
        ("trust", lambda v: v["rays"][0]["called"].pop(), "lists of one length"),
        ("trust", lambda v: v["rays"][0].update(variant="x"), "unknown variant 'x'"),
        ("trust", lambda v: v["rays"][0].update(doublings=[0, 2, 4]), "doublings 0, 1, 2"),
        ("trust", lambda v: v["variants"][0]["reliability"].update(counts=[0, 0]), "one that is more"),
        ("comparison", lambda v: v.update(defences=[]), "at least 1 item"),
        ("comparison", lambda v: v["frontier"].append("x"), "unknown defence 'x'"),
        ("comparison", lambda v: v["frontier_auc"].append("x"), "unknown defence 'x'"),
        ("comparison", lambda v: v["defences"].append(v["defences"][0]), "expected distinct defences"),
        ("comparison", lambda v: v["rates"].update(fpr=-1.0), "greater than or equal to 0"),
        ("inversion", lambda v: v.update(targets=[]), "at least 1 item"),
        ("inversion", lambda v: v["targets"].append(v["targets"][0]), "expected distinct targets"),
        ("inversion", lambda v: v["fisher"][0]["inversion"].pop(), "lists of one length"),
        ("inversion", lambda v: v["fisher"][0]["layers"].append("x"), "lists of one length"),
    ],
)
def test_a_result_that_could_not_be_drawn_is_not_loaded(kind, change, words, tmp_path):
    values = json.loads(readers(tmp_path)[f"result: {kind}"].content())
    change(values)
    refused(KINDS[kind], tmp_path / "result.json", json.dumps(values), words)


def test_a_file_too_large_for_a_result_is_not_read(tmp_path):
    with open(tmp_path / "result.json", "wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(DataFileError, match="has more than 67,108,864 bytes"):
        load_result(tmp_path)


def with_many(n_attacks, n_classes, n_records):
    whole = leak(n=120)
    names = [{"name": f"a{k}", "title": f"A {k}"} for k in range(n_attacks)]
    return AuditResult(**{
        **dict(whole),
        "attacks": [whole.attacks[k % 8].model_copy(update=name) for k, name in enumerate(names)],
        "classes": [whole.classes[0].model_copy(update={"name": f"c{k}"}) for k in range(n_classes)],
        "records": [whole.records[0].model_copy(update={"id": f"r{k}"}) for k in range(n_records)],
        "lower_bound": whole.lower_bound.model_copy(update={"attack": "a0"}),
    })  # fmt: skip


def test_the_largest_results_are_written_read_and_told(tmp_path):
    for size in ((60, 1000, 20), (MOST_ATTACKS, 500, 500)):
        result = with_many(*size)
        assert load_result(result.save(tmp_path / "result.json")) == result
        assert len(str(result)) < 100_000
        assert f"A {size[0] - 1}" in markdown(result)


def test_a_long_table_takes_as_long_as_it_has_rows():
    """Whether a column has intervals was asked in every row, of every row."""
    source = html(with_many(2, 3000, 3000))
    assert source.count("<tr") > 6000


def test_what_has_no_room_in_a_result_is_said_before_the_run():
    check_room(attacks=200, targets=100, rows=5000)
    for counts in ({"attacks": 201}, {"targets": 101}, {"defences": 101}, {"rows": 5001}):
        with pytest.raises(InputError, match="a result has room for"):
            check_room(**counts)
    with pytest.raises(ValueError, match="lists of one length"):
        RocCurve(fpr=[0.0], tpr=[0.0, 1.0], low=[0.0], high=[0.0])


def test_parts_that_have_no_room_stand_together_in_the_last_row(monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    sizes = [8, 4, 12, 4, 6]
    part = np.repeat(np.arange(5), sizes)
    n = len(part)
    scored = SimpleNamespace(
        rows=np.arange(n), members=(np.arange(n) % 2 == 0)[:, None], leading="loss",
        scores={"loss": np.arange(n, dtype=float)[:, None]}, settings=SimpleNamespace(confidence=0.95),
    )  # fmt: skip
    evidence = SimpleNamespace(correct=np.ones((n, 1), dtype=bool), target_models=np.array([0]))
    rows = tables.slices(scored, evidence, part, list("abcde"), np.random.default_rng(0))
    assert [row.name for row in rows] == ["a", "c", "the 3 smallest others, together"]
    assert [row.n_members + row.n_nonmembers for row in rows] == [8, 12, 14]
    assert [row.auc.n for row in rows] == [8, 12, 14]


@pytest.mark.parametrize("settings", [{"show_records": MOST_ROWS + 1}, {"rates": (0.1,) * 101}])
def test_more_than_a_result_has_room_for_is_refused_before_the_audit(settings):
    with pytest.raises(InputError, match=r"show_records|rates"):
        Settings(**settings)


def test_more_attacks_than_a_result_has_room_for_are_refused_before_the_audit():
    with pytest.raises(InputError, match="room for 200 attacks, got 201"):
        resolve_attacks([RMIA(gamma=1 + k / 1000) for k in range(201)])


def test_scores_without_bounds_are_written_as_numbers_that_are_read(tmp_path):
    scores = np.array([-np.inf, -1e308, 0.0, 1.0, 2.0, 1e308, np.inf])
    made = _histogram(scores, np.arange(7) % 2 == 0)
    whole = leak(n=120)
    changed = whole.model_copy(update={"attacks": [whole.attacks[0].model_copy(update={"histogram": made})]})
    changed = changed.model_copy(update={"verdict": "NO EVIDENCE", "lower_bound": None, "ensemble": None})
    assert load_result(changed.save(tmp_path / "result.json")).attacks[0].histogram == made
    assert sum(made.members) + sum(made.nonmembers) == 7
