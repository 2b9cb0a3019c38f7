"""What a judge goes by: real images of the attacked classes as it sees them, trained on and held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int

from seepage.errors import InputError
from seepage.inversion.evaluators import Evaluator, Images
from seepage.inversion.world import World
from seepage.metrics.reconstruction import class_accuracy
from seepage.outside import from_outside
from seepage.report import inversion_result as report
from seepage.report.estimates import saved

TOP = 5
ENOUGH_FOR_TOP_5 = 10  # classes, below which the five likeliest are most of them
BATCH = 256

Labels = Int[np.ndarray, " images"]
Hits = tuple[Bool[np.ndarray, " images"] | Float[np.ndarray, " images"], Labels]


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

    def of(self, classes: Labels) -> Real:
        kept = np.isin(self.labels, classes)
        return Real(self.labels[kept], self.log_probabilities[kept], self.features[kept])


@dataclass(frozen=True, eq=False)
class Evidence:
    """A judge, and the real images of the attacked classes as it sees them, looked at once.

    Attributes:
        private: what targets were trained on.
        held_out: what they were not.
    """

    evaluator: Evaluator
    private: Real
    held_out: Real

    @classmethod
    def of(cls, evaluator: Evaluator, world: World) -> Evidence:
        """A judge of the attacked classes of a world."""
        return cls.between(evaluator, world.of(world.train), world.of(world.held_out), world.attacked)

    @classmethod
    def between(
        cls,
        evaluator: Evaluator,
        private: tuple[Images, Labels],
        held_out: tuple[Images, Labels],
        attacked: Sequence[int] | None = None,
    ) -> Evidence:
        """
        Args:
            evaluator: the judge.
            private, held_out: images in [0, 1] and their classes; at least one of each.
            attacked: the classes that are inverted, the others' images are not looked at; all by default.

        Raises:
            InputError: no private or no held-out image is of an attacked class.
        """
        sides = []
        for name, (images, labels) in (("private", private), ("held-out", held_out)):
            labels = np.asarray(labels)
            kept = np.ones(len(labels), bool) if attacked is None else np.isin(labels, list(attacked))
            if not kept.any():
                raise InputError(f"there is no {name} image of an attacked class for the judge to compare with")
            sides.append(Real.seen(evaluator, images[torch.from_numpy(kept)], labels[kept]))
        return cls(evaluator, *sides)

    @property
    def n_classes(self) -> int:
        return self.private.log_probabilities.shape[1]

    def ceiling(self) -> float:
        """Share of the held-out images that the judge takes for their class, class by class."""
        hits, labels = top(self.held_out.log_probabilities, self.held_out.labels), self.held_out.labels
        return float(np.mean([hits[labels == c].mean() for c in np.unique(labels)]))


def looked_at(
    evaluator: Evaluator, images: Images
) -> tuple[Float32[np.ndarray, "images classes"], Float32[np.ndarray, "images features"]]:
    """Log-probabilities and features, a batch at a time."""
    with from_outside(f"{type(evaluator).__name__} could not look at images of shape {tuple(images.shape[1:])}"):
        parts = [evaluator.look(part) for part in images.split(BATCH)]
    log_probabilities, features = (np.concatenate(side) for side in zip(*parts, strict=True))
    return log_probabilities, features


def top(
    log_probabilities: Float32[np.ndarray, "images classes"], labels: Labels, k: int = 1
) -> Bool[np.ndarray, " images"]:
    """Whether the class is among the k likeliest; of equally likely ones the first come first."""
    order = np.argsort(-log_probabilities, axis=1, kind="stable")[:, :k]
    return (order == np.asarray(labels)[:, None]).any(axis=1)


def recognised(evaluator: Evaluator, images: Images, labels: Labels) -> Hits:
    """(hits, classes): which images the judge takes for what they were to show. Baselines are judged so."""
    return top(looked_at(evaluator, images)[0], labels), np.asarray(labels)


def evaluator_info(
    evidence: Sequence[Evidence], checks: Sequence[str], *, confidence: float = 0.95, rng: np.random.Generator
) -> report.EvaluatorInfo:
    """The judge in the report, with its accuracy on held-out images of the attacked classes, over all seeds."""
    labels = np.concatenate([one.held_out.labels for one in evidence])
    answers = [(one.held_out.log_probabilities, one.held_out.labels) for one in evidence]
    at = {k: class_accuracy(np.concatenate([top(*one, k) for one in answers]), labels, confidence=confidence, rng=rng)
          for k in (1, TOP)}  # fmt: skip
    first = evidence[0]
    return report.EvaluatorInfo(
        name=first.evaluator.name,
        about=first.evaluator.about,
        accuracy=saved(at[1]),
        accuracy_top_5=saved(at[TOP]) if first.n_classes >= ENOUGH_FOR_TOP_5 else None,
        checks=list(checks),
    )
