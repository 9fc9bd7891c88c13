# Methods of lists, dicts and sets.

READS = {
    "list": frozenset("index count copy".split()),
    "dict": frozenset("get keys values items copy".split()),
    "set": frozenset("union intersection difference symmetric_difference issubset issuperset isdisjoint copy".split()),
}
CHANGES = {
    "list": frozenset("append extend insert remove pop clear sort reverse".split()),
    "dict": frozenset("setdefault pop popitem update clear".split()),
    "set": frozenset("""add update discard remove pop clear intersection_update difference_update
        symmetric_difference_update""".split()),
}


class Methods:
    """Calls of methods of known values."""

    def method(self, obj, name, args, kwargs, node):
        if isinstance(obj, Box):
            if name in READS[obj.kind]:
                return self.read_method(obj, name, args, kwargs, node)
            changed = getattr(self, "%s_%s" % (obj.kind, name), None)
            if kwargs and name == "update":
                args, kwargs = list(args) + [self.box("dict", dict(kwargs))], {}
            if kwargs and name != "sort":
                return self.fail(TypeError("%s() takes no keyword arguments" % name), node)
            try:
                return changed(obj, node, *args, **kwargs)
            except HasUnknown as e:
                self.weaken(obj, self.settle(e.unknown, node))
                return self.taint([e.unknown], node)
            except RAISES as e:
                return self.fail(e, node)
        if isinstance(obj, str):
            names = list(kwargs)
            return self.lift(lambda *a: self.str_method(obj, name, a[:len(args)], dict(zip(names, a[len(args):]))),
                             list(args) + list(kwargs.values()), node)
        return self.lift(lambda *a: self.wrap(getattr(obj, name)(*[self.plain(x) for x in a])), list(args), node)

    def viewed(self, box, name, values, rest):
        view = self.once("a view of a dict", self.box("list", values, rest))
        view.view = (box, name)
        return view

    def read_method(self, box, name, args, kwargs, node):
        if name == "copy":
            return self.box(box.kind, box.val.copy(), box.rest)
        if box.kind == "dict" and name != "get":
            if name == "keys":
                return self.viewed(box, name, list(box.val), box.rest)
            values = [holding(self.taint(box.rest, node), v) if box.rest else v for v in box.val.values()]
            if name == "items":
                values = list(zip(box.val, values))
            return self.viewed(box, name, values, [holding(u.derive(None), u) for u in box.rest])
        if name == "get":
            return self.dict_get(box, args, node)
        if box.kind == "set" and name == "union":
            out = self.box("set", box.val.copy(), box.rest)
            self.set_update(out, node, *args)
            return out
        return self.lift(lambda *a: self.wrap(getattr(self.plain(box), name)(*[self.plain(x) for x in a])), list(args), node)

    def dict_get(self, box, args, node):
        default = args[1] if len(args) > 1 else None
        key = args[0] if args else None
        if box.rest:
            return holding(self.taint(box.rest, node), box, default)
        if isinstance(key, Unknown) and key.alts is None:
            return self.choice(list(box.val.values()) + [default], self.settle(key, node))
        return self.lift(lambda k: box.val.get(self.plain(k), default), [key], node)

    # Lists

    def list_append(self, box, node, item):
        self.touch(box)
        box.val.append(item)

    def list_extend(self, box, node, more):
        self.extend(box, more, node)

    def extend(self, box, more, node):
        items, rests = self.items(more, node)
        self.touch(box)
        self.charge(len(items))
        box.val.extend(items)
        for u in rests:
            self.add_rest(box, u)

    def list_insert(self, box, node, index, item):
        self.touch(box)
        if isinstance(index, Unknown) or box.rest:
            box.val.append(item)
            self.weaken(box, self.settle(index if isinstance(index, Unknown) else box.rest[0], node), bounded=True)
        else:
            box.val.insert(index, item)

    def list_remove(self, box, node, item):
        self.touch(box)
        if isinstance(item, Unknown):
            self.weaken(box, self.settle(item, node), bounded=True)
            return
        for i, v in enumerate(box.val):
            if not isinstance(v, Unknown) and self.plain(v) == self.plain(item):
                del box.val[i]
                return
        if not box.rest and not any(isinstance(v, Unknown) for v in box.val):
            raise ValueError("list.remove(x): x not in list")

    def list_pop(self, box, node, index=-1):
        self.touch(box)
        if box.rest or isinstance(index, Unknown):
            why = self.settle(index if isinstance(index, Unknown) else box.rest[0], node)
            out = why.derive(tuple(box.val) if not box.rest else None)
            self.weaken(box, why, bounded=True)
            return out
        return box.val.pop(index)

    def list_clear(self, box, node):
        self.touch(box)
        box.val, box.rest = [], []

    def list_sort(self, box, node, key=None, reverse=False):
        self.touch(box)
        ordered, why = self.sort(box.val, key, reverse, node)
        if why is not None:
            self.weaken(box, why, bounded=True)
        else:
            box.val = ordered

    def list_reverse(self, box, node):
        self.touch(box)
        box.val = box.val[::-1]

    def sort(self, values, key, reverse, node):
        """values in order and None, or as they are and why their order cannot be told."""
        self.charge(len(values))
        keys = [self.call(key, [v], {}, node) for v in values] if key is not None else values
        down = self.truth(reverse, node)
        why = [u for u in [down] if isinstance(u, Unknown)]
        try:
            plain = [self.plain(k) for k in keys]
        except HasUnknown:
            why += [k for k in keys if isinstance(k, Unknown)]
            why = why or [self.unknown("the order of values that are not all known is not evaluated", node)]
        if why and len(values) > 1:
            return list(values), self.taint(why, node)
        if len(values) < 2:
            return list(values), None
        pairs = sorted(zip(plain, range(len(values))), key=lambda p: p[0], reverse=down)
        return [values[i] for _, i in pairs], None

    # Dicts

    def dict_setdefault(self, box, node, key, default=None):
        if isinstance(key, Unknown) or box.rest:
            why = self.settle(key, node) if isinstance(key, Unknown) else box.rest[0]
            self.weaken(box, why)
            return holding(why.derive(None), box, default)
        key = self.plain(key)
        if key not in box.val:
            self.touch(box)
            box.val[key] = default
        return box.val[key]

    def dict_pop(self, box, node, key, *default):
        self.touch(box)
        if isinstance(key, Unknown) or box.rest:
            why = self.settle(key, node) if isinstance(key, Unknown) else box.rest[0]
            self.weaken(box, why)
            return why.derive(None)
        return box.val.pop(self.plain(key), *default)

    def dict_popitem(self, box, node):
        self.touch(box)
        if box.rest:
            raise HasUnknown(box.rest[0])
        return box.val.popitem()

    def dict_update(self, box, node, *more):
        self.touch(box)
        for m in more:
            if isinstance(m, Unknown):
                self.add_rest(box, self.settle(m, node).derive(None))
            elif box_kind(m) == "dict":
                box.val.update(m.val)
                for u in m.rest:
                    self.add_rest(box, u)
            else:
                pairs, rests = self.items(m, node)
                for u in rests + [p for p in pairs if not isinstance(p, tuple)]:
                    self.add_rest(box, u.derive(None) if isinstance(u, Unknown) else self.unknown("not a pair", node))
                for p in pairs:
                    if isinstance(p, tuple):
                        self.set_item(box, p[0], p[1], node)

    def dict_clear(self, box, node):
        self.touch(box)
        box.val, box.rest = {}, []

    # Sets

    def set_add(self, box, node, item):
        if box is self.roles:
            self.activate(item, node)
            return
        self.touch(box)
        if isinstance(item, Unknown):
            self.add_rest(box, self.settle(item, node))
        else:
            box.val.add(self.plain(item))

    def set_update(self, box, node, *more):
        for m in more:
            items, rests = self.items(m, node)
            for item in items:
                self.set_add(box, node, item)
            for u in rests:
                self.add_rest(box, u)

    def set_discard(self, box, node, item, missing=None):
        self.touch(box)
        if isinstance(item, Unknown):
            self.weaken(box, self.settle(item, node), bounded=True)
        elif self.plain(item) in box.val:
            box.val.discard(self.plain(item))
        elif missing and not box.rest:
            raise missing
        box.rest = [u.derive(tuple([a for a in u.alts if a != item])) if u.alts else u for u in box.rest]

    def set_remove(self, box, node, item):
        self.set_discard(box, node, item, KeyError(item if isinstance(item, str) else "item"))

    def set_pop(self, box, node):
        if box.rest or len(box.val) != 1:
            why = box.rest[0] if box.rest else self.unknown("set.pop() takes any element", node)
            self.weaken(box, why, bounded=True)
            return why.derive(None)
        self.touch(box)
        return box.val.pop()

    def set_clear(self, box, node):
        self.touch(box)
        box.val, box.rest = set(), []

    def set_difference_update(self, box, node, *more):
        for m in more:
            items, rests = self.items(m, node)
            for item in items:
                self.set_discard(box, node, item)
            for u in rests:
                self.weaken(box, u, bounded=True)

    def set_intersection_update(self, box, node, other):
        self.touch(box)
        items, rests = self.items(other, node)
        if rests or box.rest:
            self.weaken(box, (rests or box.rest)[0], bounded=True)
        else:
            box.val &= {self.plain(i) for i in items}

    def set_symmetric_difference_update(self, box, node, other):
        self.weaken(box, self.unknown("symmetric_difference_update() is not evaluated", node))
