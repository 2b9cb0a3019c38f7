"""The cache of original data files: DIR/<set>/<the original distribution's file names>.

DIR is `cache=`, else the environment's SEEPAGE_DATA, else ~/.cache/seepage. A file is checked against its
published checksum when it is first used or has changed since; a file that is not there is downloaded from
its canonical source.
"""

import gzip
import hashlib
import json
import os
import re
import secrets
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from seepage.errors import DataFileError, SeepageError, StorageError
from seepage.writing import whole_file

CHUNK_BYTES = 2**20
MAX_UNPACKED_BYTES = 4 * 2**30  # several times the largest file known here; a bomb is far above
MAX_BYTES = 32 * 2**30  # that are read at once
if hasattr(os, "sysconf"):  # more than half of this machine's memory could not be held, and worked on, anyway
    MAX_BYTES = min(MAX_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
STAMPS = ".verified.json"


@dataclass(frozen=True)
class Original:
    """One file of a data set as its makers distribute it.

    Args:
        path: its name under DIR/<set>/.
        urls: where it can be downloaded, the canonical source first; none for a member of an archive.
        checksum: "sha256:...", "md5:..." or "git-blob:..." (the SHA-1 by which git, and so GitHub, lists a
            file), of the unzipped contents where `gzipped`. None where nobody has published one: the
            SHA-256 of the first use is then recorded and a later change is an error.
        gzipped: it may lie there with ".gz" after its name, and is downloaded so.
    """

    path: str
    urls: tuple[str, ...] = ()
    checksum: str | None = None
    gzipped: bool = False


@dataclass(frozen=True)
class Folder:
    """DIR/<set>: finds, downloads, verifies and unpacks the originals of one data set."""

    path: Path
    verify: bool = True

    def locate(self, original: Original) -> Path:
        """The verified file, downloaded if it is not there.

        Raises:
            DataFileError: it cannot be had, or its contents are not what the checksum says.
        """
        path = self._there(original) or self._download(original)
        self._verify(path, original)
        return path

    def unpack(self, archive: Original, members: Sequence[Original]) -> list[Path]:
        """The verified members of a tar archive as files of their own, unpacked if one is not there."""
        missing = [member.path for member in members if self._there(member) is None]
        if missing:
            for name, file in tar_members(self.locate(archive), missing):
                self._write(self.path / name, iter(lambda file=file: file.read(CHUNK_BYTES), b""))
        for member in members:
            self._verify(self.path / member.path, member)
        return [self.path / member.path for member in members]

    def parsed(self, source: Original, parse: Callable[[Path], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        """`parse(file)`, kept beside the original as memory-mapped arrays where parsing takes seconds."""
        path = self.locate(source)
        key = self._stamps().get(path.name, {}).get("sha256") if self.verify else None
        if key is None:  # not verified, or a cache that cannot be written: nothing says what a kept copy is of
            return parse(path)
        index = self.path / f"parsed-{key[:16]}.json"
        try:
            with reading(index):
                kept = [Original(f"parsed-{key[:16]}-{k}.npy", checksum=c) for k, c in enumerate(_checksums(index))]
                for copy in kept:
                    self._verify(self.path / copy.path, copy)
                return tuple(np.load(self.path / copy.path, mmap_mode="c", allow_pickle=False) for copy in kept)
        except DataFileError:
            pass  # not parsed yet, a half-written copy, or one that has changed: parse again
        arrays, checksums = parse(path), []
        try:
            for k, array in enumerate(arrays):
                copy = self.path / f"parsed-{key[:16]}-{k}.npy"
                with whole_file(copy, private=False) as file:
                    np.save(file, array, allow_pickle=False)
                with open(copy, "rb") as file:
                    checksums.append(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
            self._write(index, [json.dumps(checksums).encode()])
        except (OSError, StorageError):
            pass  # no room to keep it: the arrays are still right
        return arrays

    def _there(self, original: Original) -> Path | None:
        names = (original.path, original.path + ".gz") if original.gzipped else (original.path,)
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    def _verify(self, path: Path, original: Original) -> None:
        """Check a file in place, once for each content: its size and time are stamped with its digest."""
        if not self.verify:
            return
        status = path.stat()
        now = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "checksum": original.checksum}
        stamps = self._stamps()
        key = path.relative_to(self.path).as_posix()
        stamp = stamps.get(key, {})
        if now.items() <= stamp.items():
            return
        recorded = f"sha256:{stamp['sha256']}" if original.checksum is None and "sha256" in stamp else None
        stamps[key] = now | {"sha256": _checked_digest(path, original, recorded)}
        with suppress(StorageError):  # a shared cache that only others may write: verified again next time
            self._write(self.path / STAMPS, [json.dumps(stamps, indent=1).encode()])

    def _stamps(self) -> dict:
        try:
            stamps = json.loads((self.path / STAMPS).read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        stamps = stamps if isinstance(stamps, dict) else {}
        return {
            key: stamp
            for key, stamp in stamps.items()
            if isinstance(stamp, dict) and isinstance(stamp.get("sha256"), str)
        }

    def _download(self, original: Original) -> Path:
        import pooch

        name = original.path + ".gz" if original.gzipped else original.path
        path = self.path / name
        pooch.get_logger().setLevel("WARNING")
        reasons = []
        for url in original.urls:
            part = f".{os.getpid()}-{secrets.token_hex(4)}.part.{path.name}"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with _ProgressBar(path.name) as bar:
                    downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16, timeout=30)
                    pooch.retrieve(url, known_hash=None, fname=part, path=path.parent, downloader=downloader)
                if self.verify:
                    _checked_digest(path.parent / part, original)
                os.replace(path.parent / part, path)
                return path
            except (OSError, ValueError, DataFileError) as error:
                reasons.append(f"{url}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            finally:
                (path.parent / part).unlink(missing_ok=True)
        tried = f" and could not be downloaded ({'; '.join(reasons)})" if reasons else ""
        source = f"put the file from {original.urls[0]} there" if original.urls else "put the original there"
        raise DataFileError(f"{path} is not there{tried}: {source}, or name another folder in SEEPAGE_DATA")

    def _write(self, path: Path, chunks: Iterable[bytes]) -> None:
        """Write a file in one atomic step."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path, private=False) as file:
                for chunk in chunks:
                    file.write(chunk)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from None


def _checksums(index: Path) -> list[str]:
    checksums = json.loads(index.read_text())
    if not isinstance(checksums, list) or not all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in checksums):
        raise ValueError("expected a list of checksums")
    return checksums


def cache_folder(cache: str | os.PathLike | None = None) -> Path:
    """DIR of the cache's layout: `cache`, else SEEPAGE_DATA, else ~/.cache/seepage."""
    return Path(cache or os.environ.get("SEEPAGE_DATA") or "~/.cache/seepage").expanduser()


def tar_members(path: Path, names: Sequence[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Each named regular file in a tar archive, in one pass, to be read before the next is asked for.

    Raises:
        DataFileError: the archive is damaged or lacks a member.
    """
    left = set(names)
    with reading(path), tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name in left and member.isfile() and (file := archive.extractfile(member)) is not None:
                if member.size > MAX_UNPACKED_BYTES:
                    raise DataFileError(f"{path}: '{name}' unpacks to {member.size / 2**30:.3g} GiB; it is not used")
                left.discard(name)
                yield name, file
            if not left:
                return
        raise DataFileError(f"{path} lacks {', '.join(sorted(left))}: it is not the original archive")


@contextmanager
def reading(path: str | os.PathLike, kind: str | None = None) -> Iterator[None]:
    """Turn what goes wrong inside a damaged file into one sentence that names the file.

    A library that reads a file made to mislead it can raise anything, running out of memory or of stack too, so
    anything is caught: put no more than the reading itself in here.

    Args:
        kind: of file that was expected, such as ".npz".
    """
    try:
        yield
    except SeepageError:
        raise
    except FileNotFoundError:
        raise DataFileError(f"there is no file {path}") from None
    except Exception as error:
        fault = f"is not a usable {kind} file" if kind else "cannot be read"
        raise DataFileError(f"{path} {fault}: {_reason(error)}") from None


def check_size(path: Path, n_bytes: int, max_bytes: int) -> None:
    """Refuse contents that are larger than what is read at once.

    Raises:
        DataFileError: they are.
    """
    if n_bytes > max_bytes:
        raise DataFileError(
            f"{path} holds {n_bytes / 2**30:.3g} GiB, more than the {max_bytes / 2**30:.3g} GiB that are read at "
            f"once: give max_bytes= if that is right"
        )


def _reason(error: Exception) -> str:
    """An error of another library in one sentence."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    text = said.splitlines()[0].rstrip(".")
    if "allow_pickle" in text or "Python objects" in text:
        return "it holds Python objects, which could run code when opened; save plain arrays instead"
    if isinstance(error, MemoryError):
        return "what it holds, or promises to, does not fit into memory"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    is_bare = type(error).__module__ == "builtins" and not isinstance(error, OSError | ValueError | RuntimeError)
    return f"{type(error).__name__}: {text}" if is_bare else text  # KeyError: 'x' alone says nothing


def _checked_digest(path: Path, original: Original, recorded: str | None = None) -> str:
    """The SHA-256 of the contents, which must have the published (or else the recorded) checksum."""
    expected = original.checksum or recorded
    algorithm = expected.partition(":")[0] if expected else "sha256"
    hashers = {"sha256": hashlib.sha256()}
    if algorithm == "git-blob":
        hashers[algorithm] = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    elif algorithm != "sha256":
        hashers[algorithm] = hashlib.new(algorithm, usedforsecurity=False)
    with reading(path), (gzip.open if path.name.endswith(".gz") and original.gzipped else open)(path, "rb") as file:
        n_bytes = 0
        while chunk := file.read(CHUNK_BYTES):
            n_bytes += len(chunk)
            if n_bytes > MAX_UNPACKED_BYTES:
                raise DataFileError(f"{path} unpacks to more than {MAX_UNPACKED_BYTES / 2**30:.3g} GiB; it is not used")
            for hasher in hashers.values():
                hasher.update(chunk)
    got = f"{algorithm}:{hashers[algorithm].hexdigest()}"
    if expected is not None and got != expected:
        why = "it has changed since its first use" if recorded else "it is damaged or not the original"
        source = f" from {original.urls[0]}" if original.urls else ""
        raise DataFileError(f"{path}: expected {expected}, got {got}: {why}; delete it and load again{source}")
    return hashers["sha256"].hexdigest()


class _ProgressBar:
    """What pooch asks of a progress bar, on rich."""

    def __init__(self, name: str):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(name, total=None)

    def __enter__(self) -> "_ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, n_bytes: int) -> None:
        self._progress.update(self._task, total=n_bytes or None)

    def update(self, n_bytes: int) -> None:
        self._progress.advance(self._task, n_bytes)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()
