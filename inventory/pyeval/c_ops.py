# Operations on values: Python's own operators, on plain copies of known values, with a bound
# on what they may make. An operation on an unknown is done on each of its alternatives.

import itertools
import operator

BINOPS = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "Div": operator.truediv,
    "FloorDiv": operator.floordiv, "Mod": operator.mod, "Pow": operator.pow, "BitOr": operator.or_,
    "BitAnd": operator.and_, "BitXor": operator.xor, "LShift": operator.lshift, "RShift": operator.rshift,
}
UNARYOPS = {"USub": operator.neg, "UAdd": operator.pos, "Invert": operator.invert}
COMPARES = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le,
    "Gt": operator.gt, "GtE": operator.ge,
}
INPLACE_SETS = {"BitOr": "update", "Sub": "difference_update", "BitAnd": "intersection_update"}
RAISES = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, NameError)


class TooBig(Exception):
    """An operation that is not done here; the first argument tells why, where it is not
    the size of what it makes."""


def check_binop(op, a, b):
    """Raises TooBig where a op b may be larger than is evaluated."""
    ints = isinstance(a, int) and isinstance(b, int)
    if op == "Mult":
        for seq, n in ((a, b), (b, a)):
            if isinstance(seq, (str, bytes, list, tuple)) and isinstance(n, int) and len(seq) * n > MAX_TEXT:
                raise TooBig
        if ints and a.bit_length() + b.bit_length() > MAX_BITS:
            raise TooBig
    elif op == "Add" and isinstance(a, (str, bytes, list, tuple)) and isinstance(b, type(a)):
        if len(a) + len(b) > MAX_TEXT:
            raise TooBig
    elif op == "Pow" and ints and b > 0 and a.bit_length() * b > MAX_BITS:
        raise TooBig
    elif op == "LShift" and ints and a.bit_length() + b > MAX_BITS:
        raise TooBig


class Ops:
    """Operators, iteration and conversion."""

    def unknown(self, reason, node, **more):
        return Unknown(reason, self.file, getattr(node, "lineno", 0), **more)

    def fail(self, exc, node):
        """An operation of the evaluated code that raises exc: goes to the try statement
        around it; without one the deployment will end here, and the value is unknown."""
        if self.trydepth:
            raise PyRaise(exc, node)
        text = str(exc)
        if len(text) > 200:
            text = text[:200] + "..."
        return self.unknown("%s: %s" % (type(exc).__name__, text) if text else type(exc).__name__, node)

    def settle(self, u, node):
        """u as a value: what was only named so far gets this place as its reason's."""
        if u.ref:
            return self.unknown("%s is not evaluated" % u.origin, node, origin=u.origin)
        return u

    def taint(self, unknowns, node):
        u = self.settle(first_reason(unknowns), node).derive(None)
        self.event(u)
        return u

    def lift(self, fn, args, node):
        """fn(*args), for every combination of alternatives of unknown args."""
        unknowns = [a for a in args if isinstance(a, Unknown)]
        if not unknowns:
            return self.pure(fn, args, node)
        n = 1
        for u in unknowns:
            n *= MAX_ALTS + 1 if u.alts is None else len(u.alts)
        if n > MAX_ALTS:
            return holding(self.taint(unknowns, node), *args)
        combos = itertools.product(*[a.alts if isinstance(a, Unknown) else (a,) for a in args])
        values, raised = [], None
        for c in combos:
            try:
                values.append(self.pure(fn, c, node))
            except PyRaise as e:
                raised = e
        if raised and not values:
            raise raised
        if raised:
            self.event(first_reason(unknowns))
        return self.choice(values, first_reason(unknowns))

    def pure(self, fn, args, node):
        self.charge(1)
        try:
            return fn(*args)
        except HasUnknown as e:
            return holding(self.taint([e.unknown], node), e.unknown)
        except TooBig as e:
            return self.unknown(e.args[0] if e.args else "the value is larger than troops evaluates", node)
        except RAISES as e:
            return self.fail(e, node)

    def plain(self, v):
        """v as Python's own value, copied; raises HasUnknown."""
        if isinstance(v, Unknown):
            raise HasUnknown(v)
        if isinstance(v, tuple):
            return tuple([self.plain(x) for x in v])
        if not isinstance(v, Box):
            return v
        if v.rest:
            raise HasUnknown(v.rest[0])
        self.charge(len(v.val) // 4)
        if v.kind == "list":
            return [self.plain(x) for x in v.val]
        if v.kind == "dict":
            return {k: self.plain(x) for k, x in v.val.items()}
        return set(v.val)

    def wrap(self, v):
        """The reverse of plain."""
        if isinstance(v, (str, bytes)):
            self.charge(len(v) // 64)
        elif isinstance(v, list):
            return self.box("list", [self.wrap(x) for x in v])
        elif isinstance(v, tuple):
            return tuple([self.wrap(x) for x in v])
        elif isinstance(v, dict):
            return self.box("dict", {k: self.wrap(x) for k, x in v.items()})
        elif isinstance(v, set):
            return self.box("set", v)
        return v

    def truth(self, v, node):
        """True, False or an Unknown."""
        if isinstance(v, Unknown):
            if v.alts is not None:
                return self.lift(lambda x: self.truth(x, node), [v], node)
            return self.settle(v, node)
        if isinstance(v, Box):
            return True if v.val else self.taint(v.rest, node) if v.rest else False
        if isinstance(v, SCALARS) or isinstance(v, tuple):
            return bool(v)
        return True

    def elements(self, v, node):
        """What iterating over v gives: known elements, and the unknowns that each stand
        for zero or more; None where v cannot be iterated."""
        if isinstance(v, Unknown):
            v = self.settle(v, node)
            if v.alts is None:
                return [], [v]
            # What it may be is in alts, so what is held follows from there.
            found, rests, common = [], [], None
            for a in v.alts:
                items, more = self.elements(a, node) or ([], [])
                found, rests = union(found, items), rests + more
                common = items if common is None else [c for c in common if any(known_same(c, i) for i in items)]
            common = union([], [c for c in common or () if not isinstance(c, Unknown)])
            other = [f for f in found if not any(known_same(f, c) for c in common)]
            whole = len(other) <= MAX_ALTS and not any(isinstance(f, Unknown) for f in other)
            return common, ([v.derive(tuple(other) if whole else None)] if other else []) + rests
        if isinstance(v, Box):
            self.charge(len(v.val) // 4)
            items = sorted(v.val, key=repr) if v.kind == "set" else list(v.val)
            return items, list(v.rest)
        if isinstance(v, range):
            if len(v) > MAX_STEPS:
                raise Limit("a range of more than %d numbers" % MAX_STEPS, self.file, getattr(node, "lineno", 0))
            return list(v), []
        if isinstance(v, frozenset):
            return sorted(v, key=repr), []
        if isinstance(v, (tuple, str, bytes)):
            self.charge(len(v) // 4)
            return list(v), []
        return None

    def items(self, v, node):
        """elements, with what cannot be iterated as an unknown."""
        found = self.elements(v, node)
        if found is None:
            failed = self.fail(TypeError("%s is not iterable" % type_name(v)), node)
            return [], [failed]
        return found

    def binop(self, op, a, b, node):
        if op == "Add" and "list" in (box_kind(a), box_kind(b)):
            sides = [self.items(x, node) for x in (a, b) if isinstance(x, Unknown) or box_kind(x) == "list"]
            if len(sides) == 2:
                return self.box("list", sides[0][0] + sides[1][0], sides[0][1] + sides[1][1])
        if op == "BitOr" and box_kind(a) == "set" and box_kind(b) == "set":
            return self.box("set", a.val | b.val, a.rest + b.rest)
        if op == "Mod" and isinstance(a, str):
            return self.lift(lambda x, y: percent(x, self.plain(y)), [a, b], node)
        return self.lift(lambda x, y: self.known_binop(op, x, y), [a, b], node)

    def known_binop(self, op, a, b):
        if op not in BINOPS:
            raise TypeError("operator %s is not evaluated" % op)
        if isinstance(a, tuple) and isinstance(b, tuple) and op == "Add":
            return a + b
        if box_kind(a) == "list" and isinstance(b, int) and op == "Mult":
            check_binop(op, a.val, b)
            return self.box("list", a.val * b, a.rest)
        a, b = self.plain(a), self.plain(b)
        check_binop(op, a, b)
        return self.wrap(BINOPS[op](a, b))

    def inplace(self, op, a, b, node):
        """a op= b; a box keeps its identity."""
        if isinstance(a, Unknown):
            if a.alts is not None and any(isinstance(x, Box) for x in a.alts):
                return self.branch_value(a, *[lambda x=x: self.inplace(op, x, b, node) for x in a.alts])
            self.escape(a, a)
        kind = box_kind(a)
        if kind == "list" and op == "Add":
            self.extend(a, b, node)
            return a
        if kind == "set" and op in INPLACE_SETS:
            self.method(a, INPLACE_SETS[op], [b], {}, node)
            return a
        if kind == "dict" and op == "BitOr":
            self.method(a, "update", [b], {}, node)
            return a
        return self.binop(op, a, b, node)

    def compare(self, op, a, b, node):
        if op in ("Is", "IsNot"):
            return self.lift(lambda x, y: known_same(x, y) == (op == "Is"), [a, b], node)
        if op in ("In", "NotIn"):
            found = self.contains(b, a, node)
            if isinstance(found, Unknown):
                return found if op == "In" else self.lift(operator.not_, [found], node)
            return found == (op == "In")
        return self.lift(lambda x, y: COMPARES[op](self.plain(x), self.plain(y)), [a, b], node)

    def contains(self, container, item, node):
        """item in container: True, False or an Unknown."""
        if isinstance(container, Unknown) or isinstance(item, Unknown):
            return self.lift(lambda c, i: self.contains(c, i, node), [container, item], node)
        if isinstance(container, Box) and container.kind != "list":
            found = self.pure(lambda: self.plain(item) in container.val, [], node)
            rest = container.rest
        elif isinstance(container, (Box, tuple)):
            elems = container.val if isinstance(container, Box) else container
            rest = list(container.rest) if isinstance(container, Box) else []
            rest += [e for e in elems if isinstance(e, Unknown)]
            self.charge(len(elems) // 8)
            found = self.pure(lambda: self.plain(item) in [self.plain(e) for e in elems if not isinstance(e, Unknown)], [], node)
        else:
            return self.pure(lambda: self.plain(item) in container, [], node)
        if found is not False or not rest:
            return found
        may = [u for u in rest if u.alts is None or any(known_same(item, x) for x in u.alts)]
        return self.taint(may, node) if may else False

    def subscript(self, obj, key, node):
        return holding(self.subscript_value(obj, key, node), obj)

    def subscript_value(self, obj, key, node):
        if isinstance(obj, Unknown) and obj.alts is None:
            return self.taint([obj], node)
        if isinstance(key, Unknown) and key.alts is None and not isinstance(obj, Unknown):
            values = obj.val.values() if box_kind(obj) == "dict" else obj.val if isinstance(obj, Box) else obj
            if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__") or (isinstance(obj, Box) and obj.rest):
                return self.taint([key], node)
            values, why = list(values), self.taint([key], node)
            return self.choice(values, why) if values else why
        return self.lift(self.known_subscript, [obj, key], node)

    def known_subscript(self, obj, key):
        if isinstance(obj, Box):
            if obj.kind == "set":
                raise TypeError("'set' object is not subscriptable")
            if obj.rest:
                raise HasUnknown(obj.rest[0])
            got = obj.val[self.plain(key) if obj.kind == "dict" else key]
            return self.box("list", got) if isinstance(key, slice) else got
        if isinstance(obj, (str, bytes, tuple, range)):
            return obj[key]
        raise TypeError("%s is not subscriptable" % type_name(obj))


def box_kind(v):
    return v.kind if isinstance(v, Box) else None


def type_name(v):
    """The type of v as Python names it."""
    if isinstance(v, Box):
        return v.kind
    if isinstance(v, (Func, TroopsFn, Bound)):
        return "function"
    if isinstance(v, (Module, TroopsModule)):
        return "module"
    return type(v).__name__ if isinstance(v, SCALARS) or isinstance(v, tuple) else "object"
