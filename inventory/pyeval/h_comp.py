# Comprehensions. Generator expressions are evaluated at once, as lists.


class Comprehensions:
    """Evaluation of list, set and dict comprehensions."""

    def comprehend(self, node, emit):
        """Calls emit(maybe) for each round, with its names bound; maybe is None or an
        unknown that says why there may be no such round."""
        outer = self.scope
        parent = outer if outer.kind != "class" else outer.parent
        first = self.eval(node.generators[0].iter)
        self.scope = Scope("comprehension", parent, outer.module, epoch=self.epoch())
        self.scope.outer = dict(outer.outer)
        try:
            self.rounds(node, 0, first, emit, None)
        finally:
            self.scope = outer

    def rounds(self, node, i, iterable, emit, maybe):
        gen = node.generators[i]
        if gen.is_async:
            iterable = self.unknown("an asynchronous comprehension is not evaluated", node)
        items, rests = self.items(iterable, gen.iter)
        for item in items:
            self.assign(gen.target, item)
            self.round(node, i, emit, maybe)
        for u in rests:
            for alt in [u] if u.alts is None else u.alts:
                why = u.derive(None)

                def run(alt=alt, why=why):
                    self.assign(gen.target, alt)
                    # An unknown number of rounds: what a round gives is told only by its name.
                    self.round(node, i, emit, why)

                self.bubble(self.fork(why, [run, lambda: None]))

    def round(self, node, i, emit, maybe):
        for cond in node.generators[i].ifs:
            t = self.truth(self.eval(cond), cond)
            if t is False:
                return
            if isinstance(t, Unknown):
                maybe = first_reason([maybe, t]) if maybe else t
        if i + 1 < len(node.generators):
            self.rounds(node, i + 1, self.eval(node.generators[i + 1].iter), emit, maybe)
        elif maybe is None:
            emit(None)
        else:
            self.bubble(self.fork(maybe, [lambda: emit(maybe), lambda: None]))

    def collect(self, node):
        """The elements, and unknowns for those that there may be."""
        items, rests = [], []

        def emit(maybe):
            value = self.as_item(self.eval(node.elt), node.elt)
            if maybe is None:
                items.append(value)
            else:
                rests.append(possible(value, maybe))

        self.comprehend(node, emit)
        return items, rests

    def with_rests(self, kind, items, rests, node):
        out = self.box(kind, items)
        for u in rests:
            self.add_rest(out, u)
        return out

    def ex_ListComp(self, node):
        items, rests = self.collect(node)
        return self.with_rests("list", items, rests, node)

    def ex_GeneratorExp(self, node):
        return self.once("a generator", self.ex_ListComp(node))

    def ex_SetComp(self, node):
        out = self.box("set", set())
        items, rests = self.collect(node)
        self.set_update(out, node, self.with_rests("list", items, rests, node))
        return out

    def ex_DictComp(self, node):
        pairs, rests = [], []

        def emit(maybe):
            if maybe is None:
                key = self.eval(node.key)
                pairs.append((key, self.as_item(self.eval(node.value), node.value)))
            else:
                self.eval(node.key)
                self.eval(node.value)
                rests.append(maybe.derive(None))

        self.comprehend(node, emit)
        out = self.box("dict", {})
        for k, v in pairs:
            self.set_item(out, k, v, node)
        for u in rests:
            self.add_rest(out, u)
        return out

    def each_rest(self, u, fn):
        """The unknown elements u, after fn was done to each."""
        values = []
        for alt in [u] if u.alts is None else u.alts:
            values.append(self.branch_value(u, lambda alt=alt: fn(alt)))
        if u.alts is None or any(isinstance(v, Unknown) for v in values):
            return holding(u.derive(None), *values)
        return u.derive(tuple(union([], values)))
