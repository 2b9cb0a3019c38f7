"""Files that the runs read: made once, by NumPy and PyTorch alone, so that neither checkout had a hand in them."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

SEED = 14
# Loaded by every Python process of a run (`sitecustomize`): what depends on the moment is fixed.
FIXED = """\
import os, secrets, time

# The planner takes the engine that it times as the fastest. With equal steps for all it decides by counting alone.
_ticks = 0
def _perf_counter():
    global _ticks
    _ticks += 1
    return _ticks * 0.01
time.perf_counter = _perf_counter
# The planner takes as many workers as there are cores.
os.sched_getaffinity = lambda pid: {0}
# NumPy seeds generators that have no seed by this function: the noise of a release.
secrets.randbits = lambda n_bits: 20_261_201 % 2**n_bits
"""


def make_inputs(folder: Path) -> None:
    """Write members, non-members, population, a leaky model's weights, outputs, and a table into `folder`."""
    if (folder / "complete").exists():
        return
    (folder / "fixed").mkdir(parents=True, exist_ok=True)
    (folder / "fixed" / "sitecustomize.py").write_text(FIXED)
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    order = np.random.default_rng(SEED).permutation(len(images))
    parts = dict(zip(("members", "nonmembers", "population"), np.split(order[:900], [300, 600]), strict=True))
    for name, rows in parts.items():
        np.savez(folder / f"{name}.npz", inputs=images[rows], labels=labels[rows])
        np.savez(folder / f"{name}-unlabelled.npz", inputs=images[rows])
    _leaky_model(images[parts["members"]], labels[parts["members"]], folder / "model.safetensors")
    _outputs(folder / "outputs.npz")
    _table(folder / "table.csv")
    (folder / "complete").touch()


def _leaky_model(images: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """An MLP that was trained on the members for far too long."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(torch.from_numpy(images)), torch.from_numpy(labels)).backward()
        optimiser.step()
    names = ("body.1.weight", "body.1.bias", "head.weight", "head.bias")  # of the package's own MLP
    save_file(dict(zip(names, module.state_dict().values(), strict=True)), path)


def _outputs(path: Path) -> None:
    """Logits of a target and 15 references that know their members a little too well."""
    rng = np.random.default_rng(SEED)
    n_records, n_models, n_classes = 400, 16, 5
    labels = rng.integers(n_classes, size=n_records)
    membership = rng.permuted(np.arange(n_models)[None].repeat(n_records, 0) % 2 == 0, axis=1)
    logits = rng.normal(size=(n_records, n_models, n_classes)) + rng.normal(size=(n_records, 1, 1))
    logits[np.arange(n_records), :, labels] += 1.5 + 0.8 * membership
    np.savez(path, logits=logits, labels=labels, membership=membership)


def _table(path: Path) -> None:
    """People of two kinds, by three numbers, a word and a label."""
    rng = np.random.default_rng(SEED)
    rows = ["age,hours,score,town,label"]
    for _ in range(600):
        kind = int(rng.integers(2))
        town = ("north", "south", "west")[int(rng.integers(3))]
        age, hours, score = rng.normal(40 + 8 * kind, 9), rng.normal(35 + 4 * kind, 6), rng.normal(kind, 1)
        rows.append(f"{age:.1f},{hours:.0f},{score:.3f},{town},{'yes' if kind else 'no'}")
    path.write_text("\n".join(rows) + "\n")
