"""Runs each DIRECTORY/case/deploy.py for real, as if on a host: a list of {"case", "host"}
on standard input, the same with "roles" (active at the end) or "error" on standard output.
Each run is a process of its own."""

import importlib.abc
import importlib.machinery
import io
import json
import os
import runpy
import sys
import traceback
import types
from unittest import mock


def name_part(h):
    h = h.rpartition("@")[2]
    return h[1:].partition("]")[0] if h.startswith("[") else h.partition(":")[0]


class Mocks(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return mock.MagicMock(__path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


def make_troops(host):
    troops = types.ModuleType("troops")
    troops.roles = set()
    troops.all_roles = {}
    troops.hostname = lambda: host
    troops.have_role = lambda role: role in troops.roles
    troops.activate_role = lambda role: troops.roles.add(role)

    def define_role(role, hosts=()):
        hosts = list(hosts)
        troops.all_roles.setdefault(role, set()).update(hosts)
        if host in map(name_part, hosts):
            troops.roles.add(role)

    def deployable(roles=None):
        def decorate(f):
            if roles is None or any(r in troops.roles for r in roles):
                f()
            return f
        return decorate

    def check(roles=None):
        return roles if callable(roles) else lambda f: f

    troops.define_role, troops.deployable, troops.check = define_role, deployable, check
    return troops


def run(directory, host, toml):
    """The roles that end up active."""
    troops = sys.modules["troops"] = make_troops(host)
    sys.meta_path.append(Mocks())
    sys.path[0] = directory
    os.chdir(directory)
    for role, hosts in toml.items():
        troops.define_role(role, hosts)
    sys.stdout = io.StringIO()
    try:
        runpy.run_path("deploy.py", run_name="__main__")
    except SystemExit:
        pass
    return sorted(troops.roles)


def run_apart(task):
    """run in a process of its own."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            task["roles"] = run(os.path.join(sys.argv[1], task["case"]), task["host"], task["toml"])
        except BaseException:
            task["error"] = traceback.format_exc()
        with os.fdopen(w, "w") as f:
            json.dump(task, f)
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        answer = json.load(f)
    os.waitpid(pid, 0)
    return answer


json.dump([run_apart(task) for task in json.load(sys.stdin)], sys.stdout)
