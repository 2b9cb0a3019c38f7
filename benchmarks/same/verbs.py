"""Small runs of every verb."""

from collections.abc import Mapping
from typing import Any

from same.run import Run

INPUTS = "../../inputs"
FILES = {"members": f"{INPUTS}/members.npz", "nonmembers": f"{INPUTS}/nonmembers.npz"}
MODEL = {"file": f"{INPUTS}/model.safetensors", "architecture": "mlp", "options": {"hidden": [64]}}
MLP = {"architecture": "mlp", "options": {"hidden": [32]}, "optimiser": {"name": "adam", "options": {"lr": 0.003}}}
SINGLE = {"engine": "single", "workers": 0}
DIGITS = {"name": "digits", "limit": 500}


def _audit(config: Mapping[str, Any], **more: Any) -> Run:
    return Run(("seepage audit config.yaml",), {**config, "out": "out"}, **more)


SKLEARN = """
import numpy as np, seepage
from sklearn.linear_model import LogisticRegression
parts = {}
for name in ("members", "nonmembers"):
    with np.load(f"../../inputs/{name}.npz") as arrays:
        parts[name] = (arrays["inputs"], arrays["labels"])
model = LogisticRegression(C=100.0, max_iter=300).fit(*parts["members"])
result = seepage.audit(model, **parts, out="out")
print(result)
result.report("report.html")
"""

THREE_LINES = """
import numpy as np, seepage
rng = np.random.default_rng(0)
pool = seepage.load("digits")
membership = seepage.Membership.split(pool, references=8, rng=rng)
recipe = seepage.Recipe(seepage.MLP, optimiser=seepage.Adam(lr=2e-3), epochs=10)
target = seepage.train(recipe, pool, membership.target, rng=rng)
result = seepage.audit(target, pool, membership, recipe=recipe, rng=rng, out="out")
"""

VERBS: dict[str, Run] = {
    "demo": Run(("seepage demo --references 16 --out out",)),
    "lists": Run(("seepage attacks --json", "seepage defences --json", "seepage inversions --json")),
    "audit-recipe": _audit({"data": DIGITS, "recipe": {**MLP, "epochs": 15}, "references": 8, **SINGLE}),
    "audit-stacked": _audit({"data": DIGITS, "recipe": {**MLP, "epochs": 15}, "references": 8, "seed": 3}),
    "audit-every-model": _audit(
        {
            "data": {"name": "digits", "limit": 400, "options": {"flat": False}},
            "recipe": {"architecture": "cnn", "options": {"widths": [8, 16]}, "epochs": 6},
            "references": 6,
            "every_model": True,
            "queries": "flip",
            **SINGLE,
        }
    ),
    "audit-canaries": _audit(
        {
            "data": DIGITS,
            "recipe": {**MLP, "epochs": 15},
            "references": 8,
            "canaries": {"kind": "mislabelled", "n": 60},
            **SINGLE,
        }
    ),
    "audit-defended-recipe": _audit(
        {
            "data": DIGITS,
            "recipe": {**MLP, "epochs": 15, "defence": {"name": "hamp", "options": {"gamma": 0.9}}},
            "references": 8,
            **SINGLE,
        }
    ),
    "audit-files": _audit({"model": MODEL, **FILES, "population": f"{INPUTS}/population.npz", "origin": "declared"}),
    "audit-known": _audit({"model": MODEL, **FILES, "known": 60, "access": "weights"}),
    "audit-no-labels": _audit(
        {"model": MODEL, **{name: path.replace(".npz", "-unlabelled.npz") for name, path in FILES.items()}}
        | {"no_labels": True, "known": 40}
    ),
    "audit-label-access": _audit({"model": MODEL, **FILES, "access": "label"}),
    "audit-outputs": _audit({"outputs": f"{INPUTS}/outputs.npz", "origin": "declared"}),
    "audit-sklearn": Run(("python script.py",), script=SKLEARN),
    "audit-three-lines": Run(("python script.py",), script=THREE_LINES),
    "defend": Run(
        ("seepage defend config.yaml", "seepage audit --defended defended --references 8 --workers 0 --out out"),
        {"data": DIGITS, "recipe": {**MLP, "epochs": 15, "defence": {"name": "relax-loss"}}, "out": "defended"},
    ),
    "trust": Run(
        ("seepage trust config.yaml",),
        {
            "data": {"name": "digits"},
            "recipe": {"options": {"widths": [8, 16]}, "epochs": 4},
            "evaluated": 100,
            "near": ["blended", "warped", "generated"],
            "gan_steps": 10,
            "gan_width": 4,
            "far": [],
            "doublings": 6,
            "ray_records": 50,
            **SINGLE,
            "out": "out",
        },
        # The verb became the part shadow_study of a comparison, whose rows are the variants.
        after=("seepage compare config.yaml",),
        after_config={
            "data": {"name": "digits"},
            "recipe": {"architecture": "cnn", "options": {"widths": [8, 16]}, "epochs": 4},
            "defences": [
                {"name": "label-smoothing", "options": {"smoothing": 0.0083}},
                {"name": "l2", "options": {"weight_decay": 3e-4}},
                {"name": "temperature"},
                {"name": "temperature", "options": {"temperature": 10.0}, "label": "temperature-10"},
                {"name": "laplace"},
            ],
            "shadow_study": {
                "evaluated": 100,
                "near": ["blended", "warped", "generated"],
                "gan_steps": 10,
                "gan_width": 4,
                "far": [],
                "doublings": 6,
                "ray_records": 50,
            },
            "attacks": ["loss"],
            "queries": "none",
            "references": 4,
            "seeds": [0],
            **SINGLE,
            "out": "out",
        },
    ),
    "compare": Run(
        ("seepage compare config.yaml",),
        {
            "data": {"name": "digits", "limit": 400},
            "recipe": {**MLP, "epochs": 10},
            "defences": [
                {"name": "hamp"},
                {"name": "label-smoothing"},
                {"name": "dp-sgd", "options": {"noise_multiplier": 1.0}},
            ],
            "references": 8,
            "seeds": [0],
            "canaries": {"kind": "strongest", "n": 40},
            "workers": 0,
            "out": "out",
        },
    ),
    "compare-searched": Run(
        ("seepage compare config.yaml",),
        {
            "data": {"name": "digits", "limit": 400},
            "recipe": {**MLP, "epochs": 10},
            "defences": [{"name": "l2"}],
            "attacks": ["loss", "rank-only"],
            "floor": 0.05,
            "every_model": False,
            "targets": 2,
            "references": 4,
            "seeds": [0],
            **SINGLE,
            "out": "out",
        },
    ),
    "invert": Run(
        ("seepage invert config.yaml", "seepage fisher out --json"),
        {
            "data": {"name": "digits"},
            "recipe": {"options": {"widths": [8, 16]}, "epochs": 3},
            "judge": {"options": {"widths": [8, 16], "convolutions": 1}, "epochs": 3},
            "targets": ["undefended", "null", "shuffled", {"name": "tl-dmi", "options": {"pretraining_epochs": 1}}],
            "attacks": ["gmi"],
            "budget": {"steps": 10, "queries": 50},
            "prior": {"steps": 20, "width": 4},
            "random": 20,
            "workers": 0,
            "device": "cpu",
            "out": "out",
        },
    ),
    "synthesise": Run(
        ("seepage synthesise config.yaml",),
        {"data": DIGITS, "epsilon": 20, "latent": 8, "epochs": 5, "audit": True, "out": "digits.npz"},
    ),
    "synthesise-table": Run(
        ("seepage synthesise config.yaml",),
        {
            "data": {"file": f"{INPUTS}/table.csv", "options": {"label": "label"}},
            "epsilon": 30,
            "latent": 4,
            "clip": 3,
            "epochs": 5,
            "audit": True,
            "compare_epsilons": [5],
            "out": "table-made.csv",
        },
    ),
    "synthesise-dp-sgd": Run(
        ("seepage synthesise config.yaml",),
        {"data": DIGITS, "epsilon": 20, "clip": 3, "latent": 4, "epochs": 2, "noise_multiplier": 1.0}
        | {"labels": "randomised-response", "label_epsilon": 2.0, "releases": 2, "out": "digits.npz"},
    ),
}
