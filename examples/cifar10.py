"""Audit a recipe on CIFAR-10: 16 small CNNs, each in turn the target of the other 15.

python examples/cifar10.py                      about a quarter of an hour on two cores
python examples/cifar10.py --records 60000 --width 2 --epochs 100 --references 64     for a GPU
"""

import argparse
import functools

import numpy as np

import seepage
from seepage.models.recipe import Augmentation

ATTACKS = [
    "loss",
    "attack-r",
    "lira-online",
    "lira-online-fixed-variance",
    "lira-online-fixed-variance-official",
    "lira-offline",
    "lira-offline-fixed-variance",
    "lira-offline-official",
    "rmia-online",
    "rmia-offline",
]

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--records", type=int, default=12_500, help="images drawn at random from the 60,000")
ask.add_argument("--references", type=int, default=16)
ask.add_argument("--epochs", type=float, default=25)
ask.add_argument("--width", type=int, default=1, help="times 32, 64, 128 channels")
ask.add_argument("--queries", choices=("none", "flip", "flip-shift"), default="flip")
ask.add_argument("--out", default="cifar10-audit")
arguments = ask.parse_args()

rng = np.random.default_rng(0)
everything = seepage.load("cifar10")
pool = everything.subset(np.sort(rng.choice(len(everything), arguments.records, replace=False)))
recipe = seepage.Recipe(
    functools.partial(seepage.CNN, widths=tuple(arguments.width * w for w in (32, 64, 128))),
    optimiser=seepage.SGD(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=seepage.Cosine(),
    epochs=arguments.epochs,
    batch_size=64,
    augmentation=Augmentation(flip=True, shift=4),
)
result = seepage.audit_recipe(
    recipe,
    pool,
    references=arguments.references,
    every_model=True,
    attacker=seepage.Attacker(attacks=ATTACKS, queries=arguments.queries),
    run=seepage.Run(arguments.out, progress=True, command="python examples/cifar10.py", seed=0),
)
print(result)
for attack in result.attacks:
    numbers = [attack.auc, attack.tpr_at_fpr["0.01"], attack.tpr_at_fpr["0.001"]]
    cells = [f"{e.value:.4f} [{e.low:.4f}, {e.high:.4f}]" for e in numbers]
    print(f"| {attack.name} | {' | '.join(cells)} |")
