"""What a release of noisy codes is worth, and what it still tells, over the size of the noise.

    python examples/synthesis.py adult              4,000 members, an MLP
    python examples/synthesis.py fashion-mnist      4,000 members, an MLP on the pixels

Each of 8 models is trained on a release of its own members: a VAE is trained on them, each member's code gets noise,
and the decoder makes records of the noisy codes. The attacker knows all of that and the original records: every model
takes its turn as the target, the other seven, VAEs and all, are the references. Beside it stand the same recipe on the
originals, the same with DP-SGD, and the audit of one release by itself. A killed run goes on.

Prints a table in Markdown and draws docs/figures/synthesis-<data>.svg.
"""

import argparse
import json
import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import seepage
from seepage.defences import DEFENCES, defended
from seepage.report.plots import PALETTE
from seepage.studies.release.released import audit_released
from seepage.synthesis.procedure import TrainOnSynthetic

ATTACKS = ["loss", "lira-online-fixed-variance", "rmia-online"]
SHOWN = "rmia-online"  # fixed beforehand: the best of several would look better than it is
N_RECORDS, N_POPULATION = 8000, 2000


@dataclass(frozen=True)
class Case:
    recipe: seepage.Recipe
    pipeline: TrainOnSynthetic  # without noise


CASES = {
    "adult": Case(
        seepage.Recipe(partial(seepage.MLP, hidden=(256, 128)), optimiser=seepage.Adam(lr=1e-3), epochs=30),
        TrainOnSynthetic(latent=16, epochs=60, batch_size=256),
    ),
    "fashion-mnist": Case(
        seepage.Recipe(partial(seepage.MLP, hidden=(256,)), optimiser=seepage.Adam(lr=1e-3), epochs=30),
        TrainOnSynthetic(latent=16, network="mlp", epochs=40, batch_size=128),
    ),
}

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("data", choices=CASES)
ask.add_argument("--noise", default="0,0.25,0.5,1,2,4", help="E|noise| / sqrt(n), separated by commas")
ask.add_argument("--dp-sgd", default="0.5,1,2", help="noise multipliers, separated by commas")
ask.add_argument("--models", type=int, default=8)
ask.add_argument("--records", type=int, default=N_RECORDS, help="half of them members of each model")
ask.add_argument("--vae-epochs", type=int)
ask.add_argument("--out", type=Path)
ask.add_argument("--figure", type=Path)
arguments = ask.parse_args()

case = CASES[arguments.data]
pipeline = replace(case.pipeline, epochs=arguments.vae_epochs or case.pipeline.epochs)
out = arguments.out or Path(f"{arguments.data}-synthesis")
noises = [float(text) for text in arguments.noise.split(",")]
multipliers = [float(text) for text in arguments.dp_sgd.split(",") if text]

rng = np.random.default_rng(0)
pool = seepage.load(arguments.data)
pool = pool.subset(np.sort(rng.choice(len(pool), arguments.records * (N_RECORDS + N_POPULATION) // N_RECORDS, False)))
n_population = len(pool) - arguments.records
membership = seepage.Membership.every_model(pool, references=arguments.models, population=n_population, rng=rng)


def with_noise(noise: float) -> TrainOnSynthetic:
    """E|w| = n / epsilon, told in units of sqrt(n), about the length of a code."""
    return replace(pipeline, epsilon=math.sqrt(pipeline.latent) / noise if noise else None)


def audited(name: str, recipe: seepage.Recipe) -> seepage.AuditResult:
    folder = out / name
    if (folder / "result.json").exists():
        return seepage.AuditResult.load(folder)
    return seepage.audit_recipe(
        recipe,
        pool,
        membership,
        attacker=seepage.Attacker(attacks=ATTACKS),
        settings=seepage.Settings(controls=False),
        run=seepage.Run(folder, progress=True, seed=0),
    )


def releases() -> list[dict]:
    """One VAE on the first model's members, and a release of it at every noise, audited by itself."""
    file = out / "releases.json"
    if file.exists() and len(found := json.loads(file.read_text())) == len(noises):
        return found
    out.mkdir(parents=True, exist_ok=True)
    members, population = membership.targets[:, 0], membership.population
    inside, outside = pool.subset(members), pool.subset(~members & ~population)
    vae = pipeline.generator(inside, seed=1)
    found = []
    for noise in noises:
        release = with_noise(noise).release(inside, seed=1, vae=vae)
        result = audit_released(
            release, inside, outside, reference=pool.subset(population), rng=np.random.default_rng(2)
        )
        found.append(result.model_dump(mode="json"))
    file.write_text(json.dumps(found))
    return found


def span(e, digits: int = 3, factor: float = 1) -> str:
    e = e if isinstance(e, dict) else {name: getattr(e, name) for name in ("value", "low", "high")}
    if e["value"] is None:
        return "-"
    value, low, high = (f"{factor * e[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


audits = {"originals": audited("originals", case.recipe)}
for noise in noises:
    audits[f"noise {noise:g}"] = audited(f"noise-{noise:g}", replace(case.recipe, procedure=with_noise(noise)))
if "dp-sgd" in DEFENCES:
    for sigma in multipliers:
        name = f"DP-SGD {sigma:g}"
        audits[name] = audited(f"dp-sgd-{sigma:g}", defended(case.recipe, "dp-sgd", noise_multiplier=sigma))
alone = dict(zip((f"noise {noise:g}" for noise in noises), releases(), strict=True))

judged = ~membership.population
majority = np.mean(pool.labels[judged] == np.bincount(pool.labels[judged]).argmax())
print(
    f"{arguments.data}: {arguments.records} records, half of them members of each of {arguments.models} models; n = "
    f"{pipeline.latent}; the most frequent class alone is right in {majority:.3f}\n"
)
print(
    "| trained on | epsilon | accuracy on others | accuracy on members | LiRA, AUC | RMIA, AUC "
    "| RMIA, TPR at FPR 1 %, % | release alone: nearest record, AUC | share closer to members | least corrected p |\n|"
    + "---|"
    * 10
)
for name, result in audits.items():
    epsilon = (result.training.recipe.get("procedure") or {}).get("epsilon")
    lira, rmia = result.attack("lira-online-fixed-variance"), result.attack("rmia-online")
    cells = [name, "-" if epsilon is None else f"{epsilon:.2f}", span(result.training.test_accuracy)]
    cells += [span(result.training.train_accuracy), span(lira.auc), span(rmia.auc)]
    cells.append(span(rmia.tpr_at_fpr["0.01"], 1, 100))
    if name in alone:
        parts = alone[name]["attacks"]
        least = min(alone[name]["closeness_p_value_holm"], *(part["p_value_holm"] for part in parts.values()))
        cells += [span(parts["nearest"]["auc"]), span(alone[name]["closeness"]["closer_to_members"]), f"{least:.2g}"]
    else:
        cells += ["", "", ""]
    print("| " + " | ".join(cells) + " |")

INK, SOFT, LEAD, SECOND, THIRD = (PALETTE[name][0] for name in ("ink", "soft", "lead", "second", "third"))
figure = Figure(figsize=(7.4, 5.6), layout="constrained", facecolor="white")
axes = figure.subplots(2, 2).ravel()


def line(ax, estimates, colour, label, marker="o", scale=1.0):
    values, low, high = (scale * np.array([e[part] for e in estimates], float) for part in ("value", "low", "high"))
    ax.fill_between(noises, low, high, color=colour, alpha=0.16, linewidth=0)
    ax.plot(noises, values, marker=marker, color=colour, markersize=4, linewidth=1.4, label=label)


def level(ax, value, label, colour=SOFT):
    ax.axhline(value, color=colour, linewidth=0.9, linestyle=(0, (2, 3)))
    ax.annotate(label, (1, value), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
                fontsize=7.5, color=colour)  # fmt: skip


along = [audits[f"noise {noise:g}"] for noise in noises]
shown = [result.attack(SHOWN) for result in along]
plain = audits["originals"]
line(axes[0], [result.training.test_accuracy.model_dump() for result in along], LEAD, "trained on the release")
level(axes[0], plain.training.test_accuracy.value, "trained on the originals")
level(axes[0], majority, "most frequent class")
axes[0].set_ylabel("accuracy on others")
line(axes[1], [attack.auc.model_dump() for attack in shown], LEAD, "models, pipeline known (RMIA)")
line(axes[1], [alone[f"noise {noise:g}"]["attacks"]["nearest"]["auc"] for noise in noises], SECOND,
     "release alone (nearest record)", "s")  # fmt: skip
level(axes[1], plain.attack(SHOWN).auc.value, "originals (RMIA)")
level(axes[1], 0.5, "guessing")
axes[1].set_ylabel("attack, AUC")
line(axes[2], [attack.tpr_at_fpr["0.01"].model_dump() for attack in shown], LEAD, "models (RMIA)", scale=100)
line(axes[2], [alone[f"noise {noise:g}"]["attacks"]["nearest"]["tpr_at_fpr"]["0.01"] for noise in noises], SECOND,
     "release alone (nearest record)", "s", 100)  # fmt: skip
level(axes[2], 100 * plain.attack(SHOWN).tpr_at_fpr["0.01"].value, "originals (RMIA)")
level(axes[2], 1, "guessing")
axes[2].set_ylabel("TPR at FPR 1 %, %")
for ax in axes[:3]:
    ax.set_xlabel("noise, E|w| / sqrt(n) = sqrt(n) / epsilon")
    ax.legend(fontsize=7.5, frameon=False)
kinds = {"originals": (INK, "D"), "noise": (LEAD, "o"), "DP-SGD": (THIRD, "^")}
for name, result in audits.items():
    kind = name.split()[0]
    accuracy, area = result.training.test_accuracy, result.attack(SHOWN).auc
    axes[3].errorbar(
        area.value, accuracy.value, [[accuracy.value - accuracy.low], [accuracy.high - accuracy.value]],
        [[area.value - area.low], [area.high - area.value]], color=kinds[kind][0], marker=kinds[kind][1], markersize=4,
        linewidth=0.9,
    )  # fmt: skip
    axes[3].annotate(name, (area.value, accuracy.value), (4, 3), textcoords="offset points", fontsize=7)
axes[3].set(xlabel="attack on the models (RMIA), AUC", ylabel="accuracy on others")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, color=SOFT)
    ax.xaxis.label.set_size(8.5)
    ax.yaxis.label.set_size(8.5)
file = arguments.figure or Path("docs/figures") / f"synthesis-{arguments.data}.svg"
file.parent.mkdir(parents=True, exist_ok=True)
with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "synthesis"}):
    figure.savefig(file, metadata={"Date": None})
print(f"\n{file}")
