"""Compares the evaluator with Python on programs that are made at random.

differential.py PYEVAL FIRST COUNT: for each number, a program that defines and activates
roles under conditions on the host name, on roles, and on things the evaluator cannot know.
It runs for real on every host, several times with other answers to the unknown. Then, for
every host, in all runs: sure roles are active, and active roles are sure or maybe; and every
host that a run named was found, or the role is known to have unknown hosts."""

import glob
import os
import random
import sys
import types

sys.dont_write_bytecode = True

from generate import HOSTS, Gen  # noqa: E402

RUNS = 6


class Deadline(Exception):
    pass


def real(code, host, seed):
    """(active roles, named (role, host) pairs), or None where the run fails."""
    r = random.Random(seed)
    named = []
    troops, ext = types.ModuleType("troops"), types.ModuleType("ext")
    troops.roles = set()
    troops.hostname = lambda: host
    troops.have_role = lambda role: role in troops.roles
    troops.activate_role = lambda role: troops.roles.add(role)

    def define_role(role, hosts=()):
        named.extend((role, h) for h in hosts)
        if host in hosts:
            troops.roles.add(role)

    def risky():
        if r.random() < 0.5:
            raise r.choice([ValueError, KeyError])

    def take(x):
        if r.random() < 0.5:
            x.append(r.choice(HOSTS))
        if x and r.random() < 0.3:
            x.pop()

    troops.define_role = define_role
    ext.flag, ext.risky, ext.take = lambda k: r.random() < 0.5, risky, take
    ext.items = lambda: r.sample(HOSTS, r.randrange(4))
    sys.modules["troops"], sys.modules["ext"] = troops, ext
    steps = [0]

    def trace(frame, event, arg):
        steps[0] += 1
        if steps[0] > 20000:
            raise Deadline
        return trace

    sys.settrace(trace)
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit:
        pass
    except BaseException:
        return None
    finally:
        sys.settrace(None)
    return troops.roles, named


def check(names, seed, stats):
    """A text that says what is wrong, or None."""
    text = Gen(seed).program()
    source = names["Source"]({"deploy.py": "file"}, lambda path: text.encode())
    try:
        found = names["evaluate"](source, {h: [] for h in ()})
    except names["Limit"] as e:
        stats["limit"] += 1
        return None
    if found.errors:
        return "errors %s\n%s" % (found.errors, text)
    code = compile(text, "deploy.py", "exec")
    vague = {p["role"] for p in found.parts}
    for host in HOSTS:
        entry = found.hosts.get(host)
        for run in range(RUNS):
            got = real(code, host, (seed << 8) + run)
            if got is None:
                stats["failed"] += 1
                continue
            stats["runs"] += 1
            active, named = got
            for role, h in named:
                if h not in found.hosts and not vague & {"", role}:
                    return "%s: host %s of role %s was not found\n%s" % (host, h, role, text)
            if entry is None:
                continue
            sure, maybe = set(entry["roles"]), {p["role"] for p in entry["maybe"]}
            stats["exact" if not maybe else "vague"] += 1
            if not sure <= active or not ("" in maybe or active <= sure | maybe):
                return "%s: active %s, sure %s, maybe %s\n%s" % (host, sorted(active), sorted(sure), sorted(maybe), text)
    return None


def main():
    names = {}
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.py"))):
        with open(path) as f:
            exec(compile(f.read(), path, "exec"), names)
    sys.setrecursionlimit(30000)
    stats = dict.fromkeys(("limit", "failed", "runs", "exact", "vague"), 0)
    bad = 0
    for seed in range(int(sys.argv[2]), int(sys.argv[2]) + int(sys.argv[3])):
        wrong = check(names, seed, stats)
        if wrong:
            bad += 1
            if bad <= 3:
                print("program %d: %s" % (seed, wrong))
    print(stats, "wrong: %d" % bad)
    sys.exit(bad > 0)


main()
