"""From the pieces of a study to figures: what every attack made of every target, before the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import nn

from seepage.inversion.evaluators import evaluator_checks
from seepage.inversion.evidence import Evidence, Hits, recognised
from seepage.inversion.fisher import VanishedGradient, fisher
from seepage.inversion.judging import Seen, judged, see
from seepage.inversion.line import Line
from seepage.inversion.targets import TargetSpec
from seepage.metrics import holm
from seepage.metrics.intervals import Estimate, clopper_pearson
from seepage.models.access import Access
from seepage.models.target import TargetModel
from seepage.models.wrapper import Wrapped
from seepage.report import inversion_result as report
from seepage.report.estimates import saved

FISHER_RECORDS = 256


def checks(line: Line, evidence: Mapping[int, Evidence]) -> list[str]:
    """What was checked of the judges, each against every target of its seed."""
    told: dict[str, None] = {}
    for name in line.targets:
        for seed in line.seeds_of(name, list(evidence)):
            told |= dict.fromkeys(evaluator_checks(evidence[seed].evaluator, line.target(seed, name)))
    told["No attack, prior or baseline has access to the judge: it is asked when all images are there."] = None
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
    others = {
        (seed, kind): _baselines(line, spec.name, kind, seed, one)
        for seed, one in evidence.items()
        for kind in line.kinds
    }
    attacks = [
        (name, [_seen(line, spec.name, name, seed, modules[seed], evidence[seed], others) for seed in evidence])
        for name in line.attacks
    ]
    found = [(name, judged([s for s, _ in seen], confidence=confidence, rng=rng), seen) for name, seen in attacks]
    corrected = holm([one.p_value for _, one, _ in found])
    reconstructed = []
    for (name, one, seen), p_value in zip(found, corrected, strict=True):
        fields = one.fields()
        fields["classes"] = {world.class_name(int(label)): value for label, value in one.classes.items()}
        cost = {key: float(np.mean([spent[key] for _, spent in seen])) for key in ("queries", "seconds")}
        reconstructed.append(report.Reconstructed(attack=name, p_value_holm=float(p_value), **fields, **cost))
    return report.TargetResult(
        name=spec.name,
        title=spec.title,
        role=spec.role,
        options=dict(spec.options),
        notes=list(spec.notes),
        n_parameters=n_parameters,
        n_trained=spec.n_trained(first),
        train_accuracy=saved(right["train"]),
        test_accuracy=saved(right["test"]),
        attacks=reconstructed,
    )


def _baselines(line: Line, target: str, kind: str, seed: int, evidence: Evidence) -> dict[str, Hits]:
    """What the judge says of images that no attack made."""
    labels = np.repeat(line.world.attacked, line.per_class)
    made = line.baselines(seed, target, kind)
    return {name: recognised(evidence.evaluator, images, labels) for name, images in made.items()}


def _seen(
    line: Line,
    target: str,
    attack: str,
    seed: int,
    module: nn.Module,
    evidence: Evidence,
    others: Mapping[tuple[int, str], Mapping[str, Hits]],
) -> tuple[Seen, dict[str, float]]:
    """An attack's images of one seed before the judge, and what one of them cost."""
    images, labels, cost = line.images(seed, target, attack)
    return see(images, labels, _hits(module, images, labels), evidence, others[seed, line.attacks[attack].prior]), cost


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
    return Estimate(share, low, high, n)


def fisher_curves(
    line: Line, rows: Sequence[report.TargetResult], seed: int, confidence: float, rng: np.random.Generator
) -> list[report.FisherCurve]:
    """The curves of every target that is no control, on the images of its best attack with gradients.

    Where the target is so sure of them that no gradient of its loss is left, on those of the next.
    """
    white = {name for name, one in line.attacks.items() if one.access is Access.WEIGHTS}
    images, labels = line.world.of(line.world.held_out)
    kept = rng.permutation(np.flatnonzero(np.isin(labels, line.world.attacked)))[:FISHER_RECORDS]
    private = images[kept], torch.from_numpy(labels[kept])
    curves = []
    for row in rows:
        known = [one for one in row.attacks if one.attack in white and row.role not in ("null", "shuffled")]
        for attack in sorted(known, key=lambda one: -(one.accuracy.value or 0.0)):
            made, of, _ = line.images(seed, row.name, attack.attack)
            names = {"target": row.name, "attack": attack.attack}
            module, reconstructed = _inside(line.target(seed, row.name)), (made, torch.from_numpy(of))
            try:
                curves.append(fisher(module, *private, *reconstructed, **names, rng=rng, confidence=confidence))
            except VanishedGradient:
                continue
            break
    return curves
