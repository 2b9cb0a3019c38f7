"""FeS-MIA judged as it was published: many small episodes against one target, beside the plain loss.

    python examples/few_shot.py                               500 episodes of SimpleShot on signals, 100 of transductive
                                                              tuning: about half an hour on two cores
    python examples/few_shot.py --tuning-episodes 500         as many of every learner
    python examples/few_shot.py --published corrected         the learners as published, on features and logits
    python examples/few_shot.py --published official          the same as in the first author's code

One CNN is trained on half of some CIFAR-10 images; no reference models. Each episode knows `shots` members and as many
others, chooses its options on 15 + 15 more, and is judged by 15 + 15.
"""

import argparse
import time
from functools import partial

import numpy as np

import seepage
from seepage.attacks.few_shot import LaplacianShot, SignalShot, SimpleShot, TransductiveTuning
from seepage.signals.view import View
from seepage.studies.audit.episodes import episodes

FORMS = {
    "labels": {},
    "label-free": {"labels": False},
    "gradients": {"gradients": True},
    "label-free, gradients": {"labels": False, "gradients": True},
}
HEADS = {"corrected": "logits", "official": "probabilities"}

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--data", default="cifar10")
ask.add_argument("--records", type=int, default=8000, help="images drawn at random, half of them members")
ask.add_argument("--epochs", type=float, default=25)
ask.add_argument("--episodes", type=int, default=500)
ask.add_argument("--tuning-episodes", type=int, default=100)
ask.add_argument("--published", choices=("corrected", "official"))
arguments = ask.parse_args()

rng = np.random.default_rng(0)
pool = seepage.load(arguments.data)
pool = pool.subset(np.sort(rng.choice(len(pool), min(len(pool), arguments.records), replace=False)))
membership = seepage.Membership.split(pool, references=0, population=0, rng=rng)
recipe = seepage.Recipe(
    seepage.CNN,
    optimiser=seepage.SGD(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=seepage.Cosine(),
    epochs=arguments.epochs,
)
members = membership.target
target = seepage.TargetModel.wrap(seepage.train(recipe, pool, members, rng=rng))
logits, features = target.logits(pool.batch()), target.features(pool.batch())
view = View.from_logits(
    logits[:, None, None], pool.labels, target_column=0, features=features, records=pool, model=target
)
correct = logits.argmax(axis=1) == pool.labels
print(
    f"members' accuracy {correct[members].mean():.3f}, others' {correct[~members].mean():.3f}; "
    f"{features.shape[1]} features\n"
)
judged = [(name, seepage.ATTACKS[name], arguments.episodes) for name in ("loss", "entropy")]
if arguments.published:
    for name, learner, space in (
        ("SS", SimpleShot, "features"),
        ("SS", SimpleShot, "outputs"),
        ("LS", LaplacianShot, "features"),
        ("LS", LaplacianShot, "outputs"),
    ):
        for shots in (1, 5, 10):
            attack = learner(shots, arguments.published, space=space)
            judged.append((f"{name}, {space}, {shots} shots", attack, arguments.episodes))
    tuning = partial(TransductiveTuning, mode=arguments.published, head=HEADS[arguments.published])
else:
    for about, options in FORMS.items():
        for shots in (1, 5, 10):
            judged.append((f"SS, {about}, {shots} shots", SignalShot(shots, **options), arguments.episodes))
    tuning = TransductiveTuning
for shots in (1, 5, 10):
    judged.append((f"TT, {shots} shots", tuning(shots), arguments.tuning_episodes))

print("| attack | episodes | AUC | accuracy | Log-MIA A (chance) | Log-MIA B (chance) | seconds |\n|" + "---|" * 7)
for name, attack, n_episodes in judged:
    start = time.perf_counter()
    found = episodes(attack, view, members, n_episodes=n_episodes, rng=np.random.default_rng(1))
    seconds = time.perf_counter() - start
    cells = [f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" if e else "-" for e in (found.auc, found.accuracy)]
    for estimate, chance in ((found.log_mia_a, found.chance_a), (found.log_mia_b, found.chance_b)):
        cells.append(f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] ({chance:.3f})")
    print(f"| {name} | {n_episodes} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)
