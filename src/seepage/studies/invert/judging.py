"""The judgement of an attack: what a judge sees in its images, beside what can be had without asking the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float32, Float64

from seepage.errors import InputError
from seepage.metrics.reconstruction import advantage, class_accuracy, class_mean
from seepage.metrics.resemblance import diversity, frechet_distance, kernel_distance, nearer_private, nearest
from seepage.randomness import Seed, generator
from seepage.schema import inversion as report
from seepage.schema.estimates import Estimate
from seepage.studies.invert import baselines as control
from seepage.studies.invert.evaluators import Images
from seepage.studies.invert.evidence import ENOUGH_FOR_TOP_5, TOP, Evidence, Hits, Labels, looked_at, top

GAP = 0.2  # by which the target must be surer than the judge for its images to be called adversarial


@dataclass(frozen=True, eq=False)
class Seen:
    """One attack's images of one target, seen by one judge: a row an image."""

    evidence: Evidence
    labels: Labels
    hits: Bool[np.ndarray, " images"]
    named: Bool[np.ndarray, " images"]
    hits_top_5: Bool[np.ndarray, " images"] | None
    target_hits: Bool[np.ndarray, " images"]
    features: Float32[np.ndarray, "images features"]
    distance_private: Float64[np.ndarray, " images"]
    distance_held_out: Float64[np.ndarray, " images"]
    nearer_private: Float64[np.ndarray, " images"]
    baselines: Mapping[str, Hits]

    @property
    def accuracy(self) -> float:
        return float(np.mean([self.hits[self.labels == c].mean() for c in np.unique(self.labels)]))


@dataclass(frozen=True)
class Judged:
    """The judge's part of a `Reconstructed`, under its names."""

    n_images: int
    n_classes: int
    accuracy: Estimate
    named: Estimate
    accuracy_top_5: Estimate | None
    target_accuracy: Estimate
    baselines: list[report.Baseline]
    advantage: Estimate
    p_value: float
    adversarial: bool
    distance_private: Estimate | None
    distance_held_out: Estimate | None
    nearer_private: Estimate | None
    frechet: Estimate | None
    kernel: Estimate | None
    diversity: Estimate | None
    seeds: list[float]
    classes: dict[str, float]

    def fields(self) -> dict:
        """For `Reconstructed(**judged.fields(), attack=..., ...)`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def see(
    images: Images,
    labels: Labels,
    target_hits: Bool[np.ndarray, " images"],
    evidence: Evidence,
    baselines_hits: Mapping[str, Hits],
) -> Seen:
    """What the judge sees in an attack's images, and how near they are to real ones.

    Args:
        images: reconstructions, in [0, 1].
        labels: the classes that they are to show.
        target_hits: which of them the target itself takes for the class.
        evidence: the judge and the real images.
        baselines_hits: hits and classes of images for which the target was not asked, by the names of
            `baselines.ABOUT`; for every attacked class. Chance and the wrong class are added.

    Raises:
        InputError: labels or target hits do not match the images, or a label is unknown to the judge.
    """
    labels, target_hits = np.asarray(labels), np.asarray(target_hits)
    if labels.shape != (len(images),) or target_hits.shape != labels.shape:
        raise InputError(
            f"expected a label and a verdict of the target for each of {len(images)} images, got {labels.shape} and "
            f"{target_hits.shape}"
        )
    if labels.min() < 0 or labels.max() >= evidence.n_classes:
        raise InputError(
            f"the judge knows the private classes 0 to {evidence.n_classes - 1}, got the label {labels.max()}"
        )
    answers, features = looked_at(evidence.evaluator, images)
    private, held_out = evidence.private, evidence.held_out
    taken_for = evidence.accepted(answers, features)
    wrong = control.wrong_class(taken_for, labels)
    return Seen(
        evidence=evidence,
        labels=labels,
        hits=taken_for == labels,
        named=evidence.named(answers) == labels,
        hits_top_5=top(answers, labels, TOP) if evidence.n_judged >= ENOUGH_FOR_TOP_5 else None,
        target_hits=target_hits.astype(bool),
        features=features,
        distance_private=nearest(features, labels, private.features, private.labels),
        distance_held_out=nearest(features, labels, held_out.features, held_out.labels),
        nearer_private=nearer_private(
            features, labels, private.features, private.labels, held_out.features, held_out.labels
        ),
        baselines={
            "chance": control.chance(labels, evidence.n_judged),
            **baselines_hits,
            **({} if wrong is None else {"wrong-class": wrong}),
        },
    )


def judge(
    images: Images,
    labels: Labels,
    target_hits: Bool[np.ndarray, " images"],
    evidence: Evidence,
    baselines_hits: Mapping[str, Hits],
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Judged:
    """The judgement of one attack on one target, of one seed; see `see` and `judged`."""
    rng = generator(rng)
    return judged([see(images, labels, target_hits, evidence, baselines_hits)], confidence=confidence, rng=rng)


def judged(seen: Sequence[Seen], *, confidence: float = 0.95, rng: Seed) -> Judged:
    """The figures of an attack over all seeds: all are means over classes, with intervals over classes.

    *Advantage* and p-value: against the baseline of the highest accuracy, of equals the first.

    *Adversarial*: the target's own accuracy times the judge's ceiling, its accuracy on held-out real images, exceeds
    the judge's accuracy by more than 0.2, between the unfavourable ends of both intervals. Images of the class that
    convince the target to that degree would convince this judge, so these are adversarial examples of the target.

    Distances in feature space mean something under one judge alone: Frechet and kernel distance and diversity are of
    the seeds whose judge is that of the first, and flagged where others are left out.

    Args:
        seen: a part for each seed, with the same baselines.
        confidence: two-sided, of all intervals.
        rng: source of resamples, signs and thinning.

    Raises:
        InputError: there is no part, or the parts have different baselines.
    """
    rng = generator(rng)
    if not seen or any(part.baselines.keys() != seen[0].baselines.keys() for part in seen):
        raise InputError("expected at least one seed, and of every seed the same baselines")
    level = {"confidence": confidence, "rng": rng}
    labels, hits, target_hits = (_all(seen, name) for name in ("labels", "hits", "target_hits"))
    in_five = None if any(part.hits_top_5 is None for part in seen) else _all(seen, "hits_top_5")
    accuracy, of_target = class_accuracy(hits, labels, **level), class_accuracy(target_hits, labels, **level)
    others = {
        name: tuple(np.concatenate([part.baselines[name][side] for part in seen]) for side in (0, 1))
        for name in control.ABOUT
        if name in seen[0].baselines
    }
    attacked = np.unique(labels)
    others = {name: (h[np.isin(c, attacked)], c[np.isin(c, attacked)]) for name, (h, c) in others.items()}
    found = {name: class_accuracy(*other, **level) for name, other in others.items()}
    best = max(found, key=lambda name: found[name].value)
    gain, p_value = advantage(hits, labels, *others[best], **level)
    share = {**level, "bounds": (0.0, 1.0)}
    return Judged(
        n_images=len(labels),
        n_classes=len(attacked),
        accuracy=(accuracy),
        named=class_accuracy(_all(seen, "named"), labels, **level),
        accuracy_top_5=None if in_five is None else (class_accuracy(in_five, labels, **level)),
        target_accuracy=(of_target),
        baselines=[
            report.Baseline(
                name=name, title=control.ABOUT[name][0], about=control.ABOUT[name][1], accuracy=(found[name])
            )
            for name in found
        ],
        advantage=(gain),
        p_value=p_value,
        adversarial=is_adversarial(of_target, accuracy, float(np.mean([part.evidence.ceiling() for part in seen]))),
        distance_private=_known(class_mean(_all(seen, "distance_private"), labels, **level)),
        distance_held_out=_known(class_mean(_all(seen, "distance_held_out"), labels, **level)),
        nearer_private=_known(class_mean(_all(seen, "nearer_private"), labels, **share)),
        **_in_one_space(seen, **level),
        seeds=[part.accuracy for part in seen],
        classes={str(c): float(hits[labels == c].mean()) for c in attacked},
    )


def beyond(
    seen: Sequence[Seen], others: Sequence[Seen], *, confidence: float = 0.95, rng: Seed
) -> tuple[Estimate, float]:
    """How much more often an attack's images are hits than another's on the same target, class by class; p-value."""
    sides = [_all(parts, name) for parts in (seen, others) for name in ("hits", "labels")]
    gain, p_value = advantage(*sides, confidence=confidence, rng=rng)
    return gain, p_value


def is_adversarial(target: Estimate, judge: Estimate, ceiling: float) -> bool:
    """Whether the target is convinced and the judge is not; see `judged`.

    >>> sure, not_sure = Estimate.of(1.0, 0.9, 1.0, 20), Estimate.of(0.1, 0.0, 0.2, 20)
    >>> is_adversarial(sure, not_sure, 0.95), is_adversarial(sure, not_sure, 0.4)
    (True, False)
    """
    if target.low is None or judge.high is None:
        return False
    return target.low * ceiling > judge.high + GAP


def _in_one_space(seen: Sequence[Seen], *, confidence: float, rng: np.random.Generator) -> dict[str, Estimate | None]:
    space = seen[0].evidence.evaluator.fingerprint
    parts = [part for part in seen if part.evidence.evaluator.fingerprint == space]
    features, labels = _all(parts, "features"), _all(parts, "labels")
    private = seen[0].evidence.private.of(labels)
    if not len(private.labels):
        return dict.fromkeys(("frechet", "kernel", "diversity"))
    level = {"confidence": confidence, "rng": rng}
    found = {
        "frechet": frechet_distance(features, private.features),
        "kernel": kernel_distance(features, private.features, **level),
        "diversity": diversity(features, labels, private.features, private.labels, **level),
    }
    left = len(seen) - len(parts)
    whose = "1 seed, which had another judge" if left == 1 else f"{left} seeds, which had other judges"
    note = f"without {whose}" if left else None
    return {name: _known(one, note) for name, one in found.items()}


def _known(estimate: Estimate, note: str | None = None) -> Estimate | None:
    """A number, or why there is none; None where there was nothing to take it of."""
    if estimate.value is None and not estimate.n:
        return None
    flag = "; ".join(text for text in (estimate.flag, note) if text) or None
    return Estimate.of(estimate.value, estimate.low, estimate.high, estimate.n, flag)


def _all(seen: Sequence[Seen], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in seen])
