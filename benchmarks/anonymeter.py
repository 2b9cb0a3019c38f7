"""The three risks of one release as Seepage and as the package Anonymeter measure them.

    python benchmarks/anonymeter.py                          makes an environment for Anonymeter, by pip
    python benchmarks/anonymeter.py --python ENV/bin/python  one that has it

Anonymeter needs an older NumPy, so it runs in an environment of its own. Both get the same members, control records
and released records of Adult, the same columns to link by, one neighbour, the same secrets and as many attacks. There
are two releases: `vae`, noisy codes at epsilon 20, and `copies`, of which three in ten records are members and the
others are people of neither list, so that there is something to find. Prints a table in Markdown.
"""

import argparse
import csv
import json
import subprocess
import sys
import venv
from pathlib import Path

N_ATTACKS, N_PREDICATES, CONDITIONS, EPSILON, EPOCHS, COPIED = 500, 500, 3, 20.0, 40, 0.3
RELEASES = ("vae", "copies")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--python", type=Path, help="of an environment that has anonymeter")
    ask.add_argument("--records", type=int, default=2000, help="members, and as many control and released records")
    ask.add_argument(
        "--out", type=Path, default=Path("anonymeter-comparison"), help="releases and figures are kept here"
    )
    ask.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = ask.parse_args()
    if arguments.inside:
        theirs(arguments.out)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    python = arguments.python or environment(arguments.out / "environment")
    if not (arguments.out / "ours.json").exists():
        ours(arguments.out, arguments.records)
    if not (arguments.out / "theirs.json").exists():
        # -I: this folder must not be on the path, or this file would be what "import anonymeter" finds.
        here = [str(python), "-I", str(Path(__file__).resolve()), "--inside", "--out", str(arguments.out.resolve())]
        subprocess.run(here, check=True)
    show(*(json.loads((arguments.out / f"{side}.json").read_text()) for side in ("ours", "theirs")))


def environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", "anonymeter"], capture_output=True, text=True
    )
    if installed.returncode:
        sys.exit(f"Anonymeter could not be installed, so nothing is compared:\n{installed.stderr.strip()}")
    return python


def ours(folder: Path, n: int) -> None:
    """Make both releases, write them for the other side, and measure."""
    import numpy as np

    import seepage
    from seepage.studies.release.risks import Attacker, wp29_risks
    from seepage.studies.release.typed import Typed
    from seepage.synthesis import NetworkOptions
    from seepage.synthesis.release import table

    pool = seepage.load("adult", standardise=False)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(pool))
    members, control, others = (pool.subset(rows[start : start + n]) for start in (0, n, 2 * n))
    n_copied = round(COPIED * n)
    releases = {
        "vae": seepage.synthesise(members, epsilon=EPSILON, training=NetworkOptions(epochs=EPOCHS), rng=1).pool,
        "copies": members.subset(rng.permutation(n)[:n_copied]).concat(others.subset(range(n - n_copied))),
    }
    measured = {}
    for name, release in releases.items():
        typed = Typed.of(release, members, control)
        linked = [list(typed.names[::2]), list(typed.names[1::2])]
        secrets = list(typed.names)
        attacker = Attacker(N_ATTACKS, N_PREDICATES, CONDITIONS, (linked[0], linked[1]), 1, secrets)
        risks, left_out = wp29_risks(typed, attacker, rng=2)
        measured[name] = {"linked": linked, "secrets": secrets, "left_out": left_out, "risks": {
            risk.name: {
                "attack": risk.attack.value, "control": risk.control.value, "guessing": risk.guessing,
                "risk": [risk.risk.value, risk.risk.low, risk.risk.high],
            } for risk in risks.values()
        }}  # fmt: skip
        # A release is rounded as the audit sees it, where all originals are whole.
        whole = (pool.inputs == np.rint(pool.inputs)).all(axis=0)
        for part, records in (("release", release), ("members", members), ("control", control)):
            header, cells = table(records, whole)
            with (folder / f"{name}-{part}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header, *cells])
    (folder / "ours.json").write_text(json.dumps(measured, indent=1))


def theirs(folder: Path) -> None:
    """The same by Anonymeter; runs in its environment."""
    import numpy as np
    import pandas as pd
    from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

    asked, measured = json.loads((folder / "ours.json").read_text()), {}
    for name in RELEASES:
        np.random.seed(0)  # noqa: NPY002 - their evaluators draw from the global generator
        release, members, control = (
            pd.read_csv(folder / f"{name}-{part}.csv") for part in ("release", "members", "control")
        )
        figures = {}

        def keep(what, evaluator, figures=figures):
            results = evaluator.results()
            risk = results.risk()
            figures[what] = {
                "attack": results.attack_rate.value, "control": results.control_rate.value,
                "guessing": results.baseline_rate.value, "risk": [risk.value, *risk.ci],
            }  # fmt: skip

        for mode, conditions in (("univariate", 1), ("multivariate", CONDITIONS)):
            what = "singling-out, one column" if conditions == 1 else f"singling-out, {conditions} columns"
            evaluator = SinglingOutEvaluator(
                ori=members, syn=release, control=control, n_attacks=N_PREDICATES, n_cols=CONDITIONS, seed=0
            )
            keep(what, evaluator.evaluate(mode=mode))
        linking = LinkabilityEvaluator(
            ori=members, syn=release, control=control, aux_cols=tuple(asked[name]["linked"]), n_attacks=N_ATTACKS
        )
        keep("linkability", linking.evaluate(n_jobs=1))
        for secret in asked[name]["secrets"]:
            inference = InferenceEvaluator(
                ori=members, syn=release, control=control, secret=secret, n_attacks=N_ATTACKS,
                aux_cols=[column for column in members.columns if column != secret],
                regression=pd.api.types.is_numeric_dtype(members[secret]),
            )  # fmt: skip
            keep(f"inference of {secret}", inference.evaluate(n_jobs=1))
        measured[name] = figures
    (folder / "theirs.json").write_text(json.dumps(measured, indent=1))


def show(mine: dict, others: dict) -> None:
    for name in RELEASES:
        print(f"\nRelease `{name}`\n")
        print(
            "| risk | ours: members, control, guess | risk | Anonymeter: members, control, guess | risk | difference |"
        )
        print("|---|---|---|---|---|---|")
        for what, one in mine[name]["risks"].items():
            other = others[name][what]
            rates = [
                " ".join(f"{side[part]:.3f}" for part in ("attack", "control", "guessing")) for side in (one, other)
            ]
            spans = ["{:.3f} [{:.3f}, {:.3f}]".format(*side["risk"]) for side in (one, other)]
            gap = one["risk"][0] - other["risk"][0]
            print(f"| {what} | {rates[0]} | {spans[0]} | {rates[1]} | {spans[1]} | {gap:+.3f} |")
        for what, reason in mine[name]["left_out"].items():
            print(f"\n{what}: not measured: {reason}")


if __name__ == "__main__":
    main()
