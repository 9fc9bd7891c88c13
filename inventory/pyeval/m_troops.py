# The module troops, as deploy.py sees it on the node whose hostname() is self.host. With
# self.host None the name is unknown: that pass collects every host that is named.

TROOPS = TroopsModule()
TROOPS_NAMES = ("hostname", "have_role", "activate_role", "roles", "define_role", "all_roles", "deployable", "check")
USAGE = {"hostname": "()", "have_role": "('role')", "activate_role": "('role')",
         "define_role": "('role', hosts=['name'])", "deployable": "(roles=['role'])",
         "check": "(roles=['role'])"}
CHANGING = ("activate_role", "define_role", "deployable")
ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def host_name(host):
    """The name part of [user@]name[:port]; checked elsewhere."""
    host = host.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


class Troops:
    """Role definitions and activations."""

    def init_troops(self, host, toml):
        self.host = host
        self.roles = Box("set", set())
        self.all_roles = Box("dict", {})
        self.named = []         # (host, role, file, line, why not surely)
        self.parts = []         # problems: hosts of a role, or of any, that are not known
        self.told = {}          # (role or None, key of an unknown) -> the one of parts about it
        self.active = []        # (role, file, line) of sure activations
        self.seen = {}          # role -> [file, line]
        self.consulted = False  # a role depends on the host, or may
        self.top, self.tops, self.cut = 0, {}, None     # see look
        self.depends = Unknown("it depends on troops.hostname()", "", 0, weak=True)
        for role in sorted(toml):
            self.all_roles.val[role] = Box("set", set(toml[role]))
            if host is not None and host in map(host_name, toml[role]):
                self.roles.val.add(role)
        if host is None:
            self.roles.rest.append(self.depends)

    def look(self, top=None):
        """The host, or the roles, are asked for, or the code that follows may not run: the
        statement at the top of deploy.py that is being evaluated (or top) is the first that
        may differ from host to host, or has to be evaluated together with its rest."""
        top = self.top if top is None else top
        self.cut = top if self.cut is None else min(top, self.cut)

    def depend(self):
        """A role may depend on the host, or may not be active for another reason."""
        self.consulted = True
        self.look()

    def troops_attribute(self, name, node):
        if name == "roles":
            self.look()
            return self.roles
        if name == "all_roles":
            return self.all_roles
        if name in TROOPS_NAMES:
            return TroopsFn(name)
        if name.startswith("__"):
            return self.unknown("troops.%s is not evaluated" % name, node)
        if not self.trydepth:
            self.error(node, "troops has no %s" % name)
        return self.fail(AttributeError("module 'troops' has no attribute '%s'" % name), node)

    def error(self, node, text, role=""):
        e = problem(self.file, getattr(node, "lineno", 0), text, role)
        if e not in self.errors:
            self.errors.append(e)

    def call_troops(self, name, args, kwargs, node):
        try:
            return getattr(self, "tr_" + name)(node, *args, **kwargs)
        except TypeError:
            self.error(node, "wrong arguments: write troops.%s%s" % (name, USAGE[name]))
            return self.fail(TypeError("wrong arguments of troops.%s" % name), node)

    def tr_hostname(self, node):
        self.look()
        if self.host is not None:
            return self.host
        return self.unknown("it depends on troops.hostname()", node, weak=True)

    def tr_have_role(self, node, role):
        self.look()
        return self.compare("In", role, self.roles, node)

    def tr_activate_role(self, node, role):
        self.activate(role, node)

    def tr_deployable(self, node, roles=None):
        if isinstance(roles, str):
            self.error(node, "deployable: roles is a list, such as roles=[%r]" % roles)
            roles = (roles,)
        return Deployable(roles)

    def tr_check(self, node, roles=None):
        if isinstance(roles, str):
            self.error(node, "check: roles is a list, such as roles=[%r]" % roles)
        return roles if isinstance(roles, Func) else Deployable(roles, called=False)

    def deploy(self, d, func, node):
        """@troops.deployable(...): the function is called at once where it applies.
        A check is not: it runs after the deployment, and changes no roles."""
        if not d.called:
            return func
        applies = True
        if d.roles is not None:
            items, rests = self.items(d.roles, node)
            answers = [self.truth(self.tr_have_role(node, r), node) for r in items] + rests
            unknowns = [a for a in answers if isinstance(a, Unknown)]
            applies = True if any(a is True for a in answers) else first_reason(unknowns) if unknowns else False
        if isinstance(applies, Unknown):
            self.branch_value(applies, lambda: self.call(func, [], {}, node))
        elif applies:
            self.call(func, [], {}, node)
        return func

    def consult_unless(self, sure):
        """Announces a change of the roles; a sure one does not need passes for each host."""
        before = self.consulted, self.cut
        self.touch(self.roles)
        if sure:
            self.consulted, self.cut = before

    def good_role(self, role, node):
        if isinstance(role, str) and ROLE.match(role):
            self.seen.setdefault(role, [self.file, node.lineno])
            return True
        shown = repr(role) if isinstance(role, str) else "a " + type_name(role)
        self.error(node, "bad role name %s: letters, digits, '.', '_' and '-', at most 64" % shown[:100])
        return False

    def activate(self, role, node):
        """role becomes active on the host of this pass."""
        if isinstance(role, Unknown):
            self.depend()
            role = self.settle(role, node)
            if role.alts is None and not role.weak:
                self.part(None, "the name of an activated role is not known", role, node)
            alts = [a for a in role.alts or () if self.good_role(a, node)]
            self.add_rest(self.roles, role.derive(tuple(alts) if role.alts is not None else None))
            return
        if not self.good_role(role, node):
            return
        why = self.maybe()
        self.consult_unless(why is None)
        if self.pending:
            self.add_rest(self.roles, self.pending.reason.derive((role,)))
            return
        self.roles.val.add(role)
        if why is None:
            self.active.append([role, self.file, node.lineno])

    def part(self, role, what, u, node):
        """Some hosts of a role, or of any role (None), cannot be told."""
        line = getattr(node, "lineno", 0) or u.line
        where = " (%s:%d)" % (u.file, u.line) if (u.file, u.line) != (self.file, line) and u.line else ""
        p = problem(self.file, line, "%s: %s%s" % (what, u.reason, where), role or "")
        if p not in self.parts:
            self.parts.append(p)
        self.told.setdefault((role, u.key()), p)

    def any_role(self, why, node):
        """Code that is not evaluated may define and activate any role."""
        self.depend()
        self.part(None, "roles may be defined or activated by code that is not evaluated", why, node)
        self.add_rest(self.roles, Unknown(why.reason, why.file, why.line))

    def tr_define_role(self, node, role, hosts=()):
        if isinstance(role, Unknown):
            self.depend()
            role = self.settle(role, node)
            if role.alts is not None:
                self.branch_value(role, *[lambda r=r: self.tr_define_role(node, r, hosts) for r in role.alts])
                return
            if not role.weak:
                self.part(None, "the name of a defined role is not known", role, node)
        elif not self.good_role(role, node):
            return
        if isinstance(hosts, str):
            self.error(node, "define_role: hosts is a list, such as hosts=[%r]" % hosts[:100], role if isinstance(role, str) else "")
            return
        found = self.elements(hosts, node)
        if found is None:
            self.error(node, "define_role: hosts is a list of strings, not a %s" % type_name(hosts))
            return
        self.define(role, found[0], found[1], node)

    def define(self, role, items, rests, node):
        text = role if isinstance(role, str) else None
        for u in [i for i in items if isinstance(i, Unknown)] + rests:
            u = self.settle(u, node)
            self.depend()
            if u.alts is None:
                self.part(text, "hosts are not known", u, node)
                self.hit(role, u)
            for a in u.alts or ():
                self.name_host(role, a, node, u)
        known = [i for i in items if not isinstance(i, Unknown)]
        for host in known:
            self.name_host(role, host, node, None)
        if text is None:
            self.touch(self.all_roles)
            self.add_rest(self.all_roles, role.derive(None))
            return
        if text not in self.all_roles.val:
            self.touch(self.all_roles)
            self.all_roles.val[text] = self.box("set", set())
        box = self.all_roles.val[text]
        if isinstance(box, Box) and box.kind == "set":
            known = [k for k in known if isinstance(k, str)]
            self.set_update(box, node, self.box("list", known, rests + [i for i in items if isinstance(i, Unknown)]))

    def name_host(self, role, host, node, u):
        """define_role names host for role; u is why not surely, apart from the context."""
        if not isinstance(host, str):
            self.error(node, "define_role: a host is a string, not %s" % (repr(host) if isinstance(host, (int, type(None))) else "a " + type_name(host)))
            return
        reasons = [r for r in (self.maybe(), u, role if isinstance(role, Unknown) else None) if r is not None]
        why = first_reason(reasons) if reasons else None
        if why is not None:
            self.depend()
        unsure = [r for r in (self.maybe(), u) if r is not None and not r.weak]
        self.named.append([host, role if isinstance(role, str) else None, self.file, node.lineno,
                           [unsure[0].reason, unsure[0].file, unsure[0].line] if unsure else None])
        if self.host is not None and host_name(host) == self.host:
            self.hit(role, u)

    def hit(self, role, u):
        """The host of this pass is, or with u may be, among those of role."""
        if self.host is None:
            return
        self.consult_unless(True)
        if isinstance(role, Unknown):
            self.add_rest(self.roles, role.derive(None))
        elif u is not None or self.pending:
            self.add_rest(self.roles, (u or self.pending.reason).derive((role,)))
        else:
            self.roles.val.add(role)
