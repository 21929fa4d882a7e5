#!/bin/sh
# Prepares a data directory that PostgreSQL recovers to a moment of the past when it starts on it.
#
#   deploy/postgres/restore.sh BACKUP ARCHIVE DATA 'YYYY-MM-DD HH:MM:SS+00'|latest
#
# Run it as user postgres on the machine that is to serve, with BACKUP made by backup.sh and ARCHIVE as archive_command
# filled it. DATA must be missing or empty: an older data directory is moved away by you, and kept until all is well.
# It says what to do next; docs/operations.md explains it. The order matters: replicas start last.
set -eu

# Debian has it beside the server alone. The newest version reads the backups of all.
check() {
    program=$(command -v pg_verifybackup || ls -d /usr/lib/postgresql/*/bin/pg_verifybackup | sort -V | tail -n 1)
    "$program" "$@"
}

[ $# = 4 ] || { echo "usage: $0 BACKUP ARCHIVE DATA 'YYYY-MM-DD HH:MM:SS+00'|latest" >&2; exit 2; }
backup=$1 archive=$2 data=$3 moment=$4
[ -f "$backup/backup_manifest" ] || { echo "$backup is no complete backup" >&2; exit 1; }
[ -d "$archive" ] || { echo "$archive is no directory" >&2; exit 1; }
[ -z "$(ls -A "$data" 2>/dev/null)" ] || { echo "$data is not empty: move it away first" >&2; exit 1; }
case $archive$moment in *"'"*) echo "neither the archive nor the moment may have a quote" >&2; exit 1 ;; esac
check --quiet "$backup"

umask 077
mkdir -p "$data"
cp -a "$backup/." "$data"
{
    echo
    echo "# Written by restore.sh; without effect once the recovery has ended."
    echo "restore_command = 'cp \"$archive/%f\" \"%p\"'"
    # A new timeline: nothing that the lost one archived is overwritten, and a second restore can go back before this one.
    echo "recovery_target_timeline = 'latest'"
    [ "$moment" = latest ] || echo "recovery_target_time = '$moment'"
    # The server takes writes as soon as it has arrived, and refuses to start where the archive ends before the moment.
    [ "$moment" = latest ] || echo "recovery_target_action = 'promote'"
} >>"$data/postgresql.auto.conf"
touch "$data/recovery.signal"
chmod 700 "$data"
cat <<TEXT
$data is prepared. Now, in this order, with all replicas of the service stopped:
1. start PostgreSQL on it, and wait until  select pg_is_in_recovery()  is f
2. unificus log restored --all             # a new epoch: partners notice that they must synchronise again
3. unificus verify                         # the read models equal the restored logs
4. start the replicas
TEXT
