"""The gates as they were before faults D2, D3, D5 and D7 were found, to be measured beside today's."""

import numpy as np
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seepage.metrics import leak_p_value


def blind_p_value(records, labels, members, rng) -> float:
    """Raw values, 50 principal components; scores of five folds counted as independent; one direction."""
    seed = int(rng.integers(2**31))
    features = np.hstack([records.reshape(len(records), -1), labels[:, None] == np.unique(labels)]).astype(float)
    n_components = min(50, features.shape[1], len(features) // 2)
    reduce = [StandardScaler(), PCA(n_components, random_state=seed)] if features.shape[1] > 50 else []
    folds = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(features, members))
    p_values = []
    for model in (
        make_pipeline(*reduce, StandardScaler(), LogisticRegression(C=0.1, max_iter=200)),
        make_pipeline(*reduce, HistGradientBoostingClassifier(max_iter=50, random_state=seed)),
    ):
        scores = np.empty(len(members))
        for train, test in folds:
            predicted = model.fit(features[train], members[train]).predict_proba(features[test])[:, 1]
            scores[test] = rankdata(predicted) / len(test)
        p_values.append(leak_p_value(scores, members))
    return min(1.0, 2 * min(p_values))


def references_differ(target: np.ndarray, references: np.ndarray, members: np.ndarray, columns: np.ndarray) -> bool:
    """Noise by all audited records, though the target's accuracy rests on its non-members; one direction."""
    mean_target = target[~members].mean()
    each = [right[~column].mean() for right, column in zip(references.T, columns.T, strict=True)]
    mean = np.mean(each)
    noise = np.hypot(np.std(each), np.sqrt(mean * (1 - mean) / len(members))) * np.sqrt(1 + 1 / len(each))
    return bool(mean_target - mean > max(0.05, 3 * noise))
