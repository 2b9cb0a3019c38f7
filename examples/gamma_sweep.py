"""How much HAMP's gamma buys, and what it costs: leakage, accuracy and calibration from gamma 0.01 to 0.99.

python examples/gamma_sweep.py                              Location30, 16 models a point: about an hour on two cores
python examples/gamma_sweep.py --data digits --models 16    minutes

Each point is an audit of its own in a folder of its own: a sweep that was stopped goes on where it was. Soft labels
make a model less sure, which calibrates one that was too sure and spoils one that was not; the modified answers of the
full defence keep labels and give up confidence altogether.
"""

import argparse
import functools
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import seepage
from seepage.defences import defended
from seepage.models.recipe import BestValidation

GAMMAS = [0.01, 0.1, 0.25, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99]
PARTS = ("value", "low", "high")
ATTACKS = {
    "loss": "loss",
    "lira-online": "LiRA",
    "rank-only": "order of classes alone",
    "correctness": "label alone",
}
MODES = {"hamp-training": "training alone", "hamp": "with modified answers"}


def location30():
    """The recipes that HAMP was published with: undefended, and what the defence goes on."""
    net = functools.partial(seepage.MLP, hidden=(1024, 512, 256, 128), activation="tanh")
    plain = seepage.Recipe(net, seepage.SGD(0.5, momentum=0.0), epochs=50, batch_size=64, stop=BestValidation())
    sgd = seepage.SGD(0.5, momentum=0.99, weight_decay=1e-5)
    return plain, replace(plain, optimiser=sgd, schedule=seepage.Steps((60, 90, 150)), epochs=100)


def digits():
    recipe = seepage.Recipe(
        functools.partial(seepage.MLP, hidden=(128,)), seepage.Adam(0.005), epochs=60, batch_size=32,
        stop=BestValidation(),
    )  # fmt: skip
    return recipe, recipe


ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--data", choices=("location30", "digits"), default="location30")
ask.add_argument("--models", type=int, default=16, help="a point; each is the target in its turn")
ask.add_argument("--gammas", type=float, nargs="+", default=GAMMAS)
ask.add_argument("--alpha", type=float, default=0.001, help="weight of the entropy")
ask.add_argument("--epochs", type=float, help="of every model; default: the recipe's")
ask.add_argument("--records", type=int, help="use this many records, drawn at random; default: all")
ask.add_argument("--seed", type=int, default=0)
ask.add_argument("--out", type=Path, default=Path("gamma-sweep"), help="folder of the audits and of the table")
ask.add_argument("--figure", type=Path, help="default: gamma-sweep.svg in that folder")
arguments = ask.parse_args()

pool = seepage.load(arguments.data)
if arguments.records:
    drawn = np.random.default_rng([arguments.seed, 1]).choice(len(pool), arguments.records, replace=False)
    pool = pool.subset(np.sort(drawn))
plain, base = {"location30": location30, "digits": digits}[arguments.data]()
if arguments.epochs:
    plain, base = replace(plain, epochs=arguments.epochs), replace(base, epochs=arguments.epochs)
membership = seepage.Membership.every_model(
    pool, references=arguments.models, validation=0.06, population=0.2, rng=np.random.default_rng([arguments.seed, 2])
)


def audited(name, recipe):
    """The same members, attacks and seed for every point."""
    print(name, flush=True)
    return seepage.audit_recipe(
        recipe,
        pool,
        membership,
        attacker=seepage.Attacker(attacks=list(ATTACKS)),
        settings=seepage.Settings(controls=False),
        run=seepage.Run(
            arguments.out / name,
            weights_cache=arguments.out / "models",
            progress=True,
            command="python examples/gamma_sweep.py",
            seed=arguments.seed,
        ),
    )


undefended = audited("undefended", plain)
points = {
    (mode, gamma): audited(
        f"{mode}-{gamma:g}-{arguments.alpha:g}", defended(base, mode, gamma=gamma, alpha=arguments.alpha)
    )
    for mode in MODES
    for gamma in arguments.gammas
}

MEASURES = {
    "train accuracy": lambda result: result.target.accuracy_members,
    "test accuracy": lambda result: result.target.accuracy_nonmembers,
    "calibration error (ECE)": lambda result: result.target.calibration_error,
    **{f"AUC, {title}": lambda result, attack=attack: result.attack(attack).auc for attack, title in ATTACKS.items()},
    "TPR at 1 % FPR, LiRA": lambda result: result.attack("lira-online").tpr_at_fpr["0.01"],
}


def cell(estimate):
    if estimate is None or estimate.value is None:
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


rows = [("undefended", undefended)]
rows += [(f"gamma {gamma:g}, {MODES[mode]}", result) for (mode, gamma), result in points.items()]
lines = [f"| {pool.name}, {arguments.models} models | {' | '.join(MEASURES)} |", "|---" * (len(MEASURES) + 1) + "|"]
lines += [f"| {name} | {' | '.join(cell(measure(result)) for measure in MEASURES.values())} |" for name, result in rows]
table = "\n".join(lines)
(arguments.out / "table.md").write_text(table + "\n")
print(table)

matplotlib.rcParams.update({"svg.hashsalt": "gamma-sweep", "font.size": 9})
figure = Figure(figsize=(11, 3.8), layout="constrained")
panels = figure.subplots(1, 3)
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]


def draw(panel, names, title):
    for name, colour in zip(names, COLOURS, strict=False):
        for mode, style in zip(MODES, ("-o", "--s"), strict=True):
            found = [MEASURES[name](points[mode, gamma]) for gamma in arguments.gammas]
            value, low, high = (np.array([getattr(e, part) for e in found], float) for part in PARTS)
            panel.plot(arguments.gammas, value, style, color=colour, ms=3.5, lw=1.4)
            panel.fill_between(arguments.gammas, low, high, color=colour, alpha=0.12, lw=0)
        panel.axhline(MEASURES[name](undefended).value, color=colour, lw=1.2, ls=":")
        panel.plot([], [], color=colour, label=name)
    panel.set(xlabel="gamma", title=title, xlim=(0, 1))
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)


draw(panels[0], [f"AUC, {title}" for title in ATTACKS.values()], "What attacks find")
draw(panels[1], ["train accuracy", "test accuracy"], "Accuracy")
draw(panels[2], ["calibration error (ECE)"], "Calibration on non-members")
panels[2].set_ylim(bottom=0)
figure.suptitle(
    f"HAMP on {pool.name}, {arguments.models} models a point. Solid: training alone; dashed: with modified answers; "
    "dotted: undefended; bands: 95 % intervals.",
    fontsize=9,
)
path = arguments.figure or arguments.out / "gamma-sweep.svg"
path.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(path, metadata={"Date": None})
print(f"Figure: {path}")
