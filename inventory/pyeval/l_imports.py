# Imports. A module is evaluated if and only if it is a file of the commit; where a link or a
# submodule stands in its place, that is an error: nothing outside the commit is followed.

STARTED = frozenset("""sys builtins os io abc site codecs time posix stat posixpath genericpath marshal zipimport
_thread _weakref _warnings errno signal""".split())     # in sys.modules before deploy.py runs

CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
CODECS = frozenset("utf-8 utf8 ascii us-ascii latin-1 latin1 iso-8859-1 iso-8859-15".split())


class Imports:
    """Modules by name."""

    def import_path(self, dotted, node):
        """The value of `import dotted`, which is its last module."""
        parts, module = dotted.split("."), None
        for i in range(len(parts)):
            name = ".".join(parts[:i + 1])
            child = self.load(name, module, node)
            if child is None:
                return self.foreign(dotted, node)
            if isinstance(module, Module):
                self.bind(module.scope, parts[i], child)
            module = child
            if not isinstance(child, Module):
                break
        if isinstance(module, TroopsModule) and len(parts) > 1:
            return self.unknown("%s is not evaluated" % dotted, node, ref=True, origin=dotted)
        return module

    def foreign(self, dotted, node):
        """A module that the repository does not have."""
        u = self.unknown("%s is not evaluated: it is not in the repository" % dotted, node, ref=True, origin=dotted)
        self.event(u)
        tail = "/" + dotted.replace(".", "/")
        if self.path_changed and any(("/" + f).endswith((tail + ".py", tail + "/__init__.py")) for f in self.source.files):
            why = self.unknown("module %s is looked up along a sys.path that is not evaluated" % dotted, node)
            self.any_role(why, node)
        return u

    def load(self, name, parent, node):
        """The module name, evaluated, or None where the repository has no such."""
        if name == "troops":
            hidden = self.source.find("troops")
            if hidden and not hidden.endswith("/"):
                self.error(node, "%s in the repository hides the module troops: rename it" % hidden)
            return TROOPS
        if name.split(".")[0] in STARTED:
            return None
        if name in self.modules:
            return self.modules[name]
        path = self.source.find(name.replace(".", "/"))
        if path is None:
            return None
        mode = self.source.files.get(path)
        if mode in ("link", "submodule"):
            what = "a symbolic link" if mode == "link" else "a submodule"
            self.error(node, "module %s: %s is %s, which is not followed: keep the file itself in the repository" % (name, path, what))
            return self.unknown("%s is not evaluated" % name, node, ref=True, origin=name)
        module = Module(name, path, path.endswith(("/", "/__init__.py")))
        module.scope.epoch = self.epoch()
        self.modules[name] = module
        if not path.endswith("/"):
            self.run_module(module, node)
        return module

    def run_module(self, module, node):
        tree = self.source.parse(module.file)
        if isinstance(tree, dict):
            self.errors.append(tree)
            module.dynamic = Unknown("%s has an error" % module.file, module.file, tree["line"])
            return
        if len(self.calls) + self.imports >= MAX_DEPTH:
            raise Limit("imports nest deeper than %d" % MAX_DEPTH, self.file, node.lineno)
        module.scope.vars["__name__"] = module.name
        module.scope.vars["__doc__"] = None
        outer = (self.scope, self.file, self.calls)
        self.scope, self.file, self.calls = module.scope, module.file, []
        self.imports += 1
        try:
            flow = self.block(tree.body)
        finally:
            self.imports -= 1
            self.scope, self.file, self.calls = outer
        self.bubble(flow)

    def module_attribute(self, module, name, node):
        if name in module.scope.vars:
            return module.scope.vars[name]
        if name == "__name__":
            return module.name
        if module.dynamic is not None:
            return module.dynamic
        if name.startswith("__"):
            return self.unknown("%s is not evaluated" % name, node)
        return self.fail(AttributeError("module '%s' has no attribute '%s'" % (module.name, name)), node)

    def from_base(self, node):
        """The module that a from-import names."""
        if not node.level:
            return self.import_path(node.module, node)
        here = self.scope.module
        package = here.name if here.package else here.name.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        if not package or here.name == "__main__":
            return self.fail(ImportError("attempted relative import with no known parent package"), node)
        return self.import_path(package + ("." + node.module if node.module else ""), node)

    def import_name(self, base, name, node):
        if isinstance(base, Module):
            if name in base.scope.vars:
                return base.scope.vars[name]
            child = self.load("%s.%s" % (base.name, name), base, node) if base.package else None
            if child is not None:
                self.bind(base.scope, name, child)
                return child
            if base.dynamic is None:
                return self.fail(ImportError("cannot import name '%s' from '%s'" % (name, base.name)), node)
        return self.attribute(base, name, node)

    def import_star(self, base, node):
        if isinstance(base, TroopsModule):
            for name in TROOPS_NAMES:
                self.store(self.scope, name, self.troops_attribute(name, node))
            return
        if not isinstance(base, Module):
            self.scope.module.dynamic = self.unknown("it may come from 'import *' here", node)
            return
        names = [n for n in base.scope.vars if not n.startswith("_")]
        if "__all__" in base.scope.vars:
            items, rests = self.items(base.scope.vars["__all__"], node)
            names = [n for n in items if isinstance(n, str)] if not rests else names
        for name in names:
            self.store(self.scope, name, self.import_name(base, name, node))
        if base.dynamic is not None:
            self.scope.module.dynamic = base.dynamic


class Source:
    """The Python files of the commit. files maps each path to its mode (file, link or
    submodule); fetch(path) gives the bytes of a file."""

    def __init__(self, files, fetch):
        self.files, self.fetch, self.trees = files, fetch, {}
        self.dirs = set()
        for f in files:
            while "/" in f:
                f = f.rpartition("/")[0]
                self.dirs.add(f)

    def find(self, stem):
        """The path of a module: a file, a link or submodule in its place, a directory
        (with a slash at its end) for a package without __init__.py, or None."""
        for path in (stem + "/__init__.py", stem + ".py", stem):
            if path in self.files and (path != stem or self.files[path] in ("link", "submodule")):
                return path
        head = stem
        while "/" in head:
            head = head.rpartition("/")[0]
            if self.files.get(head) in ("link", "submodule"):
                return head
        return stem + "/" if stem in self.dirs else None

    def parse(self, path):
        """The syntax tree of a file, or an error as a dict."""
        if path not in self.trees:
            self.trees[path] = self.parse_new(path)
        return self.trees[path]

    def parse_new(self, path):
        text = self.fetch(path)
        for line in text.split(b"\n", 2)[:2]:
            m = CODING.match(line)
            if m and m.group(1).lower().decode("ascii").replace("_", "-") not in CODECS:
                return problem(path, 1, "encoding %s is not supported: use UTF-8" % m.group(1).decode("ascii"))
        try:
            return ast.parse(text, path)
        except SyntaxError as e:
            return problem(path, e.lineno or 0, "syntax error: %s (python %d.%d)" % ((e.msg,) + sys.version_info[:2]))
        except (ValueError, UnicodeDecodeError) as e:
            return problem(path, 0, "syntax error: %s" % e)
        except (RecursionError, MemoryError):
            raise Limit("nested too deeply", path, 0)


def problem(file, line, text, role=""):
    return {"file": file, "line": line, "text": text, "role": role}
