"""Files that are written whole or not at all, in folders that are their owner's alone, and known again when read."""

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from seepage.errors import StorageError

OLD_S = 3600.0  # a part that nothing was written to for so long has no writer any more
_PART = re.compile(r".+\.[\w-]+-\d+-[0-9a-f]{8}\.part")


class DamagedFile(UserWarning):
    """A file of a run is not what was written; it is made again."""


@contextmanager
def whole_file(
    path: str | os.PathLike,
    *,
    private: bool = True,
    new: bool = False,
    encoding: str | None = None,
    newline: str | None = None,
) -> Iterator[IO[Any]]:
    """A file to write to, which takes its name when the block ends and vanishes when that fails.

    Several processes or machines may write the same file at once: each writes a part of its own, and the last that
    ends is what stays.

    Args:
        path: its name; the folder must be there.
        private: only its owner may read it (mode 0600); otherwise whoever the umask allows.
        new: leave a file that is there as it is.
        encoding, newline: of a text file; without an encoding, bytes are written.

    Raises:
        FileExistsError: with `new`, the file is there.
        StorageError: a folder stands there.
        OSError: it cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        check_place(path)
    host = re.sub(r"[^\w-]", "-", socket.gethostname(), flags=re.ASCII)[:40] or "host"
    part = path.with_name(f"{path.name}.{host}-{os.getpid()}-{secrets.token_hex(4)}.part")
    mode = 0o600 if private else 0o666
    try:
        # "x": a file or a link that stands there already is never written through.
        with open(
            part,
            "xb" if encoding is None else "x",
            encoding=encoding,
            newline=newline,
            opener=lambda name, flags: os.open(name, flags, mode),
        ) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if new:
            _name_new(part, path)
        else:
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _name_new(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError as error:
        if path.exists():
            raise FileExistsError(error.errno, "it is there", str(path)) from None
        os.replace(part, path)  # a file system without hard links


def make_folder(path: str | os.PathLike) -> None:
    """Make a folder, and those above it that are missing, for their owner alone (mode 0700); others stay as they are.

    Raises:
        StorageError: something that is no folder stands there.
        OSError: it cannot be made.
    """
    path = Path(path)
    if path.is_symlink() or path.exists():
        if path.is_dir():
            return
        raise StorageError(
            f"cannot write to {path}: it is no folder, and one belongs there: delete it, or choose another place"
        )
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def sweep(folder: str | os.PathLike) -> None:
    """Delete what killed writers left in a folder an hour ago or earlier: parts of `whole_file`, nothing else."""
    for part in Path(folder).glob("*.part"):
        try:
            if _PART.fullmatch(part.name) and time.time() - part.lstat().st_mtime > OLD_S:
                part.unlink()
        except OSError:
            continue  # another process was faster, or it is somebody else's


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of this process, gone when the block ends; those of processes that were killed are deleted first.

    Its name says where and by which process it was made, because nobody else can tell whether that one is still there.
    """
    place, beginning = Path(tempfile.gettempdir()), f"seepage-run-{_here()}-"
    for left in place.glob(f"{beginning}*") if hasattr(os, "getuid") else ():  # elsewhere kill(process, 0) kills
        made_by = re.fullmatch(r"([0-9]{1,9})-\w+", left.name.removeprefix(beginning))
        try:
            is_ours = stat.S_ISDIR(left.lstat().st_mode) and left.lstat().st_uid == os.getuid()
            if made_by and is_ours and not _is_running(int(made_by[1])):
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # another process was faster
    with tempfile.TemporaryDirectory(prefix=f"{beginning}{os.getpid()}-") as path:
        yield Path(path)


def _here() -> str:
    """Where a process number means what it means here: this host and, in a container, its own numbering."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{socket.gethostname()} {numbering}".encode()).hexdigest()[:12]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's has the number now
    return True


def check_place(path: str | os.PathLike) -> None:
    """Check that where a file belongs stands one, or nothing: a pipe would never end, a folder cannot be replaced.

    A link to a file is one.

    Raises:
        StorageError: something else stands there.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.is_symlink():
            return
        what = "a link to nothing"
    except OSError as error:
        what = f"something unreadable ({error.strerror})"
    else:
        if stat.S_ISREG(mode):
            return
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a device or a socket"
    raise StorageError(f"{what} stands at {path}, where a file belongs: delete it, then run the same command again")


def read_bytes(path: str | os.PathLike, most: int) -> bytes:
    """What a file of a run holds.

    Args:
        most: bytes that such a file may have.

    Raises:
        StorageError: it has more, or is no file.
        OSError: it is not there, or cannot be read.
    """
    check_place(path)
    with Path(path).open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise StorageError(f"{path} has more than {most:,} bytes, which no such file has: delete it, then start again")
    return content


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        StorageError: it is no file.
        OSError: it is not there, or cannot be read.
    """
    check_place(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def payload_digest(key: str, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of all that a file holds: key, what was said about it, names, dtypes, shapes and bytes."""
    shapes = [[name, str(arrays[name].dtype), list(arrays[name].shape)] for name in sorted(arrays)]
    found = hashlib.sha256(json.dumps([key, dict(about), shapes], sort_keys=True).encode())
    for name, _, _ in shapes:
        found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()


def warn_damaged(message: str) -> None:
    # Explicitly: one line, without a place in this package's code, and as often as it happens.
    warnings.warn_explicit(message, DamagedFile, filename="seepage", lineno=0)
