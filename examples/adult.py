"""The three-line audit: a random forest and gradient-boosted trees on Adult, without reference models.

python examples/adult.py                        needs: pip install 'seepage[tabular]'
"""

import lightgbm
import numpy as np
from sklearn.ensemble import RandomForestClassifier

import seepage

pool = seepage.load("adult")
members = np.random.default_rng(0).random(len(pool)) < 0.5
inside, outside = pool.subset(members), pool.subset(~members)

for model in (
    RandomForestClassifier(n_estimators=100, random_state=0, n_jobs=-1),
    RandomForestClassifier(n_estimators=100, min_samples_leaf=20, random_state=0, n_jobs=-1),
    lightgbm.LGBMClassifier(n_estimators=200, random_state=0, verbose=-1),
):
    model.fit(inside.inputs, inside.labels)
    # The audit itself: the model, the records it was trained on, and records it was not.
    result = seepage.audit(model, members=inside, nonmembers=outside, origin="declared")
    print(f"\n=== {model}\n")
    print(result)
    result.report(f"adult-{type(model).__name__}.html")
