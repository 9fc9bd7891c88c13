# Built-in functions. A function gets the call's arguments as values; what is not here is
# unknown to the evaluator, and calling it makes its arguments unknown.

import builtins

EXCEPTIONS = {n: getattr(builtins, n) for n in dir(builtins)
              if isinstance(getattr(builtins, n), type) and issubclass(getattr(builtins, n), BaseException)}
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "bytes": bytes, "tuple": tuple,
         "range": range, "frozenset": frozenset, "list": "list", "dict": "dict", "set": "set"}
# Pure functions of plain values.
PLAIN = {n: getattr(builtins, n) for n in "abs chr divmod ord round bin hex oct ascii".split()}
HANDLED = frozenset("""all any enumerate filter isinstance len map max min print reversed sorted sum zip repr format
hasattr getattr callable exit quit iter next type id globals locals vars exec eval __import__ super object property
staticmethod classmethod pow""".split())
# Calls of these, by origin, are not evaluated, but leave their arguments as they were.
HARMLESS = ("logging.", "json.dumps", "pprint.", "warnings.", "os.path.", "time.", "sys.stdout.", "sys.stderr.", "textwrap.")
EXITS = ("sys.exit", "os._exit", "os.abort", "os.execv", "os.execvp", "os.execl", "os.execlp", "os.execve", "os.execvpe")


class Builtins:
    """Calls of built-in functions."""

    def call_builtin(self, name, args, kwargs, node):
        if name in EXCEPTIONS:
            return Builtin(name)
        if name.startswith("str.") and args and not isinstance(args[0], Box):
            return self.call(self.attribute(args[0], name[4:], node), args[1:], kwargs, node)
        if name in ("exit", "quit"):
            raise PyRaise(SystemExit(), node)
        if name in PLAIN:
            return self.lift(lambda *a: self.wrap(PLAIN[name](*[self.plain(x) for x in a])), args, node)
        if name in TYPES:
            return self.convert(name, args, kwargs, node)
        special = getattr(self, "fn_" + name.strip("_"), None)
        if special is None:
            return self.call_unknown(self.unknown("%s() is not evaluated" % name, node), args, kwargs, node)
        try:
            return special(node, *args, **kwargs)
        except HasUnknown as e:
            return self.taint([e.unknown], node)
        except RAISES as e:
            return self.fail(e, node)

    def convert(self, name, args, kwargs, node):
        """str(x), list(x), ..."""
        if name in ("list", "set", "tuple", "frozenset"):
            items, rests = self.items(args[0], node) if args else ([], [])
            if name == "list":
                return self.box("list", items, rests)
            if name == "set":
                out = self.box("set", set())
                self.set_update(out, node, self.box("list", items, rests))
                return out
            if rests:
                return self.taint(rests, node)
            if name == "tuple":
                return tuple(items)
            return self.pure(lambda: frozenset([self.plain(i) for i in items]), [], node)
        if name == "dict":
            out = self.box("dict", {})
            self.dict_update(out, node, *args)
            out.val.update(kwargs)
            return out
        if name == "bool":
            return self.truth(args[0], node) if args else False
        return self.lift(lambda *a: self.construct(name, [self.plain(x) for x in a]), args, node)

    def construct(self, name, args):
        if name == "str" and args:
            need_showable(args[0])
        if name == "int" and args and isinstance(args[0], (str, bytes)) and len(args[0]) > 4300:
            raise TooBig
        if name == "bytes" and args and isinstance(args[0], int):
            raise TooBig
        return TYPES[name](*args)

    def fn_print(self, node, *args, **kwargs):
        return None

    def fn_len(self, node, v):
        if isinstance(v, Unknown):
            return self.lift(lambda x: self.fn_len(node, x), [v], node)
        if isinstance(v, Box):
            if v.rest:
                raise HasUnknown(v.rest[0])
            return len(v.val)
        return len(v)

    def fn_sorted(self, node, v, key=None, reverse=False):
        items, rests = self.items(v, node)
        ordered, why = self.sort(items, key, reverse, node)
        box = self.box("list", ordered, rests)
        if why is not None:
            self.weaken(box, why, bounded=True)
        return box

    def fn_reversed(self, node, v):
        items, rests = self.items(v, node)
        return self.once("reversed()", self.box("list", items[::-1], rests))

    def fn_iter(self, node, v):
        items, rests = self.items(v, node)
        return self.once("iter()", self.box("list", items, rests))

    def fn_enumerate(self, node, v, start=0):
        items, rests = self.items(v, node)
        start = self.plain(start)
        return self.once("enumerate()", self.box("list", list(enumerate(items, start)), [u.derive(None) for u in rests]))

    def fn_zip(self, node, *seqs, **kwargs):
        found = [self.items(s, node) for s in seqs]
        for _, rests in found:
            if rests:
                return self.taint(rests, node)
        return self.once("zip()", self.box("list", list(zip(*[items for items, _ in found]))))

    def fn_map(self, node, f, *seqs):
        found = [self.items(s, node) for s in seqs]
        for _, rests in found:
            if rests and len(seqs) > 1:
                return self.taint(rests, node)
        out = self.box("list", [self.call(f, list(a), {}, node) for a in zip(*[items for items, _ in found])])
        for u in found[0][1]:
            self.add_rest(out, self.each_rest(u, lambda v: self.call(f, [v], {}, node)))
        return self.once("map()", out)

    def fn_filter(self, node, f, v):
        items, rests = self.items(v, node)
        out = self.box("list", [], rests)
        for item in items:
            keep = self.truth(item if f is None else self.call(f, [item], {}, node), node)
            if isinstance(keep, Unknown):
                self.add_rest(out, possible(item, keep))
            elif keep:
                out.val.append(item)
        return self.once("filter()", out)

    def fn_any(self, node, v):
        return self.quantify(node, v, True)

    def fn_all(self, node, v):
        return self.quantify(node, v, False)

    def quantify(self, node, v, wanted):
        items, rests = self.items(v, node)
        for item in items:
            t = self.truth(item, node)
            if isinstance(t, Unknown):
                rests = rests + [t]
            elif t == wanted:
                return wanted
        return self.taint(rests, node) if rests else not wanted

    def fn_sum(self, node, v, start=0):
        items, rests = self.items(v, node)
        out = start
        for item in items:
            out = self.binop("Add", out, item, node)
        if rests and box_kind(out) == "list":
            return self.box("list", out.val, out.rest + [u.derive(None) for u in rests])
        return self.taint(rests, node) if rests else out

    def fn_max(self, node, *args, **kwargs):
        return self.extreme(node, args, -1, **kwargs)

    def fn_min(self, node, *args, **kwargs):
        return self.extreme(node, args, 0, **kwargs)

    def extreme(self, node, args, index, key=None, **default):
        items, rests = self.items(args[0], node) if len(args) == 1 else (list(args), [])
        unknowns = rests + [i for i in items if isinstance(i, Unknown)]
        if unknowns:
            return self.taint(unknowns, node)
        if not items and "default" in default:
            return default["default"]
        ordered, why = self.sort(items, key, False, node)
        return ordered[index] if why is None else why

    def fn_pow(self, node, a, b):
        return self.binop("Pow", a, b, node)

    def fn_repr(self, node, v):
        return self.lift(lambda x: repr(need_showable(self.plain(x))), [v], node)

    def fn_format(self, node, v, spec=""):
        return self.lift(lambda x, s: format_value(self.plain(x), "", s), [v, spec], node)

    def fn_callable(self, node, v):
        if isinstance(v, Unknown):
            return self.taint([v], node)
        return isinstance(v, (Func, Builtin, TroopsFn, Bound, Klass))

    def fn_isinstance(self, node, v, kinds):
        if isinstance(v, Unknown):
            return self.taint([v], node)
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        for k in kinds:
            if not (isinstance(k, Builtin) and k.name in TYPES):
                return self.unknown("isinstance() of this type is not evaluated", node)
        return any(box_kind(v) == k.name or isinstance(TYPES[k.name], type) and isinstance(v, TYPES[k.name]) for k in kinds)

    def fn_getattr(self, node, obj, name, *default):
        if not isinstance(name, str):
            return self.taint([name], node)
        if default and isinstance(obj, TroopsModule) and name not in TROOPS_NAMES:
            return default[0]
        return self.attribute(obj, name, node)

    def fn_hasattr(self, node, obj, name):
        if isinstance(obj, TroopsModule) and isinstance(name, str):
            return name in TROOPS_NAMES
        return self.unknown("hasattr() is not evaluated", node)

    def fn_type(self, node, *args):
        kind = type_name(args[0])
        if len(args) == 1 and kind in TYPES and not isinstance(args[0], Unknown):
            return Builtin(kind)
        return self.unknown("type() is not evaluated", node)

    def fn_globals(self, node):
        out = self.unknown("names that are computed are not evaluated", node)
        self.scope.module.dynamic = out
        return out

    fn_locals = fn_vars = fn_globals

    def fn_exec(self, node, *args, **kwargs):
        """Text that is run can define any role."""
        why = self.unknown("exec() is not evaluated", node)
        self.scope.module.dynamic = why
        self.any_role(why, node)
        return why

    fn_eval = fn_exec

    def fn_import(self, node, name="", *args, **kwargs):
        if isinstance(name, str):
            return self.import_path(name, node)
        return self.taint([name], node)
