#!/bin/bash
# Runs in the root of tests/walk/walk.sh: a backup, writes after it, and the steps of docs/operations.md, "Backup and restore",
# to the newest state. The accounts of before and after the backup must be there with their contacts, RECORDS each (1000), and
# the doctor must say that all is well. Prints the seconds of each step.
set -euo pipefail

records=${RECORDS:-1000}
cd /opt/unificus

set -a
. /etc/unificus/unificus.env
. /etc/unificus/replica-a.env
set +a
operator() { unificus "$@" --config /etc/unificus/unificus.toml 2>/dev/null; }

step=$SECONDS
# Prints what was done since the last call, and how long it took.
done_with() {
    echo "$1: $((SECONDS - step)) s"
    step=$SECONDS
}
# Makes an account with as many contacts; prints its id.
account_with_contacts() {
    local id
    id=$(operator account create "$1" --json | sed 's/.*"public_id":"\([^"]*\)".*/\1/')
    awk -v records="$records" -v name="$1" 'BEGIN {
        print "id,role,first_name,last_name,email,phone,title,tags,city"
        for (i = 1; i <= records; i++)
            printf "%d,Lead,Ann %d,%s,contact.%d@example.org,+31 20 %07d,Engineer,\"new, vip\",Delft\n", i, i, name, i, i
    }' >/root/contacts.csv
    operator import contacts /root/contacts.csv --account "$id" --ref-column id --json >/root/imported
    grep -q "\"created\":$records[,}]" /root/imported || { echo "restore: not all contacts were imported" >&2; return 1; }
    echo "$id"
}

earlier=$(account_with_contacts Earlier)
done_with "$records contacts were imported"
install -d -o postgres -g postgres -m 700 /backup
backup=/backup/$(date +%F)
rm -rf "$backup"
runuser -u postgres -- deploy/postgres/backup.sh "$backup" 127.0.0.1 5432
pg_archivecleanup /var/lib/postgresql/archive "$(sed -n 's/.*file \(.*\)).*/\1/p' "$backup/backup_label" | head -n 1)"
done_with "a backup of $(du -sm "$backup" | cut -f 1) MB was made and verified, and what is older was removed from the archive"
later=$(account_with_contacts Later)
done_with "as many contacts were imported after it"

# A minute later the archive has it, without further writes.
archived() { find /var/lib/postgresql/archive -type f -newer "$backup/backup_manifest" | wc -l; }
before=$(archived)
for _ in $(seq 100); do
    [ "$(archived)" -le "$before" ] || break
    sleep 1
done
[ "$(archived)" -gt "$before" ] || { echo 'restore: nothing was archived within 100 s' >&2; exit 1; }
done_with "the writes after the backup are archived"

systemctl stop unificus@a unificus@b
systemctl stop postgresql@15-main
mv /var/lib/postgresql/15/main "/var/lib/postgresql/15/main.$(date +%s)"
runuser -u postgres -- deploy/postgres/restore.sh "$backup" /var/lib/postgresql/archive /var/lib/postgresql/15/main latest >/dev/null
systemctl start postgresql@15-main
until [ "$(runuser -u postgres -- psql -XAtc 'select pg_is_in_recovery()')" = f ]; do sleep 1; done
done_with "the service was stopped and the database restored"
operator log restored --all
done_with "the log was declared restored"
operator verify
done_with "the log was verified"
systemctl start unificus@a unificus@b
until curl --silent --fail http://127.0.0.1:9466/readyz >/dev/null; do sleep 0.2; done
done_with "the replicas are ready"
for account in "$earlier" "$later"; do
    operator export contacts /root/exported.csv --account "$account" --json >/dev/null
    [ "$(wc -l </root/exported.csv)" = $((records + 1)) ] || { echo "restore: contacts of $account are lost" >&2; exit 1; }
    rm /root/exported.csv
done
done_with "all contacts are there"
for _ in $(seq 20); do
    [ "$(operator doctor | tail -n 1)" != 'All is well.' ] || break
    sleep 1
done
operator doctor | tail -n 1 | grep -x 'All is well.'
