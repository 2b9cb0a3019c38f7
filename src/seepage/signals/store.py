"""A run's folder: a manifest that is frozen at the first start, and one file for each finished unit.

    FOLDER/manifest.json           what the run is, how it is trained, which units it has
    FOLDER/units/KEY.safetensors   the signals of one unit, committed by an atomic rename
    FOLDER/weights/N.safetensors   the weights of model N, where they are kept

A unit's file exists or it does not: nothing else has to be believed after a run was killed. Several
processes, or machines on a shared disk, may write into the same folder.
"""

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from seepage.errors import StorageError

SCHEMA = "seepage.run/1"


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class RunFolder:
    """The state of one run, in files.

    Raises:
        StorageError: the folder cannot be written, or belongs to another run.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        try:
            (self.path / "units").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write to the run folder {self.path}: {error.strerror}") from None

    @property
    def _manifest(self) -> Path:
        return self.path / "manifest.json"

    def manifest(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._manifest.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            raise StorageError(f"{self._manifest} is not readable as JSON: delete the folder and start again") from None

    def start(self, identity: Mapping[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
        """Freeze the manifest, or return the one that is there if it is of this very run."""
        there = self.manifest()
        if there is None:
            manifest = {"schema": SCHEMA, "identity": dict(identity), **rest}
            self.write_bytes(self._manifest, json.dumps(manifest, indent=1).encode())
            return manifest
        if there.get("identity") != identity:
            old = there.get("identity", {})
            changed = [name for name in identity if old.get(name) != identity[name]]
            raise StorageError(
                f"{self.path} holds another run: its {', '.join(changed)} differ from what was asked for. "
                "Choose another folder, or delete this one to start again"
            )
        return there

    def _unit(self, key: str) -> Path:
        return self.path / "units" / f"{key}.safetensors"

    def has(self, key: str) -> bool:
        return self._unit(key).exists()

    def write(self, key: str, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        self.write_bytes(self._unit(key), safetensors.numpy.save(arrays, metadata={"about": json.dumps(about)}))

    def write_weights(self, model: int, weights: Mapping[str, np.ndarray]) -> None:
        path = self.path / "weights" / f"{model}.safetensors"
        self.write_bytes(path, safetensors.numpy.save(dict(weights)))

    def read(self, key: str) -> dict[str, np.ndarray]:
        try:
            return safetensors.numpy.load_file(self._unit(key))
        except (OSError, safetensors.SafetensorError) as error:
            raise self._unreadable(key, error) from None

    def _unreadable(self, key: str, error: Exception) -> StorageError:
        return StorageError(
            f"the unit {self._unit(key)} cannot be read ({error}): delete it and run again, it is made anew"
        )

    def about(self, key: str) -> dict[str, Any]:
        """What was said about a unit when it was written."""
        try:
            with safetensors.safe_open(self._unit(key), framework="numpy") as file:
                return json.loads(file.metadata()["about"])
        except (OSError, safetensors.SafetensorError) as error:
            raise self._unreadable(key, error) from None

    def read_weights(self, model: int) -> dict[str, np.ndarray]:
        path = self.path / "weights" / f"{model}.safetensors"
        try:
            return safetensors.numpy.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise StorageError(
                f"the weights {path} cannot be read ({error}): delete the folder {self.path} and run again"
            ) from None

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all."""
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(exist_ok=True)
            with open(part, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            advice = "free some space and run the same command again" if error.errno == errno.ENOSPC else "check it"
            raise StorageError(
                f"cannot write {path}: {error.strerror}; everything committed before is kept, {advice}"
            ) from None


def run_status(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """How far the parts of an audit, or of the audits of a comparison, in `folder` are: name, engine, models, done."""
    rows, folder = [], Path(folder)
    of_audits = [*folder.glob("run/*/manifest.json"), *folder.glob("*/*/run/*/manifest.json")]
    for manifest in sorted(of_audits):
        run = RunFolder(manifest.parent)
        content = run.manifest()
        rows.append(
            {
                "name": "/".join(part for part in manifest.parent.relative_to(folder).parts if part != "run"),
                "engine": content["plan"]["engine"],
                "models": sum(len(unit["models"]) for unit in content["units"]),
                "done": sum(len(unit["models"]) for unit in content["units"] if run.has(unit["key"])),
            }
        )
    return rows


def n_units(folder: str | os.PathLike) -> int:
    """How many units lie in a run's folder."""
    return sum(1 for _ in Path(folder).glob("units/*.safetensors"))
