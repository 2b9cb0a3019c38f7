"""A model that was trained with a defence, in a folder: what an audit of it needs.

    FOLDER/model.safetensors   weights
    FOLDER/membership.npz      'members', 'validation' and 'population', true or false for each record
    FOLDER/summary.json        what the model reaches
    FOLDER/defended.yaml       the configuration that it came from, where there was one
    FOLDER/written.json        SHA-256 of the files, so that one of another run is not taken for this one's

The recipe is not among them: whoever reads the folder brings it, with the records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import yaml
from jaxtyping import Bool
from scipy.special import log_softmax
from torch import nn

from seepage.data import Membership, Pool
from seepage.data.files import read_arrays
from seepage.defences import find_defence
from seepage.errors import DataFileError, InputError, StorageError
from seepage.metrics import proportion
from seepage.metrics.calibration import expected_calibration_error, negative_log_likelihood
from seepage.models.files import read_safetensors
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.models.train import train
from seepage.models.trial import is_recipe
from seepage.outside import check_kinds
from seepage.randomness import Seed, seed_from
from seepage.runs.progress import share_bar
from seepage.runs.run import Run
from seepage.writing import check_place, file_digest, make_folder, read_bytes, sweep, whole_file

MODEL, MEMBERSHIP, CONFIG, SUMMARY = "model.safetensors", "membership.npz", "defended.yaml", "summary.json"
WRITTEN = "written.json"
CHECKED = {MODEL: "model", MEMBERSHIP: "membership", CONFIG: "configuration"}
AGAIN = "run seepage defend again"
MOST_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class Defended:
    """A model that was trained with a defence, and the records of each kind.

    Attributes:
        model: in eval mode, giving logits.
        members, validation, population: (samples,) bool over the pool.
        summary: what the model reaches; empty where it was read from a folder.
    """

    model: nn.Module
    members: Bool[np.ndarray, " samples"]
    validation: Bool[np.ndarray, " samples"]
    population: Bool[np.ndarray, " samples"]
    summary: Mapping[str, Any]

    def membership(self, *, references: int, known: float | int = 0, rng: Seed) -> Membership:
        """What an audit of this model goes by: members were drawn at random, references are drawn now."""
        return Membership.fixed(
            self.members,
            members=self.members,
            validation=self.validation,
            population=self.population,
            known=known,
            references=references,
            origin="declared",
            rng=rng,
        )


def defend(
    recipe: Recipe,
    pool: Pool,
    defence: str,
    *,
    options: Mapping[str, Any] | None = None,
    members: float = 0.5,
    validation: float | int = 0.1,
    population: float | int = 0.1,
    run: Run,
) -> Defended:
    """Train one model with a defence, and write it to the run's folder with all that an audit of it needs.

    Audit it with references that were trained with the same defence:

        made = defend(recipe, pool, "hamp", run=Run("defended"))
        membership = made.membership(references=64, rng=0)
        audit_recipe(defended(recipe, "hamp"), pool, membership, model=made.model)

    Args:
        recipe: how models are trained without the defence.
        pool: the records, with labels.
        defence: one of `seepage.DEFENCES`.
        options: of the defence; by default its own.
        members: share of the records left to train on, in (0, 1]; the others test.
        validation, population: records held out of the training, a share or a count: for defences that choose by some
            or compare with some.
        run: folder, seed and device; its `config` is written there too.

    Raises:
        InputError: unknown names, a run without a folder, or a defence that does not suit the recipe.
        StorageError: the folder cannot be written.
        TrainingError: the training failed.
    """
    check_kinds("defend", pool=(pool, Pool), run=(run, Run), defence=(defence, str))
    if run.folder is None:
        raise InputError("defend: give run=Run(folder=...), where the model is written to")
    if not 0 < members <= 1:
        raise InputError(f"defend: members must be a share above 0 and up to 1, got {members}")
    options, folder, seed = dict(options or {}), Path(run.folder), seed_from(run.seed, "Run(seed=...)")
    found = find_defence(defence, **options)
    recipe = found.apply(is_recipe(recipe, "defend"))
    rng = np.random.default_rng([seed, 4])
    membership = Membership.split(pool, references=0, population=population, validation=validation, rng=rng)
    left = np.flatnonzero(membership.audit)
    is_member = np.zeros(len(pool), dtype=bool)
    is_member[rng.choice(left, max(1, round(members * len(left))), replace=False)] = True
    try:
        make_folder(folder)
        sweep(folder)
    except OSError as error:
        raise StorageError(f"cannot write to the folder {folder}: {error.strerror}") from None
    with share_bar(f"training with {defence}", show=run.progress) as report:
        module = train(
            recipe, pool, is_member, validation=membership.validation, population=membership.population, rng=rng,
            device=run.device, report=report,
        )  # fmt: skip
    summary = {"defence": {"name": defence, "options": options}, "n_members": int(is_member.sum())}
    test = membership.audit & ~is_member
    summary |= _reached(TargetModel.wrap(module), pool, {"train": is_member, "test": test}, seed)
    summary["notes"] = list(found.notes)
    made = Defended(module, is_member, membership.validation, membership.population, summary)
    _write(made, pool, folder, run.config)
    return made


def _reached(target: TargetModel, pool: Pool, parts: Mapping[str, np.ndarray], seed: int) -> dict[str, Any]:
    """Accuracy, negative log-likelihood and calibration error on each part of the records that has some."""
    reached = {}
    for name, mask in parts.items():
        if not mask.any():
            continue
        rows = np.flatnonzero(mask)
        answers = log_softmax(target.logits(pool.batch(rows)).astype(np.float64), axis=1)
        labels = pool.labels[rows]
        found = {"accuracy": proportion(answers.argmax(1) == labels)}
        found["negative log-likelihood"] = negative_log_likelihood(answers, labels)
        rng = np.random.default_rng([seed, 5])
        found["calibration error"] = expected_calibration_error(np.exp(answers), labels, rng=rng)
        reached[name] = {key: {"value": e.value, "low": e.low, "high": e.high, "n": e.n} for key, e in found.items()}
    return reached


def _write(made: Defended, pool: Pool, folder: Path, config: Mapping[str, Any] | None) -> None:
    weights = {name: np.ascontiguousarray(t.detach().cpu().numpy()) for name, t in made.model.state_dict().items()}
    content = {MODEL: safetensors.numpy.save(weights), SUMMARY: json.dumps(made.summary, indent=1).encode()}
    if config is not None:
        content[CONFIG] = yaml.safe_dump(dict(config), sort_keys=False).encode()
    subsets = {"members": made.members, "validation": made.validation, "population": made.population}
    try:
        if config is None:
            (folder / CONFIG).unlink(missing_ok=True)  # of another model
        for name, data in content.items():
            with whole_file(folder / name) as file:
                file.write(data)
        with whole_file(folder / MEMBERSHIP) as file:
            np.savez_compressed(file, **subsets)
        write_digests(folder, pool)
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}") from None


def write_digests(folder: Path, pool: Pool) -> None:
    """Note what stands in a folder and which records it is about, once all of it is written.

    Raises:
        OSError: it cannot be written.
    """
    there = [name for name in CHECKED if (folder / name).exists()]
    found = {"records": pool.fingerprint, "files": {name: file_digest(folder / name) for name in there}}
    with whole_file(folder / WRITTEN, encoding="utf-8") as file:
        file.write(json.dumps(found, indent=1))


def check_defended(folder: Path, needed: tuple[str, ...] = (MODEL, MEMBERSHIP)) -> str:
    """Check that the files of a folder are those that were written there; return the fingerprint of its records.

    Raises:
        DataFileError: a file is missing, damaged, or not the one that was written there.
        StorageError: something that is no file stands in the place of one.
    """
    for name in needed:
        check_place(folder / name)
        if not (folder / name).is_file():
            raise DataFileError(f"no {name} in {folder}: expected a folder that 'seepage defend' wrote")
    try:
        written = json.loads(read_bytes(folder / WRITTEN, MOST_BYTES))
        files, records = dict(written["files"]), str(written["records"])
    except FileNotFoundError:
        raise DataFileError(
            f"no {WRITTEN} in {folder}, so its model cannot be told from another one (an older version wrote the "
            f"folder?): {AGAIN}"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise DataFileError(f"{folder / WRITTEN} is damaged: {AGAIN}") from None
    for name in dict.fromkeys((*needed, *(name for name in CHECKED if name in files))):
        if not (folder / name).is_file() or file_digest(folder / name) != files.get(name):
            raise DataFileError(f"{folder / name} is not the {CHECKED[name]} that was written here: {AGAIN}")
    return records


def read_defended(folder: str | Path, recipe: Recipe, pool: Pool) -> Defended:
    """Read what `defend` wrote.

    Args:
        folder: where it was written.
        recipe: with the defence in it, as `seepage.defended` gives it: it says what the weights are of.
        pool: the records, the same as then.

    Raises:
        DataFileError: a file is missing, damaged, or not the one that was written there; or the records are others.
        InputError: the weights do not fit the recipe.
        StorageError: something that is no file stands in the place of one.
    """
    check_kinds("read_defended", pool=(pool, Pool))
    folder, recipe = Path(folder), is_recipe(recipe, "read_defended")
    if check_defended(folder) != pool.fingerprint:
        raise DataFileError(
            f"the records are not those that the model in {folder} was trained on: give those, or {AGAIN}"
        )
    module = recipe.skeleton(tuple(pool.inputs.shape[1:]), pool.n_classes)
    weights: dict[str, torch.Tensor] = read_safetensors(folder / MODEL)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise InputError(f"the weights in {folder / MODEL} do not fit the recipe: {first}") from None
    masks = read_arrays(folder / MEMBERSHIP)
    for name in ("members", "validation", "population"):
        if name not in masks or (masks[name].shape, masks[name].dtype) != ((len(pool),), bool):
            raise DataFileError(
                f"{folder / MEMBERSHIP}: expected '{name}', true or false for each of {len(pool)} records"
            )
    return Defended(module.eval(), masks["members"], masks["validation"], masks["population"], {})
