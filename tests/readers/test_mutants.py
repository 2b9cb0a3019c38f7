"""No damaged file does more than fail with one clear sentence, soon and in little memory."""

import hashlib
import resource
import signal
import time
import zlib
from collections import Counter

import numpy as np
import pytest

from seepage.data.cache import Folder, Original
from seepage.errors import MOST_CHARACTERS, DataFileError, SeepageError
from tests.readers.mutants import damaged
from tests.readers.samples import readers

MOST_SECONDS, MOST_MEMORY = 20, 2 * 2**30
NAMES = list(readers.__wrapped__(None))


class TooSlow(BaseException):
    """Past every `except Exception`."""


def alarm(*_):
    raise TooSlow


def check(reader, folder, seeds) -> tuple[Counter, float]:
    """How the mutants of one reader's file ended, and the longest time."""
    content, path = reader.content(), folder / reader.file
    path.write_bytes(content)
    reader.open(path)  # a sound file is read
    ends, slowest, before = Counter(), 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, alarm)
    try:
        for seed in seeds:
            rng = np.random.default_rng([zlib.crc32(reader.file.encode()), seed])
            path.write_bytes(reader.ways[seed % len(reader.ways)](content, rng))
            started = time.monotonic()
            signal.alarm(MOST_SECONDS)
            try:
                reader.open(path)
                ends["loads"] += 1
            except SeepageError as error:
                told = str(error)
                assert 0 < len(told) <= MOST_CHARACTERS
                assert all(character.isprintable() or character == "\n" for character in told), repr(told)
                ends[type(error).__name__] += 1
            except BaseException as error:
                raise AssertionError(f"{reader.file}, seed {seed}: {type(error).__name__}: {error}"[:1000]) from error
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.monotonic() - started)
    finally:
        signal.signal(signal.SIGALRM, previous)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MOST_MEMORY, f"{reader.file}: {grown / 2**20:.0f} MiB more"
    return ends, slowest


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("page")])
def test_a_few_mutants_of_every_file(name, tmp_path):
    reader = readers(tmp_path)[name]
    ends, _ = check(reader, tmp_path, range(max(2, round(6 * reader.share))))
    assert sum(ends.values()) >= 2


def is_at_hand(reader) -> bool:
    """Whether the package that writes such a file is installed."""
    try:
        return bool(reader.content())
    except pytest.skip.Exception:
        return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ten_thousand_mutants(tmp_path, capsys):
    table = {name: reader for name, reader in readers(tmp_path).items() if is_at_hand(reader)}
    each = 10_000 / sum(reader.share for reader in table.values())
    total = 0
    for name, reader in table.items():
        (folder := tmp_path / str(total)).mkdir()
        ends, slowest = check(reader, folder, range(1000, 1000 + int(np.ceil(each * reader.share))))
        total += sum(ends.values())
        with capsys.disabled():
            print(f"{name:20} {sum(ends.values()):5}  slowest {slowest:5.2f} s  {dict(ends)}", flush=True)
    assert total >= 10_000


def test_no_change_of_a_file_with_a_checksum_is_accepted(tmp_path):
    content = np.random.default_rng(0).bytes(3000)
    original = Original("archive", checksum=f"sha256:{hashlib.sha256(content).hexdigest()}")
    for seed in range(200):
        mutant = damaged(content, np.random.default_rng(seed))
        (tmp_path / "archive").write_bytes(mutant)
        if mutant != content:
            with pytest.raises(DataFileError, match="damaged or not the original"):
                Folder(tmp_path).locate(original)


def test_no_change_of_a_parsed_copy_is_accepted(tmp_path):
    (tmp_path / "archive").write_bytes(b"123")
    values = np.arange(100)
    folder, original = Folder(tmp_path), Original("archive")
    folder.parsed(original, lambda path: (values,))
    copy = next(tmp_path.glob("parsed-*.npy"))
    content = copy.read_bytes()
    for seed in range(100):
        copy.write_bytes(damaged(content, np.random.default_rng(seed)))
        np.testing.assert_array_equal(folder.parsed(original, lambda path: (values,))[0], values)
