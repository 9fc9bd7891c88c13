"""Functions marked with @troops.check."""

from .fresh import FreshModule, Scripts


class Check(FreshModule):
    def setUp(self):
        super().setUp()
        self.called = []

    def mark(self, decorator, result=None):
        def function():
            self.called.append(1)
            return result

        return decorator(function) is function

    def test_a_deployment_calls_none(self):
        self.environ("TROOPS_CHECK", None)
        self.assertTrue(self.mark(self.troops.check))
        self.assertTrue(self.mark(self.troops.check()))
        self.assertEqual(self.called, [])
        self.assertTrue(self.mark(self.troops.deployable()))
        self.assertEqual(self.called, [1])

    def test_checking_calls_them_and_deploys_nothing(self):
        self.environ("TROOPS_CHECK", "1")
        self.assertTrue(self.mark(self.troops.deployable()))
        self.assertEqual(self.called, [])
        self.assertTrue(self.mark(self.troops.check))
        self.assertTrue(self.mark(self.troops.check(), result=True))
        self.assertTrue(self.mark(self.troops.check(), result=0))
        self.assertEqual(self.called, [1, 1, 1])

    def test_roles(self):
        self.environ("TROOPS_CHECK", "1")
        self.troops.activate_role("web")
        self.mark(self.troops.check(roles=["db"]))
        self.assertEqual(self.called, [])
        self.mark(self.troops.check(roles=["db", "web"]))
        self.assertEqual(self.called, [1])

    def test_false_fails(self):
        self.environ("TROOPS_CHECK", "1")
        with self.assertRaisesRegex(AssertionError, "check function returned False"):
            self.mark(self.troops.check, result=False)

    def test_mistakes(self):
        for mistake in ("web", 1, b"web"):
            with self.assertRaises(TypeError):
                self.troops.check(roles=mistake)
        with self.assertRaises(TypeError):
            self.troops.check()(None)

        async def later():
            pass

        with self.assertRaisesRegex(TypeError, "@troops.check"):
            self.troops.check(later)


class CheckScript(Scripts):
    def test_the_first_that_fails_ends_it(self):
        self.write(
            "deploy.py",
            """\
            import troops

            @troops.deployable()
            def deploy():
                print('deployed')

            @troops.check
            def good():
                print('good')

            @troops.check()
            def bad():
                raise RuntimeError('port 80 is closed')

            @troops.check()
            def never():
                print('never')
            """,
        )
        code, out, err = self.run_script("deploy.py", TROOPS_HOSTNAME="a", TROOPS_CHECK="1")
        self.assertEqual((code, out), (1, "good\n"))
        self.assertIn("RuntimeError: port 80 is closed", err)
        code, out, err = self.run_script("deploy.py", TROOPS_HOSTNAME="a")
        self.assertEqual((code, out, err), (0, "deployed\n", ""))
