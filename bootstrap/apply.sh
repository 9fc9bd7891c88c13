# Read by root's `sh -s`, after lines that set user, new and remotes. It is one function that
# is called in the end, so a connection that breaks either keeps all of it from running or
# none: once begun it comes to its end by itself. What it prints, one line each:
#   did TEXT     a change
#   init TEXT    a line of `troops node init`
#   left WHAT    what was not there before, and is now
#   error TEXT   a line about why it failed
#   failed STEP  the last line after a failure
#   ended well   the last line otherwise
bin=/usr/local/bin/troops
dir=/var/lib/troops
repo=$dir/repo/main.git
tmp=/usr/local/bin/.troops-$new
group=troops

member() { id -nG -- "$user" 2>/dev/null | tr ' ' '\n' | grep -qx "$group"; }

# traces names what of a node is here already.
traces() {
    getent group "$group" >/dev/null && echo group
    member && echo member
    [ -e /etc/sudoers.d/troops ] && echo sudoers
    git config --system --get-all safe.directory 2>/dev/null | grep -Fqx "$repo" && echo safe
    [ -d "$dir" ] && echo dir
    [ -n "$(ls -A "$dir" 2>/dev/null)" ] && echo contents
}

# leftovers names what was not here before.
leftovers() {
    case " $before " in
    *" dir "*) ;;
    *) before="$before contents" ;; # they go with their directory
    esac
    for t in $(traces); do
        case " $before " in
        *" $t "*) ;;
        *) echo "left $t" ;;
        esac
    done
    for r in $added; do
        echo "left remote $r"
    done
}

# fail STEP TEXT puts the program back as it was, and tells what else is left.
fail() {
    if [ "$replaced" = yes ] && [ -e "$tmp.old" ]; then
        mv -fT "$tmp.old" "$bin" || echo left program
    elif [ "$replaced" = yes ]; then
        rm -f "$bin" || echo left program
    fi
    [ -z "$new" ] || rm -f "$tmp" "$tmp.old"
    case " $before " in
    *" contents "*) ;;
    *" dir "*) chown "$owner" "$dir" && chmod "$mode" "$dir" ;;
    esac
    leftovers
    printf '%s\n' "$2" | sed 's/^/error /'
    echo "failed $1"
    exit 1
}

# put_program gives the program that was sent its name, once it has shown that it runs here.
put_program() {
    out=$(chown 0:0 "$tmp" 2>&1 && chmod 0755 "$tmp" 2>&1) || fail program "$out"
    version=$("$tmp" --version 2>&1) || fail program "$version"
    if [ -e "$bin" ] || [ -L "$bin" ]; then
        out=$(ln "$bin" "$tmp.old" 2>&1) || fail program "$out"
    fi
    sync "$tmp" 2>/dev/null || sync
    out=$(mv -fT "$tmp" "$bin" 2>&1) || fail program "$out"
    replaced=yes
    printf 'did installed %s as %s\n' "$version" "$bin"
}

init_node() {
    out=$("$bin" node init 2>&1) || fail 'node init' "$out"
    printf '%s\n' "$out" | sed 's/^/init /'
}

add_member() {
    if [ "$user" = root ] || member; then
        return
    fi
    out=$(usermod -a -G "$group" -- "$user" 2>&1) || fail group "$out"
    printf 'did added %s to group %s\n' "$user" "$group"
}

# set_remote NAME URL
set_remote() {
    old=$(git --git-dir="$repo" config --get-all "remote.$1.url")
    [ "$old" != "$2" ] || return 0
    if [ -z "$old" ]; then
        out=$(git --git-dir="$repo" remote add -- "$1" "$2" 2>&1) || fail remote "$out"
        added="$added $1"
        printf 'did added remote %s\n' "$1"
    else
        out=$(git --git-dir="$repo" remote set-url -- "$1" "$2" 2>&1) || fail remote "$out"
        printf 'did changed remote %s, which was %s\n' "$1" "$old"
    fi
}

main() {
    trap '' HUP INT TERM PIPE
    replaced='' added=''
    before=$(traces | tr '\n' ' ')
    owner=$(stat -c %u:%g "$dir" 2>/dev/null) mode=$(stat -c %a "$dir" 2>/dev/null)
    [ -z "$new" ] || put_program
    init_node
    add_member
    while read -r name url; do
        [ -z "$name" ] || set_remote "$name" "$url"
    done <<END
$remotes
END
    [ "$replaced" != yes ] || [ -e "$tmp.old" ] || echo left program
    [ -z "$new" ] || rm -f "$tmp.old"
    leftovers
    echo ended well
}
main </dev/null
