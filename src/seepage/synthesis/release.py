"""A release as files: arrays, a table with the originals' columns, or pictures."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from seepage.data import Pool
from seepage.errors import InputError, StorageError
from seepage.models.generators.vae import VAE
from seepage.synthesis.distances import CodeDistances
from seepage.synthesis.guarantee import Guarantee
from seepage.writing import whole_file

LABEL = "label"


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A release.

    Attributes:
        pool: the synthetic records, in the originals' order, release after release.
        guarantee: what is promised about them.
        distances: of the originals' codes, and the bound on the odds there; not saved, no guarantee covers them.
        vaes: the networks, one, or one for each class.
        whole: of each value, whether it was a whole number in every record that the networks know.
        about: the options, as JSON values.
    """

    pool: Pool
    guarantee: Guarantee
    distances: CodeDistances
    vaes: tuple[VAE, ...]
    whole: np.ndarray
    about: dict[str, Any]

    def save(self, path: str | os.PathLike) -> None:
        """Write the release, by the ending of its name.

        `.npz`: 'inputs' and 'labels', which `read_file` reads, and beside it NAME.json with the guarantee and options.
        `.csv`: a table; columns that the pool knows by name come back as they were, with their categories.
        no ending: a folder of PNG pictures, CLASS/NUMBER.png, for images.

        Raises:
            InputError: another ending, or records that are no table, or no pictures.
            StorageError: the file cannot be written.
        """
        path = Path(path)
        writers = {".npz": _write_npz, ".csv": _write_csv, "": _write_pictures}
        if path.suffix not in writers:
            raise InputError(
                f"expected a file ending in .npz or .csv, or a folder's name without an ending, got {path}"
            )
        told = {"guarantee": self.guarantee.to_json(), "options": self.about, "n_records": len(self.pool)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writers[path.suffix](self, path)
            with whole_file(path.with_name(path.name + ".json"), private=False, encoding="utf-8") as file:
                file.write(json.dumps(told, indent=1))
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _write_npz(release: Synthetic, path: Path) -> None:
    pool = release.pool
    arrays = {"inputs": pool.inputs} | ({} if pool.labels is None else {"labels": pool.labels})
    with whole_file(path, private=False) as file:
        np.savez_compressed(file, **arrays)


def _write_csv(release: Synthetic, path: Path) -> None:
    header, rows = table(release.pool, release.whole)
    with whole_file(path, private=False, newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def table(pool: Pool, whole: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a pool of flat records, one-hot columns turned back into one of categories.

    Raises:
        InputError: the records are no table.
    """
    if pool.inputs.ndim != 2:
        raise InputError(f"records of shape {pool.inputs.shape[1:]} are no table: save them as .npz or pictures")
    names = pool.columns or tuple((f"x{place}", None) for place in range(pool.inputs.shape[1]))
    header, cells = [], []
    for (name, is_number), some in groupby(range(len(names)), lambda at: (names[at][0], names[at][1] is None)):
        places = list(some)
        if is_number:
            for place in places:
                header.append(name)
                cells.append(_numbers(pool.inputs[:, place], whole[place]))
        else:
            header.append(name)
            categories = np.array([names[place][1] for place in places])
            cells.append(categories[pool.inputs[:, places].argmax(axis=1)].tolist())
    if pool.labels is not None:
        header.append(LABEL if LABEL not in header else f"{LABEL}_")
        classes = pool.classes or tuple(map(str, range(pool.n_classes)))
        cells.append([classes[label] for label in pool.labels])
    return header, [list(row) for row in zip(*cells, strict=True)]


def _numbers(values: np.ndarray, whole: bool) -> list[str]:
    return [str(round(value)) for value in values.tolist()] if whole else [f"{value:.6g}" for value in values.tolist()]


def _write_pictures(release: Synthetic, folder: Path) -> None:
    from matplotlib.image import imsave

    pool = release.pool
    if pool.inputs.ndim != 4 or pool.inputs.shape[1] not in (1, 3):
        raise InputError(f"records of shape {pool.inputs.shape[1:]} are no pictures: save them as .npz or .csv")
    high = 255 if pool.inputs.dtype == np.uint8 else max(1.0, float(pool.inputs.max()))
    pixels = np.clip(np.rint(pool.inputs.astype(np.float64) * 255 / high), 0, 255).astype(np.uint8)
    for number, picture in enumerate(pixels):
        which = "all" if pool.labels is None else str(pool.labels[number])
        (folder / which).mkdir(parents=True, exist_ok=True)
        rgb = np.repeat(picture.transpose(1, 2, 0), 3 // picture.shape[0], axis=2)
        imsave(folder / which / f"{number}.png", rgb)
