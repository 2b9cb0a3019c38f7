"""The worked example of CONTRIBUTING.md is an attack that an audit runs."""

import re
from pathlib import Path

import numpy as np

import seepage

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_attack_of_the_worked_example_finds_a_planted_leak():
    names = {"__name__": "contributing"}
    exec(compile(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], "CONTRIBUTING.md", "exec"), names)
    rng = np.random.default_rng(0)
    n, members = 400, np.arange(400) < 200
    logits = rng.normal(size=(n, 1, 4))
    labels = logits[:, 0].argmax(axis=1)
    logits[np.arange(n), 0, labels] += 2.0 * members
    outputs = {"logits": logits, "labels": labels, "membership": members[:, None]}
    attacker = seepage.Attacker([names["TopGap"](), names["TopGap"](temperature=5.0)])
    result = seepage.audit_outputs(outputs, origin="declared", attacker=attacker)
    first, second = result.attacks
    top = np.sort(logits[:, 0])[:, ::-1]
    inside, outside = (top[side, 0] - top[side, 1] for side in (members, ~members))
    naive = (inside[:, None] > outside).mean()
    assert first.auc.value == second.auc.value
    assert abs(first.auc.value - naive) < 1e-3
    assert naive > 0.8


def test_every_file_that_it_names_is_there():
    for path in re.findall(r"`((?:src|tests|docs|benchmarks)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:attacks|defences|data|schema|report|runs|cli|studies)/[\w/.]+)`", TEXT):
        assert (ROOT / "src" / "seepage" / path).exists(), path
