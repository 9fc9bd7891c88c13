# The first process of a node, in mount, pid, host name and ipc namespaces of its own.
# It makes / an overlay of the machine's on a tmpfs, starts sshd, and lives until its
# standard input ends. Everything here goes away with the namespaces.
# NODE_* variables come from testnode.Kit; what is printed is the node's log.
set -eu
exec 2>&1
fail() { echo "boot failed: $*"; exit 1; }
trap 'fail "line $LINENO"' ERR

mount --make-rprivate /
mount -t tmpfs -o "mode=0755,size=$NODE_SIZE" testnode "$NODE_DIR/mnt"
cd "$NODE_DIR/mnt"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root ||
	fail "no overlay of / (is / an overlay on an overlay already, as in a container in a container?" \
		"Linux stacks two): run the tests outside of the inner container"
mkdir root/.old
mount -t proc proc root/proc || fail "/proc cannot be mounted: an unprivileged container hides parts of it"
cd root
pivot_root . .old
cd /

# Nothing of what people and CI keep on the machine is the node's. One mount for all: most of
# what a node costs is starting programs.
mkdir -p /srv /usr/local /var/lib/apt/lists
cat >/.fstab <<-END
	testnode  /run                tmpfs   mode=0755
	testnode  /tmp                tmpfs   mode=1777
	testnode  /root               tmpfs   mode=0700
	testnode  /home               tmpfs   mode=0755
	testnode  /srv                tmpfs   mode=0755
	testnode  /usr/local          tmpfs   mode=0755
	testnode  /var/lib/apt/lists  tmpfs   mode=0755
	testnode  /dev                tmpfs   mode=0755
	testnode  /dev/shm            tmpfs   mode=1777,X-mount.mkdir
	devpts    /dev/pts            devpts  newinstance,ptmxmode=0666,mode=0620,X-mount.mkdir
	/.old/sys /sys                none    rbind
END
mount --all --fstab /.fstab
rm -rf /.fstab /var/lib/troops /etc/sudoers.d/troops /etc/cron.d/troops /etc/systemd/system/{,timers.target.wants/}troops-pull.* /etc/gitconfig /etc/pip.conf /etc/apt/sources.list /etc/apt/sources.list.d
mkdir -p /usr/local/{bin,sbin,lib} /run/{sshd,lock} /etc/apt/sources.list.d /var/lib/apt/lists/partial
: >/etc/environment
: >/etc/resolv.conf
cp -a /.old/dev/{null,zero,full,random,urandom,tty} /dev/
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd

cp -a "/.old$NODE_DIR/files/." /
chown -R 0:0 /etc/ssh-node /srv
if [ -n "$NODE_BINARY" ]; then
	install -m 0755 "/.old$NODE_BINARY" /usr/local/bin/troops
fi
umount -l /.old
rmdir /.old

echo "${NODE_NAME%%.*}" >/proc/sys/kernel/hostname
sed -i -E "/^(troops${NODE_USERS:+|${NODE_USERS// /|}}):/d" /etc/passwd /etc/shadow /etc/group /etc/gshadow
id=2000
for user in $NODE_USERS; do
	echo "$user:x:$id:$id::/home/$user:/bin/bash" >>/etc/passwd
	echo "$user:*:19000:0:99999:7:::" >>/etc/shadow
	echo "$user:x:$id:" >>/etc/group
	echo "$user:!::" >>/etc/gshadow
	echo "$user ALL=(ALL) NOPASSWD: ALL" >"/etc/sudoers.d/90-$user"
	chmod 0440 "/etc/sudoers.d/90-$user"
	mkdir -m 0755 -p "/home/$user/.ssh"
	cp /etc/ssh-node/authorized_keys "/home/$user/.ssh/"
	chown -R "$id:$id" "/home/$user"
	id=$((id + 1))
done
mkdir -m 0700 /root/.ssh
cp /etc/ssh-node/authorized_keys /root/.ssh/

if [ -n "$NODE_DISK" ]; then
	mkdir /var/lib/troops
	mount -t tmpfs -o "mode=0755,size=$NODE_DISK" troops /var/lib/troops
fi
if [ -n "$NODE_APT" ]; then
	if dpkg-query -W tmux >/dev/null 2>&1; then
		dpkg --no-triggers --purge tmux
	fi
	rm -f /var/lib/man-db/auto-update # indexing manual pages costs seconds
	echo 'deb [trusted=yes] file:/srv/apt ./' >/etc/apt/sources.list
	apt-get -q update
fi

# Bash, not dash: it reaps what the node's daemons leave to process 1.
env -i PATH="$PATH" /usr/sbin/sshd -D -e -f /etc/ssh-node/sshd_config &
read -r _ || true
