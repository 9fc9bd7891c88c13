package deployment

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The examples of the document that the project grew from, word for word. apt is a
// stand-in that writes down what it was asked for.
const (
	seedFirst = `from pydebianadmin import apt

apt.install('tmux')
`
	seedHaveRole = `import troops

from pydebianadmin import apt

if troops.have_role('interactive'):
    apt.install('tmux')
`
	seedHostname = `import troops

if troops.hostname().startswith('shellbox-'):
    troops.activate_role('interactive')
`
	seedDefineRole = `import troops

troops.define_role(
    'interactive',
    hosts=[
        'shellbox-1.example.com',
        'shellbox-2.example.com',
        ],
    )
`
	seedDeployable = `import troops

from pydebianadmin import apt

@troops.deployable(roles=['interactive'])
def tmux():
    apt.install('tmux')
`
	seedRemote = `import troops

from pydebianadmin import apt

troops.define_role(
    'interactive',
    hosts=[
        'shellbox-1.example.com',
        'shellbox-2.example.com',
        ],
    )

@troops.deployable(roles=['interactive'])
def tmux():
    apt.install('tmux')
`
	seedExtension = `import pip

from pydebianadmin import apt

apt.install('libxml2-dev', 'libxslt1-dev')
pip.main(['install', '-e', 'lxml'])
import lxml
# now it should work
`
)

// aptModule is the stand-in's code. Its libxml2-dev has a header, as the real one.
const aptModule = `import os

def install(*packages):
    with open(os.path.expanduser('~/apt'), 'a') as f:
        print('install', *packages, file=f)
    if 'libxml2-dev' in packages:
        with open(os.path.expanduser('~/libxml.h'), 'w') as f:
            print('#define LIBXML "of libxml2-dev"', file=f)
`

// newSeedNode is a node on which PyDebianAdmin can be installed, by pip's own configuration.
func newSeedNode(t *testing.T, deploy string) *node {
	n := newNode(t, map[string]string{"deploy.py": deploy, "requirements.txt": "PyDebianAdmin\n"})
	wheel(t, n.wheels, "PyDebianAdmin", "0.3", map[string]string{"pydebianadmin/__init__.py": "", "pydebianadmin/apt.py": aptModule})
	return n
}

func (n *node) installed() string {
	b, err := os.ReadFile(filepath.Join(n.dir, "home", "apt"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func TestSeedExamples(t *testing.T) {
	venvs := t.TempDir()
	warm := newSeedNode(t, "")
	warm.Spec.Venvs = venvs
	warm.venv()
	const box, other = "shellbox-1.example.com", "web-1.example.com"
	for _, test := range []struct {
		name, deploy, host, installed string
		roles                         []string
	}{
		{"first deployment", seedFirst, other, "install tmux", nil},
		{"no role", seedHaveRole, box, "", []string{}},
		{"role by host name", seedHostname + seedHaveRole, box, "install tmux", []string{"interactive"}},
		{"role by host name, other host", seedHostname + seedHaveRole, other, "", []string{}},
		{"list of machines", seedDefineRole + seedHaveRole, "shellbox-2.example.com", "install tmux", []string{"interactive"}},
		{"list of machines, other host", seedDefineRole + seedHaveRole, other, "", []string{}},
		{"deployable", seedDefineRole + seedDeployable, box, "install tmux", []string{"interactive"}},
		{"deployable, no role", seedDeployable, box, "", []string{}},
		{"remote deployment", seedRemote, box, "install tmux", []string{"interactive"}},
		{"remote deployment, other host", seedRemote, other, "", []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newSeedNode(t, test.deploy)
			n.Spec.Hostname, n.Spec.Venvs = test.host, venvs
			roles, reported, err := Deploy(t.Context(), n.Spec, n.venv())
			if err != nil {
				t.Fatalf("%v\n%s", err, n.said())
			}
			if reported != (test.roles != nil) || !slices.Equal(roles, test.roles) {
				t.Errorf("roles %q (reported: %v), want %q", roles, reported, test.roles)
			}
			if got := n.installed(); got != test.installed {
				t.Errorf("apt was asked to %q, want %q", got, test.installed)
			}
		})
	}
}
