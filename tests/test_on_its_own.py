"""What conftest.py takes away from fast tests is away: the network and the data cache, here and in child processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from seepage.data.cache import cache_folder
from seepage.errors import TrainingError
from seepage.runs import Processes
from tests.no_network.sitecustomize import NetworkBlocked

NOWHERE = "192.0.2.1"  # an address for documentation: where the guard is gone, nobody is called
CALL = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.connect(("{NOWHERE}", 9))
"""


@pytest.fixture
def datagram():
    """A socket that needs no answer to be connected: without the guard each use of it succeeds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        yield made


@pytest.mark.parametrize(
    "use",
    [
        lambda one: one.connect((NOWHERE, 9)),
        lambda one: one.connect(("127.0.0.1", 9)),
        lambda one: one.sendto(b"x", (NOWHERE, 9)),
        lambda one: one.bind(("127.0.0.1", 0)),
        lambda one: one.bind(("", 0)),
        lambda _: socket.getaddrinfo("localhost", 80),
        lambda _: socket.gethostbyname("localhost"),
        lambda _: requests.get(f"http://{NOWHERE}/", timeout=1),
        lambda _: requests.get("https://example.org/", timeout=1),
    ],
    ids=["call", "call self", "send", "listen", "listen to all", "look up", "look up v4", "http", "https"],
)
def test_a_fast_test_has_no_network(datagram, use):
    with pytest.raises(NetworkBlocked, match="a fast test may not use the network"):
        use(datagram)


def test_processes_of_one_machine_may_talk():
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(1) == b"x"


def test_a_test_that_says_so_may_serve_to_itself_alone(datagram, loopback):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    with pytest.raises(NetworkBlocked):
        datagram.connect((NOWHERE, 9))
    with pytest.raises(NetworkBlocked):
        datagram.bind(("0.0.0.0", 0))


def test_a_child_process_has_no_network():
    found = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True)
    assert found.returncode == 1
    assert "NetworkBlocked: socket.connect" in found.stderr


def test_a_worker_has_no_network_and_the_same_empty_cache():
    with pytest.raises(TrainingError, match=r"NetworkBlocked: socket\.connect"):
        dict(Processes(1).map(lambda unit, report: exec(CALL), [0], print))
    seen = dict(Processes(1).map(lambda unit, report: os.environ["SEEPAGE_DATA"], [0], print))
    assert seen == {0: str(cache_folder())}


def test_the_data_cache_is_an_empty_folder():
    assert cache_folder() == Path(os.environ["SEEPAGE_DATA"])
    assert list(cache_folder().iterdir()) == []


@pytest.mark.slow
def test_a_slow_test_has_the_data_cache_and_the_network_of_the_user():
    assert "seepage-no-data" not in str(cache_folder())
    with socket.create_server(("127.0.0.1", 0)):
        pass
    code = "import socket; socket.create_server(('127.0.0.1', 0)).close()"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
