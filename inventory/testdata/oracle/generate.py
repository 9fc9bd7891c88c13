"""Programs made at random, for differential.py."""

import random

HOSTS = ["h%d" % i for i in range(4)]
ROLES = ["r%d" % i for i in range(4)]
VARS = ["v%d" % i for i in range(4)]     # lists of host names
NUMS = ["n%d" % i for i in range(3)]     # integers


class Gen:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.lines = ["import sys, contextlib", "import troops, ext"]
        self.depth, self.loops, self.funcs, self.infunc, self.counter = 0, 0, [], False, 0

    def put(self, line):
        self.lines.append("    " * self.depth + line)

    def cond(self):
        r = self.r
        return r.choice([
            lambda: "troops.hostname() == %r" % r.choice(HOSTS),
            lambda: "troops.hostname() in %s" % r.choice(VARS),
            lambda: "troops.have_role(%r)" % r.choice(ROLES),
            lambda: "%r in troops.roles" % r.choice(ROLES),
            lambda: "ext.flag(%d)" % r.randrange(9),
            lambda: "%s > %d" % (r.choice(NUMS), r.randrange(4)),
            lambda: "len(%s) > %d" % (r.choice(VARS), r.randrange(4)),
            lambda: "%r in %s" % (r.choice(HOSTS), r.choice(VARS)),
            lambda: "not (%s)" % self.cond(),
            lambda: "(%s and %s)" % (self.cond(), self.cond()),
            lambda: "(%s or %s)" % (self.cond(), self.cond()),
        ])()

    def num(self):
        r = self.r
        return r.choice([
            lambda: str(r.randrange(5)), lambda: r.choice(NUMS), lambda: "len(%s)" % r.choice(VARS),
            lambda: "%s + %d" % (r.choice(NUMS), r.randrange(3)),
            lambda: "(%s if %s else %s)" % (r.choice(NUMS), self.cond(), r.randrange(5)),
            lambda: "%s(%s)" % (r.choice(self.funcs), r.choice(NUMS)) if self.funcs else "1",
        ])()

    def host(self):
        r = self.r
        return r.choice([
            lambda: repr(r.choice(HOSTS)), lambda: repr(r.choice(HOSTS)),
            lambda: "'h%%d' %% (%s %% 4)" % self.num(), lambda: "f'h{%s %% 4}'" % r.choice(NUMS),
            lambda: "(%r if %s else %r)" % (r.choice(HOSTS), self.cond(), r.choice(HOSTS)),
        ])()

    def hosts(self):
        r = self.r
        return r.choice([
            lambda: r.choice(VARS), lambda: "[%s, %s]" % (self.host(), self.host()), lambda: "[%s]" % self.host(),
            lambda: "%s + [%s]" % (r.choice(VARS), self.host()), lambda: "sorted(set(%s))" % r.choice(VARS),
            lambda: "[x for x in %s if %s]" % (r.choice(VARS), r.choice(["x != 'h1'", self.cond(), "x > 'h0'"])),
            lambda: "(%s if %s else %s)" % (r.choice(VARS), self.cond(), r.choice(VARS)),
            lambda: "%s[%d:]" % (r.choice(VARS), r.randrange(3)), lambda: "D.get(%s, [])" % self.num(),
            lambda: "list(filter(lambda x: x != %s, %s))" % (self.host(), r.choice(VARS)),
            lambda: "{'a': %s, 'b': %s}[%s]" % (r.choice(VARS), r.choice(VARS), "'a' if %s else 'b'" % self.cond()),
        ])()

    def role(self):
        r = self.r
        return r.choice([lambda: repr(r.choice(ROLES)), lambda: repr(r.choice(ROLES)), lambda: "'r%%d' %% (%s %% 4)" % self.num()])()

    def simple(self):
        r = self.r
        self.put(r.choice([
            lambda: "%s = %s" % (r.choice(VARS), self.hosts()),
            lambda: "%s = list(%s)" % (r.choice(VARS), self.hosts()),
            lambda: "%s.append(%s)" % (r.choice(VARS), self.host()),
            lambda: "%s += %s" % (r.choice(VARS), self.hosts()),
            lambda: "%s.extend(%s[:3])" % (r.choice(VARS), r.choice(VARS)),
            lambda: "%s = %s" % (r.choice(NUMS), self.num()),
            lambda: "%s += %d" % (r.choice(NUMS), r.randrange(1, 3)),
            lambda: "D[%s] = %s" % (self.num(), self.hosts()),
            lambda: "ext.take(%s)" % r.choice(VARS),
            lambda: "(%s) and troops.activate_role(%s)" % (self.cond(), self.role()),
            lambda: "%s, %s = %s, %s" % (r.choice(NUMS), r.choice(NUMS), self.num(), self.num()),
        ])() if not self.infunc or r.random() < 0.9 else "pass")

    def effect(self):
        r = self.r
        self.put(r.choice([
            lambda: "troops.define_role(%s, hosts=%s)" % (self.role(), self.hosts()),
            lambda: "troops.define_role(%s, hosts=%s)" % (self.role(), self.hosts()),
            lambda: "troops.activate_role(%s)" % self.role(),
            lambda: "troops.roles.add(%s)" % self.role(),
            lambda: "troops.roles.discard(%s)" % self.role(),
            lambda: r.choice(["troops.roles.clear()", "troops.roles.update([%s])" % self.role(), "troops.roles -= {%s}" % self.role(),
                              "troops.roles |= {%s, %s}" % (self.role(), self.role()), "troops.roles.difference_update([%s])" % self.role()]),
        ])())

    def block(self, n):
        self.depth += 1
        before = len(self.lines)
        for _ in range(self.r.randrange(1, n + 1)):
            self.statement()
        if len(self.lines) == before:
            self.put("pass")
        self.depth -= 1

    def statement(self):
        r = self.r
        if self.depth > 4:
            return self.simple()
        kind = r.choices(["simple", "effect", "if", "for", "while", "try", "def", "leave", "with", "call"],
                         [30, 24, 16, 7, 3, 7, 4, 5, 2, 5])[0]
        getattr(self, "s_" + kind, getattr(self, kind, None))()

    def s_if(self):
        self.put("if %s:" % self.cond())
        self.block(3)
        if self.r.random() < 0.5:
            self.put("else:")
            self.block(3)

    def s_for(self):
        var = self.r.choice(["x", "y"])
        self.put("for %s in %s:" % (var, self.r.choice(["range(%d)" % self.r.randrange(4), "list(%s[:4])" % self.r.choice(VARS),
                                                       "ext.items()", "sorted(D)[:3]"])))
        self.loops += 1
        self.block(3)
        self.loops -= 1
        if self.r.random() < 0.3:
            self.put("else:")
            self.block(2)

    def s_while(self):
        self.counter += 1
        c = "c%d" % self.counter
        self.put("%s = 0" % c)
        self.put("while %s < %d%s:" % (c, self.r.randrange(1, 4), self.r.choice(["", " and " + self.cond()])))
        self.depth += 1
        self.put("%s += 1" % c)
        self.depth -= 1
        self.loops += 1
        self.block(3)
        self.loops -= 1

    def s_try(self):
        self.put("try:")
        self.depth += 1
        for _ in range(self.r.randrange(1, 4)):
            if self.r.random() < 0.4:
                self.put(self.r.choice(["D[%s]" % self.num(), "%s[0]" % self.r.choice(VARS), "raise ValueError", "ext.risky()",
                                        "D[%s] = [%s[%s]]" % (self.num(), self.r.choice(VARS), self.num())]))
            else:
                self.statement()
        self.depth -= 1
        for exc in self.r.sample(["KeyError", "(IndexError, ValueError)"], self.r.randrange(3)) + ["Exception"]:
            self.put("except %s:" % exc)
            self.block(2)
        if self.r.random() < 0.3:
            self.put("else:")
            self.block(2)
        if self.r.random() < 0.3:
            self.put("finally:")
            saved, self.loops, infunc, self.infunc = self.loops, 0, self.infunc, False
            self.depth += 1
            self.simple()
            self.depth -= 1
            self.loops, self.infunc = saved, infunc

    def s_def(self):
        if self.depth or self.infunc:
            return self.simple()
        name = "f%d" % len(self.funcs)
        self.put("def %s(n):" % name)
        self.depth += 1
        self.put("global %s" % ", ".join(VARS[:2] + NUMS[1:]))
        self.put("%s = %s[:] or ['h0']" % (VARS[2], VARS[0]))
        self.put("%s = [] if n else ['h1']" % VARS[3])
        self.put("n0 = n")
        self.depth -= 1
        saved, self.infunc = self.loops, True
        self.loops = 0
        self.block(4)
        self.depth += 1
        self.put("return %s" % self.num())
        self.depth -= 1
        self.loops, self.infunc = saved, False
        self.funcs.append(name)

    def s_leave(self):
        r = self.r
        options = []
        if self.loops:
            options += ["break", "continue"] * 3
        if self.infunc:
            options += ["return %s" % self.num()] * 3
        options += ["sys.exit()"]
        line = r.choice(options)
        if r.random() < 0.8:
            self.put("if %s:" % self.cond())
            self.depth += 1
            self.put(line)
            self.depth -= 1
        else:
            self.put(line if line != "sys.exit()" else "pass")

    def s_with(self):
        self.put("with contextlib.suppress(ValueError):")
        self.depth += 1
        self.put(self.r.choice(["ext.risky()", "pass"]))
        self.depth -= 1
        self.block(2)

    def s_call(self):
        if not self.funcs:
            return self.effect()
        self.put("%s(%s)" % (self.r.choice(self.funcs), self.num()))

    def program(self):
        for v in VARS:
            self.put("%s = %r" % (v, self.r.sample(HOSTS, self.r.randrange(4))))
        for n in NUMS:
            self.put("%s = %d" % (n, self.r.randrange(4)))
        self.put("D = {0: ['h0'], 1: ['h1', 'h2'], 2: v0}")
        for _ in range(self.r.randrange(4, 14)):
            self.statement()
        return "\n".join(self.lines) + "\n"
