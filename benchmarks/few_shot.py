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
from seepage import metrics
from seepage.attacks.few_shot import Episodes, LaplacianShot, SignalShot, SimpleShot, TransductiveTuning
from seepage.attacks.few_shot.signal_shot import minus_log
from seepage.attacks.few_shot.support import best_thresholds
from seepage.models.target import TargetModel
from seepage.signals.collect import collect
from seepage.signals.view import View
from seepage.studies.audit.episodes import episodes

MLP = seepage.Recipe(
    partial(seepage.MLP, hidden=(256, 128), activation="tanh"), optimiser=seepage.Adam(lr=1e-3), epochs=30
)
CNN = seepage.Recipe(
    seepage.CNN,
    optimiser=seepage.SGD(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=seepage.Cosine(),
    epochs=20,
)
# data: recipe, records drawn, targets, scored records a side
CASES = {"location30": (MLP, 5010, 3, 2000), "cifar10": (CNN, 10_000, 1, 1000)}


def target(name: str, number: int, out: Path) -> tuple[View, np.ndarray, float]:
    """A trained target's view on the scored records, their membership, and the seconds of its training.

    Target -1 is the null: trained on 1,000 of the records that are never scored.
    """
    recipe, n_records, _, n_scored = CASES[name]
    rng = np.random.default_rng([13, number + 1])
    pool = seepage.load(name)
    pool = pool.subset(np.sort(rng.choice(len(pool), n_records, replace=False)))
    members = rng.permutation(n_records) < n_records // 2
    scored = np.sort(np.concatenate([rng.choice(np.flatnonzero(members == side), n_scored, False) for side in (0, 1)]))
    trained_on = members
    if number < 0:
        strangers = np.setdiff1d(np.arange(n_records), scored)
        trained_on = np.isin(np.arange(n_records), rng.choice(strangers, 1000, replace=False))
    file = out / f"{name}-{number}.pt"
    if file.exists():
        kept = torch.load(file, weights_only=True)
        module = recipe.skeleton(tuple(pool.inputs.shape[1:]), pool.n_classes)
        module.load_state_dict(kept["weights"])
        seconds = kept["seconds"]
    else:
        start = time.process_time()
        module = seepage.train(recipe, pool, trained_on, rng=np.random.default_rng([14, number + 1]))
        seconds = time.process_time() - start
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


FORMS = {
    "label-free": SignalShot(labels=False),
    "label-free, gradients": SignalShot(labels=False, gradients=True),
    "labels": SignalShot(),
    "labels, gradients": SignalShot(gradients=True),
}
# A fixed scalar that knows nobody, and which forms may see what it sees.
SCALARS = {
    "largest probability": tuple(FORMS),
    "gradient norm, predicted label": ("label-free, gradients", "labels, gradients"),
    "loss": ("labels", "labels, gradients"),
    "gradient norm": ("labels, gradients",),
}
PUBLISHED = {
    "SS, features": SimpleShot,
    "LS, features": LaplacianShot,
    "SS, log-probabilities": partial(SimpleShot, mode="official", transform="none", rule="mean"),
}
SHOTS = (1, 5, 10, 25)
TUNED = {
    "TT, sorted probabilities": TransductiveTuning,
    "TT, logits (published)": partial(TransductiveTuning, head="logits"),
}
EPISODES = 20
PARTS = ("signals", "published", "tuning", "nothing", "cost")


def scalars(view: View) -> dict[str, np.ndarray]:
    predicted = view.layer_gradient_norms(of_label=False)
    return {
        "largest probability": view.target("top-log-odds")[:, 0],
        "gradient norm, predicted label": minus_log(np.sqrt((predicted**2).sum(axis=1, keepdims=True)))[:, 0],
        "loss": -view.target("loss")[:, 0],
        "gradient norm": -view.gradient_norm,
    }


def draws(members: np.ndarray, n_draws: int, shots: int, n_validation: int, seed: int) -> Episodes:
    """Known records, and all others as queries."""
    rng = np.random.default_rng([15, seed, shots])
    told = shots + n_validation
    known = np.stack(
        [[rng.choice(np.flatnonzero(members == side), told, replace=False) for side in (0, 1)] for _ in range(n_draws)]
    )
    rest = np.stack([np.setdiff1d(np.arange(len(members)), one) for one in known])
    return Episodes(known[..., :shots], known[..., shots:], rest)


def decides(scores: np.ndarray, members: np.ndarray) -> float:
    return float(((scores[members] > 0).mean() + (scores[~members] <= 0).mean()) / 2)


def best(scores: np.ndarray, members: np.ndarray) -> float:
    """Balanced accuracy of the best threshold, which nobody knows."""
    curve = metrics.roc(scores, members)
    return float(((curve.tpr + 1 - curve.fpr) / 2).max())


def signals(view: View, members: np.ndarray, n_draws: int, seed: int) -> dict:
    """AUC and balanced accuracy: {what: {shots: values of the draws}}, and of each scalar once."""
    fixed = scalars(view)
    made = {"auc": {}, "accuracy": {}, "scalar": {}, "best": {}}
    for name, values in fixed.items():
        made["scalar"][name], made["best"][name] = metrics.auc(values, members), best(values, members)
    for shots in SHOTS:
        rows = draws(members, n_draws, shots, 0, seed)
        judged = members[rows.queries]
        for name, attack in FORMS.items():
            found = attack.score_episodes(view, rows, rng=np.random.default_rng(0))
            pairs = list(zip(found, judged, strict=True))
            made["auc"].setdefault(name, {})[shots] = [metrics.auc(*pair) for pair in pairs]
            made["accuracy"].setdefault(name, {})[shots] = [decides(*pair) for pair in pairs]
        for name, values in fixed.items():
            bars = best_thresholds(values[rows.support[:, 0]], values[rows.support[:, 1]])
            pairs = zip(values[rows.queries] - bars[:, None], judged, strict=True)
            made["accuracy"].setdefault(name, {})[shots] = [decides(*pair) for pair in pairs]
    return made


def published(view: View, members: np.ndarray, n_draws: int, seed: int) -> dict:
    made = {}
    for name, learner in PUBLISHED.items():
        space = "features" if "features" in name else "outputs"
        for shots in (10,) if learner is LaplacianShot else SHOTS:
            attack = learner(shots, space=space)
            rows = draws(members, n_draws, shots, 15 if learner is LaplacianShot else 0, seed)
            values = []
            for at in range(n_draws):  # the features of all draws at once would be gigabytes
                one = rows.part(slice(at, at + 1))
                scores = attack.score_episodes(view, one, rng=np.random.default_rng(0))[0]
                values.append(metrics.auc(scores, members[one.queries[0]]))
            made.setdefault(name, {})[shots] = values
    return made


def tuning(view: View, members: np.ndarray, n_draws: int, seed: int, kept: Path) -> dict:
    """Episodes of the source's size; the published form at ten shots only. Each row is kept as it is done."""
    made = json.loads(kept.read_text()) if kept.exists() else {}
    wanted = {"TT, sorted probabilities": (10, 5, 1), "TT, logits (published)": (10,)}
    for name, learner in TUNED.items():
        for shots in wanted[name]:
            if str(shots) in made.get(name, {}):
                continue
            start = time.process_time()
            found = episodes(learner(shots), view, members, n_episodes=n_draws, rng=np.random.default_rng([16, seed]))
            seconds = (time.process_time() - start) / n_draws
            values = {part: found.by_episode[part].tolist() for part in ("auc", "accuracy")}
            made.setdefault(name, {})[str(shots)] = values | {"seconds": seconds}
            kept.write_text(json.dumps(made))
    return made


def cost(name: str, view: View, members: np.ndarray, trained_s: float) -> dict:
    """CPU seconds of one audit with 25 known records a side, and of 16 references."""
    known = np.full(view.n_samples, -1)
    rows = draws(members, 1, 25, 0, 0).support[0]
    for side in (0, 1):
        known[rows[side]] = side
    seconds = {}
    for form, attack in (FORMS | {"TT, 10 shots": TransductiveTuning(10)}).items():
        fresh = replace(view, known=known, audited=None)  # with no gradients kept
        start = time.process_time()
        attack.score(fresh, rng=0)
        seconds[form] = time.process_time() - start
    recipe = CASES[name][0]
    if name == "location30":
        pool = seepage.load(name)
        columns = np.random.default_rng(0).random((len(pool), 16)) < 0.5
        start = time.process_time()
        collect(recipe, pool, columns, root_seed=0, workers=1, device="cpu")
        seconds["16 references, trained"] = time.process_time() - start
    else:
        seconds["16 references, 16 times one"] = 16 * trained_s
    return seconds


def carried_out(part: str, name: str, number: int, out: Path, n_draws: int) -> dict:
    """What a part measured on a target, from the folder where it is there."""
    file = out / f"{part}-{name}-{number}.json"
    if not file.exists():
        view, members, seconds = target(name, number, out)
        start = time.perf_counter()
        if part == "cost":
            made = cost(name, view, members, seconds)
        elif part == "tuning":
            made = tuning(view, members, EPISODES, number, file.with_suffix(".part"))
        elif part == "nothing":
            made = signals(view, members, n_draws, 0)
        else:
            measure = {"signals": signals, "published": published}[part]
            made = measure(view, members, n_draws, number)
        file.write_text(json.dumps(made))
        print(f"{part} of {name} {number} took {time.perf_counter() - start:.0f} s", flush=True)
    return json.loads(file.read_text())


def together(parts: list[dict], *path: str) -> dict[str, np.ndarray]:
    """{name: {shots: values of all targets}} at a place in each target's part."""
    found: dict = {}
    for part in parts:
        for step in path:
            part = part[step]
        for name, by_shots in part.items():
            for shots, values in by_shots.items():
                found.setdefault(name, {}).setdefault(int(shots), []).extend(values)
    return {name: {shots: np.array(values) for shots, values in rows.items()} for name, rows in found.items()}


def cell(values: np.ndarray) -> str:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} +- {half:.3f}"


def rows(title: str, found: dict[str, dict[int, np.ndarray]], last: dict[str, str] | None = None) -> None:
    print(f"\n| {title} | " + " | ".join(f"{shots} a side" for shots in SHOTS) + (" | |" if last else " |"))
    print("|---" * (len(SHOTS) + 1 + bool(last)) + "|")
    for name, by_shots in found.items():
        cells = [cell(by_shots[shots]) if shots in by_shots else "" for shots in SHOTS]
        print(f"| {name} | " + " | ".join(cells + ([last.get(name, "")] if last else [])) + " |")


def reached(what: str, value: float, least: float) -> None:
    print(f"- {what}: {value:.3f}, wanted {least:.3f}: {'met' if value >= least else f'short by {least - value:.3f}'}")


def show(name: str, parts: dict[str, list[dict]]) -> None:
    print(f"\n## {name}")
    if measured := parts.get("signals"):
        fixed, bound = (
            {s: float(np.mean([p[key][s] for p in measured])) for s in SCALARS} for key in ("scalar", "best")
        )
        auc, accuracy = (together(measured, key) for key in ("auc", "accuracy"))
        rows("AUC", auc, {form: f"sd at 25: {values[25].std(ddof=1):.3f}" for form, values in auc.items()})
        print("\nfixed scalars: " + ", ".join(f"{scalar} {value:.3f}" for scalar, value in fixed.items()))
        limits = {form: max(bound[s] for s, who in SCALARS.items() if form in who) for form in FORMS} | bound
        rows("balanced accuracy", accuracy, {who: f"best threshold: {limit:.3f}" for who, limit in limits.items()})
        print()
        for form, values in auc.items():
            wanted = max(fixed[scalar] for scalar, who in SCALARS.items() if form in who) - 0.005
            reached(f"AUC of {form} at the worst count", min(v.mean() for v in values.values()), wanted)
            for shots, slack in ((25, 0.02), (5, 0.05)):
                reached(f"balanced accuracy of {form} at {shots}", accuracy[form][shots].mean(), limits[form] - slack)
            sd = values[25].std(ddof=1)
            print(f"- sd of the AUC of {form} at 25: {sd:.4f}, at most 0.03: {'met' if sd <= 0.03 else 'not met'}")
    if measured := parts.get("published"):
        rows("AUC as published", together(measured))
    if measured := parts.get("tuning"):
        by = {part: {} for part in ("auc", "accuracy", "seconds")}
        for one in measured:
            for learner, by_shots in one.items():
                for shots, values in by_shots.items():
                    for part, place in by.items():
                        place.setdefault(learner, {}).setdefault(int(shots), []).extend(np.atleast_1d(values[part]))
        arrays = {
            part: {k: {n: np.array(v) for n, v in r.items()} for k, r in place.items()} for part, place in by.items()
        }
        rows("AUC, 15 + 15 queries", arrays["auc"])
        rows("accuracy of its own threshold", arrays["accuracy"])
        ten = arrays["auc"]["TT, sorted probabilities"][10]
        seconds = arrays["seconds"]["TT, sorted probabilities"][10].mean()
        print(f"\n{len(ten)} episodes, {seconds:.1f} CPU seconds each at ten shots\n")
        reached("AUC of TT at ten shots", ten.mean(), 0.80 if name == "location30" else 0.68)
    if measured := parts.get("nothing"):
        rows("AUC, nothing to find", together(measured, "auc"))
        rows("balanced accuracy, nothing to find", together(measured, "accuracy"))
        print("\nfixed scalars: " + ", ".join(f"{s} {value:.3f}" for s, value in measured[0]["scalar"].items()))
    if measured := parts.get("cost"):
        print("\nCPU seconds: " + ", ".join(f"{what} {value:.2f}" for what, value in measured[0].items()))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, default=Path("few-shot"))
    ask.add_argument("--data", nargs="+", choices=CASES, default=list(CASES))
    ask.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    ask.add_argument("--draws", type=int, default=24)
    arguments = ask.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in arguments.data:
        numbers = {"nothing": [-1], "cost": [0], "tuning": [0]}
        found = {}
        for part in arguments.parts:
            each = numbers.get(part, range(CASES[name][2]))
            found[part] = [carried_out(part, name, number, arguments.out, arguments.draws) for number in each]
        show(name, found)


if __name__ == "__main__":
    main()
