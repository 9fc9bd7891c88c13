# Statements. Each method returns None, or the Flow by which control leaves the statement.


class Stmts:
    """Execution of blocks in self.scope."""

    def block(self, stmts, start=0):
        for i in range(start, len(stmts)):
            flow, consumed = self.statement(stmts[i], lambda: self.block(stmts, i + 1))
            flow = self.drain(flow)
            if flow is not None and not self.calls and self.scope.module.name == "__main__":
                self.look()
            if consumed:
                return flow
            if flow is not None:
                return self.then(flow, lambda: self.block(stmts, i + 1))
        return None

    def statement(self, node, rest):
        """Executes node; the flag says that rest, what follows it, was executed with it."""
        self.line = node.lineno
        self.top = self.tops.get(id(node), self.top)
        self.charge(1)
        if type(node).__name__ == "If":
            t = self.truth(self.eval(node.test), node.test)
            if not isinstance(t, Unknown):
                return self.block(node.body if t else node.orelse), False
            if self.pending:
                return self.fork(t, [lambda: self.block(node.body), lambda: self.block(node.orelse)]), False
            top = self.top
            flow = self.fork(t, [lambda: self.block(node.body), lambda: self.block(node.orelse)], rest)
            if flow is not None and not self.calls:
                self.look(top)      # what follows was evaluated as a part of it
            return flow, True
        method = getattr(self, "st_" + type(node).__name__, None)
        if method is None:
            return None, False
        return method(node), False

    def st_Pass(self, node):
        return None

    def st_Expr(self, node):
        self.eval(node.value)

    def st_Assign(self, node):
        value = self.as_item(self.eval(node.value), node, all(type(t).__name__ == "Name" for t in node.targets)) if not self.is_name(node.value) else self.eval(node.value)
        for target in node.targets:
            self.assign(target, value)

    def is_name(self, node):
        return type(node).__name__ in ("Name", "Attribute")

    def st_AnnAssign(self, node):
        if node.value is not None:
            self.assign(node.target, self.as_item(self.eval(node.value), node))

    def st_AugAssign(self, node):
        op = type(node.op).__name__
        kind = type(node.target).__name__
        if kind == "Name":
            old = self.lookup(node.target.id, node)
            self.assign(node.target, self.inplace(op, old, self.eval(node.value), node))
        elif kind == "Subscript":
            obj, key = self.eval(node.target.value), self.eval(node.target.slice)
            old = self.subscript(obj, key, node)
            self.set_item(obj, key, self.inplace(op, old, self.eval(node.value), node), node)
        else:
            obj = self.eval(node.target.value)
            old = self.attribute(obj, node.target.attr, node.target)
            new = self.inplace(op, old, self.eval(node.value), node)
            if new is not old:
                self.set_attribute(obj, node.target.attr, new, node)

    def assign(self, target, value):
        """Binds a target of an assignment, a for or a with."""
        kind = type(target).__name__
        if kind == "Name":
            self.store(self.scope, target.id, value)
        elif kind in ("Tuple", "List"):
            self.unpack(target, value)
        elif kind == "Subscript":
            self.set_item(self.eval(target.value), self.eval(target.slice), value, target)
        elif kind == "Attribute":
            self.set_attribute(self.eval(target.value), target.attr, value, target)
        elif kind == "Starred":
            items, rests = self.items(value, target)
            self.assign(target.value, self.box("list", items, rests))

    def unpack(self, target, value):
        n = len(target.elts)
        stars = [i for i, e in enumerate(target.elts) if type(e).__name__ == "Starred"]
        if isinstance(value, Unknown) and value.alts is not None:
            # Each name gets its own alternatives, where all have the right shape.
            rows = [self.elements(a, target) for a in value.alts]
            if not stars and all(r and not r[1] and len(r[0]) == n for r in rows):
                for i, e in enumerate(target.elts):
                    self.assign(e, self.choice([r[0][i] for r in rows], value))
                return
        items, rests = self.items(value, target)
        if rests:
            for e in target.elts:
                e = e.value if type(e).__name__ == "Starred" else e
                self.assign(e, self.taint(rests, target))
            return
        if len(items) != n and not (stars and len(items) >= n - 1):
            failed = self.fail(ValueError("%d values to unpack for %d names" % (len(items), n)), target)
            items = [failed] * n
        if stars and len(items) != n or stars and stars[0] < n:
            i, after = stars[0], n - stars[0] - 1
            items = items[:i] + [self.box("list", items[i:len(items) - after])] + items[len(items) - after:]
        for e, item in zip(target.elts, items):
            self.assign(e.value if type(e).__name__ == "Starred" else e, item)

    def store(self, scope, name, value):
        scope = scope.outer.get(name, scope) if scope.kind != "comprehension" else scope
        self.bind(scope, name, value)

    def set_attribute(self, obj, name, value, node):
        if isinstance(obj, Module):
            self.bind(obj.scope, name, value)
        elif isinstance(obj, Klass):
            self.bind(obj.scope, name, value)
        elif isinstance(obj, TroopsModule):
            if value is not self.roles and value is not self.all_roles:
                self.any_role(self.unknown("assignment to troops.%s" % name, node), node)
        else:
            if isinstance(obj, Unknown) and obj.origin == "sys" and name == "path":
                self.path_changed = True
            self.escape(value, self.taint([obj], node) if isinstance(obj, Unknown) else self.unknown("an attribute that is set is not evaluated", node))

    def st_Delete(self, node):
        for target in node.targets:
            kind = type(target).__name__
            if kind == "Name":
                self.bind(self.scope.outer.get(target.id, self.scope), target.id, MISSING)
            elif kind == "Subscript":
                obj, key = self.eval(target.value), self.eval(target.slice)
                if box_kind(obj) == "dict" and not isinstance(key, Unknown):
                    self.method(obj, "pop", [key], {}, node)
                elif box_kind(obj) == "list" and isinstance(key, int) and not obj.rest and -len(obj.val) <= key < len(obj.val):
                    self.touch(obj)
                    del obj.val[key]
                elif isinstance(obj, Box):
                    self.weaken(obj, self.unknown("del of an item", node), bounded=True)

    def st_Global(self, node):
        for name in node.names:
            self.scope.outer[name] = self.scope.module.scope

    def st_Nonlocal(self, node):
        for name in node.names:
            scope = self.scope.parent
            while scope is not None and name not in scope.local and name not in scope.vars:
                scope = scope.parent
            if scope is not None:
                self.scope.outer[name] = scope.outer.get(name, scope)

    def st_Return(self, node):
        value = self.eval(node.value) if node.value is not None else None
        if self.calls:
            self.calls[-1].rets.append(value)
        return Flow({"return": None}, False, None)

    def st_Break(self, node):
        return Flow({"break": None}, False, None)

    def st_Continue(self, node):
        return Flow({"continue": None}, False, None)

    def st_Raise(self, node):
        value = self.eval(node.exc) if node.exc is not None else None
        exc = EXCEPTIONS[value.name]() if isinstance(value, Builtin) and value.name in EXCEPTIONS else None
        raise PyRaise(exc, node)

    def st_Assert(self, node):
        t = self.truth(self.eval(node.test), node)
        if t is False:
            raise PyRaise(AssertionError(), node)
        if isinstance(t, Unknown):
            self.event(t)

    def st_FunctionDef(self, node):
        decorators = [self.eval(d) for d in node.decorator_list]
        value = self.make_function(node, node.name)
        for d, at in zip(reversed(decorators), reversed(node.decorator_list)):
            value = self.decorate(d, value, at)
        self.store(self.scope, node.name, value)

    st_AsyncFunctionDef = st_FunctionDef

    def st_ClassDef(self, node):
        bases = [self.eval(b) for b in node.bases]
        plain = all(isinstance(b, Klass) and not b.opaque or isinstance(b, Builtin) and b.name == "object" for b in bases)
        opaque = bool(node.keywords or node.decorator_list) or not plain
        outer = self.scope
        scope = Scope("class", outer if outer.kind != "class" else outer.parent, outer.module, epoch=self.epoch())
        for b in bases:
            if isinstance(b, Klass):
                scope.vars.update(b.scope.vars)
        self.scope = scope
        try:
            flow = self.block(node.body)
        finally:
            self.scope = outer
        value = Klass(node.name, scope, opaque)
        for d in node.decorator_list:
            self.eval(d)
        if opaque:
            self.escape(value, self.unknown("class %s is not evaluated" % node.name, node))
        self.store(outer, node.name, value)
        return flow

    def st_Import(self, node):
        for alias in node.names:
            value = self.import_path(alias.name, node)
            if alias.asname:
                self.store(self.scope, alias.asname, value)
            else:
                top = alias.name.split(".")[0]
                self.store(self.scope, top, self.import_path(top, node))

    def st_ImportFrom(self, node):
        if node.module == "__future__":
            return
        base = self.from_base(node)
        for alias in node.names:
            if alias.name == "*":
                self.import_star(base, node)
            else:
                self.store(self.scope, alias.asname or alias.name, self.import_name(base, alias.name, node))
