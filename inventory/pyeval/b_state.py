# The state of a pass, and how it is forked where a condition is unknown: each branch runs
# on the same state, its changes are noted and undone, and what differs at the end is joined.


class Frame:
    """The changes since a fork: how to undo them."""

    def __init__(self, serial):
        self.serial = serial
        self.names = {}     # (id of scope, name) -> (scope, name, old value)
        self.boxes = {}     # id of box -> (box, old val, old rest)


class State:
    """Names, boxes, forks and the accounting of steps."""

    def init_state(self):
        self.steps = self.line = 0
        self.methods = {}       # type of an expression's node -> its method
        self.serial = 0
        self.frames = []
        self.ctx = []           # why the code being evaluated may not run, outermost first
        self.pending = None     # the flow by which the current expression may have ended
        self.trydepth = 0       # how many try bodies the current code is in
        self.joined = []        # (scope, name, old, new value) of what the last fork changed
        self.joined_boxes = []  # (box, old val, old rest)

    def charge(self, n):
        self.steps += n
        if self.steps > MAX_STEPS:
            raise Limit("needs more than %d steps" % MAX_STEPS, self.file, self.line)

    def epoch(self):
        return self.frames[-1].serial if self.frames else 0

    def box(self, kind, val, rest=()):
        self.charge(1 + len(val) // 8)
        return Box(kind, val, rest, self.epoch())

    def once(self, what, value):
        """Marks what Python makes an iterator or a view."""
        if isinstance(value, Box):
            value.once = what
        return value

    def bind(self, scope, name, value):
        """Sets a name, or removes it (MISSING)."""
        if self.frames and scope.epoch != self.frames[-1].serial:
            key = (id(scope), name)
            if key not in self.frames[-1].names:
                self.frames[-1].names[key] = (scope, name, scope.vars.get(name, MISSING))
        if value is MISSING:
            scope.vars.pop(name, None)
        else:
            scope.vars[name] = value

    def touch(self, box):
        """Must come before every change of a box."""
        if box is self.roles:
            self.depend()
        if self.frames and box.epoch != self.frames[-1].serial and id(box) not in self.frames[-1].boxes:
            self.charge(len(box.val) // 8)
            self.frames[-1].boxes[id(box)] = (box, box.val.copy(), list(box.rest))

    def add_rest(self, box, unknown):
        self.touch(box)
        for i, u in enumerate(box.rest):
            if u.key() == unknown.key():
                if u.alts is None or unknown.alts is None:
                    box.rest[i] = unknown.derive(None)
                else:
                    box.rest[i] = unknown.derive(tuple(union(u.alts, unknown.alts)))
                return
        if len(box.rest) >= MAX_ALTS:
            box.rest = [first_reason(box.rest).derive(None)]
            return
        box.rest.append(unknown)

    def weaken(self, box, unknown, bounded=False):
        """What is in box may no longer be; with bounded, nothing new came in."""
        self.touch(box)
        elems = tuple(box.val)[:MAX_ALTS + 1]
        inner = list(box.val.values()) if box.kind == "dict" else list(box.val)
        box.val = type(box.val)()
        bounded = bounded and box.kind != "dict" and len(elems) <= MAX_ALTS
        known = bounded and not any(isinstance(e, Unknown) for e in elems)
        self.add_rest(box, unknown.derive(elems if known else None))
        for v in [] if known else inner:
            self.degrade(v, unknown)

    def degrade(self, v, why):
        """What is in v can be reached in ways that are not known from here on. Returns what
        can be reached in v."""
        found = reachable(v)
        for b in found:
            if isinstance(b, Box) and (b.val or not b.rest or any(u.alts is not None for u in b.rest)):
                self.touch(b)
                b.val, b.rest = type(b.val)(), [u.derive(None) for u in b.rest]
                self.add_rest(b, why.derive(None))
        return found

    def maybe(self):
        """Why the current code may not run: the strongest reason, or None."""
        reasons = self.ctx + ([self.pending.reason] if self.pending else [])
        return first_reason(reasons) if reasons else None

    def event(self, unknown):
        """Something happened that may raise an exception, which matters inside a try."""
        if self.trydepth:
            self.suspend({"raise": None}, unknown.derive(None))

    def suspend(self, kinds, reason):
        """The rest of the current statement, and what follows it, may not run."""
        self.pending = merge_flows([self.pending, Flow(kinds, True, reason)] if self.pending else
                                   [Flow(kinds, True, reason)], reason)

    def drain(self, flow):
        """flow, or how the statement may have ended before."""
        p, self.pending = self.pending, None
        if p is None:
            return flow
        falls = flow is None or flow.falls
        return merge_flows([Flow(p.kinds, falls, p.reason)] + ([flow] if flow else []), p.reason)

    # Forks

    def capture(self, frame):
        names = {k: (s, n, s.vars.get(n, MISSING)) for k, (s, n, _) in frame.names.items()}
        boxes = {k: (b, b.val, b.rest) for k, (b, _, _) in frame.boxes.items()}
        return names, boxes

    def undo(self, frame):
        for scope, name, old in frame.names.values():
            if old is MISSING:
                scope.vars.pop(name, None)
            else:
                scope.vars[name] = old
        for box, val, rest in frame.boxes.values():
            box.val, box.rest = val, rest

    def redo(self, outcome):
        for scope, name, value in outcome[0].values():
            self.bind(scope, name, value)
        for box, val, rest in outcome[1].values():
            self.touch(box)
            box.val, box.rest = val.copy(), list(rest)

    def attempt(self, reason, run):
        """Runs a branch, undoes it, and returns its flow and its changes."""
        self.serial += 1
        frame = Frame(self.serial)
        self.frames.append(frame)
        self.ctx.append(reason)
        pending, self.pending = self.pending, None
        try:
            try:
                flow = run()
            except PyRaise as e:
                flow = e.as_flow()
            flow = self.drain(flow)
            outcome = self.capture(frame)
        finally:
            self.pending = pending
            self.undo(frame)
            self.ctx.pop()
            self.frames.pop()
        return flow, outcome

    def fork(self, reason, branches, rest=None):
        """Runs the branches of which one is taken, joins what they did and returns the
        flow. Where only one comes to its end and rest is given, rest runs after that one."""
        reason = reason.derive(None)
        tried = [self.attempt(reason, b) for b in branches]
        falling = [t for t in tried if t[0] is None or t[0].falls]
        consumed = False
        if rest and len(falling) == 1 and len(tried) > 1:
            flow, outcome = falling[0]
            i = tried.index(falling[0])
            again, outcome = self.attempt(reason, lambda: (self.redo(outcome), rest())[1])
            if flow is not None:    # it may also have ended before
                tried.append((Flow(flow.kinds, False, flow.reason), falling[0][1]))
            tried[i] = (again, outcome)
            consumed = True
        self.join([o for _, o in tried], reason)
        flow = merge_flows([f for f, _ in tried], reason)
        if rest is None:
            return flow
        if consumed:
            return flow
        return self.then(flow, rest)

    def then(self, flow, rest):
        """Runs rest after a block that ended with flow."""
        if flow is None:
            return rest()
        if not flow.falls:
            return flow
        before = Flow(flow.kinds, False, flow.reason)
        return self.fork(flow.reason, [rest, lambda: before])

    def join(self, outcomes, reason):
        keys = {}
        for names, _ in outcomes:
            keys.update(names)
        before = []
        for key, (scope, name, _) in keys.items():
            now = scope.vars.get(name, MISSING)
            before.append((scope, name, now))
            values = [o[0][key][2] if key in o[0] else now for o in outcomes]
            self.bind(scope, name, self.choice([v for v in values if v is not MISSING], reason))
        self.joined = [(s, n, v, s.vars.get(n, MISSING)) for s, n, v in before]
        boxes = {}
        for _, changed in outcomes:
            boxes.update(changed)
        self.joined_boxes = [(b, b.val, b.rest) for b, _, _ in boxes.values()]
        for key, (box, _, _) in boxes.items():
            versions = [(o[1][key][1], o[1][key][2]) if key in o[1] else (box.val, box.rest) for o in outcomes]
            self.join_box(box, versions, reason)

    def join_box(self, box, versions, reason):
        self.touch(box)
        val, rest, extra = versions[0][0].copy(), [], []
        for v, r in versions[1:]:
            self.charge(len(v) // 8)
            if box.kind == "list":
                n = 0
                while n < min(len(val), len(v)) and known_same(val[n], v[n]):
                    n += 1
                extra = union(extra, val[n:n + MAX_ALTS] + v[n:n + MAX_ALTS])
                extra += [reason] if max(len(val), len(v)) - n > MAX_ALTS else []
                val = val[:n]
            elif box.kind == "set":
                extra = union(extra, sorted(val ^ v, key=repr)[:MAX_ALTS])
                extra += [reason] if len(val ^ v) > MAX_ALTS else []
                val = val & v
            else:
                extra += [] if set(val) == set(v) else [reason]
                val = {k: self.choice([val[k], v[k]], reason) for k in val if k in v}
        box.val, box.rest = val, rest
        for _, r in versions:
            for u in r:
                self.add_rest(box, u)
        if extra:
            chosen = self.choice(extra, reason)
            self.add_rest(box, chosen if isinstance(chosen, Unknown) else reason.derive((chosen,)))

    def choice(self, values, reason):
        """One of values, it is not known which."""
        alts, unknowns, open_ended = [], [], False
        for v in values:
            if not isinstance(v, Unknown):
                alts = union(alts, [v])
                continue
            unknowns.append(v)
            open_ended = open_ended or v.alts is None
            alts = union(alts, v.alts or ())
        if not unknowns and len(alts) == 1:
            return alts[0]
        if not values:
            return MISSING
        if len(unknowns) == len(values) and all(known_same(u, unknowns[0]) for u in unknowns):
            return unknowns[0]
        reason = first_reason([reason] + unknowns)
        if open_ended or len(alts) > MAX_ALTS:
            return holding(reason.derive(None), tuple(alts), *unknowns)
        return reason.derive(tuple(alts))


def reachable(v):
    """v and what can be reached from it, each once."""
    found, seen, todo = [], set(), [v]
    while todo:
        v = todo.pop()
        if isinstance(v, SCALARS) or id(v) in seen:
            continue
        seen.add(id(v))
        found.append(v)
        if isinstance(v, Unknown):
            todo.extend(v.hold + (v.alts or ()))
        elif isinstance(v, tuple):
            todo.extend(v)
        elif isinstance(v, Box):
            todo.extend(v.val.values() if v.kind == "dict" else v.val)
            todo.extend(v.rest)
        elif isinstance(v, Bound):
            todo.append(v.obj)
        elif isinstance(v, Klass):
            todo.extend(v.scope.vars.values())
    return found


def merge_flows(flows, reason):
    """The flow of a fork whose branches ended with flows."""
    kinds, falls, why = {}, False, None
    for f in flows:
        if f is None:
            falls = True
            continue
        for kind, exc in f.kinds.items():
            kinds[kind] = exc if kind not in kinds or type(kinds[kind]) is type(exc) else None
        falls = falls or f.falls
        why = first_reason([u for u in (why, f.reason) if u]) if why or f.reason else None
    return Flow(kinds, falls, why or reason) if kinds else None
