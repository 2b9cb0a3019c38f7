"""Classes that a small network learns in seconds: a bar of its own place and direction in each, with noise."""

import functools

import numpy as np

from seepage.data import Pool
from seepage.inversion.priors import PriorOptions
from seepage.models.architectures import CNN
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe

SIDE = 8
RECIPE = Recipe(model=functools.partial(CNN, widths=(8, 16)), optimiser=Adam(3e-3), epochs=12, batch_size=16)
JUDGE = Recipe(model=functools.partial(CNN, widths=(12, 24)), optimiser=Adam(3e-3), epochs=12, batch_size=16)
PRIORS = PriorOptions(steps=20, width=4, batch_size=16)


def bars(each=12, classes=range(12), seed=0):
    """Class c < 8: a white column c; from there on: rows."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for place, label in enumerate(classes):
        for _ in range(each):
            image = rng.uniform(0, 60, (1, SIDE, SIDE))
            if label < SIDE:
                image[0, :, label] = 255
            else:
                image[0, label - SIDE, :] = 255
            images.append(image)
            labels.append(place)
    names = tuple(f"column {c}" if c < SIDE else f"row {c - SIDE}" for c in classes)
    return Pool(np.array(images).astype(np.uint8), labels, name="bars", classes=names, scale=1 / 255)
