"""A note beside finished files: which question they answer, and their checksums, so that they can be believed later."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from seepage.errors import StorageError
from seepage.runs.store import digest
from seepage.writing import check_place, file_digest, read_bytes, warn_damaged, whole_file

NOTE = "about.json"
MOST_BYTES = 2**16


def write_note(folder: Path, asked: str, names: Collection[str]) -> None:
    """Note that these files of a folder answer a question.

    Args:
        asked: a digest of all that the answer depends on.

    Raises:
        StorageError: a file cannot be read, or the note cannot be written.
    """
    note = folder / NOTE
    try:
        with whole_file(note, encoding="utf-8") as file:
            file.write(json.dumps(_noted(asked, {name: file_digest(folder / name) for name in names}), indent=1))
    except OSError as error:
        raise StorageError(f"cannot write {note}: {error.strerror}") from None


def remove_note(folder: Path) -> None:
    """From here on the folder may hold the answer to another question.

    Raises:
        StorageError: the note is there and cannot be removed.
    """
    try:
        (folder / NOTE).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write to the folder {folder}: {error.strerror}") from None


def is_answered(folder: Path, asked: str, names: Collection[str]) -> bool:
    """Whether a folder holds the answer to a question as it was written; what is damaged is named in a warning.

    Raises:
        StorageError: something that is no file stands in the place of one.
    """
    note = folder / NOTE
    for name in (NOTE, *names):
        check_place(folder / name)
    if not note.exists():
        return False
    try:
        about = json.loads(read_bytes(note, MOST_BYTES))
        if about != _noted(about["asked"], about["files"]) or set(about["files"]) != set(names):
            raise ValueError("its content does not have the checksum that was written with it")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        warn_damaged(f"{note} cannot be used ({str(error)[:200]}): what stands in {folder} is made again")
        return False
    if about["asked"] != asked:
        return False  # it answers another question, and this one takes its place
    for name, written in about["files"].items():
        try:
            why = None if file_digest(folder / name) == written else "it is not what was written"
        except OSError as error:
            why = error.strerror
        if why is not None:
            warn_damaged(f"{folder / name} cannot be used ({why}): it is made again")
            return False
    return True


def _noted(asked: str, files: Mapping[str, str]) -> dict[str, Any]:
    """What a note says: the question, the SHA-256 of each file of the answer, and that of all this."""
    return {"asked": asked, "files": dict(files), "sha256": digest([asked, dict(files)])}
