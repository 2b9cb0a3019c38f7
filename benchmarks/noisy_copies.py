"""Noisy copies of a model as its own reference models: does the attack earn a place among the others?

    python3 benchmarks/noisy_copies.py                      # every target: five minutes on one core, kept in --out
    python3 benchmarks/noisy_copies.py fashion-mnist-0      # some of them

Who holds a model's weights but has no records to train references on could perturb the weights instead:

    copy_k: each tensor of weights w becomes w + level sd(w) z_k,  z_k ~ N(0, 1)
    scaled     s(x) = (phi(x) - mean_k phi_k(x)) / sd_k phi_k(x),   phi the log-odds of the label, 16 copies
    unscaled   s(x) = phi(x) - mean_k phi_k(x)

All that could be tuned was fixed before the first run. The level is the one on a grid of steps of a quarter whose
copies give the target's own label to a share of the audited records that is nearest to .8 (two copies a level, not
those that score). Each target has 3,000 members and 3,000 others to audit (Location30 1,400 and 1,400), and one
reference model trained on as many further records, of which RMIA (offline, with a population of its own) makes use.

The rule, also from before: a form earns its place if, on most of the CNN targets, its TPR at an FPR of 1 % is above
the loss's (the paired bootstrap interval of the difference is above 0) and at least half of RMIA's with one reference.
"""

import argparse
import copy
from functools import partial
from pathlib import Path

import numpy as np
import torch

import seepage
from seepage.attacks import ATTACKS
from seepage.signals.view import ScalarSignals, View

N_COPIES, N_TRIED, AGREEMENT, LEVELS = 16, 2, 0.8, [0.1 * 1.25**k for k in range(16)]
RATE, N_RESAMPLES = 0.01, 1000
CNN = seepage.Recipe(
    partial(seepage.CNN, widths=(16, 32, 64)),
    seepage.SGD(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=seepage.Cosine(),
    epochs=15,
)
MLP = seepage.Recipe(
    partial(seepage.MLP, hidden=(256, 128), activation="tanh"), optimiser=seepage.Adam(lr=1e-3), epochs=30
)
CNNS = {f"{data}-{seed}": (data, CNN, 3000, seed) for data in ("fashion-mnist", "cifar10") for seed in (0, 1)}
CNNS["mnist-0"] = ("mnist", CNN, 3000, 0)
TABLES = {f"{data}-0": (data, MLP, n, 0) for data, n in (("location30", 1400), ("adult", 3000), ("purchases", 3000))}
TARGETS = CNNS | TABLES
FORMS = ("scaled", "unscaled")
SCORES = ("loss", "rmia", *FORMS)


def main() -> None:
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name in options.targets or TARGETS:
        file = options.out / f"{name}.npz"
        if not file.exists():
            np.savez(file.with_suffix(".part.npz"), **scored(*TARGETS[name]))
            file.with_suffix(".part.npz").rename(file)
        with np.load(file) as kept:
            rows[name] = measured(dict(kept))
        print(line(name, rows[name]) if len(rows) > 1 else f"{HEAD}\n{line(name, rows[name])}", flush=True)
    of_cnns = [rows[name] for name in CNNS if name in rows]
    for form in FORMS if of_cnns else ():
        above = sum(row[form]["above_loss"][1] > 0 for row in of_cnns)
        enough = sum(row[form]["tpr"][0] >= row["rmia"]["tpr"][0] / 2 for row in of_cnns)
        both = sum(
            row[form]["above_loss"][1] > 0 and row[form]["tpr"][0] >= row["rmia"]["tpr"][0] / 2 for row in of_cnns
        )
        verdict = "earns its place" if 2 * both > len(of_cnns) else "does not earn its place"
        print(
            f"\n{form}: above the loss on {above} of {len(of_cnns)} CNNs, half of RMIA's or more on {enough}, "
            f"both on {both}: it {verdict}"
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("noisy-copies"), help="folder of the scores")
    options = parser.parse_args()
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"expected targets of {', '.join(TARGETS)}, got {', '.join(unknown)}")
    return options


def pool_of(data: str, seed: int) -> seepage.Pool:
    if data != "purchases":
        return seepage.load(data)
    rng = np.random.default_rng([seed, 9])
    kinds = rng.random((100, 600)) < 0.3
    labels = rng.integers(0, 100, 10_000)
    bought = kinds[labels] ^ (rng.random((10_000, 600)) < 0.3)
    return seepage.Pool(bought.astype(np.float32), labels, name=data, n_classes=100)


def scored(data: str, recipe: seepage.Recipe, n: int, seed: int) -> dict[str, np.ndarray]:
    """Every score of the audited records of one target, members first, and what the target was like."""
    pool, rng = pool_of(data, seed), np.random.default_rng([seed, 0])
    order = rng.permutation(len(pool))
    pool = pool.subset(order[: min(len(pool), 3 * n + 2000)])
    audited, rows = np.arange(2 * n), np.arange(len(pool))
    target = seepage.train(recipe, pool, rows < n, rng=seed)
    reference = seepage.train(recipe, pool, (rows >= 2 * n) & (rows < 3 * n), rng=seed + 1000)
    own = logits(target, pool, rows)
    level, agreement = chosen_level(target, pool.subset(audited), own[audited].argmax(1), seed)
    copies = [logits(noisy(target, level, [seed, 2, k]), pool, audited) for k in range(N_COPIES)]

    phi = ScalarSignals(np.stack([own[audited], *copies], axis=1)[:, :, None], pool.labels[audited])["scaled-logit"]
    difference = phi[:, 0, 0] - phi[:, 1:, 0].mean(1)
    view = View(
        signals=ScalarSignals(np.stack([own, logits(reference, pool, rows)], axis=1)[:, :, None], pool.labels),
        labels=pool.labels,
        target_column=0,
        reference_columns=np.array([1]),
        reference_in=((rows >= 2 * n) & (rows < 3 * n))[:, None],
        reference_out=((rows < 2 * n) | (rows >= 3 * n))[:, None],
        population=rows >= 3 * n,
    )
    right = own.argmax(1) == pool.labels
    return {
        "loss": ATTACKS["loss"].score(view, rng=np.random.default_rng(0))[audited],
        "rmia": ATTACKS["rmia-offline"].score(view, rng=np.random.default_rng(0))[audited],
        "scaled": difference / np.maximum(phi[:, 1:, 0].std(1, ddof=1), 1e-12),
        "unscaled": difference,
        "about": np.array([level, agreement, right[:n].mean(), right[n : 2 * n].mean()]),
    }


def chosen_level(target: torch.nn.Module, pool: seepage.Pool, own: np.ndarray, seed: int) -> tuple[float, float]:
    """The level whose copies agree with the target nearest to `AGREEMENT`, and how far they agree."""
    tried: dict[float, float] = {}
    for level in LEVELS:
        copies = [noisy(target, level, [seed, 1, k]) for k in range(N_TRIED)]
        tried[level] = np.mean([logits(one, pool, np.arange(len(pool))).argmax(1) == own for one in copies])
        if tried[level] < AGREEMENT - 0.1:
            break
    level = min(tried, key=lambda one: abs(tried[one] - AGREEMENT))
    return level, tried[level]


def noisy(target: torch.nn.Module, level: float, seed: list[int]) -> torch.nn.Module:
    rng, made = np.random.default_rng(seed), copy.deepcopy(target)
    with torch.no_grad():
        for weights in made.parameters():
            z = torch.from_numpy(rng.standard_normal(weights.shape)).to(weights.dtype)
            weights += level * weights.std(correction=0) * z
    return made


@torch.no_grad()
def logits(module: torch.nn.Module, pool: seepage.Pool, rows: np.ndarray) -> np.ndarray:
    parts = np.array_split(rows, max(1, len(rows) // 500))
    return np.concatenate([module(torch.from_numpy(pool.batch(part)).float()).numpy() for part in parts])


def measured(kept: dict[str, np.ndarray]) -> dict:
    """Score -> AUC, TPR and its lead over the loss's TPR, each with a 95 % interval over resampled records."""
    n = len(kept["loss"]) // 2
    rng = np.random.default_rng(0)
    draws = [np.arange(n)[None].repeat(2, 0)] + [rng.integers(0, n, (2, n)) for _ in range(N_RESAMPLES)]
    found = {name: np.array([figures(kept[name][:n][i], kept[name][n:][j]) for i, j in draws]) for name in SCORES}
    row = {"about": kept["about"]}
    for name in SCORES:
        lead = found[name][:, 1] - found["loss"][:, 1]
        parts = {"auc": found[name][:, 0], "tpr": found[name][:, 1], "above_loss": lead}
        row[name] = {of: (one[0], *np.quantile(one[1:], [0.025, 0.975])) for of, one in parts.items()}
    return row


def figures(members: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """AUC, and TPR at an FPR of at most `RATE`."""
    others = np.sort(others)
    below = np.searchsorted(others, members, side="left") + np.searchsorted(others, members, side="right")
    threshold = others[len(others) - 1 - int(RATE * len(others))]
    return below.mean() / 2 / len(others), float((members > threshold).mean())


HEAD = (
    "| target | train, others, % | level (agreement) | TPR at 1 %: loss | RMIA, one reference | scaled | unscaled "
    f"| AUC: loss | RMIA | scaled | unscaled |\n|{'---|' * 11}"
)


def line(name: str, row: dict) -> str:
    level, agreement, train, others = row["about"]
    tprs = ["{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in row[score]["tpr"])) for score in SCORES]
    aucs = ["{:.3f} [{:.3f}, {:.3f}]".format(*row[score]["auc"]) for score in SCORES]
    about = f"{100 * train:.1f}, {100 * others:.1f} | {level:.2f} ({agreement:.2f})"
    return f"| {name} | {about} | {' | '.join(tprs + aucs)} |"


if __name__ == "__main__":
    main()
