"""From the pieces of a study to figures: what every attack made of every target, before the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import nn

from seepage.inversion.base import Attempt
from seepage.inversion.descent import Descent
from seepage.inversion.lomma import LOMMA
from seepage.inversion.oracle import Oracle
from seepage.metrics import holm
from seepage.metrics.intervals import clopper_pearson
from seepage.metrics.reconstruction import advantage, class_accuracy
from seepage.models.target import TargetModel
from seepage.models.wrapper import Wrapped
from seepage.schema import inversion as report
from seepage.schema.estimates import Estimate
from seepage.studies.invert.baselines import ABOUT, chance
from seepage.studies.invert.ceiling import distance
from seepage.studies.invert.evaluators import evaluator_checks
from seepage.studies.invert.evidence import Evidence, Hits, looked_at
from seepage.studies.invert.fisher import (
    STEPS,
    LayerInformation,
    VanishedGradient,
    fisher,
    layer_information,
    path_information,
)
from seepage.studies.invert.judging import Seen, beyond, judged, see
from seepage.studies.invert.line import Line
from seepage.studies.invert.selection import Selection
from seepage.studies.invert.targets import TargetSpec

FISHER_RECORDS = 256


def checks(line: Line, evidence: Mapping[int, Evidence]) -> list[str]:
    """What was checked of the judges, each against every target of its seed."""
    told: dict[str, None] = {}
    for name in line.targets:
        for seed in line.seeds_of(name, list(evidence)):
            told |= dict.fromkeys(evaluator_checks(evidence[seed].evaluator, line.target(seed, name)))
    told["No attack, prior or baseline has access to the judge: it is asked when all images are there."] = None
    if line.world.for_judge is not None:
        told["No attack, prior or baseline has the public images that it was taught: each public class is split."] = (
            None
        )
    return list(told)


def target_result(
    line: Line, spec: TargetSpec, evidence: Mapping[int, Evidence], confidence: float, rng: np.random.Generator
) -> report.TargetResult:
    """Everything about one target: its accuracies, and what every attack makes of it."""
    evidence = {seed: evidence[seed] for seed in line.seeds_of(spec.name, list(evidence))}
    world, modules = line.world, {seed: line.target(seed, spec.name) for seed in evidence}
    rows = {"train": world.train, "test": world.held_out}
    right = {
        part: _accuracy([_hits(module, *world.of(at)) for module in modules.values()], confidence)
        for part, at in rows.items()
    }
    first = _inside(next(iter(modules.values())))
    n_parameters = sum(parameter.numel() for parameter in first.parameters())
    free = {
        (seed, kind): _without_target(line, kind, seed, one) for seed, one in evidence.items() for kind in line.kinds
    }
    seen, cost, first_seed = {}, {}, next(iter(evidence))
    for name, attack in line.attacks.items():
        parts = []
        for seed, one in evidence.items():
            others = free[seed, attack.prior] | _on_null(line, spec, name, first_seed, one)
            parts.append(_seen(line, spec.name, name, seed, modules[seed], one, others))
        seen[name], cost[name] = [part for part, _ in parts], [spent for _, spent in parts]
    found = {name: judged(parts, confidence=confidence, rng=rng) for name, parts in seen.items()}
    corrected = holm([one.p_value for one in found.values()])
    reconstructed = []
    for (name, one), p_value in zip(found.items(), corrected, strict=True):
        fields = one.fields()
        fields["classes"] = {world.class_name(int(label)): value for label, value in one.classes.items()}
        spent = {key: float(np.mean([each[key] for each in cost[name]])) for key in ("queries", "seconds")}
        fields |= spent | _beside_selection(line, name, seen, confidence, rng)
        reconstructed.append(report.Reconstructed(attack=name, p_value_holm=float(p_value), **fields))
    return report.TargetResult(
        name=spec.name,
        title=spec.title,
        role=spec.role,
        options=dict(spec.options),
        notes=list(spec.notes),
        n_parameters=n_parameters,
        n_trained=spec.n_trained(first),
        train_accuracy=(right["train"]),
        test_accuracy=(right["test"]),
        attacks=reconstructed,
    )


def _without_target(line: Line, kind: str, seed: int, evidence: Evidence) -> dict[str, Hits]:
    """What the judge says of images for which no target was asked."""
    labels = np.repeat(line.world.attacked, line.per_class)
    return {name: evidence.recognised(images, labels) for name, images in line.baselines(seed, kind).items()}


def _on_null(line: Line, spec: TargetSpec, attack: str, seed: int, evidence: Evidence) -> dict[str, Hits]:
    """What the judge says of the same attack on the null target, where there is one that is not this one.

    Args:
        seed: that controls are made with.
    """
    null = next((name for name, one in line.targets.items() if one.role == "null"), None)
    if null is None or spec.role == "null":
        return {}
    images, labels, _ = line.images(seed, null, attack)
    return {"null-target": evidence.recognised(images, labels)}


def _seen(
    line: Line,
    target: str,
    attack: str,
    seed: int,
    module: nn.Module,
    evidence: Evidence,
    others: Mapping[str, Hits],
) -> tuple[Seen, dict[str, float]]:
    """An attack's images of one seed before the judge, and what one of them cost."""
    images, labels, cost = line.images(seed, target, attack)
    return see(images, labels, _hits(module, images, labels), evidence, others), cost


def _beside_selection(
    line: Line, attack: str, seen: Mapping[str, Sequence[Seen]], confidence: float, rng: np.random.Generator
) -> dict[str, Any]:
    """What a search has beyond the best selection that needs no other prior than its own."""
    of = line.attacks[attack]
    known = [
        name for name, one in line.attacks.items() if isinstance(one, Selection) and one.prior in (of.prior, "pixels")
    ]
    if isinstance(of, Selection) or not known:
        return {}
    best = max(known, key=lambda name: float(np.mean([part.accuracy for part in seen[name]])))
    gain, _ = beyond(seen[attack], seen[best], confidence=confidence, rng=rng)
    return {"selection": best, "beyond_selection": gain}


def ceiling(
    line: Line, place: Mapping[str, Any], evidence: Evidence, confidence: float, rng: np.random.Generator
) -> report.Ceiling:
    """What a prior shows of real images at best, beside the best of what asks no target."""
    made, real, labels = line.ceiling(**place)
    answers, features = looked_at(evidence.evaluator, made)
    hits, level = evidence.accepted(answers, features) == labels, {"confidence": confidence, "rng": rng}
    others = {"chance": chance(labels, evidence.n_judged)}
    others |= _without_target(line, place["kind"], place["seed"], evidence)
    rates = {name: class_accuracy(*other, **level) for name, other in others.items()}
    best = max(rates, key=lambda name: rates[name].value)
    return report.Ceiling(
        prior=place["kind"],
        target=place["target"] or "",
        n_images=len(labels),
        accuracy=class_accuracy(hits, labels, **level),
        named=class_accuracy(evidence.named(answers) == labels, labels, **level),
        real=class_accuracy(*evidence.recognised(real, labels), **level),
        baseline=ABOUT[best][0],
        advantage=(advantage(hits, labels, *others[best], **level)[0]),
        distance=float(distance(made, real).mean().sqrt()),
    )


def _hits(module: nn.Module, images: torch.Tensor, labels: np.ndarray) -> Bool[np.ndarray, " images"]:
    """Which images a target takes for their class."""
    return TargetModel.wrap(module).labels(images.numpy()) == labels


def _inside(module: nn.Module) -> nn.Module:
    """The model itself, where a defence of the answers stands around it: that one has no part in what was learnt."""
    return module.module if isinstance(module, Wrapped) else module


def _accuracy(hits: Sequence[Bool[np.ndarray, " images"]], confidence: float) -> Estimate:
    """Share of the images that a target takes for their class, its mean over seeds.

    The seeds are asked about the same images, so these are counted once for the interval.
    """
    n, share = len(hits[0]), float(np.mean(hits))
    low, high = clopper_pearson(n * share, n, confidence)
    return Estimate.of(share, low, high, n)


def fisher_curves(
    line: Line, rows: Sequence[report.TargetResult], seed: int, confidence: float, rng: np.random.Generator
) -> list[report.FisherCurve]:
    """The curves of every target that is no control, along the path of one attack, by its own loss.

    It is the attack that descends and gets furthest on the first target, for all targets, so that they can be compared.
    LOMMA comes last: its students would have to be trained again. Where no gradient of its loss is left, the next.
    """
    known = [row for row in rows if row.role not in ("null", "shuffled") and row.attacks]
    if not known:
        return []
    rate = {one.attack: one.accuracy.value or 0.0 for one in known[0].attacks}
    paths = [name for name, one in line.attacks.items() if isinstance(one, Descent)]
    paths.sort(key=lambda name: (isinstance(line.attacks[name], LOMMA), -rate[name]))
    images, labels = line.world.of(line.world.held_out)
    each = max(1, FISHER_RECORDS // len(line.world.attacked))
    kept = np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:each] for label in line.world.attacked])
    private = images[kept], torch.from_numpy(labels[kept])
    curves = []
    for row in known:
        classification = layer_information(_inside(line.target(seed, row.name)), *private)
        for attack in paths:
            inversion, inverted = _along_path(line, row.name, attack, seed)
            steps = [step for step in STEPS if step < line.budgets[attack].steps]
            names = {"target": row.name, "attack": attack, "steps": steps}
            sides = classification, labels[kept], inversion, inverted
            try:
                curves.append(fisher(*sides, **names, rng=rng, confidence=confidence))
            except VanishedGradient:
                continue
            break
    return curves


def _along_path(line: Line, target: str, attack: str, seed: int) -> tuple[LayerInformation, np.ndarray]:
    """What layers hold along an attack's path, in as many tries as the study has images of a class."""
    inversion, world = line.attacks[attack], line.world
    oracle = Oracle(line.target(seed, target), inversion.access, line.device)
    prior = line.prior(seed, target, inversion.prior)
    known = inversion.learn(oracle, prior, torch.from_numpy(world.images).to(line.device), seed=seed)
    labels = torch.tensor(world.attacked, device=line.device).repeat_interleave(line.per_class)
    rngs = [np.random.default_rng([seed, 9, place]) for place in range(len(labels))]
    attempt = Attempt(oracle, prior, labels, rngs, line.budgets[attack], known)
    return path_information(inversion, attempt)
