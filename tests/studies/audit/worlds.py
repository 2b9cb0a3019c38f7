"""Outputs whose leak is known, because it was put there (or left out)."""

import numpy as np


def outputs(
    *,
    leak: float = 0.0,
    skill: float = 1.5,
    n: int = 300,
    references: int = 8,
    n_classes: int = 3,
    population: int = 60,
    together: bool = False,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Arrays as `seepage.audit(outputs=...)` takes them: `n` audited records, then the population.

    Every model's logits are noise around the record's own difficulty, the true class's raised by `skill` for every
    record and by `leak` for those that the model was trained on. With `together` the target's column is balanced with
    those of the references, as Carlini et al. draw their models; else a coin of its own decides each record.
    """
    rng = np.random.default_rng(seed)
    total = n + population
    audited = np.arange(total) < n
    columns = references + together
    balanced = rng.permuted(np.tile(np.arange(columns) < columns // 2, (total, 1)), axis=1)
    membership = balanced if together else np.column_stack([rng.random(total) < 0.5, balanced])
    membership &= audited[:, None]
    labels = rng.integers(0, n_classes, total)
    logits = rng.normal(0, 1, (total, 1, n_classes)) + rng.normal(0, 0.7, (total, references + 1, n_classes))
    logits[np.arange(total), :, labels] += skill + leak * membership
    arrays = {"logits": logits.astype(np.float32), "labels": labels, "membership": membership}
    return arrays | ({"population": ~audited} if population else {})


def probabilities(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays with `probs` in place of `logits`."""
    shifted = arrays["logits"].astype(np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    rest = {name: array for name, array in arrays.items() if name != "logits"}
    return {"probs": shifted / shifted.sum(axis=-1, keepdims=True), **rest}


def target_alone(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays without reference models."""
    kept = {name: arrays[name][:, :1] for name in ("logits", "probs", "membership") if name in arrays}
    return arrays | kept
