"""Which layers carry what: the Fisher information of each layer for classifying, and for being inverted.

The transfer-learning defence freezes early layers because, its authors find, inversion leans on them and classification
on the late ones. This measures both curves on a target at hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from seepage.errors import InputError
from seepage.inversion.base import Attempt
from seepage.inversion.descent import Descent
from seepage.inversion.objectives import cross_entropy
from seepage.metrics.intervals import check_confidence, percentile_interval
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import FisherCurve

REPLICATES = 1000
STEPS = (1, 5, 20)  # of an attack's path, counted from 0: when it is done its loss is about zero, and so are gradients
FEWEST_CLASSES = 5  # fewer are too few to draw anew
LAYERS = (nn.Linear, nn.modules.conv._ConvNd)

Loss = Callable[[Float[Tensor, "images classes"], Int64[Tensor, " images"]], Float[Tensor, " images"]]


@dataclass(frozen=True, eq=False)
class LayerInformation:
    """How much each image's loss says about each layer.

    Attributes:
        names: of the layers, in the order in which the model registers them.
        parameters: how many weights each has.
        per_sample: (images, layers) F_l(x), see `layer_information`.
    """

    names: tuple[str, ...]
    parameters: tuple[int, ...]
    per_sample: Float64[np.ndarray, "images layers"]


def layer_information(
    module: nn.Module, images: Tensor, labels: Tensor, *, loss: Loss = cross_entropy, batch: int = 16
) -> LayerInformation:
    """The empirical Fisher information of each layer, image by image.

        F_l(x) = 1 / |theta_l| sum_i (d L(x, y; theta) / d theta_l,i)^2

    theta_l are the weights of a convolution or a linear layer; biases and the scales of norms are left out. The square
    is taken of each image's own gradient. The square of a batch's mean gradient is something else: near a minimum
    the gradients of the images cancel, and it vanishes where the information does not.

    Frozen weights count like others. The model answers in eval mode, norms with their running statistics, and is
    itself not touched. The loss is taken in float64: the gradient p - 1 of a sure answer is lost in float32.

    Args:
        module: returns logits (images, classes).
        images: (images, channels, height, width) in [0, 1], or uint8.
        labels: (images,) classes.
        loss: (logits, labels) -> (images,), one loss for each image.
        batch: images whose gradients are held at a time, each as large as the model.

    Raises:
        InputError: no layer, no image, or labels that do not fit.

    Reference: Ho et al. (2024), "Model Inversion Robustness: Can Transfer Learning Help?", CVPR, section 3. The paper's
        formula was not at hand and no code for it is published; this is the first-order form that the same group's work
        on few-shot generation uses.
    """
    net = copy.deepcopy(module).eval().requires_grad_(False)
    weights = _weights(net)
    device = next(iter(weights.values())).device
    images, labels = _as_inputs(images, device), labels.to(device).long()
    _check(net, images, labels, batch)

    def one_loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(net, weights, (image[None],))
        return loss(logits.double(), label[None]).sum()

    def squares(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return _mean_squares(grad(one_loss)(weights, image, label).values())

    def squares_by_autograd(image: Tensor, label: Tensor) -> Tensor:
        with torch.enable_grad():
            tracked = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
            value = one_loss(tracked, image, label)
            return _mean_squares(torch.autograd.grad(value, list(tracked.values()), materialize_grads=True))

    together = vmap(squares, in_dims=(None, 0, 0))
    found = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch], labels[start : start + batch]
        try:
            one = together(weights, *part)
        except RuntimeError:  # an operation that cannot be batched, such as control flow on values; or no memory
            one = torch.stack([squares_by_autograd(*pair) for pair in zip(*part, strict=True)])
        found.append(one.cpu())
    return LayerInformation(*_named(weights), torch.cat(found).numpy())


def path_information(
    attack: Descent, attempt: Attempt, *, steps: Sequence[int] = STEPS
) -> tuple[LayerInformation, Int64[np.ndarray, " images"]]:
    """The same along an attack's path, by the attack's own loss: images as they are before the update of some steps.

        F_l(x) = 1 / |theta_l| sum_i (d L_attack(x, code, step; theta) / d theta_l,i)^2

    A finished image has about no loss left: what its gradients show is rounding. What does not depend on the target's
    weights, such as a critic's part of the loss, adds nothing. The loss is as exact as the attack's own, in float32.

    Args:
        attack: one that descends.
        attempt: the images to make, with access to the weights. The attack is run as far as the last of `steps`.
        steps: counted from 0; those beyond the attempt's budget are left out.

    Returns:
        A row for each image and step, step by step; and the class of each row.

    Raises:
        InputError: no step is within the budget, or the model has no layer.

    Reference: Ho et al. (2024), section 3: images of the attack's iterations. Which iterations is not told.
    """
    kept = [step for step in sorted(set(steps)) if 0 <= step < attempt.budget.steps]
    if not kept:
        raise InputError(f"no step of {list(steps)} is within the attack's {attempt.budget.steps}: give others")
    path: dict[int, tuple[Tensor, Tensor]] = {}

    def watch(step: int, images: Tensor, codes: Tensor) -> None:
        if step in kept:
            path[step] = images, codes

    attack.run(replace(attempt, budget=replace(attempt.budget, steps=kept[-1] + 1), watch=watch))
    net = attempt.oracle.module
    weights = _weights(net)
    parameters = dict(net.named_parameters())
    tracked = [parameters[name].requires_grad_() for name in weights]
    found = []
    try:
        for step, (images, codes) in path.items():
            for place in range(len(images)):
                at = slice(place, place + 1)
                one = replace(attempt, labels=attempt.labels[at], rngs=attempt.rngs[at])
                with torch.enable_grad():
                    value = attack.loss(images[at], codes[at], one, step).sum()
                    gradients = torch.autograd.grad(value, tracked, allow_unused=True, materialize_grads=True)
                found.append(_mean_squares(gradients).cpu())
    finally:
        net.requires_grad_(False)
    labels = np.tile(attempt.labels.cpu().numpy(), len(path))
    return LayerInformation(*_named(weights), torch.stack(found).numpy()), labels


class VanishedGradient(InputError):
    """The target is so sure of all images that no layer's gradient is left."""


def curve(
    information: LayerInformation,
    *,
    confidence: float = 0.95,
    rng: Seed,
    classes: Sequence[int] | np.ndarray | None = None,
) -> tuple[Float64[np.ndarray, " layers"], Float64[np.ndarray, " layers"], Float64[np.ndarray, " layers"]]:
    """Each layer's share of the mean information, with a bootstrap interval: (share, low, high).

        share_l = sum_x F_l(x) / sum_k sum_x F_k(x)

    Shares sum to one, so that curves of losses of different size can be compared. They say how it is spread, not how
    much there is. A few images with a large loss can make most of it, which the interval shows. How much a layer has
    depends on its size and on the scale of its weights (a norm behind a layer undoes the scale, and small weights then
    have large gradients): compare two curves layer by layer, hardly one layer with another.

    Args:
        confidence: of each interval, percentile.
        rng: source of the resamples.
        classes: (images,) where whole classes are to be drawn anew rather than images: images of one class that were
            made by one attack are not independent.

    Raises:
        VanishedGradient: there is no gradient anywhere.
        InputError: there is only one class.
    """
    rng = generator(rng)
    check_confidence(confidence)
    values = _by_class(information, classes)
    drawn = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=REPLICATES) @ values
    sums = drawn.sum(1, keepdims=True)
    low, high = percentile_interval(drawn[sums[:, 0] > 0] / sums[sums[:, 0] > 0], confidence)
    total = values.sum(0)
    return total / total.sum(), low, high


@dataclass(frozen=True, eq=False)
class Ratio:
    """How much more of the inversion's information than of the classification's a layer has, each with an interval.

    Attributes:
        value, low, high: (layers,) the share for inversion over the share for classification.
        slope: of its natural logarithm, per layer; None of a single layer.
    """

    value: Float64[np.ndarray, " layers"]
    low: Float64[np.ndarray, " layers"]
    high: Float64[np.ndarray, " layers"]
    slope: Estimate | None


def ratio(
    classification: LayerInformation,
    classes: np.ndarray,
    inversion: LayerInformation,
    inverted: np.ndarray,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Ratio:
    """What of two curves does not depend on a layer's size and scale.

        r_l = inversion share_l / classification share_l,     slope: least squares of ln r_l on l = 0, 1, ...

    Whatever a layer multiplies all its squared gradients by, its number of weights or the scale of its inputs, is in
    both shares and cancels (but for the common factor of the sums, which moves all ln r_l alike and leaves the slope).
    Below 0 the slope says that inversion hangs on early layers more than classification does.

    Intervals are percentiles of a bootstrap over classes: those that both have, the same drawn for both. With fewer
    than five such classes images are drawn, for each by itself.

    Args:
        classes, inverted: the class of each row.

    Raises:
        VanishedGradient: a layer has no gradient in one of both.
        InputError: the layers of the two are not the same.
    """
    rng = generator(rng)
    check_confidence(confidence)
    if classification.names != inversion.names:
        raise InputError(
            f"expected two curves of the same layers, got {list(classification.names)} and {list(inversion.names)}"
        )
    shared = np.intersect1d(classes, inverted)
    many = len(shared) >= FEWEST_CLASSES
    sides = []
    for one, of in ((classification, classes), (inversion, inverted)):
        kept = np.isin(of, shared) if many else np.ones(len(of), bool)
        part = LayerInformation(one.names, one.parameters, one.per_sample[kept])
        sides.append(_by_class(part, np.asarray(of)[kept] if many else None))
    draws = [rng.multinomial(len(one), np.full(len(one), 1 / len(one)), size=REPLICATES) for one in sides]
    if many:
        draws[1] = draws[0]
    value = _log_ratio(*(one.sum(0) for one in sides))
    if not np.isfinite(value).all():
        raise VanishedGradient("expected a gradient above 0 in every layer, got none in some")
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = _log_ratio(*(draw @ one for draw, one in zip(draws, sides, strict=True)))
    drawn = drawn[np.isfinite(drawn).all(1)]
    low, high = percentile_interval(drawn, confidence)
    slope = None
    if len(value) > 1:
        ends = percentile_interval(_slope(drawn)[:, None], confidence)
        slope = Estimate.of(float(_slope(value)), *(float(end[0]) for end in ends), len(sides[1]))
    return Ratio(np.exp(value), np.exp(low), np.exp(high), slope)


def fisher(
    classification: LayerInformation,
    classes: np.ndarray,
    inversion: LayerInformation,
    inverted: np.ndarray,
    *,
    target: str,
    attack: str,
    steps: Sequence[int] = (),
    rng: Seed,
    confidence: float = 0.95,
) -> FisherCurve:
    """The two curves of one target and their ratio.

    Args:
        classification, classes: `layer_information` of private images that the target was not trained on, by the
            cross-entropy; and their classes.
        inversion, inverted: `path_information` of an attack on it; and the classes. Or `layer_information` of finished
            images by the attack's identity loss, which must be named: the cross-entropy is not every attack's.
        target, attack: their names.
        steps: of the attack's path; none of finished images.
        rng: source of the resamples.

    Raises:
        InputError: see `curve` and `ratio`.

    Whole classes are drawn anew where there are at least five, so that the bands are over identities.
    """
    rng = generator(rng)
    found = {}
    for name, information, of in (
        ("classification", classification, np.asarray(classes)),
        ("inversion", inversion, np.asarray(inverted)),
    ):
        many = len(np.unique(of)) >= FEWEST_CLASSES
        share, low, high = curve(information, confidence=confidence, rng=rng, classes=of if many else None)
        found |= {name: share.tolist(), f"{name}_low": low.tolist(), f"{name}_high": high.tolist()}
        found[f"n_{name}"] = len(of)
    beside = ratio(classification, np.asarray(classes), inversion, np.asarray(inverted), confidence=confidence, rng=rng)
    return FisherCurve(
        target=target,
        attack=attack,
        layers=list(classification.names),
        parameters=list(classification.parameters),
        ratio=beside.value.tolist(),
        ratio_low=beside.low.tolist(),
        ratio_high=beside.high.tolist(),
        slope=None if beside.slope is None else (beside.slope),
        steps=list(steps),
        **found,
    )


def _by_class(
    information: LayerInformation, classes: Sequence[int] | np.ndarray | None
) -> Float64[np.ndarray, "rows layers"]:
    """What is drawn anew: images, or the sums of whole classes."""
    values = information.per_sample
    if classes is not None:
        _, members = np.unique(np.asarray(classes), return_inverse=True)
        if len(members) != len(values) or members.max() < 1:
            raise InputError(f"expected the classes of {len(values)} images, at least two, got {len(members)} of "
                             f"{members.max() + 1}")  # fmt: skip
        values = np.stack([values[members == one].sum(0) for one in range(members.max() + 1)])
    total = values.sum(0)
    if not np.isfinite(total).all() or total.sum() <= 0:
        raise VanishedGradient("expected a gradient for some image in some layer, got none that is finite and above 0")
    return values


def _log_ratio(classification: np.ndarray, inversion: np.ndarray) -> np.ndarray:
    """ln of share over share, of sums (..., layers)."""
    shares = [one / one.sum(-1, keepdims=True) for one in (classification, inversion)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(shares[1]) - np.log(shares[0])


def _slope(values: Float64[np.ndarray, "... layers"]) -> np.ndarray:
    """Least squares on 0, 1, ..., of each row."""
    at = np.arange(values.shape[-1]) - (values.shape[-1] - 1) / 2
    return values @ at / (at @ at)


def _mean_squares(gradients: Iterable[Tensor]) -> Float64[Tensor, " layers"]:
    return torch.stack([gradient.double().square().mean() for gradient in gradients])


def _named(weights: dict[str, Tensor]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the layers, and how many weights each has."""
    names = tuple(name.removesuffix(".weight") for name in weights)
    return names, tuple(weight.numel() for weight in weights.values())


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """The weight of each convolution and linear layer; of layers that share one, the first has it."""
    weights, seen = {}, set()
    for name, layer in net.named_modules():
        if isinstance(layer, LAYERS):
            if "weight" not in layer._parameters:
                raise InputError(
                    f"expected layer '{name}' to hold its weight, it is computed: remove its parametrisation"
                )
            if id(layer.weight) not in seen:
                weights[f"{name}.weight" if name else "weight"] = layer.weight.detach()
                seen.add(id(layer.weight))
    if not weights:
        raise InputError(f"expected a model with convolutions or linear layers, got {type(net).__name__} with none")
    return weights


def _as_inputs(images: Tensor, device: torch.device) -> Float[Tensor, "images ..."]:
    scale = 255 if images.dtype == torch.uint8 else 1
    return images.to(device).float() / scale


def _check(net: nn.Module, images: Tensor, labels: Tensor, batch: int) -> None:
    if batch < 1 or not len(images) or labels.shape != images.shape[:1]:
        raise InputError(
            f"expected images, a label for each and a batch of at least 1, got {len(images)} images, labels of shape "
            f"{tuple(labels.shape)} and batch {batch}"
        )
    with torch.no_grad():
        logits = net(images[:1])
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"expected logits (images, classes) of at least 2 classes, got {tuple(logits.shape)}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise InputError(f"expected labels from 0 to {logits.shape[1] - 1}, got {labels.min()} to {labels.max()}")
