package deployment

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// backend builds wheels, editable ones (PEP 660), too, without any package from an index. With C code
// it takes a compiler and the header that apt's stand-in has installed.
const backend = `import base64, glob, hashlib, os, subprocess, sysconfig, zipfile

package = 'src/lxml' if os.path.exists('src') else '.'

def compile():
    for source in glob.glob(package + '/*.c'):
        include = ['-I' + sysconfig.get_paths()['include'], '-I' + os.path.expanduser('~')]
        subprocess.check_call(['cc', '-shared', '-fPIC'] + include + [source, '-o', source[:-2] + '.so'])

def write(directory, files):
    name = 'lxml-5.0-py3-none-any.whl'
    info = {
        'METADATA': 'Metadata-Version: 2.1\nName: lxml\nVersion: 5.0\n',
        'WHEEL': 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
        'RECORD': '',
    }
    with zipfile.ZipFile(os.path.join(directory, name), 'w') as z:
        for file, text in {**files, **{'lxml-5.0.dist-info/' + k: v for k, v in info.items()}}.items():
            z.writestr(file, text)
    return name

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    compile()
    return write(wheel_directory, {'lxml.pth': os.path.abspath(os.path.dirname(package) or '..') + '\n'})

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    compile()
    files = glob.glob(package + '/*.py') + glob.glob(package + '/*.so')
    return write(wheel_directory, {'lxml/' + os.path.basename(f): open(f, 'rb').read() for f in files})
`

const pyproject = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n"

// etree is an extension that is of use only with the library.
const etree = `#include <Python.h>
#include <libxml.h>

static PyObject *library(PyObject *self, PyObject *args) { return PyUnicode_FromString(LIBXML); }

static PyMethodDef methods[] = {{"library", library, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "etree", NULL, -1, methods};

PyMODINIT_FUNC PyInit_etree(void) { return PyModule_Create(&def); }
`

// lxml is the source of a package with that extension, in the checkout's directory lxml: at its top,
// which Python finds from the checkout, or in src.
func lxml(src bool) map[string]string {
	in := "lxml/"
	if src {
		in = "lxml/src/lxml/"
	}
	return map[string]string{"lxml/pyproject.toml": pyproject, "lxml/backend.py": backend, in + "__init__.py": "", in + "etree.c": etree}
}

// used is what comes after "now it should work".
const used = "from lxml import etree\nprint('etree', etree.library())\n"

// TestSeedExtension is the last section of the document: libraries, then pip, then the import, all
// in one run of deploy.py, on every Python there is, since pip and its bundling differ.
func TestSeedExtension(t *testing.T) {
	for version, exe := range interpreters(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			n := newSeedNode(t, seedExtension+used)
			n.usePython(exe)
			n.files(lxml(false))
			n.deploy()
			if got, want := n.installed(), "install libxml2-dev libxslt1-dev"; got != want {
				t.Errorf("apt was asked to %q, want %q", got, want)
			}
			for _, want := range []string{"Successfully installed lxml-5.0", "\netree of libxml2-dev\n"} {
				if !strings.Contains(n.stdout.String(), want) {
					t.Errorf("no %q: pip.main did not install lxml (gcc and python3-dev are needed):\n%s", want, n.said())
				}
			}
			n.next()
			n.files(map[string]string{"deploy.py": "import lxml\nprint(lxml.__file__)\n"})
			n.deploy()
			if want := filepath.Join(n.Spec.Checkout, "lxml/__init__.py"); strings.TrimSpace(n.stdout.String()) != want {
				t.Errorf("lxml is %q, want %q", n.stdout, want)
			}
			var minor int
			if _, err := fmt.Sscanf(version, "3.%d", &minor); err != nil {
				t.Fatal(err)
			}
			n.checkPip(t, n.venv(), minor)
		})
	}
}

// TestExtensionThatIsNotEditable builds and installs one, and imports it in the same run; that the
// libraries are no part of requirements.txt is why it cannot stand there.
func TestExtensionThatIsNotEditable(t *testing.T) {
	t.Parallel()
	n := newSeedNode(t, strings.Replace(seedExtension, "'-e', 'lxml'", "'./lxml'", 1)+used)
	files := lxml(true)
	n.files(files)
	n.deploy()
	if !strings.HasSuffix(n.stdout.String(), "\netree of libxml2-dev\n") {
		t.Errorf("it said\n%s", n.said())
	}

	n = newSeedNode(t, used)
	files = maps.Clone(files)
	files["requirements.txt"] = "./lxml\n"
	n.files(files)
	var exit *ExitError
	if _, err := EnsureVenv(t.Context(), n.Spec); !errors.As(err, &exit) || !strings.Contains(n.said(), "libxml.h: No such file") {
		t.Errorf("without the library: %v\n%s", err, n.said())
	}
}
