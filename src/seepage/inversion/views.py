"""Random views of images, through which gradients flow: crops, mirrorings, rotations, changes of brightness."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from seepage.errors import InputError
from seepage.inversion.randomness import Rngs, uniform

Images = Float[Tensor, "images channels height width"]  # values in [0, 1]
Range = tuple[float, float]


def views(
    images: Images,
    rngs: Rngs,
    *,
    scale: Range = (0.8, 1.0),
    ratio: Range = (3 / 4, 4 / 3),
    flip: float = 0.5,
    jitter: float = 0.0,
    degrees: float = 0.0,
) -> Images:
    """One random view of each image, of the same size.

        crop      a share s of the area, s ~ U(scale), its width to its height r with log r ~ U(log ratio), anywhere in
                  the image; r is in units of the image's own width to height
        mirror    left and right are exchanged with probability `flip`
        rotation  by an angle ~ U(-degrees, degrees) about the middle
        jitter    b (m + c (x - m)), clamped to [0, 1]; b, c ~ U(1 - jitter, 1 + jitter), m the mean of the image

    Every image takes eight numbers from its own generator, whatever the options are.

    Args:
        images: (images, channels, height, width), in [0, 1].
        rngs: one generator an image.
        scale: smallest and largest share of the area, above 0 and up to 1.
        ratio: the most upright and the widest crop, above 0.
        flip: a probability.
        jitter: at least 0 and below 1.
        degrees: at least 0.

    Raises:
        InputError: an option outside of these.

    Reference: the transformations of the attacks PLG-MI (Yuan et al. 2023, arXiv 2302.09814) and PPA (Struppek et al.
        2022, arXiv 2201.12179), which take them from kornia and torchvision.
    Deviations: a crop that would be wider or higher than the image is as wide or high as the image, where torchvision
        draws again; what a rotation turns into the picture is the nearest pixel of the border, where it is black there;
        crop, mirroring and rotation are one resampling.
    """
    _check(scale, ratio, flip, jitter, degrees)
    size, shape, x, y, mirror, angle, brightness, contrast = uniform(rngs, 8, device=images.device).to(images.dtype).T
    area = scale[0] + size * (scale[1] - scale[0])
    aspect = torch.exp(math.log(ratio[0]) + shape * math.log(ratio[1] / ratio[0]))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    seen = _resampled(
        images,
        half_size=(torch.where(mirror < flip, -width, width), height),
        middle=((2 * x - 1) * (1 - width), (2 * y - 1) * (1 - height)),
        radians=(2 * angle - 1) * math.radians(degrees),
    )
    if jitter == 0:
        return seen
    brightness, contrast = ((1 + jitter * (2 * factor - 1))[:, None, None, None] for factor in (brightness, contrast))
    mean = seen.mean((1, 2, 3), keepdim=True)
    return (brightness * (mean + contrast * (seen - mean))).clamp(0, 1)


def _resampled(
    images: Images,
    half_size: tuple[Float[Tensor, " images"], Float[Tensor, " images"]],
    middle: tuple[Float[Tensor, " images"], Float[Tensor, " images"]],
    radians: Float[Tensor, " images"],
) -> Images:
    """The rectangle around `middle`, turned, as a whole image; the image itself reaches from -1 to 1 both ways."""
    (a, b), (x, y) = half_size, middle
    sine, cosine = radians.sin(), radians.cos()
    wide = images.shape[3] / images.shape[2]  # a rotation is one of pixels, not of the square from -1 to 1
    rows = [torch.stack([a * cosine, -a * sine / wide, x], 1), torch.stack([b * sine * wide, b * cosine, y], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _check(scale: Range, ratio: Range, flip: float, jitter: float, degrees: float) -> None:
    if not 0 < scale[0] <= scale[1] <= 1:
        raise InputError(f"views: scale goes from the smallest to the largest share of the area, up to 1, got {scale}")
    if not 0 < ratio[0] <= ratio[1]:
        raise InputError(f"views: ratio goes from the smallest to the largest width to height, above 0, got {ratio}")
    if not 0 <= flip <= 1:
        raise InputError(f"views: flip is a probability, got {flip}")
    if not 0 <= jitter < 1:
        raise InputError(f"views: jitter is a share of the brightness, at least 0 and below 1, got {jitter}")
    if not 0 <= degrees < math.inf:
        raise InputError(f"views: degrees is an angle of at least 0, got {degrees}")
