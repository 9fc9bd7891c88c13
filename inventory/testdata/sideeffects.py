import atexit, os, socket, subprocess, sys, threading
import ctypes
import helper
import troops

open('@MARKS@/open', 'w').write('x')
os.system('touch @MARKS@/system')
os.mkdir('@MARKS@/mkdir')
subprocess.Popen(['touch', '@MARKS@/popen']).wait()
socket.create_connection(('127.0.0.1', @PORT@))
threading.Thread(target=lambda: os.mkdir('@MARKS@/thread')).start()
atexit.register(os.mkdir, '@MARKS@/atexit')
eval("__import__('os').mkdir('@MARKS@/eval')")
exec("import os; os.mkdir('@MARKS@/exec')")
getattr(__import__('os'), 'mkdir')('@MARKS@/getattr')
(lambda f: f('@MARKS@/lambda'))(os.mkdir)
[os.mkdir('@MARKS@/' + n) for n in ('comp1', 'comp2')]
f'{os.mkdir("@MARKS@/fstring")}'
'{0.__class__.__base__}'.format('')
().__class__.__base__.__subclasses__()
globals()['os'].mkdir('@MARKS@/globals')
sys.modules['os'].mkdir('@MARKS@/modules')
ctypes.CDLL(None).mkdir(b'@MARKS@/ctypes', 0o777)


class Meta(type):
    def __new__(cls, *args):
        os.mkdir('@MARKS@/meta')
        return type.__new__(cls, *args)


class Evil(metaclass=Meta):
    os.mkdir('@MARKS@/classbody')

    def __init__(self):
        os.mkdir('@MARKS@/init')

    def __del__(self):
        os.mkdir('@MARKS@/del')

    def __str__(self):
        os.mkdir('@MARKS@/str')
        return 'x'

    def __eq__(self, other):
        os.mkdir('@MARKS@/eq')

    def __hash__(self):
        os.mkdir('@MARKS@/hash')
        return 1


evil = Evil()
str(evil), evil == 1, {evil: 1}, '%s' % evil


@atexit.register
def at_exit():
    os.mkdir('@MARKS@/decorator')


@troops.deployable()
def run():
    os.mkdir('@MARKS@/deployable')


def default(x=os.mkdir('@MARKS@/default')):
    pass


with open('@MARKS@/with', 'w') as f:
    f.write('x')
try:
    raise Exception
except Exception:
    os.mkdir('@MARKS@/except')
troops.define_role('web', hosts=['a'])
assert os.mkdir('@MARKS@/assert')
