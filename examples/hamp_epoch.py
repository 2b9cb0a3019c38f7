"""What HAMP's choice of the epoch decides: the accuracy on members, and on others, of the epoch that is kept.

    python examples/hamp_epoch.py                                       10 models: five minutes on one core
    python examples/hamp_epoch.py --figure docs/figures/hamp-epoch.svg  draws again what is kept in --out

HAMP keeps the epoch that is best on 300 validation records. Here each model of its Location30 recipe (training part) is
judged after every epoch on its 1,350 members and on 3,660 others, half of which only ever validate and half only ever
test. Then the choice is made again and again: with 100, 300, 1,000 or all 1,830 validation records, drawn anew 100
times a model.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from torch.func import functional_call, vmap

import seepage
from seepage.cli.specs.compare import CompareConfig
from seepage.cli.specs.parts import RecipeConfig
from seepage.models.engines import Stacked
from seepage.models.plan import one_thread
from seepage.models.records import Records

N_MEMBERS, SIZES, N_DRAWS, N_DRAWN = 1350, (100, 300, 1000, 1830), 100, 20
PUBLISHED = ((82.9, 54.9), (78.2, 56.3))  # train and test accuracy of the authors' two logged models

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--models", type=int, default=10)
ask.add_argument("--epochs", type=int, default=100)
ask.add_argument("--out", type=Path, default=Path("hamp-epoch"), help="folder of what every epoch got right")
ask.add_argument("--figure", type=Path, help="default: hamp-epoch.svg in that folder")
arguments = ask.parse_args()


def hamp_recipe() -> seepage.Recipe:
    """The row of the published comparison, without its choice of an epoch."""
    config = CompareConfig.read(Path(__file__).parent / "hamp" / "location30.yaml", {})
    row = next(row for row in config.defences if row.name == "hamp-training")
    given = config.recipe.model_dump(exclude_unset=True) | row.recipe
    recipe = replace(RecipeConfig.of(given, "recipe").recipe(), stop=None, epochs=arguments.epochs)
    return seepage.defended(recipe, row.name, **row.options)


def trace() -> dict[str, np.ndarray]:
    """(models, epochs) share of members that are right; (models, epochs, others) which of the others are."""
    pool, rng = seepage.load("location30"), np.random.default_rng(0)
    records, orders = Records.of(pool), [rng.permutation(len(pool)) for _ in range(arguments.models)]
    everybody = records.batch(torch.arange(len(pool)))
    training = Stacked(hamp_recipe(), records, [order[:N_MEMBERS] for order in orders], list(range(len(orders))))
    members, others = [], []
    while training.steps_left:
        epoch = training.streams[0].epoch(training.steps_done)
        training.step()
        if training.steps_left and training.streams[0].epoch(training.steps_done) == epoch:
            continue
        with torch.no_grad():
            logits = vmap(lambda state: functional_call(training.skeleton, state, (everybody,)))(training.parameters)
        right = (logits.argmax(-1) == records.labels).numpy()
        right = [right[place][orders[model]] for place, model in enumerate(training.order)]
        members.append([one[:N_MEMBERS].mean() for one in right])
        others.append([one[N_MEMBERS:] for one in right])
    return {"members": np.array(members).T, "others": np.array(others).transpose(1, 0, 2)}


def choices(members: np.ndarray, others: np.ndarray, size: int) -> np.ndarray:
    """(models, draws, 3): the epoch that `size` validation records choose, the first of the best; its accuracies."""
    rng, half = np.random.default_rng([1, size]), others.shape[2] // 2
    found = np.empty((len(members), N_DRAWS, 3))
    for model, (train, right) in enumerate(zip(members, others, strict=True)):
        for draw in range(N_DRAWS):
            best = right[:, rng.choice(half, size, replace=False)].mean(1).argmax()
            found[model, draw] = best + 1, 100 * train[best], 100 * right[best, half:].mean()
    return found


arguments.out.mkdir(parents=True, exist_ok=True)
file = arguments.out / f"right-{arguments.models}-{arguments.epochs}.npz"
if not file.exists():
    with one_thread():
        np.savez_compressed(file, **trace())
with np.load(file) as kept:
    members, others = kept["members"], kept["others"]

print("| validation records | epoch kept, 10 % / median / 90 % | train, % | test, % |\n|---|---|---|---|")
by_size = {size: choices(members, others, size) for size in SIZES}
for size, found in by_size.items():
    spread = np.quantile(found.reshape(-1, 3), [0.1, 0.5, 0.9], axis=0).T
    print(
        f"| {size:,} | "
        + " | ".join(" / ".join(f"{v:.{min(k, 1)}f}" for v in row) for k, row in enumerate(spread))
        + " |"
    )
last = 100 * members[:, -1], 100 * others[:, -1, others.shape[2] // 2 :].mean(1)
print(f"| none: the last epoch | {members.shape[1]} | {np.median(last[0]):.1f} | {np.median(last[1]):.1f} |")

matplotlib.rcParams.update({"svg.hashsalt": "hamp-epoch", "font.size": 9})
figure = Figure(figsize=(11, 3.8), layout="constrained")
left, middle, right = figure.subplots(1, 3)
epochs = np.arange(1, members.shape[1] + 1)
for accuracy, colour, name in ((members, "#d55e00", "members"), (others.mean(2), "#0072b2", "others")):
    left.plot(epochs, 100 * accuracy.T, color=colour, lw=0.7, alpha=0.6)
    left.plot([], [], color=colour, label=name)
left.set(xlabel="epoch", ylabel="accuracy, %", title=f"{len(members)} models, epoch by epoch")
found = by_size[300][:, :N_DRAWN]  # more dots than these make a large file
middle.plot(*found.reshape(-1, 3)[:, :2].T, ".", color="#d55e00", ms=3, alpha=0.3, label="train")
middle.plot(*found.reshape(-1, 3)[:, ::2].T, ".", color="#0072b2", ms=3, alpha=0.3, label="test")
middle.set(xlabel="epoch kept", ylabel="accuracy, %", title="Chosen by 300 records: one dot a draw")
for place, found in enumerate(by_size.values()):
    for column, colour, shift in ((1, "#d55e00", -0.15), (2, "#0072b2", 0.15)):
        values = found[:, :N_DRAWN, column].ravel()
        spread = np.random.default_rng(place).uniform(-0.1, 0.1, len(values))
        right.plot(place + shift + spread, values, ".", color=colour, ms=2, alpha=0.3)
        right.plot(place + shift, np.median(found[:, :, column]), "_", color="black", ms=14)
for train, test in PUBLISHED:
    right.plot(SIZES.index(300) - 0.3, train, ">", color="black", ms=5)
    right.plot(SIZES.index(300) + 0.3, test, "<", color="black", ms=5)
right.set(xlabel="validation records", title="Draws; -: median; > <: the authors'")
right.set_xticks(range(len(SIZES)), [f"{size:,}" for size in SIZES])
for panel in (left, middle, right):
    panel.set_ylim(0, 101)
    panel.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False, fontsize=8, loc="lower right")
path = arguments.figure or arguments.out / "hamp-epoch.svg"
path.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(path, metadata={"Date": None})
print(f"Figure: {path}")
