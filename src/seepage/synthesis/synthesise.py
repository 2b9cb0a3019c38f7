"""Records -> codes -> noise -> synthetic records, one or more for each original."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from jaxtyping import Int64

from seepage.data import Pool
from seepage.data.pool import overlap
from seepage.errors import InputError, unknown_name
from seepage.models.generators.columns import Columns
from seepage.models.generators.vae import VAE, TrainingPrivacy
from seepage.models.generators.vae_training import train_vae
from seepage.outside import check_kinds
from seepage.randomness import Seed, seed_from
from seepage.runs.progress import share_bar
from seepage.runs.run import Run, check_run
from seepage.synthesis.distances import code_distances
from seepage.synthesis.guarantee import Guarantee
from seepage.synthesis.labels import WAYS, randomised_response
from seepage.synthesis.mechanism import check_epsilon, clipped, latent_noise
from seepage.synthesis.release import Synthetic

FEWEST_OF_A_CLASS = 10
MAX_NORM = 1.0  # of DP-SGD


@dataclass(frozen=True)
class NetworkOptions:
    """How the networks of a release are trained.

    Attributes:
        latent: dimensions of a code.
        network, epochs, batch_size: of the VAE, see `train_vae`.
        noise_multiplier, max_norm: train it by DP-SGD.
    """

    latent: int = 16
    network: str = "auto"
    epochs: int | None = None
    batch_size: int = 64
    noise_multiplier: float | None = None
    max_norm: float = MAX_NORM


def synthesise(
    pool: Pool,
    *,
    epsilon: float,
    clip: float | None = None,
    labels: str = "conditional",
    label_epsilon: float | None = None,
    releases: int = 1,
    public: Pool | None = None,
    draw: bool = True,
    training: NetworkOptions | None = None,
    networks: Sequence[VAE] | None = None,
    rng: Seed | None = None,
    run: Run | None = None,
) -> Synthetic:
    """Synthetic records to release, or to train on, instead of these.

        code = mu(x), clipped to `clip`;   release ~ p(. | code + w),   w of density proportional to exp(-epsilon |w|)

    Args:
        pool: the records; with labels or without.
        epsilon: of metric privacy per unit of distance between codes, and per release; inf: no noise. Codes have a norm
            of at most about sqrt(latent), less where dimensions go unused, and the noise one of latent / epsilon.
        clip: bound on a code's norm.
        labels: "kept", "conditional", "per-class" or "randomised-response", see `seepage.synthesis.labels`.
        label_epsilon: of randomised response.
        releases: records made of each original; each spends epsilon.
        public: other records of the same kind to train the networks on, instead of these.
        draw: draw values from what the decoder says; otherwise each is the likeliest one.
        training: how the networks are trained.
        networks: `vaes` of an earlier release of the same pool, instead of new ones, to compare epsilons by: they must
            have been trained with the same options. Two releases of one record spend both epsilons.
        rng: None, for randomness of the system's that nobody can draw again. A seed or a generator makes the release
            repeatable, and with that the noise known to whoever has or guesses the seed: for tests and studies alone;
            the guarantee then says so. No seed is kept in either case.
        run: progress alone; randomness is of `rng`.

    Raises:
        InputError: options that cannot be, or that do not go together.
        TrainingError: the training of the VAE diverged.

    Reference: Yang, Ma, Miao and Ma (2022), Privacy-preserving generative framework against membership inference
        attacks (arXiv 2202.05469). Its architecture, metric, epsilons and treatment of labels could not be read: those
        here are ours. Deviations: the encoder's mean, no draw from q(z | x), is what gets the noise.
    """
    check_kinds(
        "synthesise", pool=(pool, Pool), public=(public, Pool | None), training=(training, NetworkOptions | None),
        run=(run, Run | None),
    )  # fmt: skip
    training, run = training or NetworkOptions(), run or Run()
    check_run(run, "synthesise", uses=("progress",))
    _check(pool, epsilon, clip, labels, label_epsilon, releases, public, training)
    if isinstance(rng, np.random.Generator):
        entropy = [int(word) for word in rng.integers(2**32, size=4)]
    else:
        entropy = None if rng is None else seed_from(rng)
    *of_three, of_networks = np.random.SeedSequence(entropy).spawn(4)
    noise_rng, draw_rng, label_rng = map(np.random.default_rng, of_three)
    seed = int(of_networks.generate_state(1, np.uint64)[0] >> 2)
    source = pool if public is None else public
    columns = Columns.guess(source)
    groups = _groups(source, pool, labels)
    if networks is not None:
        _check_networks(networks, groups, source, training)
    conditional = labels == "conditional" and pool.labels is not None
    compared, inputs = [], np.empty((releases, *pool.inputs.shape), dtype=pool.inputs.dtype)
    if networks is None:
        networks = _trained(source, groups, conditional, columns, seed, training, run)
    for vae, (_, rows) in zip(networks, groups, strict=True):
        classes = pool.labels[rows] if conditional else None
        codes = clipped(vae.encode(pool.inputs[rows], classes), clip)
        compared += [codes] if classes is None else [codes[classes == label] for label in np.unique(classes)]
        for release in range(releases):
            noisy = codes + latent_noise(len(codes), codes.shape[1], epsilon, noise_rng)
            decoded = vae.decode(noisy, classes)
            inputs[release, rows] = vae.records(decoded, draw_rng if draw else None)
    vaes = tuple(networks)
    if any(vae.training.measured for vae in vaes):  # ranges are in the networks already: drawn numbers keep to them
        inputs = np.clip(inputs, source.inputs.min(axis=0), source.inputs.max(axis=0))
    released = _labels(pool, labels, label_epsilon, releases, label_rng)
    made = Pool(
        inputs.reshape(-1, *pool.inputs.shape[1:]),
        released,
        name=f"synthetic {pool.name}",
        n_classes=pool.n_classes if released is not None else None,
        classes=pool.classes,
        scale=pool.scale,
        columns=pool.columns,
    )
    guarantee = Guarantee(
        epsilon=float(epsilon),
        latent=training.latent,
        clip=clip,
        releases=releases,
        public=public is not None,
        shared=0 if public is None else len(overlap(pool, public)),
        secret=rng is None,
        encoded=pool.inputs.ndim == 2,
        training=None if training.noise_multiplier is None else _weakest([vae.training.privacy for vae in vaes]),
        measured=any(vae.training.measured for vae in vaes),
        labels=labels,
        label_epsilon=label_epsilon,
        n_classes=0 if released is None else pool.n_classes,
    )
    distances = code_distances(
        compared,
        epsilon=float(epsilon),
        releases=releases,
        same_class=conditional or labels == "per-class",
        rng=np.random.default_rng(0),  # which pairs are looked at is no secret
    )
    about = {**asdict(training), "clip": clip, "labels": labels, "draw": draw, "source": source.name}
    # Of what the networks were trained on: with public records, the others' must not decide how numbers are rounded.
    flat = np.asarray(source.inputs).reshape(len(source), -1)
    return Synthetic(made, guarantee, distances, vaes, (flat == np.rint(flat)).all(axis=0), about)


def _trained(
    source: Pool, groups: list, conditional: bool, columns: Columns, seed: int, training: NetworkOptions, run: Run
) -> list[VAE]:
    """A VAE for each group of records, one after the other."""
    vaes = []
    with share_bar("training the networks", show=run.progress) as report:
        for place, (learnt, _) in enumerate(groups):

            def part(share: float, place=place) -> None:
                report((place + share) / len(groups))

            vaes.append(
                train_vae(
                    source.subset(learnt),
                    conditional=conditional,
                    columns=columns,
                    seed=seed + place,
                    report=part,
                    **asdict(training),
                )
            )
    return vaes


def _weakest(told: list[TrainingPrivacy]) -> TrainingPrivacy:
    """What holds of every class's networks: a record is in one of them, and each has a delta of its own."""
    worst = max(told, key=lambda one: one.epsilon)
    return replace(worst, delta=max(one.delta for one in told))


def _groups(
    source: Pool, pool: Pool, labels: str
) -> list[tuple[Int64[np.ndarray, " learnt"], Int64[np.ndarray, " encoded"]]]:
    """Rows to train each VAE on, and rows that it encodes: of all records, or class by class."""
    if labels != "per-class":
        return [(np.arange(len(source)), np.arange(len(pool)))]
    groups = []
    for label in np.unique(pool.labels):
        learnt = np.flatnonzero(source.labels == label)
        if len(learnt) < FEWEST_OF_A_CLASS:
            raise InputError(
                f"synthesise: class {label} has {len(learnt)} records to train networks of its own on, expected at "
                f"least {FEWEST_OF_A_CLASS}: take labels='conditional'"
            )
        groups.append((learnt, np.flatnonzero(pool.labels == label)))
    return groups


def _labels(
    pool: Pool, labels: str, epsilon: float | None, releases: int, rng: np.random.Generator
) -> Int64[np.ndarray, " samples"] | None:
    if pool.labels is None:
        return None
    if labels != "randomised-response":
        return np.tile(pool.labels, releases)
    return np.concatenate([randomised_response(pool.labels, pool.n_classes, epsilon, rng) for _ in range(releases)])


def _check(pool, epsilon, clip, labels, label_epsilon, releases, public, training: NetworkOptions) -> None:
    check_epsilon(epsilon)
    if labels not in WAYS:
        raise unknown_name("way with labels", labels, WAYS)
    if labels in ("per-class", "randomised-response") and pool.labels is None:
        raise InputError(f"synthesise: labels='{labels}' needs labels, and the pool '{pool.name}' has none")
    if (labels == "randomised-response") != (label_epsilon is not None):
        raise InputError("synthesise: label_epsilon= goes with labels='randomised-response', and that needs one")
    if label_epsilon is not None and not label_epsilon >= 0:
        raise InputError(f"synthesise: label_epsilon must be at least 0, got {label_epsilon!r}")
    if clip is not None and not (isinstance(clip, (int, float)) and 0 < clip < math.inf):
        raise InputError(f"synthesise: clip must be a positive number or None, got {clip!r}")
    if not isinstance(releases, int) or releases < 1:
        raise InputError(f"synthesise: releases must be a positive whole number, got {releases!r}")
    if training.noise_multiplier is None and training.max_norm != MAX_NORM:
        raise InputError(
            f"synthesise: max_norm={training.max_norm} is of DP-SGD: give noise_multiplier= beside it, or leave it out"
        )
    if public is None:
        return
    if training.noise_multiplier is not None:
        raise InputError("synthesise: public records need no DP-SGD: give public= or noise_multiplier=, one of them")
    mine, theirs = (_kind(p) for p in (pool, public))
    if mine != theirs:
        raise InputError(f"synthesise: expected public records like the pool's, {mine}, got {theirs}")
    if pool.classes and public.classes and pool.classes != public.classes:
        raise InputError(f"synthesise: expected public records of the classes {pool.classes}, got {public.classes}")


def _check_networks(networks, groups, source: Pool, training: NetworkOptions) -> None:
    if len(networks) != len(groups) or not all(isinstance(vae, VAE) for vae in networks):
        raise InputError(f"synthesise: expected networks= to be the {len(groups)} of an earlier release's vaes")
    for vae, (learnt, _) in zip(networks, groups, strict=True):
        if vae.training.pool != source.subset(learnt).fingerprint:
            raise InputError(f"synthesise: networks= were trained on other records ('{vae.training.name}') than these")
        if vae.latent != training.latent or (vae.training.privacy is None) != (training.noise_multiplier is None):
            raise InputError("synthesise: networks= were trained with another latent= or noise_multiplier=")


def _kind(pool: Pool) -> tuple:
    """What two pools must have in common for one network to take both."""
    return pool.inputs.shape[1:], pool.inputs.dtype.name, pool.scale, pool.n_classes, pool.columns
