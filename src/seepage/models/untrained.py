"""Does a module still have the weights that it was made with, as one has whose file was never loaded?"""

import numpy as np
from scipy.stats import kstest, norm, uniform
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

MOST_WEIGHTS = 5000  # of a layer that are looked at
LEVEL = 1e-5
LEAST_WEIGHTS = 500
# Layers whose parameters are looked at, or start and stay at the same values for all seeds (norms: ones and zeros).
KNOWN = (nn.Linear, _ConvNd, _BatchNorm, nn.LayerNorm, nn.GroupNorm)


def is_untrained(module: nn.Module) -> bool:
    """Whether all linear and convolutional weights follow an initial law and nothing else was ever updated.

    Initial laws are PyTorch's own (uniform up to 1 / sqrt(fan_in)) and those of He and Glorot, uniform or normal
    (Kolmogorov-Smirnov). Training moves weights over the edge of a uniform law, biases away from zero, and counts
    batches in a batch normalisation; one layer that shows it is enough. A module has the benefit of the doubt where a
    few steps need not show (fewer than LEAST_WEIGHTS weights, normal weights without biases or batch normalisation)
    or where other parameters may have been trained (embeddings, recurrent layers, parameters of one's own).
    """
    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Linear, _ConvNd))]
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if not layers or any(layer.num_batches_tracked is None or int(layer.num_batches_tracked) for layer in norms):
        return False
    known = [layer for layer in module.modules() if isinstance(layer, KNOWN)]
    seen = {id(weights) for layer in known for weights in layer.parameters(recurse=False)}
    if any(id(weights) not in seen for weights in module.parameters()):
        return False
    if sum(layer.weight.numel() for layer in layers) < LEAST_WEIGHTS:
        return False
    laws = [_law(layer) for layer in layers]
    telling = norms or any(layer.bias is not None for layer in layers) or "uniform" in laws
    return bool(telling) and all(laws)


def _law(layer: nn.Linear | _ConvNd) -> str:
    """ "uniform" or "normal" if the layer's weights and biases may be initial ones; "" if they are not."""
    fan_out, fan_in = layer.weight.shape[0], layer.weight[0].numel()
    standard = fan_in**-0.5
    if layer.bias is not None and not (_values(layer.bias) == 0).all() and not _fits(layer.bias, "uniform", standard):
        return ""
    receptive = layer.weight[0, 0].numel()
    both = fan_in + fan_out * receptive
    scales = {
        "uniform": (standard, (6 / fan_in) ** 0.5, (6 / both) ** 0.5),
        "normal": (standard, (2 / fan_in) ** 0.5, (2 / (fan_out * receptive)) ** 0.5, (2 / both) ** 0.5),
    }
    return next((law for law in scales for scale in scales[law] if _fits(layer.weight, law, scale)), "")


def _fits(tensor: Tensor, law: str, scale: float) -> bool:
    values = _values(tensor)
    if law == "uniform" and np.abs(values).max() > scale * (1 + 1e-5):
        return False
    values = values[:: max(1, len(values) // MOST_WEIGHTS)] / scale
    cdf = uniform(-1, 2).cdf if law == "uniform" else norm.cdf
    return bool(kstest(values, cdf).pvalue > LEVEL)


def _values(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy().ravel()
