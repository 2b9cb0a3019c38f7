"""Closes the network to the interpreter that loads it: to call, to listen and to look up a name are errors.

The tests load it into their own process, and put its folder on the path of every interpreter that they start: Python
imports a module of this name before anything else. An audit hook cannot be taken out again, so it asks `opened`.
"""

import sys

LOOPBACK = ("127.0.0.1", "::1")
CALLS = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}

opened: set[str] = set()  # "everything" in slow tests, "loopback" in tests that serve to themselves


class NetworkBlocked(RuntimeError):
    """No OSError, which code that can do without a network would catch."""


def _watch(event: str, arguments: tuple) -> None:
    if event in CALLS:
        socket, address = arguments
        if socket.family == 1 or address is None:  # AF_UNIX never leaves the machine; None: it is connected already
            return
        host = address[0] if isinstance(address, tuple) else address
    elif event in LOOKUPS:
        host = arguments[0]
    else:
        return
    if "everything" in opened or ("loopback" in opened and host in LOOPBACK):
        return
    raise NetworkBlocked(
        f"{event} to {host!r}: a fast test may not use the network; write the file that it needs into tmp_path, or "
        "mark the test slow"
    )


sys.addaudithook(_watch)
