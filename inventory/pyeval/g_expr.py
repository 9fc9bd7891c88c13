# Expressions. eval dispatches on the name of the node's type; a type without a method here is
# unknown, with its name as reason.

import ast


class Exprs:
    """Evaluation of expressions in self.scope."""

    def eval(self, node):
        self.steps += 1
        if self.steps > MAX_STEPS:
            self.charge(0)
        method = self.methods.get(type(node))
        if method is None:
            method = self.methods[type(node)] = getattr(self, "ex_" + type(node).__name__, self.ex_other)
        return method(node)

    def ex_other(self, node):
        return self.unknown("%s is not evaluated" % type(node).__name__.lower(), node)

    def ex_Constant(self, node):
        return node.value

    def ex_Index(self, node):           # CPython 3.8
        return self.eval(node.value)

    def ex_Name(self, node):
        value = self.lookup(node.id, node)
        if isinstance(value, Box) and value.view:  # it shows the dict as it is now
            return self.read_method(value.view[0], value.view[1], [], {}, node)
        return value

    def lookup(self, name, node):
        scope = self.scope
        where = scope.outer.get(name)
        if where is not None:
            scope = where
        while scope is not None:
            if name in scope.vars:
                return scope.vars[name]
            if name in scope.local and scope.kind == "function":
                return self.fail(UnboundLocalError("local variable '%s' has no value yet" % name), node)
            scope = scope.parent
        module = self.scope.module
        if name in module.scope.vars:
            return module.scope.vars[name]
        if name in EXCEPTIONS or name in TYPES or name in PLAIN or name in HANDLED:
            return Builtin(name)
        if hasattr(builtins, name):
            return self.unknown("%s is not evaluated" % name, node, ref=True, origin=name)
        if module.dynamic is not None:
            return module.dynamic
        return self.fail(NameError("name '%s' is not defined" % name), node)

    def ex_JoinedStr(self, node):
        parts = [self.eval(v) for v in node.values]
        if sum(len(p) for p in parts if isinstance(p, str)) > MAX_TEXT:
            return self.unknown("the value is larger than troops evaluates", node)
        return self.lift(lambda *a: "".join(a), parts, node)

    def ex_FormattedValue(self, node):
        value = self.eval(node.value)
        spec = self.eval(node.format_spec) if node.format_spec is not None else ""
        conversion = chr(node.conversion) if node.conversion > 0 else ""
        return self.lift(lambda v, s: format_value(self.plain(v), conversion, s), [value, spec], node)

    def ex_BinOp(self, node):
        # The left side of a long sum is nested as deep as the sum is long.
        chain = []
        while isinstance(node, ast.BinOp):
            chain.append(node)
            node = node.left
        value = self.eval(node)
        for n in reversed(chain):
            self.charge(1)
            value = self.binop(type(n.op).__name__, value, self.eval(n.right), n)
        return value

    def ex_UnaryOp(self, node):
        value = self.eval(node.operand)
        if isinstance(node.op, ast.Not):
            return self.lift(lambda t: not t, [self.truth(value, node)], node)
        return self.lift(lambda v: UNARYOPS[type(node.op).__name__](self.plain(v)), [value], node)

    def ex_BoolOp(self, node):
        return self.bool_op(node, 0)

    def bool_op(self, node, i):
        value = self.eval(node.values[i])
        if i + 1 == len(node.values):
            return value
        t = self.truth(value, node)
        is_and = isinstance(node.op, ast.And)
        if not isinstance(t, Unknown):
            return self.bool_op(node, i + 1) if t == is_and else value
        right = self.branch_value(t, lambda: self.bool_op(node, i + 1))
        if not isinstance(value, Unknown):
            return self.choice([value, right], t)
        if value.alts is None:
            return right if self.decided(right, not is_and) else t.derive(None)
        left = [a for a in value.alts if self.truth(a, node) is not is_and]
        return self.choice(left + [right], t)

    def decided(self, value, wanted):
        """Whether the right side alone decides the truth of an and (False), or an or (True)."""
        return isinstance(value, bool) and value == wanted

    def branch_value(self, reason, *runs):
        """The value of an expression of which one of runs is evaluated, or none of them
        where there is only one."""
        values = []

        def note(run):
            values.append(run())

        branches = [lambda r=r: note(r) for r in runs]
        flow = self.fork(reason, branches if len(runs) > 1 else branches + [lambda: None])
        self.bubble(flow)
        return self.choice(values, reason) if values else self.taint([reason], None)

    def bubble(self, flow):
        """A branch of an expression that ended the deployment, or may have."""
        if flow is None:
            return
        if not flow.falls:
            raise PyRaise(None, None, flow)
        self.suspend(flow.kinds, flow.reason)

    def ex_Compare(self, node):
        left = self.eval(node.left)
        result = True
        for op, right in zip(node.ops, node.comparators):
            right = self.eval(right)
            one = self.compare(type(op).__name__, left, right, node)
            result = one if result is True else result
            if one is False or result is False:
                return False
            left = right
        return result

    def ex_IfExp(self, node):
        t = self.truth(self.eval(node.test), node)
        if isinstance(t, Unknown):
            return self.branch_value(t, lambda: self.eval(node.body), lambda: self.eval(node.orelse))
        return self.eval(node.body if t else node.orelse)

    def ex_NamedExpr(self, node):
        value = self.eval(node.value)
        scope = self.scope
        while scope.kind == "comprehension":
            scope = scope.parent or scope.module.scope
        self.store(scope, node.target.id, value)
        return value

    def sequence(self, elts, node):
        """The elements of a display: known, and the unknowns of starred parts."""
        items, rests = [], []
        for e in elts:
            if isinstance(e, ast.Starred):
                more, unknown = self.items(self.eval(e.value), e)
                items, rests = items + more, rests + unknown
            else:
                items.append(self.as_item(self.eval(e), e))
        return items, rests

    def as_item(self, value, node, named=False):
        """A value that is kept. What has a name is looked up again, see ex_Name."""
        if isinstance(value, Box) and value.once and not (named and value.view):
            return holding(self.unknown("%s that is kept is not evaluated (make it a list)" % value.once, node), value)
        return self.settle(value, node) if isinstance(value, Unknown) else value

    def ex_List(self, node):
        items, rests = self.sequence(node.elts, node)
        return self.box("list", items, rests)

    def ex_Tuple(self, node):
        items, rests = self.sequence(node.elts, node)
        return self.taint(rests, node) if rests else tuple(items)

    def ex_Set(self, node):
        out = self.box("set", set())
        items, rests = self.sequence(node.elts, node)
        self.set_update(out, node, self.box("list", items, rests))
        return out

    def ex_Dict(self, node):
        out = self.box("dict", {})
        for k, v in zip(node.keys, node.values):
            if k is None:
                self.dict_update(out, node, self.eval(v))
            else:
                key = self.eval(k)
                self.set_item(out, key, self.as_item(self.eval(v), v), k)
        return out

    def set_item(self, obj, key, value, node):
        """obj[key] = value."""
        if not isinstance(obj, Box) or obj.kind == "set":
            self.escape(value, self.taint([obj], node) if isinstance(obj, Unknown) else self.unknown("assignment to an item", node))
            if isinstance(obj, Unknown):
                self.escape(obj, obj)
            return
        self.touch(obj)
        if isinstance(key, Unknown):
            self.escape(value, self.settle(key, node))
            (self.add_rest if obj.kind == "dict" else self.weaken)(obj, self.settle(key, node).derive(None))
            return
        try:
            if obj.kind == "dict":
                obj.val[self.plain(key)] = value
            elif isinstance(key, slice):
                items, rests = self.items(value, node)
                obj.val[key] = items
                obj.rest += rests
            elif not obj.rest:
                obj.val[key] = value
        except HasUnknown as e:
            self.add_rest(obj, self.settle(e.unknown, node).derive(None))
        except RAISES as e:
            self.fail(e, node)

    def ex_Slice(self, node):
        parts = [self.eval(p) if p is not None else None for p in (node.lower, node.upper, node.step)]
        return self.lift(slice, parts, node)

    def ex_Subscript(self, node):
        obj = self.eval(node.value)
        return self.subscript(obj, self.eval(node.slice), node)

    def ex_Attribute(self, node):
        return self.attribute(self.eval(node.value), node.attr, node)

    def attribute(self, obj, name, node):
        if isinstance(obj, Unknown):
            if obj.ref or obj.origin:
                origin = "%s.%s" % (obj.origin, name)
                if origin == "sys.path":
                    self.path_changed = True
                if obj.ref:
                    return self.unknown("%s is not evaluated" % origin, node, ref=True, origin=origin)
                return holding(Unknown(obj.reason, obj.file, obj.line, obj.weak, None, False, origin), obj)
            return holding(self.lift(lambda o: self.attribute(o, name, node), [obj], node), obj)
        if isinstance(obj, TroopsModule):
            return self.troops_attribute(name, node)
        if isinstance(obj, Module):
            return self.module_attribute(obj, name, node)
        if isinstance(obj, Klass):
            if obj.opaque or name not in obj.scope.vars:
                return self.unknown("attribute %s of class %s is not evaluated" % (name, obj.name), node)
            return obj.scope.vars[name]
        if isinstance(obj, Box) and (name in READS[obj.kind] or name in CHANGES[obj.kind]):
            return Bound(obj, name)
        if isinstance(obj, str) and name in STR_METHODS or isinstance(obj, tuple) and name in ("count", "index"):
            return Bound(obj, name)
        if isinstance(obj, Builtin) and obj.name == "str" and name in STR_METHODS:
            return Builtin("str." + name)
        if isinstance(obj, SCALARS + (tuple, Box)) and not hasattr(type(obj.val if isinstance(obj, Box) else obj), name):
            return self.fail(AttributeError("'%s' object has no attribute '%s'" % (type_name(obj), name)), node)
        return self.unknown("attribute %s of a %s is not evaluated" % (name, type_name(obj)), node)
