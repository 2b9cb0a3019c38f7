"""Files are whole or not at all, their owner's alone, and their parts are swept when nobody writes them any more."""

import errno
import hashlib
import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from seepage.errors import StorageError
from seepage.writing import (
    OLD_S,
    check_place,
    file_digest,
    make_folder,
    read_bytes,
    sweep,
    temporary_folder,
    whole_file,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def write(path, content, **options):
    with whole_file(path, **options) as file:
        file.write(content)


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    with whole_file(path) as file:
        file.write(b"content")
        assert not path.exists()
        assert len(list(tmp_path.iterdir())) == 1
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"content")]
    write(path, "d\u00e9j\u00e0\r\n", encoding="utf-8", newline="")
    assert path.read_bytes() == b"d\xc3\xa9j\xc3\xa0\r\n"


def test_what_fails_leaves_nothing_and_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(path, b"before")
    with pytest.raises(TypeError):
        write(path, "no bytes")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(OSError, match="No space"):
            write(path, b"after")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"before")]


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, "No space left")


def test_many_writers_of_one_file_do_not_meet(tmp_path):
    path, failed, ready = tmp_path / "file", [], threading.Barrier(8)

    def one(number):
        ready.wait()
        try:
            for _ in range(20):
                write(path, bytes([number]) * 10_000)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    content = path.read_bytes()
    assert content == content[:1] * 10_000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_new_file_is_written_by_one_alone(tmp_path, monkeypatch, links):
    if not links:

        def link(*arguments):
            raise OSError(errno.EPERM, "not on this file system")

        monkeypatch.setattr(os, "link", link)
    path = tmp_path / "file"
    write(path, b"first", new=True)
    with pytest.raises(FileExistsError):
        write(path, b"second", new=True)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"first")]


def test_files_and_folders_are_their_owner_s_alone(tmp_path):
    before = os.umask(0o022)
    try:
        make_folder(tmp_path / "a" / "b")
        write(tmp_path / "a" / "mine", b"")
        write(tmp_path / "a" / "everybody's", b"", private=False)
        (tmp_path / "theirs").mkdir(mode=0o755)
        make_folder(tmp_path / "theirs" / "c")
        make_folder(tmp_path / "theirs")
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("a", "a/b", "theirs/c", "theirs")] == [0o700, 0o700, 0o700, 0o755]
    assert [mode(tmp_path / "a" / name) for name in ("mine", "everybody's")] == [0o600, 0o644]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(StorageError, match=r"file: it is no folder, and one belongs there: delete it"):
            make_folder(path)


def links_to_nothing(path):
    path.symlink_to(path.with_name("nowhere"))


def links_to_zeros(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("put", "what"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a pipe, a device or a socket"),
        (links_to_zeros, "a pipe, a device or a socket"),
        (links_to_nothing, "a link to nothing"),
    ],
)
def test_what_is_no_file_is_named_and_never_opened(tmp_path, put, what):
    put(tmp_path / "it")
    for read in (check_place, file_digest, lambda path: read_bytes(path, 10)):
        with pytest.raises(StorageError, match=f"^{what} stands at .*it, where a file belongs: delete it, then run"):
            read(tmp_path / "it")


def test_a_file_or_a_link_to_one_is_read_up_to_its_bound(tmp_path):
    write(tmp_path / "file", b"0123456789")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        assert read_bytes(tmp_path / name, 10) == b"0123456789"
        assert file_digest(tmp_path / name) == hashlib.sha256(b"0123456789").hexdigest()
        with pytest.raises(StorageError, match="more than 9 bytes"):
            read_bytes(tmp_path / name, 9)
    check_place(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "nothing", 9)


def test_a_folder_is_not_written_over(tmp_path):
    (tmp_path / "it").mkdir()
    with pytest.raises(StorageError, match="a folder stands at"):
        write(tmp_path / "it", b"")
    assert [one.name for one in tmp_path.iterdir()] == ["it"]


def test_parts_are_swept_when_they_are_old_and_nothing_else_is(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(os, "replace", lambda part, path: names.append(os.path.basename(part)) or full_disk())
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "result.json", b"")
    part = names[0]
    for name, age in (
        (part, OLD_S + 60),
        (f"other-{part}", OLD_S - 60),
        ("film.mp4.part", 10 * OLD_S),
        ("result.json", 10 * OLD_S),
    ):
        (tmp_path / name).write_text("")
        when = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (when, when))
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"other-{part}", "film.mp4.part", "result.json"}
    sweep(tmp_path / "nothing")


def test_temporary_folders_of_killed_processes_are_swept_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = """
    import os, signal
    from seepage.writing import temporary_folder
    with temporary_folder() as folder:
        (folder / "units").mkdir()
        (folder / "units" / "answers").write_text("x")
        print(folder.name, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    where = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=where, stdout=subprocess.PIPE, text=True, check=False
    )
    killed = done.stdout.strip()
    assert (tmp_path / killed / "units" / "answers").exists()
    dead = re.fullmatch(r"seepage-run-(\w+)-(\d+)-\w+", killed)
    others = [
        tmp_path / f"seepage-run-{dead[1]}-{os.getpid()}-running",
        tmp_path / f"seepage-run-{'0' * 12}-{dead[2]}-elsewhere",
        tmp_path / f"seepage-run-{dead[1]}-notes",
        tmp_path / "seepage-run-mine",
    ]
    for other in others:
        other.mkdir()
    link = tmp_path / f"seepage-run-{dead[1]}-{dead[2]}-link"
    link.symlink_to(others[-1])
    file = tmp_path / f"seepage-run-{dead[1]}-{dead[2]}-file"
    file.write_text("")
    with temporary_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([*others, link, file, folder])
        assert mode(folder) == 0o700
    assert sorted(tmp_path.iterdir()) == sorted([*others, link, file])
