"""Which layers carry what: the Fisher information of each layer for classifying, and for being inverted.

The transfer-learning defence freezes early layers because, its authors find, inversion leans on them and classification
on the late ones. This measures both curves on a target at hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from seepage.errors import InputError
from seepage.inversion.objectives import cross_entropy
from seepage.metrics.intervals import check_confidence, percentile_interval
from seepage.randomness import Seed, generator
from seepage.report.inversion_result import FisherCurve

REPLICATES = 1000
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
    return LayerInformation(
        tuple(name.removesuffix(".weight") for name in weights),
        tuple(weight.numel() for weight in weights.values()),
        torch.cat(found).numpy(),
    )


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
    drawn = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=REPLICATES) @ values
    sums = drawn.sum(1, keepdims=True)
    low, high = percentile_interval(drawn[sums[:, 0] > 0] / sums[sums[:, 0] > 0], confidence)
    return total / total.sum(), low, high


def fisher(
    module: nn.Module,
    private_images: Tensor,
    private_labels: Tensor,
    reconstructed_images: Tensor,
    reconstructed_labels: Tensor,
    *,
    target: str,
    attack: str,
    rng: Seed,
    confidence: float = 0.95,
    loss: Loss = cross_entropy,
    batch: int = 16,
) -> FisherCurve:
    """The two curves of one target: on private images for classification, on an attack's images for inversion.

    Args:
        module: the target, returns logits.
        private_images, private_labels: (n, channels, height, width), (n,): private images that it was not trained on.
        reconstructed_images, reconstructed_labels: what the attack made, and of which classes.
        target, attack: their names.
        rng: source of the resamples.
        loss: the attack's identity loss, for its images. Classification takes the cross-entropy.
        batch: see `layer_information`.

    Raises:
        InputError: see `layer_information` and `curve`.

    Deviation: the paper speaks of the images along the attack's iterations; here the finished images only, one to a
        record. Whole classes are drawn anew where there are at least five, so that the band is one over identities.
    """
    rng = generator(rng)
    found = {}
    for name, images, labels, measure in (
        ("classification", private_images, private_labels, cross_entropy),
        ("inversion", reconstructed_images, reconstructed_labels, loss),
    ):
        information = layer_information(module, images, labels, loss=measure, batch=batch)
        classes = labels.cpu().numpy()
        many = len(np.unique(classes)) >= FEWEST_CLASSES
        share, low, high = curve(information, confidence=confidence, rng=rng, classes=classes if many else None)
        found |= {name: share.tolist(), f"{name}_low": low.tolist(), f"{name}_high": high.tolist()}
        found[f"n_{name}"] = len(images)
    return FisherCurve(
        target=target,
        attack=attack,
        layers=list(information.names),
        parameters=list(information.parameters),
        **found,
    )


def _mean_squares(gradients: Iterable[Tensor]) -> Float64[Tensor, " layers"]:
    return torch.stack([gradient.double().square().mean() for gradient in gradients])


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
