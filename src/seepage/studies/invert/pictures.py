"""The contact sheet: reconstructions beside the private images that they are nearest to. Only where it is asked for."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from torch import Tensor

from seepage.schema.inversion import Picture
from seepage.studies.invert.evidence import Evidence
from seepage.studies.invert.line import Line

MOST_CLASSES = 8
MOST_IMAGES = 16  # of a row
MOST_CHARACTERS = 32_000_000  # of all rows: a result is a file that is read again
PRIVATE = 2  # private images beside a row


def pictures(line: Line, evidence: Evidence, seed: int) -> list[Picture]:
    """Rows of the sheet, of one seed: the first classes of every attack on every target.

    Beside them the training images of the class that are nearest in the judge's features. At most `MOST_IMAGES` of a
    class, and no more rows once there are `MOST_CHARACTERS`.
    """
    world, evaluator = line.world, evidence.evaluator
    shown = world.attacked[:MOST_CLASSES]
    images, labels = world.of(world.train)
    private = {label: images[torch.from_numpy(labels == label)] for label in shown}
    features = {label: evaluator.features(of) for label, of in private.items()}
    rows: list[Picture] = []
    room = MOST_CHARACTERS
    for target in line.targets:
        for attack in line.attacks:
            made, of, _ = line.images(seed, target, attack)
            hits, _ = evidence.recognised(made, of)
            seen = evaluator.features(made)
            for label in shown:
                at = np.flatnonzero(of == label)[:MOST_IMAGES]
                distances = ((features[label][:, None] - seen[at][None]) ** 2).sum(-1).min(axis=1)
                near = np.argsort(distances, kind="stable")[:PRIVATE]
                row = Picture(
                    target=target,
                    attack=attack,
                    class_name=world.class_name(label),
                    private=[png(private[label][place]) for place in near],
                    reconstructed=[png(made[place]) for place in at],
                    recognised=[bool(hits[place]) for place in at],
                )
                room -= sum(map(len, (*row.private, *row.reconstructed)))
                if room < 0:
                    return rows
                rows.append(row)
    return rows


def png(image: Tensor) -> str:
    """An image (channels, height, width) in [0, 1] as PNG in base64; grey where it has one channel."""
    from matplotlib.image import imsave

    pixels = (255 * image.clamp(0, 1)).round().byte().movedim(0, -1).numpy()
    pixels = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    file = io.BytesIO()
    imsave(file, np.ascontiguousarray(pixels), format="png")
    return base64.b64encode(file.getvalue()).decode()
