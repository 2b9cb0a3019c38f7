"""Level and power of each gate: how often a sound audit is thrown away, how often a broken one is noticed.

Real data come from the data cache (CIFAR-10, Adult, Location30, ORL faces, IMDB); a set that is not there is left out
and named.
"""

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.preprocessing import StandardScaler

import seepage
from calibrated import before, shifts
from calibrated.table import Table, share
from seepage.attacks import resolve_attacks
from seepage.data.traits import positions
from seepage.errors import SeepageError
from seepage.studies.audit import gates
from seepage.studies.audit.findings import score
from seepage.studies.audit.gates.blind import difference
from seepage.studies.audit.gates.neighbours import count_neighbours
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.settings import Settings

NOMINAL = gates.GATE_LEVEL


def tables(scale: float, seed: int) -> Iterator[Table]:
    rng = np.random.default_rng([7, seed])
    yield level_of_record_gates(scale, rng)
    yield level_of_answer_gates(scale, rng)
    yield level_of_the_scale_gate(scale, rng)
    yield from power_on_images(scale, rng)
    yield power_on_tables(scale, rng)
    yield power_on_texts(scale, rng)
    yield end_to_end(scale, rng)


# Data


def named(name: str) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        pool = seepage.load(name)
    except SeepageError as error:
        print(f"(left out: {name}: {error})")
        return None
    return pool, pool.labels


def reviews() -> list[str] | None:
    folder = Path(os.environ.get("SEEPAGE_DATA", Path.home() / ".cache" / "seepage")) / "imdb"
    files = sorted(folder.glob("*.csv"))
    if not files:
        print("(left out: imdb: no file in the data cache)")
        return None
    with open(files[0], newline="", encoding="utf-8") as file:
        return [row[0] for row, _ in zip(csv.reader(file), range(20_001), strict=False)][1:]


def coin(n: int, n_in: int, rng) -> np.ndarray:
    return rng.permutation(np.arange(n) < n_in)


# Level


def level_of_record_gates(size: float, rng) -> Table:
    """A coin decides who is a member; nothing else differs."""

    def gaussian(n):
        return lambda: (rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, 3, n))

    def some_of(pool, n):
        def draw():
            rows = np.sort(rng.choice(len(pool), n, replace=False))
            return pool.batch(rows), pool.labels[rows]

        return draw

    worlds: dict[str, tuple[Callable, int, int, int]] = {
        "Gaussian, 60 + 60": (gaussian(120), 60, 1500, 600),
        "Gaussian, 1,000 + 100": (gaussian(1100), 1000, 400, 0),
    }
    for name, n, repetitions, old in (("digits", 1797, 300, 40), ("adult", 1500, 300, 40), ("location30", 1000, 200, 0),
                                      ("cifar10", 600, 200, 0), ("orl-faces", 400, 200, 0)):  # fmt: skip
        if (found := named(name)) is not None:
            worlds[f"{name}, {n // 2} + {n - n // 2}"] = (some_of(found[0], n), n // 2, repetitions, old)
    rows = []
    for name, (draw, n_in, repetitions, old) in worlds.items():
        blind = near = was = 0
        repetitions, old = max(2, round(size * repetitions)), round(size * old)
        for at in range(repetitions):
            records, labels = draw()
            members = coin(len(records), n_in, rng)
            blind += difference(records, labels, members, rng).p_value < NOMINAL
            points, mirrored = positions(records, rng=rng)
            counted = count_neighbours(points, mirrored, members, rng)
            near += min(counted.p_many, counted.p_few) < NOMINAL
            if at < old:
                was += before.blind_p_value(records, labels, members, rng) < NOMINAL
        rows.append([name, share(blind, repetitions), share(near, repetitions), share(was, old) if old else "-"])
    columns = ["sound audits of", "blind baseline", "near-copies", "blind baseline before (D5)"]
    return Table(f"Level of the gates on records, nominal {NOMINAL:.1%}", columns, rows)


def outputs_of(n_in, n_out, n_classes, rng, *, references=8, skill=2.0):
    """A target and references with skill and a leak in the references alone; the target saw nobody."""
    n = n_in + n_out
    labels = rng.integers(0, n_classes, n)
    balanced = rng.permuted(np.tile(np.arange(references) < references // 2, (n, 1)), axis=1)
    membership = np.column_stack([coin(n, n_in, rng), balanced])
    logits = rng.normal(size=(n, references + 1, n_classes)) + rng.normal(0, 0.7, (n, 1, n_classes))
    logits[np.arange(n), :, labels] += skill
    logits[np.arange(n), 1:, labels] += membership[:, 1:]
    return evidence_from_outputs(
        {"logits": logits.astype(np.float32), "labels": labels, "membership": membership},
        origin="declared",
        access=None,
    )


def level_of_answer_gates(size: float, rng) -> Table:
    attacks = resolve_attacks(["loss", "entropy", "correctness", "lira-offline-fixed-variance", "lira-online"])
    rows = []
    for n_in, n_out, n_classes, skill in (
        (100, 100, 2, 1.5), (100, 100, 10, 2.0), (1000, 1000, 4, 2.0), (500, 50, 10, 2.0), (50, 500, 3, 2.0),
    ):  # fmt: skip
        repetitions = max(2, round(size * 600))
        failed = dict.fromkeys(
            ("direction", "answers and labels", "references like the target", "models and columns"), 0
        )
        was = 0
        for _ in range(repetitions):
            evidence = outputs_of(n_in, n_out, n_classes, rng, skill=skill)
            audited = np.arange(n_in + n_out)
            scored = score(evidence, attacks, audited, Settings(), rng)
            for check in (
                gates.direction(scored, evidence), gates.knows_the_task(evidence, audited, rng),
                gates.reference_accuracy(evidence, audited), gates.own_columns(evidence, audited, rng),
            ):  # fmt: skip
                failed[check.gate.name] += check.failed
            right = evidence.correct
            was += before.references_differ(
                right[:, 0], right[:, 1:], evidence.membership.target, evidence.membership.references
            )
        rows.append(
            [f"{n_in} + {n_out}, {n_classes} classes", *(share(k, repetitions) for k in failed.values()),
             share(was, repetitions)]
        )  # fmt: skip
    columns = ["sound audits of", *failed, "references like the target, before (D7)"]
    return Table(f"Level of the gates on answers, nominal {NOMINAL:.1%}", columns, rows)


def level_of_the_scale_gate(size: float, rng) -> Table:
    """Real models on their own scale, regularised and overconfident ones among them; and broken ones beside them."""
    scaler = StandardScaler
    models: dict[str, Callable] = {
        "random forest": lambda: RandomForestClassifier(30, random_state=int(rng.integers(1 << 30))),
        "logistic regression": lambda: LogisticRegression(max_iter=500),
        "logistic regression, C = .01": lambda: LogisticRegression(C=0.01, max_iter=500),
        "Gaussian naive Bayes": GaussianNB,
        "multinomial naive Bayes": MultinomialNB,
        "network": lambda: None,
    }
    names = ("blind baseline", "near-copies", "answers and labels", "scale", "direction")
    rows = []
    for data in ("digits", "adult"):
        if (found := named(data)) is None:
            continue
        pool, _ = found
        for name, make in models.items():
            repetitions = max(2, round(size * 20))
            sound, broken, caught = 0, 0, 0
            for at in range(repetitions):
                some = rng.permutation(len(pool))[:1500]
                x, y = pool.batch(some), pool.labels[some]
                if name == "multinomial naive Bayes":
                    x = x - x.min()
                elif data == "adult":
                    x = scaler().fit_transform(x).astype(np.float32)
                train, rest = np.arange(len(y)) < 500, np.arange(len(y)) >= 500
                if name == "network":
                    recipe = seepage.Recipe(seepage.MLP, optimiser=seepage.Adam(lr=2e-3), epochs=20)
                    model = seepage.train(recipe, seepage.Pool(x, y, n_classes=pool.n_classes), train, rng=rng)
                else:
                    model = make().fit(x[train], y[train])
                member = coin(rest.sum(), 500, rng)
                x, y = x[rest], y[rest]
                factor = (255.0, 1 / 255)[at % 2]
                for scale in (1.0, factor):
                    lists = [((x * np.float32(scale))[side], y[side]) for side in (member, ~member)]
                    try:
                        result = seepage.audit(
                            model,
                            members=lists[0],
                            nonmembers=lists[1],
                            origin="declared",
                            attacker=seepage.Attacker(attacks=["loss"]),
                            run=seepage.Run(seed=at),
                        )
                    except SeepageError:  # answers that are no probabilities any more: refused
                        caught += scale != 1.0
                        sound += scale == 1.0
                        continue
                    failed = {gate.name for gate in result.gates if gate.status == "fail"} & set(names)
                    if scale == 1.0:
                        sound += bool(failed)
                    else:
                        broken += result.verdict in ("NO EVIDENCE", "LEAK SHOWN")
                        caught += 1
            rows.append([f"{name}, {data}", share(sound, repetitions), share(broken, caught)])
    return Table(
        "Real models that saw neither side: thrown away on their own scale, believed on another (times 255, over 255)",
        ["model", "sound, thrown away", "broken, believed"], rows,
    )  # fmt: skip


# Power


def power_on_images(size: float, rng) -> Iterator[Table]:
    if (found := named("cifar10")) is None:
        return
    pool, _ = found

    def draw(n):
        rows = rng.permutation(len(pool))[:n]
        return pool.batch(rows).astype(np.float64), pool.labels[rows]

    n, repetitions, old = 500, max(2, round(size * 20)), round(size * 3)
    rows = []
    for name, change in shifts.IMAGES.items():
        hits, was, aucs, by = 0, 0, [], []
        for at in range(repetitions):
            images, labels = draw(2 * n)
            members = np.arange(2 * n) < n
            images[n:] = change(images[n:], rng)
            order = rng.permutation(2 * n)
            found = difference(images[order].astype(np.float32), labels[order], members[order], rng)
            hits += found.p_value < NOMINAL
            aucs.append(max(found.auc, 1 - found.auc))
            by.append(found.by)
            if at < old:
                was += before.blind_p_value(images[order], labels[order], members[order], rng) < NOMINAL
        commonest = max(set(by), key=by.count)
        rows.append(
            [name, share(hits, repetitions), f"{np.median(aucs):.3f}", commonest, share(was, old) if old else "-"]
        )
    columns = ["non-members changed by", "noticed", "median AUC", "most often by", "noticed before (D2)"]
    yield Table(f"Power of the blind baseline, CIFAR-10, {n} + {n}", columns, rows)

    rows = []
    for name, change in shifts.COPIES.items():
        cells = []
        for part in (1.0, 0.1, 0.05, 0.02):
            hits = 0
            for _ in range(repetitions):
                images, _ = draw(2 * n)
                members, k = np.arange(2 * n) < n, round(part * n)
                images[n : n + k] = change(images[:k], rng)
                order = rng.permutation(2 * n)
                points, mirrored = positions(images[order].astype(np.float32), rng=rng)
                hits += count_neighbours(points, mirrored, members[order], rng).p_many < NOMINAL
            cells.append(share(hits, repetitions))
        rows.append([name, *cells])
    columns = ["non-members that are members'", "all", "10 %", "5 %", "2 %"]
    yield Table(f"Power of the near-copies gate, CIFAR-10, {n} + {n} (D3)", columns, rows)


def power_on_tables(size: float, rng) -> Table:
    def rounded(x):
        return np.round(x)

    def noisy(x):
        return x + rng.normal(0, 0.1, x.shape) * x.std(axis=0)

    def one_unit(x):
        x[:, 0] *= 1.1
        return x

    def capped(x):
        return np.minimum(x, np.quantile(x, 0.95, axis=0))

    def filled(x):
        hole = rng.random(x.shape) < 0.1
        return np.where(hole, x.mean(axis=0), x)

    def older(x):
        return x + np.eye(x.shape[1])[1] * 0.5 * x[:, 1].std()

    rows = []
    for name, change in {
        "values rounded to whole numbers": rounded, "noise of a tenth of each column's sd": noisy,
        "one column in a unit 10 % larger": one_unit, "values capped at the 95 % quantile": capped,
        "a tenth filled in by the mean": filled, "one column later by half an sd (time)": older,
    }.items():  # fmt: skip
        repetitions, old = max(2, round(size * 20)), round(size * 5)
        hits = was = 0
        for at in range(repetitions):
            table = np.round(np.exp(rng.normal(3, 0.6, (1000, 8))), 2)
            members = np.arange(1000) < 500
            table[500:] = change(table[500:].copy())
            labels = rng.integers(0, 2, 1000)
            order = rng.permutation(1000)
            hits += difference(table[order].astype(np.float32), labels, members[order], rng).p_value < NOMINAL
            if at < old:
                was += before.blind_p_value(table[order], labels, members[order], rng) < NOMINAL
        rows.append([name, share(hits, repetitions), share(was, old) if old else "-"])
    return Table(
        "Power of the blind baseline, a table of 8 columns, 500 + 500",
        ["non-members changed by", "noticed", "before"],
        rows,
    )


def power_on_texts(size: float, rng) -> Table:
    texts = reviews()
    rows = []
    if texts is None:
        return Table("Power of the blind baseline on texts: no data", ["texts"], rows)
    changes: dict[str, Callable[[str], str]] = {
        "nothing (level)": lambda text: text,
        "cut at 1,000 characters": lambda text: text[:1000],
        "lower case": str.lower,
        "line breaks taken out": lambda text: text.replace("<br />", " "),
        "a later year named in one of 20": lambda text: text + " 2019" if rng.random() < 0.05 else text,
        "spaces stripped and quotes made straight": lambda text: " ".join(text.replace("''", '"').split()),
    }
    for name, change in changes.items():
        repetitions = max(2, round(size * (60 if name.startswith("nothing") else 10)))
        hits = 0
        for _ in range(repetitions):
            some = [texts[at] for at in rng.choice(len(texts), 800, replace=False)]
            members = np.arange(800) < 400
            some[400:] = [change(text) for text in some[400:]]
            order = rng.permutation(800)
            found = difference([some[at] for at in order], np.zeros(800, int), members[order], rng)
            hits += found.p_value < NOMINAL
        rows.append([name, share(hits, repetitions)])
    return Table("Power of the blind baseline, IMDB reviews, 400 + 400", ["non-members changed by", "noticed"], rows)


def end_to_end(size: float, rng) -> Table:
    """D2 and D3 whole: a CNN that saw neither side, and one that knows its members by heart."""
    if (found := named("cifar10")) is None:
        return Table("D2 and D3: no data", ["case"], [])
    pool, _ = found
    order = rng.permutation(len(pool))
    own, sides = np.sort(order[:3000]), np.sort(order[3000:5000])
    recipe = seepage.Recipe(
        seepage.CNN,
        optimiser=seepage.SGD(lr=0.05, momentum=0.9),
        schedule=seepage.Cosine(),
        epochs=max(2, round(25 * size)),
    )
    part = pool.subset(own)
    model = seepage.train(recipe, part, np.ones(len(part), bool), rng=rng)
    images, labels = pool.batch(sides).astype(np.float64), pool.labels[sides]
    member = coin(len(sides), 1000, rng)
    rows = []

    def judge(name, was, inside, outside):
        result = seepage.audit(model, members=inside, nonmembers=outside, origin="declared")
        failed = ", ".join(gate.name for gate in result.gates if gate.status == "fail")
        rows.append([name, was, result.verdict, f"{result.attack('loss').auc.value:.3f}", failed or "-"])

    mine = (images[member].astype(np.float32), labels[member])
    judge(
        "saw neither side, nothing changed", "NO EVIDENCE", mine, (images[~member].astype(np.float32), labels[~member])
    )
    for name in ("noise .12, rounded", "noise .08, rounded", "JPEG 15"):
        other = shifts.IMAGES[name](images[~member], rng).astype(np.float32)
        judge(f"saw neither side, non-members: {name}", "LEAK SHOWN (D2)", mine, (other, labels[~member]))
    known = pool.batch(own).astype(np.float64), part.labels
    copies = shifts.jpeg(95)(known[0][:1500], rng).astype(np.float32)
    judge(
        "knows members by heart, non-members: their own pictures at JPEG 95", "NO EVIDENCE (D3)",
        (known[0][:1500].astype(np.float32), known[1][:1500]), (copies, known[1][:1500]),
    )  # fmt: skip
    return Table(
        "D2 and D3 from end to end: a CNN of 3,000 CIFAR-10 images",
        ["case", "before", "now", "AUC of the loss", "failed gates"],
        rows,
    )
