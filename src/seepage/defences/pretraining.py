"""What a defence is pre-trained on where that is a named data set: its images, and the training that models share."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seepage.data import DATASETS, load, overlap
from seepage.data.cache import cache_folder
from seepage.defences.one_by_one import Report
from seepage.errors import InputError, StorageError, unknown_name
from seepage.models.images import as_images, to_shape
from seepage.models.pretrained import PRETRAINED
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.runs.store import Store
from seepage.version import __version__

PUBLIC, RANDOM = "public", "random"
CACHE = "pretrained"  # a folder of the data cache
BYTE = 1 / 255


def check_source(pretrain: str) -> None:
    """Raise InputError for what is neither a data set of images, nor "public", nor "random", nor the name of published
    weights, nor could be a file."""
    if not isinstance(pretrain, str) or not pretrain:
        raise InputError(f"tl-dmi: pretrain is the name of a data set, a file, 'public' or 'random', got {pretrain!r}")
    images = [name for name, source in DATASETS.items() if source.images]
    if pretrain in DATASETS and pretrain not in images:
        raise InputError(
            f"tl-dmi: pretrain={pretrain!r} holds rows of a table, expected a data set of images ({', '.join(images)}),"
            " a file of weights, 'public' or 'random'"
        )
    path = Path(pretrain)
    like_a_file = path.suffix or path.name != pretrain or path.exists()
    names = [*images, PUBLIC, RANDOM, *PRETRAINED]
    if pretrain not in names and not like_a_file:
        raise unknown_name("tl-dmi source of pre-training (nor a file)", pretrain, names)


def check_images(input_shape: tuple[int, ...], pretrain: str) -> None:
    """Raise InputError where the records that a model takes are no images."""
    if len(input_shape) != 3:
        raise InputError(
            f"tl-dmi: pretrain={pretrain!r} are images, and the records have the shape {tuple(input_shape)}, not "
            "(channels, height, width): give pretrain='public' or a file of weights; digits: flat=False"
        )


def lesson(name: str, n: int | None, records: Records, private: np.ndarray) -> Records:
    """A named data set as one of the records' own: grey or colour, resized, and on their scale.

    Args:
        name: one of `DATASETS`.
        n: how many of its images, drawn at random, always the same; None: all.
        records: what a model is then trained on: bytes, or values from 0 to 1.
        private: rows of those of which nothing may reach the frozen layers.

    Raises:
        InputError: the records are no images or on another scale, there are fewer than `n` images, or some of them
            are records of these rows.
        DataFileError: the data set cannot be had.
    """
    check_images(records.input_shape, name)
    ours = records.inputs
    if ours.dtype != torch.uint8 and not 0 <= float(ours.min()) <= float(ours.max()) <= 1:
        raise InputError(
            f"tl-dmi: pretrain={name!r} is brought to the records' scale, and they have values from "
            f"{float(ours.min()):.3g} to {float(ours.max()):.3g}: give bytes or values from 0 to 1, and let the model "
            "normalise"
        )
    pool = load(name, flat=False) if name == "digits" else load(name)
    rows = np.arange(len(pool))
    if n is not None:
        if n > len(pool):
            raise InputError(f"tl-dmi: pretraining_records={n}, and {name} has {len(pool)} images")
        rows = np.sort(np.random.default_rng(0).choice(len(pool), n, replace=False))
    images = to_shape(as_images(pool.subset(rows)), records.input_shape)
    known = ours[torch.from_numpy(private).to(ours.device)].cpu()
    known = known.numpy() if known.dtype == torch.uint8 else (255 * known).round().to(torch.uint8).numpy()
    if twice := len(overlap(images, known)):
        raise InputError(
            f"tl-dmi: {twice:,} images of pretrain={name!r} are records of the pool too, which the frozen layers must "
            "not have seen: name another data set"
        )
    inputs = torch.from_numpy(images)
    if ours.dtype != torch.uint8:
        inputs = inputs.to(ours.dtype) * BYTE
    classes, labels = np.unique(pool.labels[rows], return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"tl-dmi: of {len(rows)} images of {name} all are of one class: raise pretraining_records")
    return Records(inputs.to(ours.device), torch.from_numpy(labels).to(ours.device), len(classes), records.scale)


def shared_state(recipe: Recipe, images: Records, seed: int, device: torch.device, report: Report) -> dict[str, Tensor]:
    """The state of a model trained on all images: whoever asks for the same gets the same.

    It is kept in the cache folder under all that it depends on, unless the recipe has parts of the user's own and no
    version, which could change without notice.
    """
    store, key = None, _key(recipe, images, seed)
    if recipe.is_registered or recipe.version:
        with suppress(StorageError):  # a cache that cannot be used: the training is done anyway
            store = Store(cache_folder() / CACHE)
            found = store.find(key)
            if found is not None:
                return {name: torch.from_numpy(values).to(device) for name, values in found.arrays.items()}
    rows = np.arange(len(images.labels))
    (module,) = train_models(recipe, images, [rows], [seed], engine="single", report=report)
    state = module.state_dict()
    if store is not None:
        with suppress(StorageError):  # no room to keep it: the weights are still right
            store.write(key, {name: value.cpu().numpy() for name, value in state.items()}, {})
    return state


def _key(recipe: Recipe, images: Records, seed: int) -> str:
    about = [__version__, recipe.fingerprint, seed, list(images.inputs.shape), str(images.inputs.dtype)]
    found = sha256(json.dumps([*about, images.scale]).encode())
    for part in (images.inputs, images.labels):
        found.update(part.cpu().numpy().tobytes())
    return found.hexdigest()[:32]
