"""Every statement about probability that an audit makes, simulated with the code that decides.

    python3 benchmarks/calibration.py                       # all sections
    python3 benchmarks/calibration.py habits claims         # some of them
    python3 benchmarks/calibration.py --scale 0.1 --seed 1  # a tenth of the repetitions, other draws

habits    false alarms of common ways to claim a leak, beside ours
claims    "finds a leak of this size in 80 % of runs", with such leaks planted
coverage  intervals, lower bounds and privacy bounds against the truth
gates     the checks that an audit must pass, on sound and on unsound set-ups
repeats   the gate that asks again: models in training mode, and sound ones
nulls     whole audits of models that never saw the records
cost      seconds of the gates, and their share of a whole audit

Every share stands with its exact 95 % binomial interval (Clopper-Pearson). A statement fails surely where that whole
interval lies beyond the nominal value; of many statements that hold exactly, one in forty is marked by chance.
"""

import argparse
import importlib
import time

SECTIONS = ("habits", "claims", "coverage", "gates", "repeats", "nulls", "cost")


def main() -> None:
    options = parse()
    for section in options.sections or SECTIONS:
        print(f"## {section}\n", flush=True)
        start = time.perf_counter()
        for table in importlib.import_module(f"calibrated.{section}").tables(options.scale, options.seed):
            now = time.perf_counter()
            print(f"{table}\n\n({now - start:.0f} s)\n", flush=True)
            start = now


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the repetitions")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"expected sections of {', '.join(SECTIONS)}, got {', '.join(unknown)}")
    if not options.scale > 0:
        parser.error(f"--scale must be above 0, got {options.scale}")
    return options


if __name__ == "__main__":
    main()
