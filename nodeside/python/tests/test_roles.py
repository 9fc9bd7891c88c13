"""Roles, hosts and deployable functions, within one interpreter."""

from .fresh import FreshModule


class Roles(FreshModule):
    def test_activate(self):
        self.assertFalse(self.troops.have_role("web"))
        self.troops.activate_role("web")
        self.assertTrue(self.troops.have_role("web"))
        self.assertEqual(self.troops.roles, {"web"})

    def test_roles_is_a_set(self):
        self.troops.roles.add("web")
        self.troops.roles.update(["db"], {"cache"})
        self.troops.roles |= {"mail"}
        self.troops.roles ^= {"mail", "shell"}
        self.assertTrue(self.troops.have_role("web"))
        self.assertEqual(self.troops.roles, {"web", "db", "cache", "shell"})
        self.troops.roles.discard("web")
        self.assertFalse(self.troops.have_role("web"))

    def test_names(self):
        for name in ("a", "0", "a.b_c-d", "A" * 64):
            self.troops.activate_role(name)
            self.assertTrue(self.troops.have_role(name), name)
        for name in ("", "-a", ".a", "_a", "a b", "a\n", "a/b", "é", "A" * 65):
            for act in (
                self.troops.activate_role,
                self.troops.have_role,
                self.troops.define_role,
                self.troops.roles.add,
                lambda n: self.troops.roles.update([n]),
            ):
                with self.assertRaises(ValueError, msg=name):
                    act(name)
        for name in (None, 1, b"web", ["web"]):
            with self.assertRaises(TypeError, msg=name):
                self.troops.activate_role(name)
            with self.assertRaises(TypeError, msg=name):
                self.troops.have_role(name)

    def test_update_is_all_or_nothing(self):
        with self.assertRaises(ValueError):
            self.troops.roles.update(["web", "no good"])
        with self.assertRaises(TypeError):
            self.troops.roles.update("web")
        with self.assertRaises(TypeError):
            self.troops.roles.symmetric_difference_update(7)
        self.assertEqual(self.troops.roles, set())


class DefineRole(FreshModule):
    def test_hosts(self):
        cases = [
            ([], False),
            (["web-1.example.com"], True),
            (["web-2.example.com"], False),
            (("web-2.example.com", "web-1.example.com"), True),
            ({"root@web-1.example.com"}, True),
            (["web-1.example.com:2222"], True),
            (["me@corp@web-1.example.com:22"], True),
            (["web-1"], False),
            (["web-1.example.com.evil"], False),
            ((h + ".example.com" for h in ["web-0", "web-1"]), True),
        ]
        for number, (hosts, active) in enumerate(cases):
            role = "role-%d" % number
            self.troops.define_role(role, hosts=hosts)
            self.assertEqual(self.troops.have_role(role), active, hosts)

    def test_addresses(self):
        for name, active in (("::1", True), ("[::1]", True), ("::2", False)):
            self.environ("TROOPS_HOSTNAME", name)
            self.troops.roles.clear()
            self.troops.define_role("six", hosts=["root@[::1]:22"])
            self.assertEqual(self.troops.have_role("six"), active, name)

    def test_all_roles(self):
        self.troops.define_role("empty")
        self.troops.define_role("web", hosts=["a", "root@b:22"])
        self.troops.define_role("web", hosts=["c", "a"])
        self.assertEqual(self.troops.all_roles, {"empty": set(), "web": {"a", "root@b:22", "c"}})

    def test_bad_hosts(self):
        for hosts in ("a", b"a", 7, None, [7], [b"a"], [None]):
            with self.assertRaises(TypeError, msg=hosts):
                self.troops.define_role("web", hosts=hosts)
        for host in (
            "", "-oProxyCommand=x", "a b", "a\n", "a;b", "$(id)", "%h", "@a", "-x@a", "a:", "a:0",
            "a:65536", "a:ssh", "::1", "[::1", "[a]x", "[fe80::1%eth0]", "a/b", "root@", "é",
        ):
            with self.assertRaises(ValueError, msg=host):
                self.troops.define_role("web", hosts=["web-1.example.com", host])
        self.assertEqual(self.troops.all_roles, {})
        self.assertEqual(self.troops.roles, set())

    def test_string_error_says_what_to_write(self):
        with self.assertRaisesRegex(TypeError, r"hosts=\['a'\]"):
            self.troops.define_role("web", hosts="a")


class Deployable(FreshModule):
    def setUp(self):
        super().setUp()
        self.calls = []

    def test_order_and_roles(self):
        t = self.troops

        @t.deployable()
        def first():
            self.calls.append("first")

        @t.deployable(roles=["web"])
        def before_the_role():
            self.calls.append("early")

        t.activate_role("web")

        @t.deployable(roles=["db", "web"])
        def web():
            self.calls.append("web")

        @t.deployable(roles=("db",))
        def db():
            self.calls.append("db")

        @t.deployable(roles=[])
        def nowhere():
            self.calls.append("nowhere")

        @t.deployable(["web"])
        def last():
            self.calls.append("last")

        self.assertEqual(self.calls, ["first", "web", "last"])
        before_the_role()
        db()
        self.assertEqual(self.calls[3:], ["early", "db"])

    def test_returns_the_function(self):
        def function():
            """Doc."""

        self.assertIs(self.troops.deployable()(function), function)
        self.assertIs(self.troops.deployable(roles=["x"])(function), function)

    def test_error_goes_through(self):
        with self.assertRaises(ZeroDivisionError):
            @self.troops.deployable()
            def broken():
                return 1 // 0

    def test_without_parentheses(self):
        with self.assertRaisesRegex(TypeError, r"@troops\.deployable\(\)"):
            @self.troops.deployable
            def function():
                self.calls.append("called")
        self.assertEqual(self.calls, [])

    def test_bad_roles(self):
        with self.assertRaisesRegex(TypeError, r"\['web'\]"):
            self.troops.deployable(roles="web")
        with self.assertRaises(TypeError):
            self.troops.deployable(roles=7)
        with self.assertRaises(ValueError):
            self.troops.deployable(roles=["no good"])

    def test_what_would_do_nothing(self):
        async def coroutine():
            pass

        def generator():
            yield

        async def both():
            yield

        for function in (coroutine, generator, both):
            with self.assertRaisesRegex(TypeError, function.__name__):
                self.troops.deployable()(function)
        with self.assertRaises(TypeError):
            self.troops.deployable()(7)

    def test_other_callables(self):
        self.troops.deployable()(lambda: self.calls.append(1))
        self.troops.deployable()(self.calls.clear)
        self.assertEqual(self.calls, [])
