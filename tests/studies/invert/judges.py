"""Twelve classes of 3 x 4 images: the class is the bright pixel."""

import numpy as np
import torch
from torch import nn

from seepage.inversion.priors.base import Prior
from seepage.studies.invert.evaluators import Evaluator

N_CLASSES = 12
SHAPE = (1, 3, 4)


class Pixels(Evaluator):
    """Takes the brightest pixel for the class; features are the pixels."""

    name, about = "Pixels", "made up"

    def __init__(self, fingerprint="pixels"):
        self._fingerprint, self.asked = fingerprint, 0

    def look(self, images):
        self.asked += len(images)
        pixels = images.flatten(1)
        return (10 * pixels).log_softmax(1).numpy(), pixels.numpy()

    @property
    def fingerprint(self):
        return self._fingerprint


class Noise(Prior):
    """Codes are images, every pixel uniform."""

    name, image_shape = "noise", SHAPE

    def draw(self, rngs):
        return torch.from_numpy(np.stack([rng.random(SHAPE, dtype=np.float32) for rng in rngs]))

    def images(self, codes, labels):
        return codes


class Target(nn.Module):
    """Takes the brightest pixel for the class, counted from the other end."""

    def __init__(self, reverse=False):
        super().__init__()
        self.reverse = reverse
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x):
        pixels = self.scale * x.flatten(1)
        return pixels.flip(1) if self.reverse else pixels


def shots(labels, seed=0, noise=0.2):
    """Images of these classes: the class's pixel is bright, the others are dark noise."""
    labels = np.asarray(labels)
    images = np.random.default_rng(seed).random((len(labels), N_CLASSES), dtype=np.float32) * noise
    images[np.arange(len(labels)), labels] += 1 - noise
    return torch.from_numpy(images).view(-1, *SHAPE)
