# Calls, and what happens to values that code outside of the repository gets.


class Calls:
    """Functions of the repository, and calls of what is not evaluated."""

    def ex_Call(self, node):
        func = self.eval(node.func)
        args, kwargs, unknowns = [], {}, []
        for a in node.args:
            if type(a).__name__ == "Starred":
                items, rests = self.items(self.eval(a.value), a)
                args, unknowns = args + items, unknowns + rests
            else:
                args.append(self.eval(a))
        for k in node.keywords:
            value = self.eval(k.value)
            if k.arg is not None:
                kwargs[k.arg] = value
            elif box_kind(value) == "dict" and not value.rest and all(isinstance(n, str) for n in value.val):
                kwargs.update(value.val)
            else:
                unknowns.append(value if isinstance(value, Unknown) else self.unknown("** of this value is not evaluated", node))
        if unknowns:
            return self.call_with_unknown(func, args, kwargs, unknowns, node)
        return self.call(func, args, kwargs, node)

    def call_with_unknown(self, func, args, kwargs, unknowns, node):
        """A call of which some arguments, but not how many, are unknown."""
        why = self.taint(unknowns, node)
        if isinstance(func, TroopsFn):
            self.any_role(why, node)
        self.escape(func, why)
        return self.call_unknown(why, args, kwargs, node)

    def call(self, func, args, kwargs, node):
        self.charge(1)
        if isinstance(func, Unknown):
            if func.alts is not None and len(func.alts) <= 8 and not func.ref:
                return self.branch_value(func, *[lambda f=f: self.call(f, args, kwargs, node) for f in func.alts])
            return self.call_unknown(func, args, kwargs, node)
        if isinstance(func, Func):
            return self.call_func(func, args, kwargs, node)
        if isinstance(func, Bound):
            return self.method(func.obj, func.name, args, kwargs, node)
        if isinstance(func, Builtin):
            return self.call_builtin(func.name, args, kwargs, node)
        if isinstance(func, TroopsFn):
            return self.call_troops(func.name, args, kwargs, node)
        if isinstance(func, Deployable):
            return self.decorate(func, args[0] if args else None, node)
        if isinstance(func, Klass):
            why = self.unknown("an instance of class %s is not evaluated" % func.name, node)
            self.escape(func, why)
            return self.call_unknown(why, args, kwargs, node)
        return self.fail(TypeError("'%s' object is not callable" % type_name(func)), node)

    def call_unknown(self, func, args, kwargs, node):
        origin = func.origin
        if func.ref:
            if origin in EXITS:
                raise PyRaise(SystemExit(), node)
            if origin in ("importlib.import_module", "__import__") and len(args) == 1 and isinstance(args[0], str):
                return self.import_path(args[0], node)
            func = self.unknown("%s() is not evaluated" % origin, node, origin=origin + "()")
            if origin.startswith("runpy.") or origin == "execfile":
                self.any_role(func, node)
        why = func.derive(None)
        self.event(why)
        if func.hold:
            self.escape(func, why)
        if not origin.startswith(HARMLESS):
            for v in list(args) + list(kwargs.values()):
                self.escape(v, why)
        return why

    def escape(self, v, why):
        """v gets into the hands of code that is not evaluated, which may change what can be
        changed and call what can be called."""
        for x in self.degrade(v, why):
            if isinstance(x, Func):
                self.maybe_call(x, why)
            elif isinstance(x, (TroopsModule, Deployable)) or isinstance(x, TroopsFn) and x.name in CHANGING:
                self.any_role(why, None)

    def maybe_call(self, func, why):
        """Code that is not evaluated may call func, any number of times."""
        if func in self.escaped:
            return
        self.escaped.add(func)
        a = func.node.args
        args = [why.derive(None)] * len(getattr(a, "posonlyargs", []) + a.args)
        kwargs = {p.arg: why.derive(None) for p in a.kwonlyargs}

        def run():
            self.call_func(func, args, kwargs, func.node)

        self.bubble(self.some_rounds(why, run))

    def make_function(self, node, name):
        outer = self.scope if self.scope.kind != "class" else self.scope.parent
        defaults = [self.eval(d) for d in node.args.defaults]
        kwdefaults = [self.eval(d) if d is not None else MISSING for d in node.args.kw_defaults]
        func = Func(node, name, outer, self.file, defaults, kwdefaults)
        func.module = self.scope.module
        return func

    def ex_Lambda(self, node):
        return self.make_function(node, "<lambda>")

    def decorate(self, decorator, value, node):
        if isinstance(decorator, Deployable):
            return self.deploy(decorator, value, node)
        if isinstance(decorator, TroopsFn) and decorator.name == "deployable":
            self.error(node, "write @troops.deployable() with parentheses")
            return value
        return self.call(decorator, [value], {}, node)

    def call_func(self, func, args, kwargs, node):
        kind = type(func.node).__name__
        if kind == "AsyncFunctionDef":
            why = self.unknown("asynchronous function %s is not evaluated" % func.name, node)
            self.maybe_call(func, why)
            if func in [c.func for c in self.calls] or not self.escaping(func):
                return why
        if len(self.calls) >= MAX_DEPTH:
            raise Limit("functions call each other deeper than %d" % MAX_DEPTH, self.file, node.lineno)
        same = [c for c in self.calls if c.func is func and c.ctx < len(self.ctx)]
        if len(same) >= MAX_SAME:
            return self.unknown("%s() calls itself on a condition that is not known" % func.name, node)
        scope = Scope("function", func.scope if func.scope.kind != "module" else None, func.module,
                      local_names(func.node)[0], self.epoch())
        problem = self.bind_args(func, scope, args, kwargs)
        if problem:
            return self.fail(TypeError("%s() %s" % (func.name, problem)), node)
        call = Call(func, len(self.ctx))
        if local_names(func.node)[1]:
            call.yields = self.box("list", [])
        outer = (self.scope, self.file)
        self.scope, self.file = scope, func.file
        self.calls.append(call)
        try:
            if kind == "Lambda":
                return self.eval(func.node.body)
            return self.result(call, self.block(func.node.body))
        finally:
            self.calls.pop()
            self.scope, self.file = outer

    def escaping(self, func):
        return func in self.escaped and not any(c.func is func for c in self.calls)

    def result(self, call, flow):
        """The value of a call whose body ended with flow."""
        kinds = {k: v for k, v in flow.kinds.items() if k in ("raise", "exit")} if flow else {}
        if kinds:
            if not flow.falls and "return" not in flow.kinds:
                raise PyRaise(None, None, flow)
            self.suspend(kinds, flow.reason)
        if call.yields is not None:
            return self.once("a generator", call.yields)
        values = call.rets + ([None] if flow is None or flow.falls else [])
        if len(values) == 1:
            return values[0]
        return self.choice(values, flow.reason) if flow and flow.reason else values[-1] if values else None

    def ex_Yield(self, node):
        value = self.eval(node.value) if node.value is not None else None
        return self.yielded(node, [value], [])

    def ex_YieldFrom(self, node):
        return self.yielded(node, *self.items(self.eval(node.value), node))

    def yielded(self, node, items, rests):
        """A generator is evaluated when it is made: what it yields is a list."""
        if not self.calls:
            return None
        call = self.calls[-1]
        if call.yields is None:
            return None
        if len(call.yields.val) + len(items) > MAX_YIELDS:
            raise Limit("a generator of more than %d values" % MAX_YIELDS, self.file, node.lineno)
        self.extend(call.yields, self.box("list", items, rests), node)
        return None

    def bind_args(self, func, scope, args, kwargs):
        """Binds parameters; returns what is wrong with the arguments, or None."""
        a = func.node.args
        params = [p.arg for p in getattr(a, "posonlyargs", []) + a.args]
        values, kwargs = dict(zip(params, args)), dict(kwargs)
        if len(args) > len(params) and a.vararg is None:
            return "takes %d arguments, not %d" % (len(params), len(args))
        for p in params + [p.arg for p in a.kwonlyargs]:
            if p in kwargs:
                if p in values:
                    return "got two values for %s" % p
                values[p] = kwargs.pop(p)
        for p, d in zip(params[len(params) - len(func.defaults):], func.defaults):
            values.setdefault(p, d)
        for p, d in zip(a.kwonlyargs, func.kwdefaults):
            if d is not MISSING:
                values.setdefault(p.arg, d)
        missing = [p for p in params + [p.arg for p in a.kwonlyargs] if p not in values]
        if missing:
            return "needs an argument %s" % missing[0]
        if a.vararg is not None:
            values[a.vararg.arg] = tuple(args[len(params):])
        if a.kwarg is not None:
            values[a.kwarg.arg] = self.box("dict", kwargs)
        elif kwargs:
            return "has no argument %s" % sorted(kwargs)[0]
        scope.vars.update(values)
        return None


NAMES = {}      # id of a function's node -> (names that are local to it, whether it yields, node)


def local_names(node):
    """The names that a function assigns, so that they are its own everywhere in it, and
    whether it is a generator."""
    if id(node) not in NAMES:
        found, outer, yields = set(), set(), False
        todo = list(node.body) if isinstance(node.body, list) else [node.body]
        while todo:
            n = todo.pop()
            kind = type(n).__name__
            if kind == "Name" and type(n.ctx).__name__ != "Load":
                found.add(n.id)
            elif kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
                found.add(n.name)
                continue
            elif kind in ("Global", "Nonlocal"):
                outer.update(n.names)
            elif kind in ("Import", "ImportFrom"):
                found.update((a.asname or a.name).split(".")[0] for a in n.names)
            elif kind in ("Yield", "YieldFrom"):
                yields = True
            elif kind == "ExceptHandler" and n.name:
                found.add(n.name)
            elif kind in ("Lambda", "ListComp", "SetComp", "DictComp", "GeneratorExp"):
                continue
            todo.extend(ast.iter_child_nodes(n))
        NAMES[id(node)] = (frozenset(found - outer), yields, node)
    return NAMES[id(node)]
