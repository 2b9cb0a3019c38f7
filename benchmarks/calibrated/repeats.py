"""The gate that asks again: sound models that it throws away, models in training mode that it notices."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from calibrated.table import Table, share
from seepage.data import Membership, Pool
from seepage.studies.audit.gates import own_answers
from seepage.studies.audit.gather import Run, evidence_from_pool

N = 400
SOUND = {
    "network": lambda x, y, noise: network(x, y, nn.Identity).eval(),
    "network in bfloat16": lambda x, y, noise: network(x, y, nn.Identity).bfloat16().eval(),
    "network, dropout and batch norm, as a module in training mode": lambda x, y, noise: network(x, y, both).train(),
    "forest": lambda x, y, noise: RandomForestClassifier(20, random_state=0).fit(x, y),
    "nearest neighbours": lambda x, y, noise: KNeighborsClassifier(5).fit(x, y),
    "boosting": lambda x, y, noise: HistGradientBoostingClassifier(max_iter=20).fit(x, y),
}
UNSOUND = {
    "dropout .1": lambda: nn.Dropout(0.1),
    "dropout .3": lambda: nn.Dropout(0.3),
    "dropout .5": lambda: nn.Dropout(0.5),
    "statistics of the batch": lambda: nn.BatchNorm1d(64),
    "both": lambda: both(),
}
DATA = {"hard": 0.8, "middling": 0.4, "easy": 0.05}


def tables(scale: float, seed: int) -> Iterator[Table]:
    n = max(2, round(60 * scale))
    rows = []
    for name, make in SOUND.items():
        for access in (None, "label"):
            failed = sum(gate(seed + i, 0.6, make, access).failed for i in range(n))
            rows.append((name, access or "all", n, share(failed, n)))
    yield Table("Sound models that own answers throws away", ("model", "access", "audits", "failed"), rows)
    rows = []
    for name, layer in UNSOUND.items():
        for data, noise in DATA.items():
            checks = [gate(seed + i, noise, lambda x, y, noise, layer=layer: left(x, y, layer)) for i in range(n)]
            found = [check for check in checks if check.failed]
            by_company = sum(check.guards == "both" for check in found)
            rows.append((name, data, share(len(found), n), share(by_company, len(found)) if found else "-"))
    columns = ("layer in training mode", "data", "noticed", "of these by the company (INVALID)")
    yield Table(f"Callables around a network in training mode, {n} each", columns, rows)


def both() -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(64), nn.Dropout(0.3))


def gate(seed: int, noise: float, make: Callable[..., Any], access: str | None = None):
    """What the gate says of a model that is trained on half of the records."""
    rng = np.random.default_rng([17, seed])
    torch.manual_seed(seed)
    x = rng.normal(size=(N, 6)).astype(np.float32)
    y = np.digitize(x[:, 0] + noise * rng.normal(size=N), [-0.5, 0.5])
    member = rng.random(N) < 0.5
    model = make(x[member], y[member], noise)
    membership = Membership.fixed(N, members=member, origin="declared", rng=rng)
    run = Run(None, 0, "none", None, False, None, None, None, False)
    kind = None if hasattr(model, "predict") or isinstance(model, nn.Module) else "logits"
    evidence = evidence_from_pool(model, Pool(x, y), membership, run, access, kind, {}, None)
    return own_answers(evidence, np.arange(N), rng)


def network(x: np.ndarray, y: np.ndarray, layer: Callable[[], nn.Module]) -> nn.Module:
    module = nn.Sequential(nn.Linear(6, 64), layer(), nn.ReLU(), nn.Linear(64, 3))
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(inputs), labels).backward()
        optimiser.step()
    return module


def left(x: np.ndarray, y: np.ndarray, layer: Callable[[], nn.Module]) -> Callable[[np.ndarray], np.ndarray]:
    """A callable around a network that nobody put into eval mode."""
    module = network(x, y, layer)
    return lambda batch: module(torch.from_numpy(batch)).detach().numpy()
