"""Every attack on one target, and what few known records buy beside reference models.

    python examples/every_attack.py cifar10       a small CNN on 8,000 images: about three quarters of an hour
    python examples/every_attack.py location30    an MLP on 5,010 binary records: about ten minutes
    python examples/every_attack.py cifar10 --records 60000 --references 64 --epochs 100 --episodes 500    for a GPU

Prints two tables in Markdown: all attacks with intervals and costs; then FeS-MIA at 1, 5 and 10 shots beside LiRA and
RMIA with 1, 4 and 16 references. A killed run goes on.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import seepage
from seepage.attacks import ATTACKS, resolve_attacks
from seepage.models.recipe import Augmentation
from seepage.studies.audit.findings import measure, score
from seepage.studies.audit.gather import Run, evidence_from_pool

CNN = seepage.Recipe(
    seepage.CNN,
    optimiser=seepage.SGD(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=seepage.Cosine(),
    epochs=40,
    augmentation=Augmentation(flip=True, shift=4),  # the augmentations that the 18 queries ask about
)
MLP = seepage.Recipe(
    partial(seepage.MLP, hidden=(256, 128), activation="tanh"), optimiser=seepage.Adam(lr=1e-3), epochs=30
)
# data: records, recipe, query set, population
CASES = {"cifar10": (8000, CNN, "flip-shift", 2000), "location30": (5010, MLP, "none", 1000)}
FEW = [f"fes-mia-{learner}-{shots}-shot" for learner in ("ss", "tt") for shots in (1, 5, 10)]
FEW += ["fes-mia-ss", "fes-mia-ss-label-free", "fes-mia-ss-published", "fes-mia-ls-published", "fes-mia-tt-published"]
WITH_REFERENCES = {
    1: ["lira-offline-fixed-variance-official", "rmia-offline"],
    4: ["lira-offline-fixed-variance", "rmia-offline", "rmia-online"],
    16: ["lira-offline-fixed-variance", "lira-online-fixed-variance", "rmia-offline", "rmia-online"],
}

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("data", choices=CASES)
ask.add_argument("--records", type=int, help="drawn at random from all")
ask.add_argument("--references", type=int, default=16)
ask.add_argument("--epochs", type=float)
ask.add_argument("--known", type=int, default=80, help="records whose membership the attacker knows")
ask.add_argument("--attacks", help="names separated by commas; by default all that fit")
ask.add_argument("--out", type=Path)
arguments = ask.parse_args()

n_records, recipe, queries, n_population = CASES[arguments.data]
out = arguments.out or Path(f"{arguments.data}-every-attack")
rng = np.random.default_rng(0)
pool = seepage.load(arguments.data)
chosen = rng.choice(len(pool), min(len(pool), arguments.records or n_records), replace=False)
pool = pool.subset(np.sort(chosen))
recipe = replace(recipe, epochs=arguments.epochs or recipe.epochs)
membership = seepage.Membership.split(
    pool, references=arguments.references, known=arguments.known, population=n_population, rng=rng
)
binary = pool.inputs.dtype == np.uint8 and pool.inputs.max() <= 1


def fits(name: str) -> bool:
    """Augmented queries need images; a binary record has no nearest point on a decision boundary."""
    return not (binary and (name == "boundary" or "queries" in ATTACKS[name].needs))


names = arguments.attacks.split(",") if arguments.attacks else [name for name in ATTACKS if fits(name)]


def cells(attack) -> str:
    log_mia = attack.log_mia
    numbers = [
        f"{attack.auc.value:.3f} [{attack.auc.low:.3f}, {attack.auc.high:.3f}]",
        *(f"{e.value:.1%} [{e.low:.1%}, {e.high:.1%}]" for e in map(attack.tpr_at_fpr.get, ("0.01", "0.001"))),
        *(f"{e.value:.2f} ({e.chance:.2f})" for e in (log_mia.a, log_mia.b)),
    ]
    cost = attack.cost
    per_record = cost.queries / len(pool)
    spent = f"{cost.references} | {cost.known} | {per_record:.0f} | {cost.seconds:.1f} | {cost.training_seconds:.0f}"
    return " | ".join(numbers) + f" | {spent}"


HEAD = (
    "AUC | TPR at FPR 1 % | TPR at FPR 0.1 % | Log-MIA A (chance) | Log-MIA B (chance) "
    "| references | known | queries a record | scoring, s | training, s"
)
print(f"| attack | {HEAD} |\n|{'---|' * 11}")
result = seepage.audit_recipe(
    recipe,
    pool,
    membership,
    attacker=seepage.Attacker(attacks=names, access="weights", queries=queries),
    settings=seepage.Settings(controls=False),
    run=seepage.Run(out, progress=True, command=f"python examples/every_attack.py {arguments.data}", seed=0),
)
for attack in sorted(result.attacks, key=lambda attack: -attack.auc.value):
    print(f"| {attack.name} | {cells(attack)} |")
target, training = result.target, result.training
print(
    f"\nmembers' accuracy {target.accuracy_members.value:.3f}, others' {target.accuracy_nonmembers.value:.3f}; "
    f"{result.attacks[0].n_members:.0f} members, {result.attacks[0].n_nonmembers:.0f} others; "
    f"training {training.seconds:.0f} s; verdict {result.verdict}\n"
)

print(f"| knows | attack | {HEAD} |\n|{'---|' * 12}")
run = Run(recipe, 0, queries, out, False, None, None, None, True)
evidence = evidence_from_pool(None, pool, membership, run, "weights", None, resolve_attacks(names), None)
rows, settings = np.flatnonzero(membership.audit), seepage.Settings()
for n_references, attacks in [(0, FEW), *WITH_REFERENCES.items()]:
    part = replace(
        evidence,
        reference_models=evidence.reference_models[:n_references],
        membership=replace(membership, references=membership.references[:, :n_references]),
    )
    scored = score(part, resolve_attacks(attacks), rows, settings, np.random.default_rng(1))
    for name in attacks:
        attack = ATTACKS[name]
        few = "all known records" if n_references or attack.shots is None else f"{attack.shots} shots"
        knows = f"{n_references} references" if n_references else few
        measured = measure(name, attack, attack.title, scored, part, settings, np.random.default_rng(2))
        print(f"| {knows} | {name} | {cells(measured)} |")
