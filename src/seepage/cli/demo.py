"""The demo: a leaky model and a null model, audited on the same real records.

The records are scikit-learn's handwritten digits. A fifth of them is kept out of the audit: it trains the
null model and serves the attacks as population. Of the rest a coin decides who is a member.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from seepage.data import Membership, load
from seepage.models.architectures import MLP
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe
from seepage.models.train import train
from seepage.report.terminal import summary
from seepage.runs.run import Run
from seepage.studies.audit import audit_recipe


def demo(out: Path, *, references: int, seed: int, echo: Callable[[str], None]) -> None:
    """Audit both models; write `out/leaky` and `out/null`, each with result and report."""
    pool = load("digits")
    rng = np.random.default_rng(seed)
    membership = Membership.split(pool, references=references, population=0.2, rng=rng)
    recipe = Recipe(MLP, optimiser=Adam(lr=2e-3), epochs=100, batch_size=64)
    again = f"seepage demo --references {references} --seed {seed} --out {out}"
    echo(
        f"{len(pool)} handwritten digits: {int(membership.target.sum())} members, "
        f"{int((membership.audit & ~membership.target).sum())} non-members, "
        f"{int(membership.population.sum())} kept apart. {references} reference models.\n"
    )
    echo("1. A model trained on the members")
    run = Run(out / "leaky", seed=seed, progress=True, command=again)
    leaky = audit_recipe(recipe, pool, membership, run=run)
    echo(summary(leaky))
    echo("\n2. A null model, which saw none of these records: nothing may be found")
    stranger = train(recipe, pool, membership.population, rng=np.random.default_rng(seed))
    # the same sides as before: no attack may tell them apart now
    null = audit_recipe(recipe, pool, membership, model=stranger, run=replace(run, folder=out / "null"))
    echo(summary(null))
    echo(
        f"\nThe leaky model: {leaky.verdict}. The null model: {null.verdict}.\n"
        f"Reports: {out / 'leaky' / 'report.html'} and {out / 'null' / 'report.html'}"
    )
