# Read by `sh -s`, after a line that sets repo. Prints one line a question, `KEY VALUE`; what
# is not there prints no line. Nothing is written, no privileges are used.
LC_ALL=C
export LC_ALL
say() {
    [ -z "$2" ] || printf '%s %s\n' "$1" "$2" | head -n 1
}
say system "$(uname -s -r -m)"
say release "$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release 2>/dev/null)"
say login "$(id -un) in $(id -Gn)"
say git "$(git --version 2>/dev/null)"
say python "$(python3 --version 2>/dev/null)"
python3 -I -B -c 'import ensurepip, venv' 2>/dev/null && say venv yes
say troops "$( (troops --version || /usr/local/bin/troops --version) 2>/dev/null)"
[ -x "$repo/hooks/proc-receive" ] && say node yes
say verify "$(git --git-dir="$repo" config --get-all troops.verify 2>/dev/null | tr '\n' ' ')"
dir=$repo
while [ ! -d "$dir" ] && [ "$dir" != / ] && [ "$dir" != . ]; do
    dir=$(dirname "$dir")
done
say disk "$(df -Pk "$dir" 2>/dev/null | tail -n 1)"
say inodes "$(df -Pi "$dir" 2>/dev/null | tail -n 1)"
exit 0
