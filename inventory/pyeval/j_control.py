# Loops, try, with and match.

import ast as _ast
import re as _re


# Methods by which a loop changes what it iterates.
LOOP_CHANGES = frozenset("append extend insert remove pop clear add discard update setdefault popitem sort reverse".split())


def changes(body, name):
    """Whether statements change, by its own name, what the name stands for."""
    if type(name).__name__ != "Name":
        return False
    same = lambda n: type(n).__name__ == "Name" and n.id == name.id
    for stmt in body:
        for n in _ast.walk(stmt):
            kind = type(n).__name__
            if kind == "Attribute" and n.attr in LOOP_CHANGES and same(n.value):
                return True
            if kind == "AugAssign" and same(n.target):
                return True
            if kind == "Subscript" and type(n.ctx).__name__ in ("Store", "Del") and same(n.value):
                return True
    return False


class Control:
    """Compound statements in which control is not a matter of one condition."""

    def st_For(self, node):
        items, rests = self.items(self.eval(node.iter), node.iter)
        if changes(node.body, node.iter):
            rests = [self.unknown("a loop over what it changes is not evaluated", node)] if items or rests else []
            items = []
        flow = self.each(node, items, 0)
        for u in rests:
            if u.alts is not None:
                for alt in u.alts:
                    flow = self.then_loop(flow, lambda alt=alt: self.fork(u, [lambda: self.round_of(node, alt), lambda: None]))
            else:
                flow = self.then_loop(flow, lambda: self.some_rounds(u, lambda: self.round_of(node, u)))
        return self.after_loop(flow, node)

    st_AsyncFor = st_For

    def round_of(self, node, item):
        self.assign(node.target, item)
        return self.block(node.body)

    def each(self, node, items, start):
        """The rounds of a for loop over items[start:]."""
        for i in range(start, len(items)):
            self.charge(1)
            flow = next_round(self.round_of(node, items[i]))
            if flow is None:
                continue
            if not flow.falls:
                return flow
            # It may have left the loop: the other rounds are one branch. Where such a
            # round is among them, too, they are not told apart any further.
            stay = Flow(flow.kinds, False, flow.reason)
            if self.loop_forks >= 3:
                more = lambda: merge_flows([self.some_rounds(flow.reason, lambda: self.any_of(node, items, i + 1)), None], flow.reason)
            else:
                more = lambda: self.each(node, items, i + 1)
            self.loop_forks += 1
            try:
                return self.fork(flow.reason, [more, lambda: stay])
            finally:
                self.loop_forks -= 1
        return None

    def any_of(self, node, items, start):
        flows = []
        for item in items[start:]:
            flows.append(self.fork(self.ctx[-1], [lambda: self.round_of(node, item), lambda: None]))
        return merge_flows(flows, self.ctx[-1]) if flows else None

    def then_loop(self, flow, run):
        flow = next_round(flow)
        return run() if flow is None else self.then(flow, run)

    def some_rounds(self, reason, run):
        """Zero or more rounds, of which it is not known how many: what changes in a round
        is unknown after and in all."""
        flow = None
        for i in range(12):
            flow = merge_flows([flow, next_round(self.fork(reason, [run, lambda: None]))], reason)
            changed = [(s, n, new) for s, n, old, new in self.joined if not same_value(old, new)]
            boxes = [b for b, val, rest in self.joined_boxes if not same_box(b, val, rest)]
            if not changed and not boxes:
                break
            for scope, name, value in changed:
                several = value.alts + value.hold if isinstance(value, Unknown) and value.alts else (value,)
                if i >= 3 or not any(isinstance(v, (Box, tuple, Func)) for v in several):
                    self.degrade(value, reason)
                    self.bind(scope, name, reason.derive(None))
            for b in boxes if i >= 3 else []:
                self.degrade(b, reason)
        return flow

    def after_loop(self, flow, node):
        """The flow of a loop statement, its else clause included."""
        flow = next_round(flow)
        if flow is None:
            return self.block(node.orelse)
        broken = "break" in flow.kinds
        kinds = {k: v for k, v in flow.kinds.items() if k != "break"}
        out = Flow(kinds, flow.falls or broken, flow.reason) if kinds else None
        if flow.falls and node.orelse:
            return self.then(Flow(kinds, True, flow.reason), lambda: self.block(node.orelse))
        return out

    def st_While(self, node):
        while True:
            self.charge(1)
            t = self.truth(self.eval(node.test), node.test)
            if t is False:
                return self.block(node.orelse)
            if isinstance(t, Unknown):
                return self.after_loop(self.some_rounds(t, lambda: self.while_round(node)), node)
            flow = next_round(self.block(node.body))
            if flow is None:
                continue
            if not flow.falls:
                return self.after_loop(flow, node)
            more = self.some_rounds(flow.reason, lambda: self.while_round(node))
            return self.after_loop(merge_flows([flow, more], flow.reason), node)

    def while_round(self, node):
        self.eval(node.test)
        return self.block(node.body)

    def st_Try(self, node):
        try:
            try:
                flow = self.after_try(node, self.watched(node.body))
            except PyRaise as e:
                flow = self.drain(e.as_flow())
                one = len(flow.kinds) == 1 and not e.flow
                flow = self.handle(node, e) if one else self.after_try(node, flow)
        except PyRaise:
            final = self.block(node.finalbody)
            if final is not None and not final.falls:
                return final
            raise
        final = self.block(node.finalbody)
        if final is None:
            return flow
        if not final.falls:
            return final
        return merge_flows([flow, final], final.reason)

    st_TryStar = st_Try

    def watched(self, stmts):
        """A block inside which every unknown step may raise an exception."""
        self.trydepth += 1
        try:
            return self.block(stmts)
        finally:
            self.trydepth -= 1

    def after_try(self, node, flow):
        """Execution goes on after a body that ended with flow, perhaps by an exception."""
        wide = {"raise"} if self.narrow(node) else {"raise", "exit"}
        if flow is None or not wide & set(flow.kinds):
            return self.then(flow, lambda: self.block(node.orelse))
        kinds = {k: v for k, v in flow.kinds.items() if k != "raise"}
        branches = [lambda h=h: self.handler(h) for h in node.handlers]
        if flow.falls:
            branches.append(lambda: self.block(node.orelse))
        if kinds:
            branches.append(lambda: Flow(kinds, False, flow.reason))
        if not self.catches_all(node):
            branches.append(lambda: Flow({"raise": None}, False, flow.reason))
        return self.fork(flow.reason or self.unknown("it is not known which exception this is", node), branches)

    def narrow(self, node):
        """Whether no handler takes SystemExit."""
        return all(h.type is not None and self.catches(h, SystemExit()) is False for h in node.handlers)

    def catches_all(self, node):
        """Whether the handlers take whatever is raised. Outside of an outer try it makes no
        difference: there an unknown step that raises ends a deployment that fails anyway."""
        return not self.trydepth or any(h.type is None for h in node.handlers)

    def handler(self, h):
        if h.name:
            self.store(self.scope, h.name, self.unknown("the exception is not evaluated", h))
        return self.block(h.body)

    def handle(self, node, raised):
        """Execution goes on in the handler of raised."""
        for i, h in enumerate(node.handlers):
            match = self.catches(h, raised.exc)
            if match is True:
                return self.handler(h)
            if match is None:
                why = self.unknown("it is not known whether this handler takes the exception", h)
                def others():
                    raise raised
                branches = [lambda h=h: self.handler(h) for h in node.handlers[i:]]
                return self.fork(why, branches + [others])
        raise raised

    def catches(self, h, exc):
        """True, False, or None where it is not known."""
        if h.type is None:
            return True
        kinds = self.eval(h.type)
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        answer = False
        for k in kinds:
            if not isinstance(k, Builtin) or k.name not in EXCEPTIONS or exc is None:
                answer = None
            elif isinstance(exc, EXCEPTIONS[k.name]):
                return True
        return answer

    def st_With(self, node):
        swallows = False
        for item in node.items:
            manager = self.eval(item.context_expr)
            value = self.unknown("what with gives is not evaluated", node)
            if isinstance(manager, Unknown):
                value = self.settle(manager, node).derive(None)
                swallows = swallows or "suppress" in manager.origin
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        if not swallows:
            return self.block(node.body)
        try:
            flow = self.watched(node.body)
        except PyRaise as e:
            flow = e.as_flow()
        flow = self.drain(flow)
        # It is not evaluated which exceptions are swallowed, or whether any.
        kinds = {k: v for k, v in flow.kinds.items() if k != "raise" or self.trydepth} if flow else {}
        falls = flow is None or flow.falls or "raise" in flow.kinds
        why = flow.reason or self.unknown("contextlib.suppress() is not evaluated", node) if flow else None
        return Flow(kinds, falls, why) if kinds else None

    st_AsyncWith = st_With

    def st_Match(self, node):
        subject = self.eval(node.subject)
        return self.cases(node.cases, 0, subject)

    def cases(self, cases, i, subject):
        if i == len(cases):
            return None
        case = cases[i]
        hit = self.matches(case.pattern, subject)
        if hit is True and case.guard is not None:
            hit = self.truth(self.eval(case.guard), case.guard)
        if hit is True:
            return self.block(case.body)
        if hit is False:
            return self.cases(cases, i + 1, subject)
        return self.fork(hit, [lambda: self.block(case.body), lambda: self.cases(cases, i + 1, subject)])

    def matches(self, pattern, subject):
        """True, False or an Unknown. Patterns with structure are unknown."""
        kind = type(pattern).__name__
        if kind == "MatchValue":
            return self.compare("Eq", subject, self.eval(pattern.value), pattern)
        if kind == "MatchSingleton":
            return self.compare("Is", subject, pattern.value, pattern)
        if kind == "MatchOr":
            results = [self.matches(p, subject) for p in pattern.patterns]
            unknowns = [r for r in results if isinstance(r, Unknown)]
            return True if True in [r for r in results if r is True] else unknowns[0] if unknowns else False
        if kind == "MatchAs" and pattern.pattern is None:
            if pattern.name:
                self.store(self.scope, pattern.name, subject)
            return True
        why = self.unknown("this pattern is not evaluated", pattern)
        for name in _re.findall(r"(?:name|rest)='(\w+)'", ast.dump(pattern)):
            self.store(self.scope, name, why)
        return why


def same_box(box, val, rest):
    """Whether box holds what it held when it had val and rest."""
    if len(box.val) != len(val) or len(box.rest) != len(rest):
        return False
    if not all(same_value(a, b) for a, b in zip(box.rest, rest)):
        return False
    if box.kind == "set":
        return box.val == val
    if box.kind == "dict":
        return all(k in val and same_value(v, val[k]) for k, v in box.val.items())
    return all(same_value(a, b) for a, b in zip(box.val, val))


def next_round(flow):
    """A round's flow as the loop sees it: continue is its end."""
    if flow is None or "continue" not in flow.kinds:
        return flow
    kinds = {k: v for k, v in flow.kinds.items() if k != "continue"}
    return Flow(kinds, True, flow.reason) if kinds else None
