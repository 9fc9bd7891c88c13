# The values that the evaluator works on. Immutable Python values (str, int, float, bool,
# None, bytes, tuple, range, frozenset) stand for themselves; everything else is a class of
# this file. No object that belongs to the evaluated code is ever called, hashed or compared
# by code of its own: it has none.

MISSING = object()

MAX_STEPS = 2000000     # statements and expressions of one pass, bulk operations by their size
MAX_DEPTH = 200         # nested calls of the repository's functions
MAX_ALTS = 64           # alternatives that are remembered of one value
MAX_TEXT = 4 << 20      # characters of one string, elements of one sequence
MAX_BITS = 100000       # bits of one integer
MAX_YIELDS = 10000      # values of one generator
MAX_SAME = 6            # recursions of one function below a condition that is not known


class Limit(Exception):
    """The evaluation needs more than it may use; ends everything."""

    def __init__(self, text, file="", line=0):
        Exception.__init__(self, text)
        self.text, self.file, self.line = text, file, line


class PyRaise(Exception):
    """An exception of the evaluated code on its way to a handler. exc: a built-in
    exception, or None: of unknown type. flow: when not None, it is one of several, for the
    flow's reason; its kinds are raise and exit only."""

    def __init__(self, exc, node=None, flow=None):
        Exception.__init__(self)
        self.exc, self.node, self.flow = exc, node, flow

    def as_flow(self):
        kind = "exit" if isinstance(self.exc, SystemExit) else "raise"
        return self.flow or Flow({kind: self.exc}, False, None)


class HasUnknown(Exception):
    """A value that had to be known holds an Unknown."""

    def __init__(self, unknown):
        Exception.__init__(self)
        self.unknown = unknown


class Unknown:
    """A value that cannot be told here, with the first reason why.

    weak: it depends on nothing but troops.hostname(), so a pass with a host tells it.
    alts: when not None, it is one of these values.
    ref:  a module, or something in one, that was only named so far: the reason gets its
          place when it is used.
    hold: boxes that it may be, or be a part of, where alts does not tell.
    """

    __slots__ = ("reason", "file", "line", "weak", "alts", "ref", "origin", "hold")
    __hash__ = None

    def __init__(self, reason, file, line, weak=False, alts=None, ref=False, origin=""):
        self.reason, self.file, self.line = reason, file, line
        self.weak, self.alts, self.ref, self.origin = weak, alts, ref, origin
        self.hold = ()

    def derive(self, alts):
        return Unknown(self.reason, self.file, self.line, self.weak, alts, False, "" if alts else self.origin)

    def key(self):
        return (self.reason, self.file, self.line)


class Box:
    """A list, dict or set. rest: the unknowns it may hold besides what val has; each
    stands for zero or more elements (out of its alts, where it has them). once: what it is
    in words where Python has an iterator or a view, which is right only where it is used.
    view: of a view, the dict and the method that made it."""

    __slots__ = ("kind", "val", "rest", "epoch", "once", "view")
    __hash__ = None

    def __init__(self, kind, val, rest=(), epoch=0):
        self.kind, self.val, self.rest, self.epoch, self.once = kind, val, list(rest), epoch, None
        self.view = None


class Scope:
    """The names of a module, class, function or comprehension."""

    __slots__ = ("kind", "vars", "parent", "module", "local", "outer", "epoch")
    __hash__ = object.__hash__

    def __init__(self, kind, parent, module, local=frozenset(), epoch=0):
        self.kind, self.vars, self.parent, self.module = kind, {}, parent, module
        self.local, self.outer, self.epoch = local, {}, epoch


class Module:
    """A module of the repository. dynamic: it may have names that were not seen."""

    def __init__(self, name, file, package):
        self.name, self.file, self.package = name, file, package
        self.scope = Scope("module", None, self)
        self.dynamic = None


class Func:
    """A function or lambda of the repository."""

    def __init__(self, node, name, scope, file, defaults, kwdefaults):
        self.node, self.name, self.scope, self.file = node, name, scope, file
        self.defaults, self.kwdefaults = defaults, kwdefaults


class Klass:
    """A class of the repository; its attributes can be read, its instances are unknown."""

    def __init__(self, name, scope, opaque):
        self.name, self.scope, self.opaque = name, scope, opaque


class Bound:
    """A method of a known value."""

    def __init__(self, obj, name):
        self.obj, self.name = obj, name


class Builtin:
    """A built-in function, type or exception, by name."""

    def __init__(self, name):
        self.name = name


class TroopsModule:
    """What `import troops` gives."""


class TroopsFn:
    """A function of troops, by name."""

    def __init__(self, name):
        self.name = name


class Deployable:
    """What troops.deployable(...) returned, or troops.check(...): that calls nothing.
    roles: None or a value to iterate."""

    def __init__(self, roles, called=True):
        self.roles, self.called = roles, called


class Flow:
    """How a block may end other than at its end. kinds maps break, continue, return, raise
    and exit (of the program) to the exception or None; falls: it may also end at its end."""

    def __init__(self, kinds, falls, reason):
        self.kinds, self.falls, self.reason = kinds, falls, reason


class Call:
    """A call of a function of the repository that is being evaluated."""

    def __init__(self, func, ctx):
        self.func, self.ctx, self.rets, self.yields = func, ctx, [], None


SCALARS = (str, int, float, complex, bytes, type(None), range, frozenset, type(Ellipsis))


def known_same(a, b):
    """Whether two values are surely the same, told without looking into containers."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(known_same(x, y) for x, y in zip(a, b))
    if isinstance(a, Unknown):
        return a.key() == b.key() and a.alts is None and b.alts is None
    if isinstance(a, (Bound, Builtin, TroopsFn)):
        return a.name == b.name and getattr(a, "obj", None) is getattr(b, "obj", None)
    return isinstance(a, SCALARS) and a == b


def holding(u, *sources):
    """u, where it is an unknown without alternatives, as one that may be a part of sources."""
    if not isinstance(u, Unknown) or u.alts is not None:
        return u
    hold = list(u.hold)
    for s in sources:
        inner = s.hold + (s.alts or ()) if isinstance(s, Unknown) else s if isinstance(s, tuple) else (s,)
        hold = union(hold, [b for b in inner if isinstance(b, (Box, Klass, tuple))])
    if len(hold) == len(u.hold):
        return u
    out = Unknown(u.reason, u.file, u.line, u.weak, None, u.ref, u.origin)
    out.hold = tuple(hold)
    return out


def possible(item, why):
    """The unknown that stands for item, or nothing, for the reason why."""
    if isinstance(item, Unknown):
        return holding(first_reason([why, item]).derive(item.alts), item)
    return why.derive((item,))


def same_value(a, b):
    """Whether two values, alternatives included, are surely the same."""
    if not isinstance(a, Unknown) or not isinstance(b, Unknown):
        return known_same(a, b)
    if a.alts is None or b.alts is None:
        return a.alts is b.alts and a.weak == b.weak and len(a.hold) == len(b.hold)
    return len(a.alts) == len(b.alts) == len(union(a.alts, b.alts))


def first_reason(unknowns):
    """The first unknown that no pass can tell, else the first."""
    for u in unknowns:
        if not u.weak:
            return u
    return unknowns[0]


def union(values, more):
    """values and more without what is there already."""
    out = list(values)
    for v in more:
        if not any(known_same(v, w) for w in out):
            out.append(v)
    return out
