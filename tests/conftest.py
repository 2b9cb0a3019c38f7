"""A fast test needs nothing of its machine: no data cache, no network, no terminal of a certain kind.

All of it is taken away around each test, before its fixtures of any scope are made. Slow tests keep what the user has.
Not reached: the child that opens model files (`models/sandbox.py`), which takes nothing from its parent's environment.

And every array is what its annotation says: see `shapes.py`.
"""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests import shapes
from tests.no_network import sitecustomize as network

shapes.check()  # before the first import of seepage

# Threads of several test processes that share the cores would wait for each other.
torch.set_num_threads(1)

# They decide how wide and in which colours is printed, and by which way a request leaves.
OF_THE_USER = (
    "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip


@contextmanager
def on_its_own() -> Iterator[None]:
    """An empty data cache and no network, for this process and for those that it starts."""
    guard = str(Path(network.__file__).parent)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="seepage-no-data-") as empty:
        for name in OF_THE_USER:
            patch.delenv(name, raising=False)
        patch.setenv("SEEPAGE_DATA", empty)
        # In both places: a worker gets its path from this process's, other children get it from the environment.
        patch.setenv("PYTHONPATH", guard, prepend=os.pathsep)
        patch.setattr(sys, "path", [guard, *sys.path])
        # A run that was started with `&` ignores Ctrl-C, and so would the children to which tests send one.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def as_the_user_is() -> Iterator[None]:
    """The user's data cache and network."""
    network.opened.add("everything")
    try:
        yield
    finally:
        network.opened.discard("everything")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    # Not in the environment of the whole session: the processes of pytest-xdist run slow tests too.
    with as_the_user_is() if item.get_closest_marker("slow") else on_its_own():
        return (yield)


@pytest.fixture
def wrong_shapes() -> Iterator[None]:
    """For a test that gives arrays of a wrong shape or dtype, to see what a function itself says to its user."""
    with shapes.unchecked():
        yield


@pytest.fixture
def loopback() -> Iterator[None]:
    """For a test that cannot do without a server of its own on 127.0.0.1; not for its child processes."""
    network.opened.add("loopback")
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            pass
    except OSError as error:
        network.opened.discard("loopback")
        pytest.skip(f"this machine cannot reach itself: {error}")
    try:
        yield
    finally:
        network.opened.discard("loopback")
