"""A field of attacker, settings and run by its own name is that value; nothing is taken that is not used."""

import numpy as np
import pytest

import seepage
from seepage.errors import InputError
from seepage.studies.shorthand import values

NONE = {"attacker": None, "settings": None, "run": None}
rng = np.random.default_rng(0)
MEMBERS = np.arange(200) < 100
LABELS = rng.integers(0, 3, 200)
LOGITS = rng.normal(size=(200, 1, 3))
OUTPUTS = {"logits": LOGITS, "labels": LABELS, "membership": MEMBERS[:, None]}


def test_names_become_the_values_that_have_them(tmp_path):
    found = values("audit", {"attacks": ["loss"], "known": 6, "alpha": 0.1, "out": tmp_path, "rng": 3}, **NONE)
    assert found["attacker"] == seepage.Attacker(["loss"], known=6)
    assert found["settings"] == seepage.Settings(alpha=0.1)
    assert found["run"] == seepage.Run(tmp_path, seed=3)
    assert values("audit", {}, **NONE) == NONE
    run = seepage.Run(seed=5)
    assert values("audit", {"layer": "x"}, attacker=None, settings=None, run=run)["run"] is run


def test_an_audit_by_short_names_is_that_by_values():
    short = seepage.audit(outputs=OUTPUTS, attacks=["loss", "entropy"], alpha=0.01, rng=7)
    whole = seepage.audit_outputs(
        OUTPUTS,
        attacker=seepage.Attacker(["loss", "entropy"]),
        settings=seepage.Settings(alpha=0.01),
        run=seepage.Run(seed=7),
    )
    assert short.attacks[0].auc == whole.attacks[0].auc
    assert short.provenance.seed == whole.provenance.seed == 7
    assert short.provenance.settings["alpha"] == 0.01
    assert [one.name for one in short.attacks] == [one.name for one in whole.attacks]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attcks": ["loss"]}, "unknown argument of audit 'attcks': did you mean 'attacks'"),
        ({"attacks": ["loss"], "attacker": seepage.Attacker()}, "attacks= stands beside attacker="),
        ({"rng": 1, "run": seepage.Run()}, "rng= stands beside run="),
        ({"pool": None}, r"pool= is of audit_recipe\(recipe, pool, ...\)"),
        ({}, r"got neither: give both; a pool of records is for audit_recipe"),
        ({"outputs": OUTPUTS, "model": abs}, "model= does not go with outputs"),
        ({"outputs": OUTPUTS, "attcks": ["loss"]}, "unknown argument of audit_outputs 'attcks'"),
    ],
    ids=["a slip", "beside attacker", "beside run", "a pool", "nothing", "outputs and a model", "a slip with outputs"],
)
def test_what_would_be_ignored_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        seepage.audit(**options)


@pytest.mark.parametrize("device", ["gpu", "cuda:63"])
def test_a_device_that_is_not_here_is_one_error(device):
    pool = seepage.Pool(rng.normal(size=(40, 2)), np.arange(40) % 2)
    recipe = seepage.Recipe(seepage.MLP, epochs=1)
    with pytest.raises(InputError, match=f"there is no device '{device}' here"):
        seepage.audit_recipe(recipe, pool, references=2, device=device)
