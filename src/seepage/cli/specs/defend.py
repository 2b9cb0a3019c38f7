"""The configuration of a defended training, and what it leaves for an audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from seepage.cli.specs.parts import DataConfig, RecipeConfig, check_architecture
from seepage.cli.specs.reading import MOST_BYTES, Task
from seepage.errors import DataFileError, InputError, StorageError
from seepage.writing import check_place, file_digest, make_folder, read_bytes, sweep, whole_file

MODEL, MEMBERSHIP, CONFIG, SUMMARY = "model.safetensors", "membership.npz", "defended.yaml", "summary.json"
# SHA-256 of what an audit believes, so that a file of another run in this folder is not taken for this one's.
WRITTEN = "written.json"
CHECKED = {MODEL: "model", MEMBERSHIP: "membership", CONFIG: "configuration"}


class DefendConfig(Task):
    """One model, trained (or answering) with a defence."""

    data: DataConfig
    recipe: RecipeConfig = Field(RecipeConfig(), description="its 'defence' is the defence")
    members: float = Field(0.5, gt=0, le=1, description="share of the records left to train on; the others judge")
    validation: int | float = Field(0.1, ge=0, description="records held out to choose by: a share or a count")
    population: int | float = Field(0.1, ge=0, description="further records held out: a share or a count")
    device: Literal["cpu", "cuda"] | None = None
    seed: int = Field(0, ge=0)
    out: Path = Path("defended")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        """A defence by flag replaces the file's; its options go with it."""
        if "recipe.defence.name" in flags and isinstance(values.get("recipe"), dict):
            values["recipe"] = {name: value for name, value in values["recipe"].items() if name != "defence"}
        return flags

    def run(self, *, progress: bool) -> dict[str, Any]:
        """Train the model, write it with its recipe and membership to `out`, and say what it reaches.

        Raises:
            InputError: no labels, no defence, or options that cannot be.
            StorageError: `out` cannot be written.
        """
        import numpy as np
        import safetensors.numpy
        from rich.console import Console
        from rich.progress import Progress

        from seepage.data import Membership
        from seepage.data.files import no_labels
        from seepage.models.train import train

        if self.recipe.defence is None:
            raise InputError("defend: no defence was named: give recipe: {defence: {name: hamp}} or --defence hamp")
        pool = self.data.pool(self.seed)
        if pool.labels is None:
            raise no_labels("data", self.data.file, options="data: {options: {label: NAME}}")
        check_architecture(
            self.recipe.architecture, self.recipe.options, pool.inputs.shape[1:], pool.n_classes, "recipe"
        )
        recipe = self.recipe.recipe()
        rng = np.random.default_rng([self.seed, 4])
        membership = Membership.split(
            pool, references=0, population=self.population, validation=self.validation, rng=rng
        )
        left = np.flatnonzero(membership.audit)
        members = np.zeros(len(pool), dtype=bool)
        members[rng.choice(left, max(1, round(self.members * len(left))), replace=False)] = True
        try:
            make_folder(self.out)
            sweep(self.out)
        except OSError as error:
            raise StorageError(f"cannot write to the folder {self.out}: {error.strerror}") from None
        with Progress(console=Console(stderr=True), disable=not progress, transient=True) as bar:
            task = bar.add_task(f"training with {self.recipe.defence.name}", total=1.0)
            module = train(
                recipe, pool, members, validation=membership.validation, population=membership.population, rng=rng,
                device=self.device, report=lambda fraction: bar.update(task, completed=fraction),
            )  # fmt: skip
        summary = self._summary(module, pool, members, membership)
        weights = {name: np.ascontiguousarray(t.detach().cpu().numpy()) for name, t in module.state_dict().items()}
        content = {
            MODEL: safetensors.numpy.save(weights),
            CONFIG: yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False).encode(),
            SUMMARY: json.dumps(summary, indent=1).encode(),
        }
        subsets = {"members": members, "validation": membership.validation, "population": membership.population}
        try:
            for name, data in content.items():
                with whole_file(self.out / name) as file:
                    file.write(data)
            with whole_file(self.out / MEMBERSHIP) as file:
                np.savez_compressed(file, **subsets)
            write_digests(self.out, pool)
        except OSError as error:
            raise StorageError(f"cannot write to {self.out}: {error.strerror}") from None
        return summary

    def _summary(self, module, pool, members, membership) -> dict[str, Any]:
        """What the defended model reaches: accuracies, calibration, the defence's notes."""
        import numpy as np
        from scipy.special import log_softmax

        from seepage.defences import find_defence
        from seepage.metrics import proportion
        from seepage.metrics.calibration import expected_calibration_error, negative_log_likelihood
        from seepage.models.target import TargetModel

        target = TargetModel.wrap(module)
        parts = {"train": members, "test": membership.audit & ~members}
        summary: dict[str, Any] = {"defence": self.recipe.defence.model_dump(), "n_members": int(members.sum())}
        for name, mask in parts.items():
            if not mask.any():
                continue
            rows = np.flatnonzero(mask)
            answers = log_softmax(target.logits(pool.batch(rows)).astype(np.float64), axis=1)
            labels = pool.labels[rows]
            found = {"accuracy": proportion(answers.argmax(1) == labels)}
            found["negative log-likelihood"] = negative_log_likelihood(answers, labels)
            rng = np.random.default_rng([self.seed, 5])
            found["calibration error"] = expected_calibration_error(np.exp(answers), labels, rng=rng)
            summary[name] = {
                key: {"value": e.value, "low": e.low, "high": e.high, "n": e.n} for key, e in found.items()
            }
        defence = find_defence(self.recipe.defence.name, **self.recipe.defence.options)
        summary["notes"] = list(defence.notes)
        return summary


def write_digests(folder: Path, pool: Any) -> None:
    """Note what stands in a folder and which records it is about, once all of it is written.

    Raises:
        OSError: it cannot be written.
    """
    found = {"records": pool.fingerprint, "files": {name: file_digest(folder / name) for name in CHECKED}}
    with whole_file(folder / WRITTEN, encoding="utf-8") as file:
        file.write(json.dumps(found, indent=1))


def _check_files(folder: Path) -> str:
    """That the files of a folder are those that were written there; the fingerprint of its records."""
    again = "run seepage defend again"
    try:
        written = json.loads(read_bytes(folder / WRITTEN, MOST_BYTES))
        files, records = dict(written["files"]), str(written["records"])
    except FileNotFoundError:
        raise DataFileError(
            f"no {WRITTEN} in {folder}, so its model cannot be told from another one (an older version wrote the "
            f"folder?): {again}"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise DataFileError(f"{folder / WRITTEN} is damaged: {again}") from None
    for name, what in CHECKED.items():
        if file_digest(folder / name) != files.get(name):
            raise DataFileError(f"{folder / name} is not the {what} that was written here: {again}")
    return records


def read_defended(folder: Path) -> tuple[DefendConfig, Any, dict[str, Any], Any]:
    """Of a folder that `seepage defend` wrote: the configuration, the pool, the membership arrays, the module.

    Raises:
        DataFileError: a file is missing, damaged, or not the one that was written there; or the records are others.
        InputError: the weights do not fit the recipe.
        StorageError: something that is no file stands in the place of one.
    """
    import torch

    from seepage.data.files import read_arrays
    from seepage.models.files import read_safetensors

    for name in CHECKED:
        check_place(folder / name)
        if not (folder / name).is_file():
            raise DataFileError(f"no {name} in {folder}: expected a folder that 'seepage defend' wrote")
    records = _check_files(folder)
    config = DefendConfig.read(folder / CONFIG, {})
    pool = config.data.pool(config.seed)
    if pool.fingerprint != records:
        raise DataFileError(
            f"the records that {folder / CONFIG} names are not those that the model was trained on: put them back, or "
            "run seepage defend again"
        )
    module = config.recipe.recipe().skeleton(tuple(pool.inputs.shape[1:]), pool.n_classes)
    weights: dict[str, torch.Tensor] = read_safetensors(folder / MODEL)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise InputError(f"the weights in {folder / MODEL} do not fit {folder / CONFIG}: {first}") from None
    masks = read_arrays(folder / MEMBERSHIP)
    for name in ("members", "validation", "population"):
        if name not in masks or (masks[name].shape, masks[name].dtype) != ((len(pool),), bool):
            raise DataFileError(
                f"{folder / MEMBERSHIP}: expected '{name}', true or false for each of {len(pool)} records"
            )
    return config, pool, masks, module.eval()
