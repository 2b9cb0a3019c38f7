"""A result of model inversion as `seepage invert` would write it, made by hand: six attacks, eight targets."""

import base64
import struct
import zlib

import numpy as np

from seepage.schema import inversion as schema
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import InversionResult
from seepage.schema.parts import Provenance
from seepage.studies.invert.findings import Evidence, conclusions, headline, limits, verdict

# name, title, access, prior, share recognised of the undefended model, what the target says, best of random
ATTACKS = [
    ("mi-face", "Plain gradient descent on pixels (MI-Face)", "weights", "pixels", 0.04, 1.0, 0.03),
    ("gmi", "Generative model inversion (GMI)", "weights", "gan", 0.21, 0.93, 0.08),
    ("ked-mi", "Knowledge-enriched inversion (KED-MI)", "weights", "knowledge-gan", 0.38, 0.96, 0.1),
    ("lomma", "Logit loss, augmented models (LOMMA)", "weights", "knowledge-gan", 0.52, 0.98, 0.1),
    ("plg-mi", "Pseudo-label guided (PLG-MI)", "weights", "conditional-gan", 0.63, 0.99, 0.16),
    ("brep-mi", "Boundary repulsion (BREP-MI)", "label", "gan", 0.17, 0.88, 0.08),
]

# name, title, role, options, trained, test accuracy, factor on what is recognised beyond the baselines
TARGETS = [
    ("undefended", "No defence", "undefended", {}, 312_000, 0.892, 1.0),
    ("tl-dmi frozen 2", "TL-DMI (frozen 2)", "defended", {"frozen": 2}, 280_000, 0.871, 0.62),
    ("tl-dmi frozen 3", "TL-DMI (frozen 3)", "defended", {"frozen": 3}, 190_000, 0.834, 0.36),
    ("tl-dmi frozen 4", "TL-DMI (frozen 4)", "defended", {"frozen": 4}, 60_000, 0.762, 0.14),
    (
        "bido kind hsic",
        "Bilateral dependency (kind hsic)",
        "defended",
        {"kind": "hsic", "beta": 0.5},
        312_000,
        0.823,
        0.5,
    ),
    ("mid", "Mutual information (MID)", "defended", {"beta": 0.01}, 312_000, 0.764, 0.66),
    ("null", "Null: other classes", "null", {}, 312_000, 0.031, 0.0),
    ("shuffled", "Shuffled labels", "shuffled", {}, 312_000, 0.048, 0.0),
]
N, CLASSES, SEEDS = 600, 20, [0, 1, 2]
PUBLIC = "the 20 other classes of orl-faces"


def estimate(value, wide=0.04, n=N, flag=None, least=0.0, most=1.0) -> Estimate:
    if value is None:
        return Estimate(value=None, low=None, high=None, n=n, flag=flag)
    return Estimate(value=value, low=max(least, value - wide), high=min(most, value + wide), n=n, flag=flag)


def attacked(row, factor: float, sign: str, **changes) -> schema.Reconstructed:
    """One attack on a target where it gets `factor` of what it gets beyond its baselines of the undefended."""
    name, *_, recognised, own, random = row
    accuracy = round(random + factor * (recognised - random), 4)
    gain = accuracy - random
    rng = np.random.default_rng([len(name), round(1000 * factor)])
    beyond = gain > 0.05
    baselines = [
        ("chance", "Chance", "one class of all", 0.025, 0.0),
        ("random-code", "A random image of the prior", "drawn without a look at the target", 0.03, 0.012),
        ("random-public", "A random public image", "any one", round(0.6 * random, 4), 0.02),
        ("wrong-class", "Images of another class", "of the same attack", 0.02, 0.011),
        ("null-target", "The null target", "the same attack", random, 0.025),
    ]
    values = {
        "attack": name,
        "n_images": N,
        "n_classes": CLASSES,
        "accuracy": estimate(accuracy),
        "named": estimate(min(1.0, 1.2 * accuracy)),
        "accuracy_top_5": estimate(min(1.0, 1.6 * accuracy), 0.05),
        "target_accuracy": estimate(own if sign else 0.9, 0.02),
        "baselines": [
            schema.Baseline(name=n, title=title, about=about, accuracy=estimate(value, wide))
            for n, title, about, value, wide in baselines
        ],
        "advantage": estimate(gain, 0.05, least=-1.0),
        "p_value": 2e-6 if beyond else 0.41,
        "p_value_holm": 1.2e-5 if beyond else 1.0,
        "adversarial": own > 0.8 and accuracy < 0.1 and bool(sign),
        "distance_private": estimate(11.2 - 4 * accuracy, 0.6, most=99),
        "distance_held_out": estimate(11.6 - 4 * accuracy, 0.6, most=99),
        "nearer_private": estimate(0.51 + 0.06 * accuracy, 0.035),
        "frechet": estimate(None, flag="undefined: 600 images for 512 features"),
        "kernel": estimate(0.081 - 0.05 * accuracy, 0.01),
        "diversity": estimate(0.32 + 0.2 * accuracy, 0.05),
        "seeds": [round(accuracy + move, 4) for move in (-0.01, 0.0, 0.01)],
        "classes": {f"person {at:02d}": float(np.clip(rng.normal(accuracy, 0.15), 0, 1)) for at in range(CLASSES)},
        "queries": 2000.0 if name == "brep-mi" else 400.0,
        "seconds": 0.8,
        "selection": "" if name == "gmi" else "gmi",
        "beyond_selection": None if name == "gmi" else estimate(accuracy - 0.1, 0.05, least=-1.0),
    }
    return schema.Reconstructed(**{**values, **changes})


def target(row, rows=ATTACKS) -> schema.TargetResult:
    name, title, role, options, trained, accuracy, factor = row
    return schema.TargetResult(
        name=name,
        title=title,
        role=role,
        options=options,
        notes=["The frozen layers keep their running statistics too."] if name.startswith("tl-dmi") else [],
        n_parameters=312_000,
        n_trained=trained,
        train_accuracy=estimate(min(1.0, accuracy + 0.1), 0.01),
        test_accuracy=estimate(accuracy, 0.025, n=400),
        attacks=[attacked(one, factor, "" if role in ("null", "shuffled") else "+") for one in rows],
    )


def info(row) -> schema.AttackInfo:
    name, title, access, prior, *_ = row
    return schema.AttackInfo(
        name=name, title=title, access=access, prior=prior, source="Doe and Roe 2024, section 3",
        notes=["Trains its prior against the target."] if prior == "conditional-gan" else [],
        options={"lr": 0.02, "loss": "margin"}, steps=400, restarts=3, queries=2000, is_selection=name == "best-code",
    )  # fmt: skip


def evaluator(accuracy=0.945) -> schema.EvaluatorInfo:
    return schema.EvaluatorInfo(
        name="a wider CNN",
        about="trained on private training images of all classes, of another architecture and seed than any target",
        accuracy=estimate(accuracy, 0.02, n=400),
        accuracy_top_5=estimate(min(1.0, accuracy + 0.05), 0.01, n=400),
        checks=["No attack was given its weights or its answers."],
        rule="the class attacked is the likeliest of 40 private and 20 public classes",
        n_public_classes=20,
        named=estimate(min(1.0, accuracy + 0.02), 0.02, n=400),
        taken=[
            schema.Taken(name="public", title="Public images", share=estimate(0.04, 0.02, n=100)),
            schema.Taken(name="texture", title="Textures", share=estimate(0.1 * accuracy, 0.03, n=100)),
        ],
    )


def ceiling(prior="gan", accuracy=0.7) -> schema.Ceiling:
    return schema.Ceiling(
        prior=prior, target="undefended" if prior == "conditional-gan" else "", n_images=60,
        accuracy=estimate(accuracy), named=estimate(accuracy), real=estimate(0.93), baseline="A random code",
        advantage=estimate(accuracy - 0.05, 0.06, least=-1.0), distance=0.11,
    )  # fmt: skip


def curve(of: str) -> schema.FisherCurve:
    layers = ["conv 1", "conv 2", "conv 3", "conv 4", "linear"]
    kind, made = [0.05, 0.1, 0.2, 0.35, 0.3], [0.4, 0.25, 0.2, 0.1, 0.05]
    return schema.FisherCurve(
        target=of, attack="ked-mi", layers=layers, parameters=[432, 9216, 36864, 147456, 20480],
        classification=kind, classification_low=[0.8 * one for one in kind],
        classification_high=[1.2 * one for one in kind], inversion=made, inversion_low=[0.7 * one for one in made],
        inversion_high=[1.3 * one for one in made], n_classification=400, n_inversion=600,
    )  # fmt: skip


def png(shade: int, size: int = 28) -> str:
    """A grey picture with a lighter square, as base64."""
    pixels = np.full((size, size), shade, dtype=np.uint8)
    pixels[size // 4 : size // 2, size // 4 : size // 2] = 255 - shade
    rows = b"".join(b"\0" + line.tobytes() for line in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    made = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(made).decode()


def pictures(n_classes: int = 4) -> list[schema.Picture]:
    return [
        schema.Picture(
            target="undefended", attack=attack, class_name=f"person {at:02d}",
            private=[png(20 * at + 5 * k) for k in range(5)],
            reconstructed=[png(200 - 20 * at + 5 * k) for k in range(5)],
            recognised=[k % (at + 2) == 0 for k in range(5)],
        )
        for attack in ("gmi", "plg-mi") for at in range(n_classes)
    ]  # fmt: skip


def inversion(targets=None, *, judge=None, shown=False, **changes) -> InversionResult:
    """The whole; its sentences are those that the numbers give."""
    made = [target(row) for row in TARGETS] if targets is None else targets
    judge = judge or evaluator()
    infos = [info(row) for row in ATTACKS]
    attacked_classes = changes.get("n_attacked_classes", CLASSES)
    ceilings = [ceiling(), ceiling("conditional-gan", 0.8)]
    found = Evidence(made, infos, judge, 40, attacked_classes, SEEDS, ceilings=ceilings)
    values = {
        "verdict": verdict(found),
        "headline": headline(found),
        "conclusions": conclusions(found),
        "limits": limits(found),
        "n_private_classes": 40,
        "n_attacked_classes": attacked_classes,
        "n_private_images": 1120,
        "n_held_out_images": 480,
        "n_public_images": 1400,
        "public": PUBLIC,
        "image_shape": [1, 64, 64],
        "images_per_class": 10,
        "seeds": SEEDS,
        "alpha": 0.05,
        "confidence": 0.95,
        "evaluator": judge,
        "priors": {"pixels": "the image itself", "gan": "WGAN-GP on public images, 20,000 steps"},
        "attacks": infos,
        "targets": made,
        "ceilings": ceilings,
        "fisher": [curve("undefended"), curve("tl-dmi frozen 3")],
        "pictures": pictures() if shown else [],
        "recipe": {"architecture": "cnn", "epochs": 40},
        "provenance": Provenance(
            seepage="0.5", python="3.11.9", torch="2.13.0", numpy="2.3.1", platform="Linux x86-64",
            created="2026-01-14T09:26:53Z", seconds=5520, seed=0, data="orl-faces", data_fingerprint="sha256:5f2c",
            n_records=1600, membership="drawn", command="seepage invert --data orl-faces --seeds 3",
            settings={"steps": 400, "restarts": 3},
        ),
    }  # fmt: skip
    return InversionResult(**{**values, **changes})
