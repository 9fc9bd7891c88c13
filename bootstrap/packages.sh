# Read by root's `sh -s`, after a line that sets packages. What apt-get says goes to standard error.
main() {
    if ! command -v apt-get >/dev/null; then
        echo 'there is no apt-get: this is no Debian or Ubuntu' >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    get() { apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" >&2; }
    # Package lists are old or absent in fresh images: they are fetched only where they do not do.
    # shellcheck disable=SC2086 # a list of words
    get install --no-install-recommends $packages || {
        get update && get install --no-install-recommends $packages
    }
}
main </dev/null
