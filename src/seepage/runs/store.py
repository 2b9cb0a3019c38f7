"""The store: arrays under keys, one file each, in a folder; of a run also what it is, frozen at its first start.

    FOLDER/manifest.json           what the run is, how it is trained, which units it has
    FOLDER/units/KEY.safetensors   the arrays of one unit, committed by an atomic rename
    FOLDER/weights/N.safetensors   the weights of model N, where they are kept

Signals of trained models, scores of attacks, pieces of an inversion and caches of weights are all kept so.

Nothing that lies there is believed unseen. Each file carries its key and the SHA-256 of what it holds in its own
metadata; one that is damaged, or that belongs elsewhere, is named in a warning and counts as missing, so it is made
again. Several processes, or machines on a shared disk, may write into the same folder.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from pydantic import ValidationError

from seepage.errors import StorageError
from seepage.runs.manifest import SCHEMA, Manifest
from seepage.writing import (
    DamagedFile,
    check_place,
    make_folder,
    payload_digest,
    read_bytes,
    sweep,
    warn_damaged,
    whole_file,
)

__all__ = ["Content", "DamagedFile", "Like", "Store", "digest", "n_units", "run_status", "weights_key"]

_MOST_MANIFEST_BYTES = 2**30  # a million models have 64 bytes each
_LARGEST = 2**53  # of a number of seconds or records

# What arrays must be: by name the dtype and the shape, None where any length will do.
Like = Mapping[str, tuple[str, tuple[int | None, ...]]]


class Content(NamedTuple):
    """What a file holds."""

    arrays: dict[str, np.ndarray]
    about: dict[str, Any]


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def weights_key(unit: str, model: int) -> str:
    """The key that the weights of a unit's model have."""
    return f"{unit}/{model}"


class Store:
    """Arrays under keys, in the files of one folder.

    A key is 32 hexadecimal digits, which name all that the arrays depend on, or a `weights_key`.

    Raises:
        StorageError: the folder cannot be written, or belongs to another run.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        try:
            make_folder(self.path / "units")
        except OSError as error:
            raise StorageError(f"cannot write to the folder {self.path}: {error.strerror}") from None

    @property
    def _manifest(self) -> Path:
        return self.path / "manifest.json"

    def manifest(self) -> Manifest | None:
        """What was frozen at the first start.

        Raises:
            StorageError: it cannot be read, or is no manifest.
        """
        try:
            content = read_bytes(self._manifest, _MOST_MANIFEST_BYTES)
            json.loads(content, object_pairs_hook=_once)
            return Manifest.model_validate_json(content)
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:  # pydantic's is a ValueError too
            why = str(error) or type(error).__name__
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                why = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
            why = why[:300]
            raise StorageError(
                f"{self._manifest} is no manifest of a run ({why}): delete the folder {self.path} and start again, "
                "or choose another one"
            ) from None
        except OSError as error:
            raise StorageError(f"cannot read {self._manifest}: {error.strerror}; make it readable") from None

    def start(self, identity: Mapping[str, Any], rest: Mapping[str, Any]) -> Manifest:
        """Freeze the manifest, or return the one that is there if it is of this very run.

        Args:
            identity: what the run is, as JSON values.
            rest: `plan` and `units`; empty where a manifest is known to be there.
        """
        self.sweep()
        if rest and self.manifest() is None:
            content = json.dumps({"schema": SCHEMA, "identity": dict(identity), **rest}, indent=1)
            with suppress(FileExistsError):  # another process has started the same run: its plan is this one's too
                self._write_bytes(self._manifest, content.encode(), new=True)
        there = self.manifest()
        if there is None:
            raise StorageError(f"{self._manifest} is gone while the run starts: run the same command again")
        if there.identity != identity:
            changed = [name for name in identity if there.identity.get(name) != identity[name]]
            differ = f"its {', '.join(changed)} differ" if changed else "it has more to its identity"
            raise StorageError(
                f"{self.path} holds another run: {differ} from what was asked for. "
                "Choose another folder, or delete this one to start again"
            )
        return there

    def sweep(self) -> None:
        """Delete what killed writers left an hour ago or earlier."""
        for folder in (self.path, self.path / "units", self.path / "weights"):
            sweep(folder)

    def _file(self, key: str) -> Path:
        unit, of_weights, model = key.partition("/")
        if not re.fullmatch(r"[0-9a-f]{32}(/[0-9]+)?", key):
            raise StorageError(f"{key!r:.80} is no key: expected 32 hexadecimal digits")
        folder, name = ("weights", model) if of_weights else ("units", unit)
        return self.path / folder / f"{name}.safetensors"

    def has(self, key: str) -> bool:
        """Whether a key's file is there and sound; one that is not is named in a warning."""
        return self.find(key) is not None

    def find(
        self,
        key: str,
        like: Like | None = None,
        about: Mapping[str, Any] | None = None,
        numbers: Mapping[str, type] | None = None,
    ) -> Content | None:
        """What a key holds, or None where there is nothing or a damaged file, which is named in a warning.

        Args:
            like: what its arrays must be.
            about: what must have been said about it.
            numbers: what else must have been said: by name float or int, not negative.

        Raises:
            StorageError: something that is no file stands in its place.
        """
        return _find(self._file(key), key, like, about or {}, numbers or {})

    def read(self, key: str) -> Content:
        """What a key holds that must be there.

        Raises:
            StorageError: it is not, or is damaged.
        """
        return _read(self._file(key), key)

    def write(self, key: str, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """Commit arrays and what is said about them, as JSON values.

        Raises:
            StorageError: they cannot be written.
        """
        arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
        written = {"key": key, "about": dict(about), "sha256": payload_digest(key, about, arrays)}
        # One entry, because the order of several would differ from file to file.
        content = safetensors.numpy.save(arrays, metadata={"seepage": json.dumps(written)})
        self._write_bytes(self._file(key), content)

    def _write_bytes(self, path: Path, content: bytes, *, new: bool = False) -> None:
        try:
            make_folder(path.parent)
            with whole_file(path, new=new) as file:
                file.write(content)
        except FileExistsError:
            raise
        except OSError as error:
            advice = "free some space and run the same command again" if error.errno == errno.ENOSPC else "check it"
            raise StorageError(
                f"cannot write {path}: {error.strerror}; everything committed before is kept, {advice}"
            ) from None


def _read(path: Path, key: str) -> Content:
    try:
        return _content(path, key)
    except (OSError, _Damaged) as error:
        raise StorageError(
            f"{path} cannot be used ({error}): run the same command again, and it is made anew"
        ) from None


def _find(
    path: Path, key: str, like: Like | None, about: Mapping[str, Any], numbers: Mapping[str, type]
) -> Content | None:
    try:
        found = _content(path, key)
        if like is not None:
            _compare({name: (str(array.dtype), array.shape) for name, array in found.arrays.items()}, like)
        if differ := [name for name in about if found.about.get(name) != about[name]]:
            raise _Damaged(f"it was written for other {', '.join(differ)}")
        for name, kind in numbers.items():
            value = found.about.get(name)
            if value is None or type(value) not in (int, kind) or not 0 <= value < _LARGEST:
                raise _Damaged(f"'{name}' is said to be {value!r:.40}, expected {kind.__name__} >= 0")
        return found
    except FileNotFoundError:
        return None
    except (OSError, _Damaged) as error:
        warn_damaged(f"{path} cannot be used ({error}): it is made again")
        return None


class _Damaged(Exception):
    """What is wrong with a file."""


def _content(path: Path, key: str) -> Content:
    """The arrays of a file and what was said about them, once its key and checksum are found right."""
    check_place(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            written = json.loads((file.metadata() or {}).get("seepage", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever the reader makes of bytes that are not its own
        raise _Damaged(
            f"not sound safetensors: {str(error).splitlines()[0][:200] if str(error) else error!r}"
        ) from None
    if not isinstance(written, dict) or not isinstance(written.get("about"), dict) or "sha256" not in written:
        raise _Damaged("it has no checksum, as files of other versions")
    if written.get("key") != key:
        raise _Damaged("it belongs in another place: its key is another one")
    if written["sha256"] != payload_digest(key, written["about"], arrays):
        raise _Damaged("its content does not have the checksum that was written with it")
    return Content(arrays, written["about"])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _compare(found: Like, like: Like) -> None:
    def fits(shape: tuple, wanted: tuple) -> bool:
        return len(shape) == len(wanted) and all(w in (None, n) for n, w in zip(shape, wanted, strict=True))

    if found.keys() != like.keys():
        raise _Damaged(f"it holds the arrays {', '.join(sorted(found))[:80]}, expected {', '.join(sorted(like))[:80]}")
    for name, (dtype, shape) in like.items():
        if found[name][0] != dtype or not fits(found[name][1], shape):
            raise _Damaged(f"'{name}' is {found[name][0]} of shape {found[name][1]}, expected {dtype} of {shape}")


def run_status(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """How far the parts of an audit, or of the audits of a comparison, in `folder` are: name, engine, models, done.

    Raises:
        StorageError: a manifest is not what was written.
    """
    rows, folder = [], Path(folder)
    of_audits = [*folder.glob("run/*/manifest.json"), *folder.glob("*/*/run/*/manifest.json")]
    for manifest in sorted(of_audits):
        run = Store(manifest.parent)
        content = run.manifest()
        if content is None:
            continue
        rows.append(
            {
                "name": "/".join(part for part in manifest.parent.relative_to(folder).parts if part != "run"),
                "engine": content.plan.engine,
                "models": sum(len(unit.models) for unit in content.units),
                "done": sum(len(unit.models) for unit in content.units if run.has(unit.key)),
            }
        )
    return rows


def n_units(folder: str | os.PathLike) -> int:
    """How many units lie in a run's folder."""
    return sum(1 for _ in Path(folder).glob("units/*.safetensors"))
