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
        self.serial = 0
        self.frames = []
        self.ctx = []           # why the code being evaluated may not run, outermost first
        self.pending = None     # why code after the current expression may not run
        self.trydepth = 0       # how many try bodies the current code is in
        self.joined = []        # (scope, name) of what the last fork changed

    def charge(self, n):
        self.steps += n
        if self.steps > MAX_STEPS:
            raise Limit("needs more than %d steps" % MAX_STEPS, self.file, self.line)

    def epoch(self):
        return self.frames[-1].serial if self.frames else 0

    def box(self, kind, val, rest=()):
        self.charge(1 + len(val) // 8)
        return Box(kind, val, rest, self.epoch())

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
        if box is self.roles or box is self.all_roles:
            self.touched = True
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
        box.val = type(box.val)()
        bounded = bounded and box.kind != "dict" and len(elems) <= MAX_ALTS
        known = bounded and not any(isinstance(e, Unknown) for e in elems)
        self.add_rest(box, unknown.derive(elems if known else None))

    def maybe(self):
        """Why the current code may not run: the strongest reason, or None."""
        reasons = self.ctx + ([self.pending] if self.pending else [])
        return first_reason(reasons) if reasons else None

    def event(self, unknown):
        """Something happened that may raise an exception, which matters inside a try."""
        if self.trydepth and self.pending is None:
            self.pending = unknown.derive(None)

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
                flow = Flow({"raise": e.exc}, False, reason)
            outcome = self.capture(frame)
            if self.pending and not (flow and not flow.falls):
                flow = merge_flows([flow, Flow({"raise": None}, True, self.pending)], self.pending)
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
        for key, (scope, name, _) in keys.items():
            now = scope.vars.get(name, MISSING)
            values = [o[0][key][2] if key in o[0] else now for o in outcomes]
            self.bind(scope, name, self.choice([v for v in values if v is not MISSING], reason))
        self.joined = [(s, n) for s, n, _ in keys.values()]
        boxes = {}
        for _, changed in outcomes:
            boxes.update(changed)
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
        return reason.derive(None if open_ended or len(alts) > MAX_ALTS else tuple(alts))


def merge_flows(flows, reason):
    """The flow of a fork whose branches ended with flows."""
    kinds, falls, why = {}, False, None
    for f in flows:
        if f is None:
            falls = True
            continue
        kinds.update(f.kinds)
        falls = falls or f.falls
        why = first_reason([u for u in (why, f.reason) if u]) if why or f.reason else None
    return Flow(kinds, falls, why or reason) if kinds else None
