#!/bin/sh
# Makes a Debian or Ubuntu machine fit for `make test`: installs what the tests on real
# sshd nodes need and this machine has not, or says what that is. Quick when all is there.
# Arguments: more packages.
set -eu

packages="openssh-server openssh-client sudo python3 python3-venv python3-dev gcc libc6-dev mypy git curl gnupg tmux util-linux systemd $*"

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "setup.sh: no Debian machine: install by hand what has sshd, ssh, sudo, git, unshare and python3 with venv" >&2
	exit 0
fi

missing=
for p in $packages; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$status" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "setup.sh: the tests on real nodes need these packages: sudo apt-get install$missing" >&2
	[ -z "${CI:-}" ] || exit 1
	exit 0
fi

echo "setup.sh: installing$missing"
export DEBIAN_FRONTEND=noninteractive

# The machine's own sshd is not wanted: only the program is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
fi

# Package lists are old or absent in most images: fetch them only where they do not do.
# shellcheck disable=SC2086 # a list of words
apt-get -q -y install --no-install-recommends $missing || {
	apt-get -q update
	apt-get -q -y install --no-install-recommends $missing
}
