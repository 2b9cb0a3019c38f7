"""Scores of members and non-members whose population is known, with the true value of what is measured on them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

Draw = Callable[[np.random.Generator, int], np.ndarray]
Curve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Population:
    """`reached(c)` is the chance of a score >= c; `roc(f)` the largest TPR at an FPR of at most f, `mirrored(f)` the
    largest TNR at an FNR of at most f."""

    name: str
    auc: float
    inside: Draw
    outside: Draw
    reached_in: Curve
    reached_out: Curve
    roc: Curve
    mirrored: Curve

    def draw(self, members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Scores of records of which the members come first."""
        n_in = int(members.sum())
        return np.concatenate([self.inside(rng, n_in), self.outside(rng, len(members) - n_in)])

    def above_in(self, c):
        return self.reached_in(np.nextafter(c, np.inf))

    def above_out(self, c):
        return self.reached_out(np.nextafter(c, np.inf))

    def best_balanced_accuracy(self) -> float:
        fprs = np.append(np.linspace(0, 1, 100_001), self.reached_out(np.arange(-3.0, 4.0)))
        return float((1 + np.max(self.roc(fprs) - fprs)) / 2)


def normal(auc: float) -> Population:
    """N(mu, 1) against N(0, 1), AUC = Phi(mu / sqrt(2))."""
    mu = np.sqrt(2) * ndtri(auc)

    def curve(f):
        return ndtr(ndtri(f) + mu)

    return Population(
        "normal", auc,
        lambda rng, n: mu + rng.normal(size=n), lambda rng, n: rng.normal(size=n),
        lambda c: ndtr(mu - c), lambda c: ndtr(-c),
        curve, curve,
    )  # fmt: skip


def skewed_up(auc: float) -> Population:
    """Exponential with mean theta against mean 1, AUC = theta / (1 + theta): a long tail above."""
    theta = auc / (1 - auc)
    return Population(
        "tail above", auc,
        lambda rng, n: theta * rng.exponential(size=n), lambda rng, n: rng.exponential(size=n),
        lambda c: np.exp(-np.maximum(c, 0) / theta), lambda c: np.exp(-np.maximum(c, 0)),
        lambda f: f ** (1 / theta), lambda f: 1 - (1 - f) ** theta,
    )  # fmt: skip


def skewed_down(auc: float) -> Population:
    """Minus an exponential with mean 1 / theta against mean 1: a long tail below."""
    theta = auc / (1 - auc)
    return Population(
        "tail below", auc,
        lambda rng, n: -rng.exponential(size=n) / theta, lambda rng, n: -rng.exponential(size=n),
        lambda c: -np.expm1(theta * np.minimum(c, 0)), lambda c: -np.expm1(np.minimum(c, 0)),
        lambda f: 1 - (1 - f) ** theta, lambda f: f ** (1 / theta),
    )  # fmt: skip


def some_above(auc: float) -> Population:
    """A share 2 AUC - 1 of the members above everybody, the others uniform like the non-members."""
    q = 2 * auc - 1
    return Population(
        f"{100 * q:.0f} % above all", auc,
        lambda rng, n: rng.random(n) + (rng.random(n) < q), lambda rng, n: rng.random(n),
        lambda c: q * np.clip(2 - c, 0, 1) + (1 - q) * np.clip(1 - c, 0, 1), lambda c: np.clip(1 - c, 0, 1),
        lambda f: q + (1 - q) * f, lambda f: np.minimum(1, f / (1 - q)),
    )  # fmt: skip


def five_values(auc: float) -> Population:
    """The normal scores of this AUC, rounded to -2, ..., 2."""
    plain, cuts = normal(auc), np.arange(-2.0, 4.0)

    def rounded(draw: Draw) -> Draw:
        return lambda rng, n: np.clip(np.rint(draw(rng, n)), -2, 2)

    def reached(curve: Curve) -> Curve:
        def at(c):
            value = np.ceil(np.asarray(c, dtype=float))
            return np.where(value <= -2, 1.0, np.where(value > 2, 0.0, curve(value - 0.5)))

        return at

    in_, out = reached(plain.reached_in), reached(plain.reached_out)

    def best(rates, errors):
        """The largest of `rates` whose error is at most f."""
        return np.vectorize(lambda f: rates[errors <= f + 1e-12].max(initial=0.0), otypes=[float])

    above, ties = in_(cuts), -np.diff(out(cuts))
    area = float(((above[:-1] + above[1:]) / 2 * ties).sum())
    roc, mirrored = best(in_(cuts), out(cuts)), best(1 - out(cuts), 1 - in_(cuts))
    return Population(
        "five values", area, rounded(plain.inside), rounded(plain.outside), in_, out, roc, mirrored
    )  # fmt: skip
