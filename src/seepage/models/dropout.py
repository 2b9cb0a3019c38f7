"""Dropout whose masks depend on the model alone, not on how it is run.

torch draws a mask from one shared generator, so under `vmap` the mask of a model depends on which other models are
in its chunk. Here a mask is a pure function of the layer's seed and of how often the layer was called:

    keep[i] = hash(seed, calls, salt, i) >= p 2^32

and the same model draws the same masks alone, stacked, and in whatever chunk.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from seepage.errors import InputError
from seepage.models.device import device_of

GOLDEN = 0x9E3779B97F4A7C15


class SeededDropout(nn.Module):
    """Inverted dropout, y = x keep / (1 - p), with a mask hashed from the counter `calls`.

    The buffers `seed` and `calls` are int64 scalars. They travel with the module's other buffers, so that a stack
    of models has one of each a model, but they are no weights and so not part of the state dict: files written with
    `nn.Dropout` load unchanged. In training mode every call counts one up, in place.

    Args:
        p: the probability of dropping a value, from 0 to 1.
        salt: tells the layers of one model apart.
        channels: drop whole channels, x[n, c, ...], as `nn.Dropout2d` does, instead of single values.

    Under `vmap` over *records* every record of the batch gets the same mask: for gradients of single records in
    training mode use hooks (as Opacus does) instead.

    Reference: Srivastava et al., JMLR 15 (2014), section 4. The hash is the splitmix64 finaliser over the counter
    (Steele, Lea & Flood, OOPSLA 2014) and a two-round 32-bit multiply-xorshift over the elements, whose constants
    are those that Wellons found (nullprogram.com/blog/2018/07/31). Deviation: p is rounded to a multiple of 2^-32.
    """

    def __init__(self, p: float = 0.5, *, salt: int = 0, channels: bool = False):
        super().__init__()
        if not 0 <= p <= 1:
            raise InputError(f"expected a dropout probability from 0 to 1, got {p}")
        self.p = float(p)
        self.salt = salt
        self.channels = channels
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        # Salts are hashed apart from seeds, or layer 3 of seed 5 would share its masks with layer 5 of seed 3.
        salt = _signed(_splitmix64(self.salt + 2**63), 64)
        key = _mix64(self.seed + self.calls * _signed(GOLDEN, 64) + salt)
        self.calls.add_(1)
        if self.p == 1:
            return x * 0
        shape = (*x.shape[:2], *(1 for _ in x.shape[2:])) if self.channels else x.shape
        keep = _hash_elements(key, shape, x.device) >= round(self.p * 2**32) - 2**31
        return x * keep.to(x.dtype).mul_(1 / (1 - self.p))

    def extra_repr(self) -> str:
        return f"p={self.p}, salt={self.salt}" + (", channels=True" if self.channels else "")


def seed_dropout(module: nn.Module, seed: int | torch.Generator) -> None:
    """Gives every `SeededDropout` of the module this seed and a salt of its own, and sets its counter to zero.

    Args:
        seed: an integer, or the generator that one is drawn from.
    """
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**63 - 1, (), generator=seed, device=seed.device))
    # Mixed once, so that seeds one apart (and those a multiple of the counter's step apart) share no masks.
    word = _signed(_splitmix64(int(seed)), 64)
    layers = (layer for layer in module.modules() if isinstance(layer, SeededDropout))
    for salt, layer in enumerate(layers):
        layer.salt = salt
        layer.seed.fill_(word)
        layer.calls.zero_()


def replace_dropout(module: nn.Module) -> nn.Module:
    """A copy of the module with `SeededDropout` in place of every `nn.Dropout`, `Dropout1d`, `2d` and `3d`.

    Subclasses, `AlphaDropout` and calls of `F.dropout` stay as they are. The copy is yet to be seeded
    (`seed_dropout`). Records must be the first axis of what a channel dropout is given.
    """
    module = copy.deepcopy(module)
    device = device_of(module)
    replaced: dict[nn.Module, SeededDropout] = {}

    def swapped(layer: nn.Module) -> nn.Module:
        if type(layer) not in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d):
            return layer
        if layer not in replaced:  # one layer under two names stays one layer
            seeded = SeededDropout(layer.p, salt=len(replaced), channels=type(layer) is not nn.Dropout)
            replaced[layer] = seeded.to(device).train(layer.training)
        return replaced[layer]

    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if child is not None:
                parent._modules[name] = swapped(child)
    return swapped(module)


def _hash_elements(key: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """One int32 an element, uniform over all of them. In int32 because its products vectorise, those of int64 don't."""
    n_elements = 1
    for length in shape:
        n_elements *= length
    first, second = key.to(torch.int32), (key >> 32).to(torch.int32)
    h = torch.arange(n_elements, dtype=torch.int32, device=device).view(shape) ^ first
    h ^= (h >> 16).bitwise_and_(0xFFFF)
    h *= _signed(0x7FEB352D, 32)
    h ^= (h >> 15).bitwise_and_(0x1FFFF)
    h += second  # without it two calls could share a block of elements, at odds of 2^-16 rather than 2^-48
    h *= _signed(0x846CA68B, 32)
    h ^= (h >> 16).bitwise_and_(0xFFFF)
    h *= _signed(0x7FEB352D, 32)  # only the top bits decide, and this is what fills them
    return h


def _mix64(z: Tensor) -> Tensor:
    """The splitmix64 finaliser; torch shifts int64 arithmetically, so the sign's copies are masked off."""
    z = (z ^ ((z >> 30) & (2**34 - 1))) * _signed(0xBF58476D1CE4E5B9, 64)
    z = (z ^ ((z >> 27) & (2**37 - 1))) * _signed(0x94D049BB133111EB, 64)
    return z ^ ((z >> 31) & (2**33 - 1))


def _splitmix64(seed: int) -> int:
    """The first output of splitmix64 from that seed, on Python integers."""
    z = (seed + GOLDEN) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def _signed(word: int, bits: int) -> int:
    """The same bits read as a two's complement number, which is what torch's integers are."""
    return word - 2**bits if word >= 2 ** (bits - 1) else word
