"""The machine's name, with resolvers of every kind."""

import socket
import threading
from unittest import mock

from .fresh import FreshModule


def canonical(*names):
    return mock.patch.object(
        socket, "getaddrinfo", lambda *a, **k: [(0, 0, 0, name, ()) for name in names]
    )


def reverse(name, aliases=()):
    return mock.patch.object(socket, "gethostbyaddr", lambda h: (name, list(aliases), []))


def called(name):
    return mock.patch.object(socket, "gethostname", lambda: name)


def failing(function):
    def fail(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    return mock.patch.object(socket, function, fail)


class Hostname(FreshModule):
    def test_the_node_decides(self):
        self.assertEqual(self.troops.hostname(), "web-1.example.com")

    def test_looked_up(self):
        cases = [
            ("canonical", canonical("box.example.com", ""), reverse("no"), "box.example.com"),
            ("case", canonical("Box.Example.com"), reverse("no"), "Box.Example.com"),
            ("root dot", canonical("box.example.com."), reverse("no"), "box.example.com"),
            ("reverse", canonical("box"), reverse("box.example.com"), "box.example.com"),
            ("alias", canonical("box"), reverse("box", ["box.lan"]), "box.lan"),
            ("localhost", canonical("localhost"), reverse("localhost.localdomain"), "box"),
            ("another's name", canonical("boxer.example.com"), reverse("ec2.aws.com"), "box"),
            ("nothing", failing("getaddrinfo"), failing("gethostbyaddr"), "box"),
            ("one fails", failing("getaddrinfo"), reverse("box.lan"), "box.lan"),
        ]
        for what, forward, backward, want in cases:
            self.setUp()
            self.environ("TROOPS_HOSTNAME", None)
            with called("box"), forward, backward:
                self.assertEqual(self.troops.hostname(), want, what)

    def test_qualified_already(self):
        self.environ("TROOPS_HOSTNAME", "")
        with called("box.example.com"), failing("getaddrinfo"), failing("gethostbyaddr"):
            self.assertEqual(self.troops.hostname(), "box.example.com")

    def test_resolver_that_hangs(self):
        release = threading.Event()
        self.addCleanup(release.set)
        self.environ("TROOPS_HOSTNAME", None)
        hang = mock.patch.object(socket, "getaddrinfo", lambda *a, **k: release.wait() and [])
        with called("box"), hang, failing("gethostbyaddr"):
            with mock.patch.object(self.troops._hostname, "RESOLVE_TIMEOUT", 0.01):
                self.assertEqual(self.troops.hostname(), "box")

    def test_asked_once(self):
        self.environ("TROOPS_HOSTNAME", None)
        with called("box"), canonical("box.lan"), reverse("no"):
            self.troops.hostname()
        with called("box"), failing("getaddrinfo"), failing("gethostbyaddr"):
            self.assertEqual(self.troops.hostname(), "box.lan")

    def test_no_threads_left(self):
        self.environ("TROOPS_HOSTNAME", None)

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        with called("box"), mock.patch.object(threading.Thread, "start", refuse):
            self.assertEqual(self.troops.hostname(), "box")
