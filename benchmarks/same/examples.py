"""Every configuration in `examples/`, shrunk to seconds."""

from collections.abc import Mapping
from typing import Any

from same.run import Run


def _compare(example: str, config: Mapping[str, Any], *needs: str) -> Run:
    return Run(("seepage compare config.yaml",), {"workers": 0, **config, "out": "out"}, example, needs=needs)


def _invert(example: str, config: Mapping[str, Any], *needs: str) -> Run:
    smaller = {
        "workers": 0,
        "device": "cpu",
        "seeds": [0],
        "images_per_class": 1,
        "budget": {"steps": 4, "restarts": 1, "queries": 40},
        "prior": {"steps": 10, "width": 4},
        "random": 5,
        "recipe": {"epochs": 1},
        "out": "out",
    }
    return Run(("seepage invert config.yaml",), smaller | config, example, needs=needs)


JUDGE = {"options": {"widths": [8, 16], "convolutions": 1}, "epochs": 1}
SMALL_CNN = {"options": {"widths": [8, 16]}, "epochs": 1}
PRETRAINED = {"options": {"pretraining_records": 300, "pretraining_epochs": 1}}


EXAMPLES: dict[str, Run] = {
    "examples/digits_defences": _compare(
        "digits_defences.yaml",
        {
            "data": {"limit": 300},
            "validation": 40,
            "population": 60,
            "references": 4,
            "recipe": {"epochs": 2},
            "defences": {
                "selena": {"options": {"sub_models": 4, "left_out": 2}},
                "dmp": {"options": {"n_synthetic": 100, "generator_steps": 20}},
                "memguard": {"options": {"epochs": 10}},
            },
        },
    ),
    "examples/hamp_canaries": _compare(
        "hamp_canaries.yaml",
        {
            "data": {"limit": 500},
            "references": 8,
            "canaries": {"n": 40},
            "recipe": {"epochs": 3},
            "defences": {"dp-sgd": {"recipe": {"epochs": 2}}},
        },
    ),
    "examples/cifar10_defences": _compare(
        "cifar10_defences.yaml",
        {
            "data": {"limit": 220},
            "validation": 20,
            "population": 80,
            "references": 4,
            "recipe": {"options": {"widths": [4, 8]}, "epochs": 1},
            "defences": {
                "hamp": {"recipe": {"epochs": 1}},
                "hamp-training": {"recipe": {"epochs": 1}},
                "selena": {"options": {"sub_models": 3, "left_out": 1}},
                "dmp": {"options": {"n_synthetic": 60, "generator_steps": 10}},
                "memguard": {"options": {"epochs": 3}},
                "dp-sgd": {"recipe": {"batch_size": 16}},
                "dp-sgd more noise": {"recipe": {"batch_size": 16}},
                "adversarial-regularisation": {"options": {"attack_steps": 2}},
            },
        },
        "cifar10",
    ),
    "examples/hamp/location30": _compare(
        "hamp/location30.yaml",
        {
            "data": {"limit": 500},
            "validation": 60,
            "population": 140,
            "references": 4,
            "targets": 2,
            "recipe": {"options": {"hidden": [32, 16]}, "epochs": 2},
            "defences": {
                "*": {"references": 4},
                "hamp": {"recipe": {"epochs": 2}},
                "hamp-training": {"recipe": {"epochs": 2}},
                "selena": {"options": {"sub_models": 3, "left_out": 1, "student_epochs": 2}},
                "adversarial-regularisation": {"options": {"n_references": 60, "attack_steps": 2}},
                "dmp": {"options": {"n_synthetic": 60, "student_epochs": 2, "generator_steps": 10}},
                "memguard": {"options": {"epochs": 3}},
            },
        },
        "location30",
    ),
    "examples/hamp/cifar10": _compare(
        "hamp/cifar10.yaml",
        {
            "data": {"limit": 160},
            "validation": 20,
            "population": 80,
            "references": 6,
            "queries": "flip",
            "recipe": {"options": {"depth": 10, "growth": 4}, "epochs": 1},
            "defences": {
                "*": {"references": 6},
                "hamp": {"recipe": {"epochs": 1}},
                "hamp-training": {"recipe": {"epochs": 1}},
                "selena": {"options": {"sub_models": 3, "left_out": 1, "student_epochs": 1}},
                "adversarial-regularisation": {
                    "options": {"attack_steps": 2},
                    "recipe": {"epochs": 1, "batch_size": 64},
                },
                "dmp": {"options": {"n_synthetic": 30, "generator_steps": 2, "student_epochs": 1}},
                "memguard": {"options": {"epochs": 3}},
            },
        },
        "cifar10",
    ),
    # Not shrunk yet: whoever has these data must first say how, as for location30.
    "examples/hamp/purchase100": _compare("hamp/purchase100.yaml", {}, "purchase100"),
    "examples/hamp/texas100": _compare("hamp/texas100.yaml", {}, "texas100"),
    "examples/hamp/cifar100": _compare("hamp/cifar100.yaml", {}, "cifar100"),
    "examples/inversion/mnist": _invert(
        "inversion/mnist.yaml",
        {"data": {"limit": 600}, "recipe": SMALL_CNN, "judge": JUDGE, "targets": ["undefended", "null"]},
        "mnist",
    ),
    "examples/inversion/fashion": _invert(
        "inversion/fashion.yaml",
        {"data": {"limit": 600}, "recipe": SMALL_CNN, "judge": JUDGE, "attacks": ["gmi"], "seeds": [0, 1]},
        "fashion-mnist",
    ),
    "examples/inversion/quickdraw": _invert(
        "inversion/quickdraw.yaml",
        {
            "data": {"limit": 4000},
            "private": 6,
            "attacked": 6,
            "recipe": SMALL_CNN,
            "judge": JUDGE,
            "attacks": ["mi-face", "gmi", "brep-mi"],
        },
        "quickdraw",
    ),
    "examples/inversion/open": _invert(
        "inversion/open.yaml",
        {"data": {"limit": 4000}, "private": 6, "attacked": 6, "recipe": SMALL_CNN, "judge": JUDGE},
        "quickdraw",
    ),
    "examples/inversion/tl_dmi": _invert(
        "inversion/tl_dmi.yaml",
        {
            "data": {"limit": 4000},
            "private": 6,
            "recipe": {"options": {"widths": [4, 8, 8]}, "epochs": 1},
            "judge": JUDGE,
            "targets": {
                "CIFAR freeze 0": PRETRAINED,
                "CIFAR freeze 2": PRETRAINED,
                "CIFAR freeze 4": PRETRAINED,
                "CIFAR freeze 6": PRETRAINED,
                "scratch 3 epochs": {"recipe": {"epochs": 2}},
                "drawings freeze 0": {"options": {"pretraining_epochs": 1}},
                "drawings freeze 6": {"options": {"pretraining_epochs": 1}},
            },
        },
        "quickdraw",
        "cifar10",
    ),
    "examples/inversion/efficientnet": _invert(
        "inversion/efficientnet.yaml",
        {
            "data": {"limit": 4000},
            "private": 6,
            "judge": JUDGE,
            "recipe": {"options": {"side": 32}, "epochs": 1},
        },
        "quickdraw",
        "efficientnet-lite0",
    ),
    "examples/inversion/orl": _invert(
        "inversion/orl.yaml",
        {"attacked": 4, "recipe": SMALL_CNN, "prior": {"samples": 20, "steps": 5, "width": 4}, "attacks": ["plg-mi"]},
        "orl-faces",
        "csu-faces",
        "sface",
        "dcgan-faces",
    ),
    "examples/inversion/csu": _invert(
        "inversion/csu.yaml",
        {"attacked": 4, "recipe": SMALL_CNN, "prior": {"samples": 20, "steps": 5, "width": 4}, "attacks": ["gmi"]},
        "orl-faces",
        "csu-faces",
        "sface",
        "dcgan-faces",
    ),
}
