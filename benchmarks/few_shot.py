"""What few known records buy: FeS-MIA in its working form, as published, and beside attacks that know nobody.

    python benchmarks/few_shot.py --out few-shot                 three Location30 MLPs and a CIFAR-10 CNN: 25 minutes
    python benchmarks/few_shot.py --out few-shot --parts nothing signals --data location30

One core does it. Every part is kept in the folder as JSON, so that a killed run goes on and tables are drawn again for
nothing. Parts:

    signals   AUC at 1, 5, 10 and 25 known records a side, and balanced accuracy of the threshold beside the best one
    published the learners on features and outputs as they are
    tuning    transductive tuning, an episode each
    nothing   the same forms on a target that saw none of the records
    cost      seconds beside 16 reference models

Each draw of known records is judged on all other scored records. Intervals are mean +- 1.96 sd / sqrt(draws), over the
draws on one target; for tuning over the episodes.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

import seepage
from seepage.models.recipe import Augmentation
from seepage.models.target import TargetModel
from seepage.signals.view import View

MLP = seepage.Recipe(
    partial(seepage.MLP, hidden=(256, 128), activation="tanh"), optimiser=seepage.Adam(lr=1e-3), epochs=30
)
CNN = seepage.Recipe(
    seepage.CNN,
    optimiser=seepage.SGD(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=seepage.Cosine(),
    epochs=40,
    augmentation=Augmentation(flip=True),
)
# data: recipe, records drawn, targets, scored records a side
CASES = {"location30": (MLP, 5010, 3, 2000), "cifar10": (CNN, 10_000, 1, 1000)}


def target(name: str, number: int, out: Path) -> tuple[View, np.ndarray, float]:
    """A trained target's view on the scored records, their membership, and the seconds of its training.

    The last target of a case, number -1, is the null: trained on half of the records that are never scored.
    """
    recipe, n_records, _, n_scored = CASES[name]
    rng = np.random.default_rng([13, number + 1])
    pool = seepage.load(name)
    pool = pool.subset(np.sort(rng.choice(len(pool), n_records, replace=False)))
    members = rng.permutation(n_records) < n_records // 2
    scored = np.sort(np.concatenate([rng.choice(np.flatnonzero(members == side), n_scored, False) for side in (0, 1)]))
    trained_on = members
    if number < 0:
        trained_on = np.ones(n_records, dtype=bool)
        trained_on[scored] = False
    file = out / f"{name}-{number}.pt"
    if file.exists():
        kept = torch.load(file, weights_only=True)
        module = recipe.skeleton(tuple(pool.inputs.shape[1:]), pool.n_classes)
        module.load_state_dict(kept["weights"])
        seconds = kept["seconds"]
    else:
        start = time.perf_counter()
        module = seepage.train(recipe, pool, trained_on, rng=np.random.default_rng([14, number + 1]))
        seconds = time.perf_counter() - start
        torch.save({"weights": module.state_dict(), "seconds": seconds}, file)
    model = TargetModel.wrap(module.eval())
    part = pool.subset(scored)
    logits = model.logits(part.batch())
    view = View.from_logits(
        logits[:, None, None],
        part.labels,
        target_column=0,
        features=model.features(part.batch()),
        gradient_norm=model.gradient_norm(part.batch(), part.labels),
        records=part,
        model=model,
    )
    inside = members[scored]
    correct = logits.argmax(axis=1) == part.labels
    print(f"{name} {number}: accuracy {correct[inside].mean():.3f} / {correct[~inside].mean():.3f}, {seconds:.0f} s")
    return view, inside, seconds
