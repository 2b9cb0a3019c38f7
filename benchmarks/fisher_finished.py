"""Fisher information on finished images beside that along the attack's path, for the first target of a study.

    seepage invert examples/inversion/tl_dmi.yaml
    python benchmarks/fisher_finished.py examples/inversion/tl_dmi.yaml --out fisher-finished.svg

Reads what the study kept (its models and images), and trains nothing that is there. On finished images GMI's loss is
about zero, so that the curve is of rounding and of the few images that are not finished: see docs/inversion.md.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from seepage.cli.specs.invert import InvertConfig
from seepage.inversion import find_inversion
from seepage.inversion.base import Budget
from seepage.inversion.priors import PriorOptions
from seepage.report.fisher_plot import slope_of, write_fisher
from seepage.studies.invert import Choice
from seepage.studies.invert.fisher import fisher, layer_information
from seepage.studies.invert.line import Line
from seepage.studies.invert.measured import FISHER_RECORDS, _along_path
from seepage.studies.invert.targets import targets
from seepage.studies.invert.world import make_world


def line_of(config: InvertConfig, attack: str) -> Line:
    """The pieces of a study's first target, under the keys that the study gave them."""
    world = make_world(
        config.data.as_image_data().pool(config.seed), private=config.private, attacked=config.attacked,
        held_out=config.held_out, for_judge=config.for_judge, rng=np.random.default_rng([config.seed, 6]),
    )  # fmt: skip
    first = config.targets[0]
    specs = targets([Choice(first.name, label=first.label)], config.recipe.recipe())
    priors = PriorOptions(**config.prior.model_dump(include={"steps", "width", "batch_size"}))
    return Line(
        world, specs, {attack: find_inversion(attack)}, {attack: Budget(**config.budget.model_dump())}, None, priors,
        None, config.images_per_class, config.out.absolute() / "run", "cpu",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--attack", default="gmi")
    parser.add_argument("--study", type=Path, help="the study's folder; by default the configuration's out")
    parser.add_argument("--out", type=Path, default=Path("fisher-finished.svg"))
    given = parser.parse_args()
    config = InvertConfig.read(given.config, {} if given.study is None else {"out": given.study})
    line, seed = line_of(config, given.attack), config.seeds[0]
    (target,) = line.targets
    module, world = line.target(seed, target), line.world
    images, labels = world.of(world.held_out)
    each = max(1, FISHER_RECORDS // len(world.attacked))
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:each] for label in world.attacked])
    private = layer_information(module, images[rows], torch.from_numpy(labels[rows])), labels[rows]
    made, of, _ = line.images(seed, target, given.attack)
    sides = {
        "along the path": (_along_path(line, target, given.attack, seed), [1, 5, 20]),
        "finished images": ((layer_information(module, made, torch.from_numpy(of)), of), []),
    }
    curves = []
    for name, (inversion, steps) in sides.items():
        one = fisher(*private, *inversion, target=name, attack=given.attack, steps=steps, rng=0)
        curves.append(one)
        size = inversion[0].per_sample.mean(0)[0] / private[0].per_sample.mean(0)[0]
        ratios = ", ".join(
            f"{layer} {value / one.ratio[0]:.2f}" for layer, value in zip(one.layers, one.ratio, strict=True)
        )
        print(f"{name}: slope {slope_of(one)}; ratio beside the first layer {ratios}; "
              f"information of the first layer beside classification's {size:.2g}")  # fmt: skip
    print(write_fisher(curves, given.out))


if __name__ == "__main__":
    main()
