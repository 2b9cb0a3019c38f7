"""Images of other people in the shape that a model takes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from torch.nn import functional as F

from seepage.data import Pool
from seepage.errors import InputError

Images = UInt8[np.ndarray, "records channels height width"]

BYTE_RANGE = 255.0


def as_images(pool: Pool) -> Images:
    """The records of a pool as bytes (records, channels, height, width).

    Raises:
        InputError: they are no images: another number of axes, or values outside [0, 1].
    """
    inputs = np.asarray(pool.inputs)
    if inputs.ndim != 4:
        raise InputError(
            f"expected images (records, channels, height, width), and '{pool.name}' holds records of shape "
            f"{inputs.shape[1:]}; where the data set has an option 'flat', set it to false"
        )
    if inputs.dtype == np.uint8:
        return inputs
    if inputs.min() < 0 or inputs.max() > 1:
        raise InputError(
            f"expected images with values from 0 to 1, or bytes: got {inputs.min():.3g} to {inputs.max():.3g}"
        )
    return np.round(inputs * BYTE_RANGE).astype(np.uint8)


def to_shape(
    images: Images, shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "records new_channels new_height new_width"]:
    """Other pictures as the target takes them: grey to every channel, colour to its mean, sides resized.

    >>> to_shape(np.full((2, 1, 4, 4), 7, dtype=np.uint8), (3, 8, 8)).shape
    (2, 3, 8, 8)
    """
    channels, height, width = shape
    tensor = torch.from_numpy(images.astype(np.float32))
    if tensor.shape[1] != channels:
        tensor = tensor.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
    if tensor.shape[2:] != (height, width):
        tensor = F.interpolate(tensor, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return tensor.round().clamp(0, 255).to(torch.uint8).numpy()
