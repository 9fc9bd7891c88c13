# The passes, and the conversation with troops: one JSON object a line. In: {"files": {path:
# mode}, "toml": {role: [hosts]}}. Out: {"get": path}, answered by {"text": base64}, any number
# of times; at last {"result": ...} or {"limit": problem}.

import base64
import json
import sys
import threading

MAX_HOSTS = 20000       # hosts that one repository names


class Interp(State, Ops, Text, Methods, Builtins, Exprs, Comprehensions, Stmts, Control, Calls, Imports, Troops):
    """One pass over deploy.py."""

    def __init__(self, source, host, toml):
        self.source = source
        self.file, self.scope = "deploy.py", None
        self.modules, self.calls, self.escaped = {}, [], set()
        self.errors, self.warnings = [], []
        self.imports = self.loop_forks = 0
        self.path_changed = False
        self.init_state()
        self.init_troops(host, toml)

    def start(self):
        """Parses deploy.py; returns its statements, or None where there are none."""
        module = Module("__main__", "deploy.py", False)
        self.scope = module.scope
        tree = self.source.parse("deploy.py")
        if isinstance(tree, dict):
            self.errors.append(tree)
            return None
        self.tops = {id(node): i for i, node in enumerate(tree.body)}
        module.scope.vars.update({"__name__": "__main__", "__doc__": None})
        return tree.body

    def run(self, body, start=0):
        """Evaluates the statements from start on."""
        module = self.scope.module
        try:
            self.block(body, start)
        except PyRaise as e:
            if not isinstance(e.exc, SystemExit) and e.node is not None:
                self.warnings.append(problem(self.file, e.node.lineno, "raises an exception here: what follows is not evaluated"))
        except (RecursionError, MemoryError):
            raise Limit("nested too deeply, or too large", self.file, 0)
        finally:
            self.scope, self.file, self.pending = module.scope, "deploy.py", None
            self.calls, self.ctx = [], []

    def maybe_roles(self):
        """Roles that may be active: problems with the role, or without for any role."""
        out, told = [], {}
        for host, role, file, line, why in self.named:
            if why is not None and role is not None and host_name(host) == self.host:
                told.setdefault(role, perhaps(host, role, file, line, why))
        for u in self.roles.rest:
            if u.weak and self.host is None:
                continue
            for role in [""] if u.alts is None else u.alts:
                p = told.get(role) or self.told.get((role or None, u.key())) or problem(
                    u.file, u.line, "it is not known whether the role is active: " + u.reason, role)
                if role not in self.roles.val and p not in out:
                    out.append(p)
        return out

    def sure_roles(self):
        return sorted(r for r in self.roles.val if isinstance(r, str))


def perhaps(host, role, file, line, why):
    text = "it is not known whether host %s is one of them: %s (%s:%d)" % ((host,) + tuple(why))
    return problem(file, line, text, role or "")


class Result:
    """What all passes together found."""

    def __init__(self):
        self.hosts, self.errors, self.warnings, self.parts, self.seen = {}, [], [], [], {}

    def take(self, interp):
        """Adds what a pass found, and returns the hosts that were new."""
        for mine, new in ((self.errors, interp.errors), (self.warnings, interp.warnings), (self.parts, interp.parts)):
            mine.extend(p for p in new if p not in mine)
        for role, place in interp.seen.items():
            self.seen.setdefault(role, place)
        fresh = []
        for host, role, file, line, why in interp.named:
            if host not in self.hosts:
                if len(self.hosts) >= MAX_HOSTS:
                    raise Limit("names more than %d hosts" % MAX_HOSTS, file, line)
                self.hosts[host] = {"roles": [], "maybe": [], "unsure": [], "places": [], "sure": False}
                fresh.append(host)
            entry = self.hosts[host]
            if [file, line] not in entry["places"]:
                entry["places"].append([file, line])
            if why is None:
                entry["sure"] = True
            else:
                p = perhaps(host, role, file, line, why)
                if p not in entry["unsure"]:
                    entry["unsure"].append(p)
        return fresh

    def settle(self, host, roles, maybe, places):
        entry = self.hosts[host]
        entry["roles"], entry["maybe"] = roles, maybe
        entry["places"] += [p for p in places if p not in entry["places"]]


def evaluate(source, toml):
    result = Result()
    first = Interp(source, None, toml)
    body = first.start() or []
    first.run(body)
    todo = result.take(first)
    for hosts in toml.values():
        for h in hosts:
            if h not in result.hosts:
                result.hosts[h] = {"roles": [], "maybe": [], "unsure": [], "places": [], "sure": True}
                todo.append(h)
            result.hosts[h]["sure"] = True
    if not first.consulted:
        roles = roles_by_name(first.named, toml)
        places = [[file, line] for _, file, line in first.active]
        for h in todo:
            result.settle(h, sorted(roles[host_name(h)].union(first.sure_roles())), [], places)
        return result
    passes, results = Passes(source, toml, body, first.cut), {}
    while todo and not result.errors:
        h = todo.pop(0)
        name = host_name(h)
        if name not in results:
            one = passes.run(name)
            results[name] = (one.sure_roles(), one.maybe_roles(), [[f, n] for _, f, n in one.active])
            todo.extend(result.take(one))
        result.settle(h, *results[name])
    return result


def roles_by_name(named, toml):
    roles = {}
    for host, role, _, _, _ in named:
        roles.setdefault(host_name(host), set()).add(role)
    for role, hosts in toml.items():
        for host in hosts:
            roles.setdefault(host_name(host), set()).add(role)
    return roles


class Passes:
    """The passes for each host. What comes before the first statement that may differ from
    host to host is evaluated once; what a pass changes after it is undone."""

    COPIES = ("named", "parts", "active", "errors", "warnings", "seen", "modules", "told", "escaped")
    VALUES = ("steps", "imports", "loop_forks", "path_changed", "consulted", "cut", "top", "trydepth")

    def __init__(self, source, toml, body, cut):
        self.interp = Interp(source, None, toml)
        self.interp.start()
        self.body, self.cut = body, cut or 0
        self.interp.run(body[:self.cut])
        self.roles = roles_by_name(self.interp.named, toml)
        self.interp.named = []      # known by the first pass; all of them sure
        self.frame = None
        self.copies = {n: getattr(self.interp, n).copy() for n in self.COPIES}
        self.values = {n: getattr(self.interp, n) for n in self.VALUES}

    def run(self, name):
        """The evaluation on the host of that name, valid until the next call."""
        i = self.interp
        if self.frame is not None:
            i.undo(self.frame)
        for n, value in self.copies.items():
            setattr(i, n, value.copy())
        for n, value in self.values.items():
            setattr(i, n, value)
        i.serial += 1
        self.frame = Frame(i.serial)
        i.frames = [self.frame]
        i.host = name
        i.touch(i.roles)
        i.roles.rest = [u for u in i.roles.rest if u is not i.depends]
        i.roles.val |= self.roles.get(name, set())
        i.run(self.body, self.cut)
        return i


def confine():
    """Nothing here writes files or needs much memory: let the kernel see to it, too."""
    try:
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    except (ImportError, ValueError, OSError):
        pass    # not on this system


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def serve():
    request = json.loads(sys.stdin.buffer.readline())

    def fetch(path):
        say({"get": path})
        return base64.b64decode(json.loads(sys.stdin.buffer.readline())["text"])

    try:
        result = evaluate(Source(request["files"], fetch), request["toml"])
        say({"result": {"hosts": result.hosts, "errors": result.errors, "warnings": result.warnings,
                        "parts": result.parts, "seen": result.seen}})
    except Limit as e:
        say({"limit": problem(e.file, e.line, e.text)})
    except (RecursionError, MemoryError):
        say({"limit": problem("deploy.py", 0, "nested too deeply, or too large")})


def main():
    confine()
    for stack, depth in ((512 << 20, 30000), (64 << 20, 5000)):
        try:
            threading.stack_size(stack)
            t = threading.Thread(target=serve)
            sys.setrecursionlimit(depth)
            t.start()
        except (ValueError, RuntimeError):
            continue    # so much cannot be had here
        t.join()
        return
    say({"limit": problem("deploy.py", 0, "there is not enough memory to read it")})
