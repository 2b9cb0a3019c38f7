"""What an audit finds without the records' labels, beside the same audit with them.

    python3 benchmarks/without_labels.py                     # Location30 and digits, three targets each

Each target is an MLP trained on half of the records by a recipe that overfits; the coin is drawn anew for each. The
null targets are trained on records of the other half, so that neither side of the audit is its training set.
"""

import argparse
from collections import Counter

import numpy as np

import seepage

RECIPE = seepage.Recipe(seepage.MLP, optimiser=seepage.Adam(lr=1e-3), epochs=40, batch_size=64)
SIGNALS = ("loss", "entropy", "max-probability")


def audits(pool: seepage.Pool, seed: int, *, null: bool) -> tuple[seepage.AuditResult, seepage.AuditResult]:
    """One target, audited with labels and without."""
    rng = np.random.default_rng([seed, null])
    side = rng.integers(0, 4 if null else 2, len(pool))  # a null target is trained on the records of 2 and 3
    model = seepage.train(RECIPE, pool, side >= 2 if null else side == 1, rng=rng)
    inside, outside = pool.subset(side == 1), pool.subset(side == 0)
    common = {"origin": "declared", "run": seepage.Run(seed=seed)}
    labelled = seepage.audit(
        model, members=inside, nonmembers=outside, attacker=seepage.Attacker(attacks=SIGNALS), **common
    )
    sides = {"members": inside.inputs, "nonmembers": outside.inputs}
    return labelled, seepage.audit(model, **sides, **common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="location30,digits")
    parser.add_argument("--targets", type=int, default=3)
    options = parser.parse_args()
    print("data        target   accuracy      AUC of loss       of entropy        of max-probability   without labels")
    for name in options.data.split(","):
        pool = seepage.load(name)
        for null in (False, True):
            pairs = [audits(pool, seed, null=null) for seed in range(options.targets)]
            labelled, bare = ([pair[at] for pair in pairs] for at in (0, 1))
            of = {"loss": labelled, "entropy": bare, "max-probability": bare}
            aucs = [np.array([result.attack(signal).auc.value for result in of[signal]]) for signal in SIGNALS]
            sides = [(r.target.accuracy_members.value, r.target.accuracy_nonmembers.value) for r in labelled]
            accuracy = " / ".join(f"{value:.2f}" for value in np.mean(sides, axis=0))
            shown = "   ".join(f"{values.mean():.3f} +- {values.std(ddof=1):.3f}" for values in aucs)
            verdicts = Counter(result.verdict for result in bare)
            told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
            print(f"{name:11} {'null' if null else 'trained':8} {accuracy}   {shown}   {told}", flush=True)


if __name__ == "__main__":
    main()
