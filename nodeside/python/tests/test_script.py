"""deploy.py as a script: roles.toml, and the report of roles."""

import json
import os
import unittest

from .fresh import Scripts

SHOW = """\
    import troops
    print(sorted(troops.roles), sorted(troops.all_roles.items()))
    """


class RolesFile(Scripts):
    def show(self, **kw):
        code, out, err = self.run_script("deploy.py", TROOPS_HOSTNAME="a", **kw)
        self.assertEqual((code, err), (0, ""))
        return out

    def test_next_to_deploy_py(self):
        self.write("deploy.py", SHOW)
        self.assertEqual(self.show(), "[] []\n")
        self.write("roles.toml", '[web]\nhosts = ["a", "b"]\n["db.x"]\nhosts = []\n[none]\n')
        want = "['web'] [('db.x', set()), ('none', set()), ('web', "
        self.assertIn(want, self.show())

    def test_run_from_elsewhere(self):
        path = self.write("deploy.py", SHOW)
        self.write("roles.toml", '[web]\nhosts = ["a"]\n')
        code, out, _ = self.run_script(path, cwd="/", TROOPS_HOSTNAME="a")
        self.assertEqual((code, out), (0, "['web'] [('web', {'a'})]\n"))

    def test_without_a_script(self):
        self.write("roles.toml", '[web]\nhosts = ["a"]\n')
        code, out, _ = self.run_script(
            "-c", "import troops; print(troops.roles == {'web'})", TROOPS_HOSTNAME="a"
        )
        self.assertEqual((code, out), (0, "True\n"))

    def test_mistakes(self):
        self.write("deploy.py", SHOW)
        for text, want in (
            ("[web\n", "roles.toml"),
            ("web = 1\n", "[web]"),
            ("[web]\nhost = []\n", "'host'"),
            ('[web]\nhosts = "a"\n', "hosts=['a']"),
            ("[web]\nhosts = [1]\n", "1"),
            ('[web]\nhosts = ["a b"]\n', "'a b'"),
            ('["a b"]\nhosts = []\n', "'a b'"),
            ("[web]\nhosts = []\n[web.more]\n", "'more'"),
        ):
            self.write("roles.toml", text)
            code, out, err = self.run_script("deploy.py", TROOPS_HOSTNAME="a")
            self.assertEqual((code, out), (1, ""), text)
            last = err.splitlines()[-1]
            self.assertTrue(last.startswith("ValueError: "), err)
            self.assertIn("roles.toml", last)
            self.assertIn(want, last)

    def test_no_toml_parser(self):
        self.write("roles.toml", "[web]\n")
        for name in ("tomllib", "tomli"):
            self.write(name + ".py", "raise ImportError\n")
        self.write("pip/__init__.py", "")
        self.write("deploy.py", "import troops\n")
        code, _, err = self.run_script("deploy.py")
        self.assertEqual(code, 1)
        self.assertIn("'tomli' to requirements.txt", err.splitlines()[-1])


class Report(Scripts):
    def report(self, script, parent=None, code=0, **env):
        """Run script and return what it reported, None if it did not."""
        if isinstance(script, str):
            self.write("deploy.py", script)
        path = os.path.join(self.dir, "report")
        parent = os.getpid() if parent is None else parent
        got, _, err = self.run_script(
            "deploy.py", TROOPS_REPORT=path, TROOPS_REPORT_PARENT=str(parent), **env
        )
        self.assertEqual(got, code, err)
        left = [n for n in os.listdir(self.dir) if n.startswith("report.")]
        self.assertEqual(left, [])
        return json.loads(self.read("report")) if os.path.exists(path) else None

    def test_sorted_at_the_end(self):
        self.assertEqual(
            self.report(
                """\
                import troops
                troops.activate_role('web')
                troops.roles.add('db')
                import atexit
                atexit.register(troops.activate_role, 'late')
                """
            ),
            ["db", "late", "web"],
        )

    def test_no_roles(self):
        self.assertEqual(self.report("import troops\n"), [])

    def test_replaced_set(self):
        self.assertEqual(self.report("import troops\ntroops.roles = {'x'}\n"), ["x"])

    def test_other_directory(self):
        self.assertEqual(self.report("import os, troops\nos.chdir('/')\n"), [])

    def test_failure_reports_too(self):
        script = "import troops\ntroops.activate_role('web')\nraise SystemExit(3)\n"
        self.assertEqual(self.report(script, code=3), ["web"])

    def test_not_imported(self):
        self.assertIsNone(self.report("print()\n"))

    def test_not_asked(self):
        self.write("deploy.py", "import troops\n")
        self.assertEqual(self.run_script("deploy.py"), (0, "", ""))
        self.assertEqual(sorted(os.listdir(self.dir)), ["deploy.py"])

    def test_forks_and_children_do_not(self):
        child = "import troops; troops.activate_role('child')"
        self.assertEqual(
            self.report(
                """\
                import os, subprocess, sys
                run = [sys.executable, '-c', %r]
                subprocess.check_call(run)
                subprocess.check_call(run, start_new_session=True)
                assert not os.path.exists('report')
                import troops
                troops.activate_role('web')
                pid = os.fork()
                if pid == 0:
                    troops.activate_role('fork')
                    sys.exit()
                os.waitpid(pid, 0)
                assert not os.path.exists('report')
                import atexit
                atexit.register(subprocess.check_call, run)
                """
                % child
            ),
            ["web"],
        )

    def test_only_a_child_imports_it(self):
        self.assertIsNone(
            self.report(
                """\
                import subprocess, sys
                subprocess.check_call([sys.executable, '-c', 'import troops'])
                """
            )
        )

    def test_replaced_by_another_script(self):
        self.write("next.py", "import troops\ntroops.activate_role('next')\n")
        self.assertEqual(
            self.report("import os, sys, troops\nos.execv(sys.executable, ['python', 'next.py'])\n"),
            ["next"],
        )

    def test_by_hand_without_a_parent(self):
        self.assertEqual(self.report("import troops\n", parent=""), [])

    def test_cannot_be_written(self):
        self.write("deploy.py", "import troops\n")
        code, out, err = self.run_script("deploy.py", TROOPS_REPORT="/nowhere/report")
        self.assertEqual((code, out), (0, ""))
        self.assertIn("cannot be reported", err)


class Quiet(unittest.TestCase):
    def test_version(self):
        import troops

        self.assertRegex(troops.__version__, r"^\d+\.\d+\.\d+$")
        for name in troops.__all__:
            self.assertTrue(hasattr(troops, name), name)
