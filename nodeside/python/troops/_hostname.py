"""This machine's fully qualified name, without waiting for a broken resolver."""

import socket
import threading
from typing import Dict, Iterator, List

# How long name resolution may take, in seconds. glibc waits 10 s and more for a
# name server that does not answer; a host name is not worth that.
RESOLVE_TIMEOUT = 3.0

_known: Dict[str, str] = {}


def fully_qualified() -> str:
    """Return socket.gethostname(), with its domain where that can be found out.

    Never raises, and takes at most RESOLVE_TIMEOUT seconds. A name is found out
    once: later calls return the same.
    """
    short = socket.gethostname()
    if "." in short:
        return short
    if short not in _known:
        _known[short] = _resolve(short)
    return _known[short]


def _resolve(short: str) -> str:
    found: List[str] = []

    def look() -> None:
        for name in _candidates(short):
            # A name that does not begin with the host's own (localhost, a load
            # balancer's, the provider's) is another thing's name.
            if name.lower().startswith(short.lower() + "."):
                found.append(name.rstrip("."))
                return

    # A daemon thread is the one way to leave a getaddrinfo that does not return.
    thread = threading.Thread(target=look, name="troops-hostname", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads
        return short
    thread.join(RESOLVE_TIMEOUT)
    return found[0] if found else short


def _candidates(short: str) -> Iterator[str]:
    """Yield the names that the resolver has for this machine, the best first."""
    try:
        for info in socket.getaddrinfo(short, None, flags=socket.AI_CANONNAME):
            yield info[3]
    except (OSError, UnicodeError):
        pass
    try:
        name, aliases, _ = socket.gethostbyaddr(short)
    except (OSError, UnicodeError):
        return
    yield name
    yield from aliases
