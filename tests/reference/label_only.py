"""Label-only attacks record by record: noisy copies in loops, regressions by scikit-learn."""

import numpy as np
from sklearn.linear_model import LogisticRegression


def log_odds(features, members, weights, target, C):
    """One record: its references' features (pairs, queries) and membership, and the target's features (queries,)."""
    kept = weights > 0
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10)
    model.fit(features[kept], members[kept], sample_weight=weights[kept])
    return float(model.decision_function(target[None])[0]), model


def share_kept(predict, records, labels, noise, change):
    """predict(one record) -> label; noise (copies, ...); change(record, draw) -> its noisy copy."""
    shares = []
    for record, label in zip(records, labels, strict=True):
        kept = 0
        if predict(record) == label:
            for draw in noise:
                kept += predict(change(record, draw)) == label
        shares.append(kept / len(noise))
    return np.array(shares)
