"""How often the intervals of the three risks cover 0 where the release knows nobody, by the code that decides.

    python benchmarks/release_risks.py --out release-risks.jsonl

Each run draws members, control and release from Adult at random, none of them twice: the release tells about the
population and about no member, so that the risk is 0. Prints, for each risk, how often its 95 % interval covers 0 and
how often its p-value is at most 0.05, each with its own binomial interval. A killed run goes on.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import seepage
from seepage.metrics import clopper_pearson
from seepage.studies.release.risks import Attacker, wp29_risks
from seepage.studies.release.typed import Typed

SECRETS = ("age", "education", "occupation", "sex", "label")

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--runs", type=int, default=200)
ask.add_argument("--records", type=int, default=400, help="members, control records and released records, of each")
ask.add_argument("--out", type=Path, default=Path("release-risks.jsonl"))
arguments = ask.parse_args()

lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
found = [json.loads(line) for line in lines]
done = {run["seed"] for run in found if run["n"] == arguments.records}
pool = seepage.load("adult", standardise=False)
attacker = Attacker(n_targets=arguments.records, n_predicates=300, secrets=SECRETS)
with arguments.out.open("a") as file:
    for seed in range(arguments.runs):
        if seed in done:
            continue
        rng = np.random.default_rng([seed, 13])
        rows = rng.permutation(len(pool))[: 3 * arguments.records]
        release, members, holdout = (pool.subset(part) for part in np.split(rows, 3))
        risks, _ = wp29_risks(Typed.of(release, members, holdout), attacker, rng=rng)
        run = {"seed": seed, "n": arguments.records, "risks": {
            name: [risk.risk.value, risk.risk.low, risk.risk.high, risk.p_value] for name, risk in risks.items()
        }}  # fmt: skip
        file.write(json.dumps(run) + "\n")
        file.flush()
        found.append(run)


def share(flags: list[bool]) -> str:
    low, high = clopper_pearson(sum(flags), len(flags))
    return f"{np.mean(flags):.3f} [{low:.3f}, {high:.3f}]"


found = [run for run in found if run["n"] == arguments.records and run["seed"] < arguments.runs]
print(f"{len(found)} runs of {arguments.records} members, control and released records of Adult\n")
print("| risk | 0 in the 95 % interval | p at most 0.05 | mean risk | mean width |\n|---|---|---|---|---|")
for name in found[0]["risks"]:
    of_one = [run["risks"][name] for run in found if name in run["risks"] and run["risks"][name][0] is not None]
    covered = share([low <= 0 <= high for _, low, high, _ in of_one])
    alarms = share([p <= 0.05 for *_, p in of_one])
    width = np.mean([high - low for _, low, high, _ in of_one])
    print(f"| {name} | {covered} | {alarms} | {np.mean([value for value, *_ in of_one]):+.4f} | {width:.3f} |")
