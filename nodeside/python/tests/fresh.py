"""Running deploy.py as a script of its own, and importing troops anew."""

import importlib
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class FreshModule(unittest.TestCase):
    """Gives each test a module without any role, on a host named web-1.example.com."""

    def setUp(self):
        self.environ("TROOPS_HOSTNAME", "web-1.example.com")
        self.troops = fresh_import()

    def environ(self, name, value):
        """Set a variable, or remove it where value is None, until the test ends."""
        old = os.environ.get(name)
        self.addCleanup(put, name, old)
        put(name, value)


def put(name, value):
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def fresh_import():
    for name in [n for n in sys.modules if n.partition(".")[0] == "troops"]:
        del sys.modules[name]
    return importlib.import_module("troops")


class Scripts(unittest.TestCase):
    """Runs deploy.py in a directory of its own, in an interpreter of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = directory.name

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        return path

    def read(self, name):
        with open(os.path.join(self.dir, name), encoding="utf-8") as file:
            return file.read()

    def run_script(self, *args, cwd=None, **env):
        """Run python with args; return (exit code, stdout, stderr)."""
        full = {k: v for k, v in os.environ.items() if not k.startswith("TROOPS_")}
        full.update(env, PYTHONPATH=HERE)
        done = subprocess.run(
            [sys.executable] + list(args),
            cwd=cwd or self.dir,
            env=full,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        return done.returncode, done.stdout, done.stderr
