# Fetches the program that is for this machine, beside where it is to be, if it is the one
# that the sums are of.
new=userdata
tmp=/usr/local/bin/.troops-$new
die() {
    echo "troops: $1" >&2
    exit 1
}
case $(uname -m) in
x86_64) arch=amd64 sum=${sum_amd64-} size=${size_amd64-} ;;
aarch64) arch=arm64 sum=${sum_arm64-} size=${size_arm64-} ;;
*) die "no program for $(uname -m): nodes are x86_64 or aarch64" ;;
esac
[ -n "$sum" ] || die "no program for linux/$arch: make the userdata again where there is one (make dist)"
url=$(echo "$url" | sed "s/{arch}/$arch/g")
# The network may not be up yet.
for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
    python3 -I -c 'import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as r, open(sys.argv[2], "wb") as f:
    size = int(sys.argv[3])
    f.write(r.read(size + 1))
    if r.length and f.tell() <= size: sys.exit("it broke off")' "$url" "$tmp" "$size" && break
    rm -f "$tmp"
    [ $try -lt 12 ] || die "$url cannot be fetched"
    sleep 5
done
if ! echo "$sum  $tmp" | sha256sum -c >/dev/null 2>&1; then
    rm -f "$tmp"
    die "$url has another program than the one that this userdata was made with, whose SHA-256 is $sum"
fi
