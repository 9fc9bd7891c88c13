"""What the module shows to those who write a deploy.py."""

import ast
import inspect
import os
import unittest

import troops

from .fresh import HERE


class Public(unittest.TestCase):
    def test_every_function(self):
        functions = [getattr(troops, n) for n in troops.__all__ if inspect.isfunction(getattr(troops, n))]
        self.assertGreater(len(functions), 5)
        for function in functions:
            name = function.__name__
            signature = inspect.signature(function)
            self.assertTrue(inspect.getdoc(function), "%s has no docstring" % name)
            for parameter in signature.parameters.values():
                self.assertIsNot(parameter.annotation, inspect.Parameter.empty, "%s of %s" % (parameter.name, name))
            self.assertIsNot(signature.return_annotation, inspect.Signature.empty, "the result of %s" % name)

    def test_every_variable(self):
        with open(os.path.join(HERE, "troops", "__init__.py"), encoding="utf-8") as file:
            body = ast.parse(file.read()).body
        documented = set()
        for statement, after in zip(body, body[1:]):
            if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr) and is_text(after.value):
                documented.add(statement.target.id)
        variables = {n for n in troops.__all__ if not inspect.isfunction(getattr(troops, n))}
        self.assertEqual(documented, variables - {"__version__"})

    def test_the_module(self):
        self.assertTrue(inspect.getdoc(troops))
        self.assertEqual(sorted(troops.__all__), list(troops.__all__))


def is_text(node):
    try:
        return isinstance(ast.literal_eval(node), str)
    except ValueError:
        return False
