#!/bin/sh
# Copies a running PostgreSQL: a base backup that, with the archive of the write-ahead log, can be restored to any moment
# from its end on.
#
#   PGPASSWORD=… deploy/postgres/backup.sh DIR HOST PORT
#
# DIR must not exist. It needs the role of deploy/postgres/roles.sql that may copy the cluster (PGUSER, by default
# unificus_backup). The directory is complete once it has its name; until then it is DIR.part.
set -eu

# Debian has it beside the server alone. The newest version reads the backups of all.
check() {
    program=$(command -v pg_verifybackup || ls -d /usr/lib/postgresql/*/bin/pg_verifybackup | sort -V | tail -n 1)
    "$program" "$@"
}

[ $# = 3 ] || { echo "usage: $0 DIR HOST PORT" >&2; exit 2; }
[ ! -e "$1" ] || { echo "$1 exists already" >&2; exit 1; }
umask 077
rm -rf "$1.part"
# The log of the copy's own duration is streamed into it, so that it can be restored without the archive too. Checksums of
# all files are written and, as soon as the copy ends, compared.
pg_basebackup --host "$2" --port "$3" --username "${PGUSER:-unificus_backup}" --no-password --pgdata "$1.part" \
    --checkpoint fast --wal-method stream --manifest-checksums SHA256
check --quiet "$1.part"
mv "$1.part" "$1"
