"""What a judge goes by: real images of the attacked classes as it sees them, trained on and held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64
from torch import Tensor

from seepage.errors import InputError
from seepage.metrics.intervals import clopper_pearson
from seepage.metrics.reconstruction import class_accuracy
from seepage.outside import from_outside
from seepage.schema import inversion as report
from seepage.schema.estimates import Estimate
from seepage.studies.invert.evaluators import Evaluator, Images
from seepage.studies.invert.world import World

TOP = 5
ENOUGH_FOR_TOP_5 = 10  # classes, below which the five likeliest are most of them
BATCH = 256

REJECTED = 0.05  # of real images, which a threshold gives up
FOREIGN = 100  # images of each kind that show no private class

Labels = Int[np.ndarray, " images"]
Answers = Float32[np.ndarray, "images classes"]
Features = Float32[np.ndarray, "images features"]
Hits = tuple[Bool[np.ndarray, " _"] | Float[np.ndarray, " _"], Int[np.ndarray, " _"]]  # of as many images as it has


@dataclass(frozen=True, eq=False)
class Real:
    """Real images as the judge sees them."""

    labels: Labels
    log_probabilities: Float32[np.ndarray, "images classes"]
    features: Float32[np.ndarray, "images features"]

    @classmethod
    def seen(cls, evaluator: Evaluator, images: Images, labels: Labels) -> Real:
        labels = np.asarray(labels)
        if len(labels) != len(images):
            raise InputError(f"expected one label an image, got {len(labels)} for {len(images)} images")
        return cls(labels, *looked_at(evaluator, images))

    def of(self, classes: Sequence[int] | Int[np.ndarray, " classes"]) -> Real:
        kept = np.isin(self.labels, classes)
        return Real(self.labels[kept], self.log_probabilities[kept], self.features[kept])


@dataclass(frozen=True, eq=False)
class Evidence:
    """A judge, and the real images of the attacked classes as it sees them, looked at once.

    An image is a *hit* if the class that it was to show is the likeliest of all that the judge knows, private and
    public, and, where there is a threshold, if the image is near enough to it. It is *named* after the likeliest of the
    private classes: of these a judge names one for any image, a texture too.

    Attributes:
        private: what targets were trained on.
        held_out: what they were not.
        n_private: classes; the judge's answers from there on are of public ones.
        threshold: of the judge's nearness to the class: the larger of its makers' and of what 95 % of held-out real
            images reach for their own class; None where public classes do its work.
    """

    evaluator: Evaluator
    private: Real
    held_out: Real
    n_private: int
    threshold: float | None = None

    @classmethod
    def of(cls, evaluator: Evaluator, world: World) -> Evidence:
        """A judge of the attacked classes of a world."""
        return cls.between(
            evaluator, world.of(world.train), world.of(world.held_out), world.attacked, n_private=world.n_classes
        )

    @classmethod
    def between(
        cls,
        evaluator: Evaluator,
        private: tuple[Images, Labels],
        held_out: tuple[Float[Tensor, "others channels height width"], Int[np.ndarray, " others"]],
        attacked: Sequence[int] | None = None,
        *,
        n_private: int | None = None,
    ) -> Evidence:
        """
        Args:
            evaluator: the judge.
            private, held_out: images in [0, 1] and their classes; at least one of each.
            attacked: the classes that are inverted; all by default. The others' held-out images serve the threshold.
            n_private: of the judge's classes; all by default.

        Raises:
            InputError: no private or no held-out image is of an attacked class.
        """
        images, labels = private[0], np.asarray(private[1])
        kept = np.ones(len(labels), bool) if attacked is None else np.isin(labels, list(attacked))
        if not kept.any():
            raise InputError("there is no private image of an attacked class for the judge to compare with")
        others = np.asarray(held_out[1])
        if not len(others) or (attacked is not None and not np.isin(others, list(attacked)).any()):
            raise InputError("there is no held-out image of an attacked class for the judge to compare with")
        ours = Real.seen(evaluator, images[torch.from_numpy(kept)], labels[kept])
        n_judged = ours.log_probabilities.shape[1]
        n_private = n_judged if n_private is None else n_private
        needed = evaluator.rejects or n_judged == n_private
        there = np.ones(len(others), bool) if attacked is None or needed else np.isin(others, list(attacked))
        theirs = Real.seen(evaluator, held_out[0][torch.from_numpy(there)], others[there])
        limit = _threshold(evaluator, theirs) if needed else None
        return cls(evaluator, ours, theirs if attacked is None else theirs.of(list(attacked)), n_private, limit)

    @property
    def n_judged(self) -> int:
        """Classes that the judge knows, public ones too."""
        return self.private.log_probabilities.shape[1]

    @property
    def n_classes(self) -> int:
        """Classes that an image could have been made to show: the private ones."""
        return self.n_private

    @property
    def rule(self) -> str:
        """What a hit is, in words."""
        public = self.n_judged - self.n_private
        told = f"the class attacked is the likeliest of {self.n_private} private"
        told += f" and {public} public classes" if public else " classes; no public class is known to the judge"
        if self.threshold is not None:
            told += (
                f", and the image is as near to it as 95 % of held-out real images are to theirs (at least "
                f"{self.threshold:.3g})"
            )
        return told

    def accepted(self, answers: Answers, features: Features) -> Int64[np.ndarray, " images"]:
        """The private class that each image is a hit of; -1 where it is of none."""
        likeliest = answers.argmax(axis=1)
        near = np.ones(len(answers), bool)
        if self.threshold is not None:
            near = self.evaluator.nearness(answers, features)[np.arange(len(answers)), likeliest] >= self.threshold
        return np.where((likeliest < self.n_private) & near, likeliest, -1)

    def named(self, answers: Answers) -> Int64[np.ndarray, " images"]:
        """The likeliest of the private classes."""
        return answers[:, : self.n_private].argmax(axis=1)

    def recognised(self, images: Images, labels: Labels) -> Hits:
        """(hits, classes): which images are hits of what they were to show. Baselines are judged so."""
        return self.accepted(*looked_at(self.evaluator, images)) == np.asarray(labels), np.asarray(labels)

    def ceiling(self) -> float:
        """Share of the held-out images that are hits, class by class."""
        hits, labels = self.real_hits(), self.held_out.labels
        return float(np.mean([hits[labels == c].mean() for c in np.unique(labels)]))

    def real_hits(self) -> Bool[np.ndarray, " images"]:
        """Which held-out real images are hits of their class."""
        return self.accepted(self.held_out.log_probabilities, self.held_out.features) == self.held_out.labels


def _threshold(evaluator: Evaluator, real: Real) -> float:
    own = evaluator.nearness(real.log_probabilities, real.features)[np.arange(len(real.labels)), real.labels]
    return float(max(evaluator.threshold, np.quantile(own, REJECTED)))


def looked_at(
    evaluator: Evaluator, images: Images
) -> tuple[Float32[np.ndarray, "images classes"], Float32[np.ndarray, "images features"]]:
    """Log-probabilities and features, a batch at a time."""
    with from_outside(f"{type(evaluator).__name__} could not look at images of shape {tuple(images.shape[1:])}"):
        parts = [evaluator.look(part) for part in images.split(BATCH)]
    log_probabilities, features = (np.concatenate(side) for side in zip(*parts, strict=True))
    return log_probabilities, features


def top(
    log_probabilities: Float[np.ndarray, "images classes"], labels: Labels, k: int = 1
) -> Bool[np.ndarray, " images"]:
    """Whether the class is among the k likeliest; of equally likely ones the first come first."""
    order = np.argsort(-log_probabilities, axis=1, kind="stable")[:, :k]
    return (order == np.asarray(labels)[:, None]).any(axis=1)


def evaluator_info(
    evidence: Sequence[Evidence],
    checks: Sequence[str],
    strangers: Images | None = None,
    *,
    confidence: float = 0.95,
    rng: np.random.Generator,
) -> report.EvaluatorInfo:
    """The judge in the report, with its figures on real images, over all seeds.

    Args:
        strangers: public images that the judge was not trained on: what it takes for private classes of these, of
            textures with their frequencies, and of noise.
    """
    labels = np.concatenate([one.held_out.labels for one in evidence])
    level = {"confidence": confidence, "rng": rng}
    hits = np.concatenate([one.real_hits() for one in evidence])
    named = np.concatenate([one.named(one.held_out.log_probabilities) == one.held_out.labels for one in evidence])
    in_five = np.concatenate([top(one.held_out.log_probabilities, one.held_out.labels, TOP) for one in evidence])
    first = evidence[0]
    return report.EvaluatorInfo(
        name=first.evaluator.name,
        about=first.evaluator.about,
        accuracy=class_accuracy(hits, labels, **level),
        accuracy_top_5=class_accuracy(in_five, labels, **level) if first.n_judged >= ENOUGH_FOR_TOP_5 else None,
        checks=list(checks),
        rule=first.rule,
        n_public_classes=first.n_judged - first.n_private,
        named=class_accuracy(named, labels, **level),
        taken=[] if strangers is None else [_taken(evidence, *row, confidence) for row in foreign(strangers, rng)],
    )


def foreign(
    strangers: Images, rng: np.random.Generator
) -> list[tuple[str, str, Float[Tensor, "chosen channels height width"]]]:
    """Images that show no private class: public ones, textures with the frequencies of these, and noise."""
    chosen = strangers[torch.from_numpy(np.sort(rng.permutation(len(strangers))[:FOREIGN]))]
    return [
        ("public", "Public images, of other classes", chosen),
        ("texture", "Textures: their frequencies with random phases", texture(chosen, rng)),
        ("noise", "Noise", torch.from_numpy(rng.random(chosen.shape, dtype=np.float32))),
    ]


def texture(images: Images, rng: np.random.Generator) -> Images:
    """Images with the same amplitude of every frequency and random phases: the grain is kept, and nothing is shown.

    All channels are moved by the same phases, and values are cut to [0, 1].
    """
    noise = torch.from_numpy(rng.random((len(images), 1, *images.shape[2:])))
    phases = torch.fft.fft2(noise).angle()
    phases[:, :, 0, 0] = 0  # the mean stays
    spectrum = torch.fft.fft2(images.double())
    return torch.fft.ifft2(spectrum * torch.exp(1j * phases)).real.clamp(0, 1).float()


def _taken(evidence: Sequence[Evidence], name: str, title: str, images: Images, confidence: float) -> report.Taken:
    """The share of images that a judge takes for any private class; the images count once for the interval."""
    shares = [(one.accepted(*looked_at(one.evaluator, images)) >= 0).mean() for one in evidence]
    share, n = float(np.mean(shares)), len(images)
    low, high = clopper_pearson(n * share, n, confidence)
    return report.Taken(name=name, title=title, share=Estimate.of(share, low, high, n))
