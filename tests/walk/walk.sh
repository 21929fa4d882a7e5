#!/bin/bash
# Follows docs/operations.md, "By systemd", word by word in an empty Debian 12, until two replicas serve, are scraped and no
# alert is pending. systemd does not run there: tests/walk/systemctl runs the units' own command lines.
#
#   tests/walk/walk.sh install DIR PROGRAM NATS_SERVER    makes the root, and runs every command of the section
#   tests/walk/walk.sh check DIR                          asks the API, the doctor and Prometheus; takes four minutes (WAIT=)
#   tests/walk/walk.sh restore DIR                        makes a backup, and restores it by the section on that (RECORDS=)
#   tests/walk/walk.sh faults DIR                         plants faults, and looks whether the doctor names them
#   tests/walk/walk.sh run DIR COMMAND…                   runs a command in the root
#   tests/walk/walk.sh remove DIR                         ends everything in it, and removes it
#
# It runs as root on Debian with debootstrap. DIR takes 1 GB. The root has a network, a process table and mounts of its own,
# so that nothing outside is reached, and one kill ends all of it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
# The mirror that this machine itself installs from.
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | awk 'NR == 1')}

fail() {
    echo "walk: $*" >&2
    exit 1
}

[ $# -ge 2 ] || fail "usage: $0 install|check|restore|faults|run|remove DIR …"
verb=$1 directory=$(realpath -m "$2")
shift 2
root=$directory/root

# Runs a command in the root's namespaces.
inside() {
    nsenter -t "$(cat "$directory/init")" --net --mount --pid --uts --ipc \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=dumb LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# Starts the namespaces. Their first process waits for others to end, as an init does.
start() {
    # shellcheck disable=SC2016 # expanded by the inner shells
    setsid unshare --mount --pid --fork --uts --ipc --kill-child bash -c '
        set -e
        root=$1
        hostname walk
        mount --make-rprivate /
        mount -t proc proc /proc
        mount --bind /proc "$root/proc"
        mount --bind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/dev/shm"
        mount -t tmpfs tmpfs "$root/run"
        mkdir -p "$root/run/lock"
        touch "$root/run/outside"
        mount --bind /proc/self/ns/net "$root/run/outside"
        exec unshare --net bash -c "ip link set lo up; touch $root/run/started; while :; do sleep 1000 & wait; done"
    ' walk "$root" >/dev/null 2>&1 </dev/null &
    local outer=$!
    for _ in $(seq 50); do
        if pgrep -P "$outer" >"$directory/init" && inside test -e /run/started 2>/dev/null; then
            return
        fi
        sleep 0.1
    done
    fail "the namespaces did not start"
}

# The commands of the section, in one script.
commands() {
    awk '/^### By systemd$/ { inside = 1 } /^### By compose$/ { inside = 0 }
        inside && /^```$/ { block = 0 }
        inside && block { print }
        inside && /^```sh$/ { block = 1 }' "$repository/docs/operations.md"
}

install_all() {
    [ $# = 2 ] || fail "usage: $0 install DIR PROGRAM NATS_SERVER"
    [ ! -e "$directory" ] || fail "$directory exists"
    mkdir -p "$directory"
    [ -n "$MIRROR" ] || fail "set MIRROR: apt names no mirror of bookworm"
    debootstrap --variant=minbase --include=systemd,iproute2,procps bookworm "$root" "$MIRROR" >"$directory/debootstrap.log"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    install -m 755 "$here/systemctl" "$here/apt-get" "$root/usr/local/sbin/"
    mkdir -p "$root/opt/unificus/target/release"
    tar -c -C "$repository" --exclude=./target --exclude=./.git . | tar -x -C "$root/opt/unificus"
    install -m 755 "$1" "$root/opt/unificus/target/release/unificus"
    install -m 755 "$2" "$root/opt/unificus/nats-server"
    { echo 'cd /opt/unificus && set -ex'; commands; } >"$root/root/walk.sh"
    start
    inside apt-get -qq update
    inside bash /root/walk.sh
}

# Runs a script of this directory in the root.
script() {
    install -m 755 "$here/$1" "$root/root/$1"
    inside env WAIT="${WAIT:-180}" RECORDS="${RECORDS:-1000}" bash "/root/$1"
}

remove() {
    [ ! -e "$directory/init" ] || kill -KILL "$(cat "$directory/init")" 2>/dev/null || true
    sleep 1
    ! grep -q " $directory" /proc/mounts || fail "something is still mounted below $directory"
    rm -rf --one-file-system "$directory"
}

case $verb in
    install) install_all "$@" ;;
    check) script check.sh ;;
    restore) script restore.sh ;;
    faults)
        inside apt-get -qq install --yes --no-install-recommends faketime >/dev/null
        script faults.sh
        ;;
    run) inside "$@" ;;
    remove) remove ;;
    *) fail "no such verb: $verb" ;;
esac
