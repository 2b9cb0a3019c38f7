"""A small world of real records and trained models: handwritten digits, some of them with wrong labels."""

import functools

import numpy as np
from sklearn.datasets import load_digits

from seepage.data import Pool
from seepage.models.architectures import MLP
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.signals.collect import collect
from seepage.signals.view import View

N_AUDITED, N_KNOWN, N_POPULATION, N_REFERENCES = 240, 60, 100, 8
# Labels that the image does not tell must be learned by heart.
WRONG_LABELS = 0.3


@functools.cache
def trained(leak: bool = True, seed: int = 0) -> tuple[View, np.ndarray]:
    """A view of a trained target, live and with weights, and its membership.

    240 records to audit, half of them members; 60 whose membership is known; 100 of the population. 8 references on
    balanced halves of the first two. Without a leak the target was trained on 150 records from elsewhere.
    """
    rng = np.random.default_rng([5, seed])
    images, digits = load_digits(return_X_y=True)
    chosen = rng.permutation(len(images))[: N_AUDITED + N_KNOWN + N_POPULATION + 150]
    labels = digits[chosen]
    wrong = rng.random(len(labels)) < WRONG_LABELS
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, int(wrong.sum()))) % 10
    pool = Pool(images[chosen].reshape(-1, 1, 8, 8).astype(np.uint8), labels, n_classes=10, scale=1 / 16)
    n = N_AUDITED + N_KNOWN
    columns = np.zeros((len(pool), 1 + N_REFERENCES), dtype=bool)
    columns[:n, 1:] = rng.permuted(np.tile(np.arange(N_REFERENCES) < N_REFERENCES // 2, (n, 1)), axis=1)
    members = np.zeros(len(pool), dtype=bool)
    members[:n] = rng.permutation(n) < n // 2
    columns[:, 0] = members if leak else np.arange(len(pool)) >= n + N_POPULATION
    recipe = Recipe(functools.partial(MLP, hidden=(48,)), Adam(lr=4e-3), epochs=80, batch_size=50)
    made = collect(recipe, pool, columns, root_seed=seed, engine="stacked", workers=1, live=(0,), device="cpu")
    kept = np.arange(len(pool)) < n + N_POPULATION
    pool, logits, labels = pool.subset(kept), made.logits[kept], labels[kept]
    known = np.full(len(labels), -1, dtype=np.int8)
    known[N_AUDITED:n] = members[N_AUDITED:n]
    target = TargetModel.wrap(made.modules[0])
    view = View.from_logits(
        logits,
        labels,
        target_column=0,
        reference_columns=np.arange(1, 1 + N_REFERENCES),
        reference_in=columns[kept, 1:],
        reference_out=~columns[kept, 1:],
        population=np.arange(len(labels)) >= n,
        known=known,
        gradient_norm=target.gradient_norm(pool.batch(), labels),
        features=target.features(pool.batch()),
        records=pool,
        model=target,
        architecture=recipe.model,
    )
    return view, members[kept]
