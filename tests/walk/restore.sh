#!/bin/bash
# Runs in the root of tests/walk/walk.sh: a backup, writes after it, and the steps of docs/operations.md, "Backup and restore",
# to the newest state. The accounts of before and after the backup must be there, and the doctor must say that all is well.
set -euo pipefail
cd /opt/unificus

set -a
. /etc/unificus/unificus.env
. /etc/unificus/replica-a.env
set +a
operator() { unificus "$@" --config /etc/unificus/unificus.toml 2>/dev/null; }

operator account create Earlier >/dev/null
install -d -o postgres -g postgres -m 700 /backup
backup=/backup/$(date +%F)
rm -rf "$backup"
runuser -u postgres -- deploy/postgres/backup.sh "$backup" 127.0.0.1 5432
pg_archivecleanup /var/lib/postgresql/archive "$(sed -n 's/.*file \(.*\)).*/\1/p' "$backup/backup_label" | head -n 1)"
echo "a backup was made and verified, and what is older than it was removed from the archive"
operator account create Later >/dev/null

# A minute later the archive has it, without further writes.
archived() { find /var/lib/postgresql/archive -type f -newer "$backup/backup_manifest" | wc -l; }
before=$(archived)
for _ in $(seq 100); do
    [ "$(archived)" -le "$before" ] || break
    sleep 1
done
[ "$(archived)" -gt "$before" ] || { echo 'restore: nothing was archived within 100 s' >&2; exit 1; }
echo "the write after the backup is archived"

systemctl stop unificus@a unificus@b
systemctl stop postgresql@15-main
mv /var/lib/postgresql/15/main "/var/lib/postgresql/15/main.$(date +%s)"
runuser -u postgres -- deploy/postgres/restore.sh "$backup" /var/lib/postgresql/archive /var/lib/postgresql/15/main latest >/dev/null
systemctl start postgresql@15-main
until [ "$(runuser -u postgres -- psql -XAtc 'select pg_is_in_recovery()')" = f ]; do sleep 1; done
operator log restored --all
operator verify
systemctl start unificus@a unificus@b
until curl --silent --fail http://127.0.0.1:9466/readyz >/dev/null; do sleep 0.2; done
for account in Earlier Later; do
    operator account list | grep -q " $account\$" || { echo "restore: the account $account is lost" >&2; exit 1; }
done
for _ in $(seq 20); do
    [ "$(operator doctor | tail -n 1)" != 'All is well.' ] || break
    sleep 1
done
operator doctor | tail -n 1 | grep -x 'All is well.'
