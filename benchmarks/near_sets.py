"""Which near non-members look most like real ones, by a rule that was fixed before any false-positive rate was seen.

    python3 benchmarks/near_sets.py --out near.json            # CIFAR-10, minutes on one core
    python3 benchmarks/near_sets.py --out near.json --gan-steps 0

Candidates are made of records that are used for nothing else. The rule:

1. A candidate must be a new image: made of two or more records, or by a generator. A warp of one record is measured as
   a mark to compare with, and not chosen.
2. A probe network, trained on other records, must give it its class at least half as often as it does real images.
3. Of those left, the one that a classifier tells from real images least well: lowest AUC of a two-sample test
   (Lopez-Paz and Oquab 2017, arXiv 1610.06545), mean over the seeds. The test trains a small CNN on half of the images
   and is judged on the other half; real images and sources of candidates are different records.

What the studied models answer plays no part in it.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from seepage.data import Pool, load
from seepage.metrics import roc_auc
from seepage.models.architectures import CNN
from seepage.models.generators import train_gan
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import Cosine
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.target import TargetModel
from seepage.models.train import train_models
from seepage.studies.compare.shadow.near import blended, interpolated, pair_rows, warped

N = 1000  # images a side of the two-sample test
SOURCES, PROBED = 2 * N, 4000
ALL_CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gan-steps", type=int, default=4000)
    options = parser.parse_args()
    pool = load("cifar10")
    rows = np.random.default_rng(0).permutation(len(pool))
    sources, real, probed = np.split(rows[: SOURCES + N + PROBED], [SOURCES, SOURCES + N])
    sets = candidates(pool.inputs[sources], pool.labels[sources], options.gan_steps, options.out.with_suffix(""))
    sets["real images"] = pool.inputs[sources[:N]], pool.labels[sources[:N]]
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    if sets.keys() - found.keys():
        probe = trained(pool.inputs[probed], pool.labels[probed], ALL_CLASSES, epochs=8, seed=0, widths=(16, 32, 64))
    for name, (images, labels) in sets.items():
        if name not in found:
            right = probe(images).argmax(axis=1) == labels
            found[name] = {"n": len(images), "accuracy": float(right.mean()), "auc": []}
        one = found[name]
        for seed in range(len(one["auc"]), options.seeds):
            one["auc"].append(two_sample(images, pool.inputs[real], seed))
        options.out.write_text(json.dumps(found, indent=1))
        print(f"{name:34} {np.mean(one['auc']):.3f} {one['accuracy']:.3f} {one}", flush=True)
    print("chosen:", choose(found))


def choose(found: dict) -> str:
    """The rule above."""
    marks = ("real images", "warped")
    least = found["real images"]["accuracy"] / 2
    fit = [name for name, one in found.items() if name not in marks and one["accuracy"] >= least]
    return min(fit, key=lambda name: np.mean(found[name]["auc"]))


def candidates(images: np.ndarray, labels: np.ndarray, gan_steps: int, folder: Path) -> dict:
    rng = np.random.default_rng(1)
    pairs = pair_rows(labels, rng=rng)
    near = nearest_pairs(images, labels)
    a, b = (images[pairs[:, side]].astype(np.float64) for side in (0, 1))
    of_pairs = labels[pairs[:, 0]]
    sets = {
        "warped": (warped(images[:N], rng=rng), labels[:N]),
        "interpolated": (interpolated(images, pairs), of_pairs),
        "interpolated, nearest": (interpolated(images, near), labels[near[:, 0]]),
        "interpolated, contrast restored": (blended(images, pairs), of_pairs),
        "phase of one, amplitude of other": (spectra(a, b), of_pairs),
        "coarse of one, fine of other": (bands(a, b), of_pairs),
        "left of one, right of other": (halves(a, b), of_pairs),
    }
    if gan_steps:
        pool = Pool(images, labels, n_classes=ALL_CLASSES, name="held out")
        folder.mkdir(parents=True, exist_ok=True)
        made = train_gan(pool, n_steps=gan_steps, rng=0, folder=folder)
        asked = np.arange(N) % ALL_CLASSES
        sets["GAN"] = made.sample(asked, np.random.default_rng(2)), asked
    return sets


def nearest_pairs(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Pairs of one class, each record in at most one, the closest left (pixels) joined to each in turn."""
    pairs = []
    for one in np.unique(labels):
        rows = np.flatnonzero(labels == one)
        x = images[rows].reshape(len(rows), -1).astype(np.float32)
        squares = (x**2).sum(axis=1)
        distance = squares[:, None] + squares - 2 * x @ x.T
        np.fill_diagonal(distance, np.inf)
        left = np.ones(len(rows), dtype=bool)
        for at in np.argsort(distance.min(axis=1)):
            if not left[at]:
                continue
            left[at] = False
            if not left.any():
                break
            other = np.flatnonzero(left)[distance[at, left].argmin()]
            left[other] = False
            pairs.append(rows[[at, other]])
    return np.array(pairs)


def as_bytes(values: np.ndarray) -> np.ndarray:
    return np.round(values).clip(0, 255).astype(np.uint8)


def spectra(a, b):
    """Fourier phase of one, amplitude of the other."""
    phase, amplitude = np.angle(np.fft.fft2(a)), np.abs(np.fft.fft2(b))
    return as_bytes(np.fft.ifft2(amplitude * np.exp(1j * phase)).real)


def bands(a, b):
    """Waves of at most 4 a side from one, the finer ones from the other."""
    side = np.fft.fftfreq(a.shape[2]) * a.shape[2]
    coarse = np.hypot(side[:, None], side) <= 4
    return as_bytes(np.fft.ifft2(np.where(coarse, np.fft.fft2(a), np.fft.fft2(b))).real)


def halves(a, b):
    """The left of one and the right of the other, with a ramp of eight columns between."""
    share = np.clip((np.arange(a.shape[3]) - a.shape[3] / 2 + 4) / 8, 0, 1)
    return as_bytes(a * (1 - share) + b * share)


def two_sample(made: np.ndarray, real: np.ndarray, seed: int) -> float:
    """AUC of a small CNN between the halves that it was not trained on."""
    rng = np.random.default_rng(seed)
    n = min(len(made), len(real))
    made, real = made[rng.permutation(len(made))[:n]], real[rng.permutation(len(real))[:n]]
    half = n // 2
    images = np.concatenate([made[:half], real[:half]])
    ask = trained(images, np.repeat([1, 0], half), 2, epochs=12, seed=seed, widths=(8, 16, 32))
    logits = ask(np.concatenate([made[half:], real[half:]]))
    truth = np.repeat([True, False], n - half)
    return float(roc_auc(logits[:, 1] - logits[:, 0], truth, confidence=0.95, rng=np.random.default_rng(0)).value)


def trained(images, labels, n_classes: int, *, epochs: int, seed: int, **options):
    recipe = Recipe(lambda shape, n: CNN(shape, n, **options), epochs=epochs, schedule=Cosine())
    pool = Pool(standard(images), labels, n_classes=n_classes, name="test")
    (module,) = train_models(
        recipe, Records.of(pool, "cpu"), [np.arange(len(pool))], [seed], held_out=HeldOut(), engine="single",
        report=lambda done: None,
    )  # fmt: skip
    model = TargetModel.wrap(module)
    return lambda some: model.logits(standard(some))


def standard(images: np.ndarray) -> np.ndarray:
    return ((images.astype(np.float32) / 255) - 0.47) / 0.25


if __name__ == "__main__":
    main()
