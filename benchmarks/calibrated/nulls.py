"""Whole audits of models that leak nothing: how often a leak is claimed, how often a sound audit is thrown away."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

import seepage
from calibrated.table import Table, share


def tables(scale: float, seed: int) -> Iterator[Table]:
    yield simulated(max(10, round(400 * scale)), seed)
    yield real(scale, seed)


def row(name: str, verdicts: list[str], failed: Counter) -> list[str]:
    n, count = len(verdicts), Counter(verdicts)
    gates = ", ".join(f"{gate} {k}" for gate, k in failed.most_common()) or "-"
    return [name, n, *(share(count[verdict], n) for verdict in ("LEAK SHOWN", "INVALID", "INCONCLUSIVE")), gates]


COLUMNS = ["null audits", "n", "LEAK SHOWN, at most 5 %", "INVALID", "INCONCLUSIVE", "failed gates"]


def simulated(repetitions: int, seed: int) -> Table:
    """Outputs of a target that was trained on nobody, among eight references that leak; members by a coin."""
    rows = []
    cases = (
        (200, 200, ""),
        (500, 50, ""),
        (200, 200, ", rounded answers"),
        (225, 225, ", 25 + 25 of them known"),
        (225, 225, ", 25 + 25 of them known, no labels"),
    )
    for n_in, n_out, how in cases:
        verdicts, failed = [], Counter()
        for at in range(repetitions):
            rng = np.random.default_rng([1, seed, n_in, n_out, at])
            n = n_in + n_out
            labels = rng.integers(0, 5, n)
            balanced = rng.permuted(np.tile(np.arange(8) < 4, (n, 1)), axis=1)
            membership = np.column_stack([rng.permutation(np.arange(n) < n_in), balanced])
            logits = rng.normal(size=(n, 9, 5)) + rng.normal(0, 0.7, (n, 1, 5))
            logits[np.arange(n), :, labels] += 2.0
            logits[np.arange(n), 1:, labels] += 1.5 * balanced
            logits = np.round(logits) if "rounded" in how else logits
            arrays = {"logits": logits.astype(np.float32), "labels": labels, "membership": membership}
            if "known" in how:
                known = np.zeros(n, bool)
                for side in (True, False):
                    known[rng.permutation(np.flatnonzero(membership[:, 0] == side))[:25]] = True
                arrays["known"] = known
            if "no labels" in how:
                alone = {"logits": arrays["logits"][:, :1], "membership": membership[:, :1]}
                arrays = {"known": known, **alone}
            result = seepage.audit_outputs(arrays, origin="declared", run=seepage.Run(seed=at))
            verdicts.append(result.verdict)
            failed.update(gate.name for gate in result.gates if gate.status == "fail")
        rows.append(row(f"simulated, {n_in} + {n_out}{how}", verdicts, failed))
    return Table("Simulated null audits, all default attacks, Holm's correction", COLUMNS, rows)


def real(scale: float, seed: int) -> Table:
    """Real models, trained on other records than the audited ones, of which a coin makes half members."""
    recipe = seepage.Recipe(partial(seepage.MLP, hidden=(64,)), optimiser=seepage.Adam(lr=3e-3), epochs=30)
    cases = [
        ("digits, network", "digits", None, 80, {}),
        ("digits, forest", "digits", partial(RandomForestClassifier, 30), 40, {}),
        ("adult, boosted trees", "adult", partial(HistGradientBoostingClassifier, max_iter=30), 40, {}),
        ("digits, network, 8 references", "digits", None, 40, {"recipe": recipe, "references": 8, "controls": False}),
    ]
    rows, total, all_failed = [], [], Counter()
    for name, data, estimator, repetitions, more in cases:
        try:
            pool = seepage.load(data)
        except seepage.SeepageError as error:
            print(f"(left out: {name}: {error})")
            continue
        verdicts, failed = [], Counter()
        for at in range(max(2, round(scale * repetitions))):
            rng = np.random.default_rng([2, seed, at])
            some = rng.permutation(len(pool))[:1797]
            own, rest = some[:500], some[500:]
            x, y = pool.batch(own), pool.labels[own]
            if estimator is None:
                model = seepage.train(recipe, seepage.Pool(x, y, n_classes=pool.n_classes), np.ones(500, bool), rng=rng)
            else:
                model = estimator(random_state=at).fit(x, y)
            member = rng.random(len(rest)) < 0.5
            x, y = pool.batch(rest), pool.labels[rest]
            result = seepage.audit(
                model,
                members=(x[member], y[member]),
                nonmembers=(x[~member], y[~member]),
                origin="declared",
                run=seepage.Run(seed=at),
                **more,
            )
            verdicts.append(result.verdict)
            failed.update(gate.name for gate in result.gates if gate.status == "fail")
        total, all_failed = total + verdicts, all_failed + failed
        rows.append(row(name, verdicts, failed))
    return Table("Real null audits", COLUMNS, [*rows, row("all", total, all_failed)])
