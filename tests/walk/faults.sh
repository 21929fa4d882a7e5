#!/bin/bash
# Runs in the root of tests/walk/walk.sh: plants one fault after the other, and compares the doctor's findings with what is
# expected. After each it is mended, and the doctor must say that all is well. Prints the findings of each fault.
set -uo pipefail

missed=0
conf=/etc/postgresql/15/main/conf.d/unificus.conf
archive=/var/lib/postgresql/archive

sql() { (cd / && runuser -u postgres -- psql -X -q -v ON_ERROR_STOP=1 -d unificus -c "$1") >/dev/null; }
set_env() { sed -i "s|^$1=.*|$1=$2|" /etc/unificus/unificus.env; }
wait_for() { for _ in $(seq 150); do curl --silent --fail "$1" >/dev/null && return; sleep 0.2; done; echo "no response: $1"; }
start_replicas() {
    systemctl start unificus@a unificus@b
    wait_for http://127.0.0.1:9465/readyz
    wait_for http://127.0.0.1:9466/readyz
}
stop_replicas() { systemctl stop unificus@a unificus@b; }
restart_replicas() { stop_replicas && start_replicas; }
start_nats() {
    systemctl start nats-server@nats-1 nats-server@nats-2 nats-server@nats-3
    for n in 1 2 3; do wait_for "http://127.0.0.$n:8222/healthz"; done
}
stop_nats() { systemctl stop nats-server@nats-1 nats-server@nats-2 nats-server@nats-3; }
restart_postgres() { systemctl restart postgresql@15-main; until pg_isready -q; do sleep 0.2; done; }

# Reads what the replica reads, as docs/operations.md says.
doctor() (
    set -a
    . /etc/unificus/unificus.env
    . /etc/unificus/replica-a.env
    ${around:-} unificus doctor --config /etc/unificus/unificus.toml --disk "$archive" --disk /var/lib/nats 2>/dev/null
)

# Replicas notice a mended server within seconds.
well() {
    for _ in $(seq 60); do
        [ "$(doctor | tail -n 1)" != 'All is well.' ] || return 0
        sleep 0.5
    done
    return 1
}

# fault NAME LEVEL CHECK WORDS PLANT MEND
fault() {
    local name=$1 level=$2 check=$3 words=$4 plant=$5 mend=$6 found status
    eval "$plant"
    # Asked again, because a failing archive or a slow server takes a moment to show.
    for _ in $(seq 20); do
        found=$(doctor)
        status=$?
        ! grep -Eq "^$level +$check +.*$words" <<<"$found" || break
        sleep 0.5
    done
    echo "== $name: exit status $status"
    grep -A 1 -E '^(error|warning)' <<<"$found" | grep -v '^--' || true
    if ! grep -Eq "^$level +$check +.*$words" <<<"$found"; then
        echo "MISSED: $level $check $words"
        missed=$((missed + 1))
    fi
    eval "$mend"
    well && echo "   mended: all is well" || {
        echo "NOT WELL AGAIN"
        doctor | grep -E -A 1 '^(error|warning)'
        missed=$((missed + 1))
    }
}

well || {
    doctor
    echo 'the installation is not well before the first fault'
    exit 1
}

fault 'synchronous_commit is off' error database.settings 'synchronous_commit is off' \
    "sql 'alter database unificus set synchronous_commit = off'" "sql 'alter database unificus reset synchronous_commit'"
fault 'the role lacks a right' error database.rights 'update on contact' \
    "sql 'revoke update on contact from unificus'" "sql 'grant update on contact to unificus'"
fault 'the role may not make partitions' error database.rights 'may not make partitions' \
    "sql 'revoke execute on function push_attempt_add_day(date) from unificus'" \
    "sql 'grant execute on function push_attempt_add_day(date) to unificus'"
fault 'the service is a superuser' warning database.role 'is superuser' \
    "sql 'alter role unificus superuser'" "sql 'alter role unificus nosuperuser'"
fault 'the clock is five minutes ahead' warning database.clock '300' "around='faketime -f +5m'" 'around='
fault 'a migration is missing' error database.schema 'lacks migrations' \
    "sql 'create schema walk; create table walk.kept as select * from refinery_schema_history; delete from refinery_schema_history where version = (select max(version) from walk.kept)'" \
    "sql 'insert into refinery_schema_history select * from walk.kept k where not exists (select from refinery_schema_history h where h.version = k.version); drop schema walk cascade'"
fault 'max_connections is too low' warning database.connections 'need 66' \
    "sed -i 's/^max_connections = .*/max_connections = 60/' $conf; restart_postgres; sleep 3" \
    "sed -i 's/^max_connections = .*/max_connections = 200/' $conf; restart_postgres; restart_replicas"
fault 'PostgreSQL is stopped' error database.reached 'cannot be used' \
    'systemctl stop postgresql@15-main' 'restart_postgres'
fault 'the password of the role is wrong' error database.reached 'password authentication failed' \
    "sql \"alter role unificus password 'other'\"" \
    "sql \"alter role unificus password '\$(grep -o 'unificus:[^@]*' /etc/unificus/unificus.env | head -n 1 | cut -d : -f 2)'\""
fault 'the archive is closed' error database.archive 'could not archive' \
    "chown root $archive; sql 'create table walk (a int); drop table walk'; sql 'select pg_switch_wal()'" "chown postgres $archive; sleep 1"
fault 'the disk of the archive is nearly full' warning disk "$archive" \
    "mount -t tmpfs -o size=20m,mode=700,uid=\$(id -u postgres) walk $archive; head -c 19500000 /dev/zero >$archive/filler" \
    "umount $archive"
fault 'no master key' error secrets.master_keys 'no master key is set' \
    "keys=\$(sed -n 's/^UNIFICUS_SECRETS__MASTER_KEYS=//p' /etc/unificus/unificus.env); set_env UNIFICUS_SECRETS__MASTER_KEYS \"'[]'\"" \
    'set_env UNIFICUS_SECRETS__MASTER_KEYS "$keys"'
fault 'another master key' error secrets.master_keys 'no master key opens' \
    "set_env UNIFICUS_SECRETS__MASTER_KEYS \"'[\\\"\$(openssl rand -base64 32)\\\"]'\"" 'set_env UNIFICUS_SECRETS__MASTER_KEYS "$keys"'
fault 'a tier of an account is not configured' error quota.tiers 'thrive' \
    "sed -i 's/^\\[quota.tiers.thrive\\]/[quota.tiers.other]/' /etc/unificus/unificus.toml" \
    "sed -i 's/^\\[quota.tiers.other\\]/[quota.tiers.thrive]/' /etc/unificus/unificus.toml"
fault 'NATS is stopped' error nats.reached 'no event is published' stop_nats start_nats
fault 'one of three NATS servers is stopped' warning nats.stream 'behind or away' \
    'systemctl stop nats-server@nats-2; sleep 3' start_nats
fault 'the authority of NATS is another one' error nats.reached 'certificate' \
    "cp /etc/unificus/nats-ca.crt /root/ca.kept; openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=other -days 9 -out /etc/unificus/nats-ca.crt 2>/dev/null" \
    'cp /root/ca.kept /etc/unificus/nats-ca.crt'
fault 'the stream is missing' warning nats.stream 'no stream EVENTS' \
    'stop_replicas; stop_nats; rm -rf /var/lib/nats/nats-*/jetstream; start_nats' start_replicas
fault 'the stream has one copy' warning nats.stream 'has 1 copies, and not 3' \
    'set_env UNIFICUS_NATS__REPLICAS 1; restart_replicas; sleep 3; set_env UNIFICUS_NATS__REPLICAS 3' restart_replicas
fault 'one copy is configured in a cluster' warning nats.stream 'has one copy' \
    'set_env UNIFICUS_NATS__REPLICAS 1; restart_replicas; sleep 3' 'set_env UNIFICUS_NATS__REPLICAS 3; restart_replicas'
fault 'NATS without callout' error nats.callout 'clients cannot log in' \
    "cp /etc/nats/nats.conf /root/nats.kept; stop_nats; sed -i '/^authorization {/,\$d' /etc/nats/nats.conf; start_nats" \
    'stop_nats; cp /root/nats.kept /etc/nats/nats.conf; start_nats'
fault 'the password of the system user is wrong' error nats.system 'cannot be ended' \
    "kept=\$(sed -n 's/^UNIFICUS_NATS__SYSTEM_URL=//p' /etc/unificus/unificus.env); set_env UNIFICUS_NATS__SYSTEM_URL 'tls://unificus-system:wrong@nats-1:4222'" \
    'set_env UNIFICUS_NATS__SYSTEM_URL "$kept"'
fault 'another program has the port' error ports 'another program listens' \
    "systemctl stop unificus@a; perl -MIO::Socket::INET -e 'my \$l = IO::Socket::INET->new(LocalAddr => \"127.0.0.1:8081\", Listen => 1) or die; sleep 600' & taken=\$!; sleep 1" \
    'kill $taken; start_replicas'
fault 'the replica may open 1,024 files' warning files 'the replica may open 1024' \
    "sed -i 's/^LimitNOFILE=.*/LimitNOFILE=1024/' /etc/systemd/system/unificus@.service; systemctl daemon-reload; restart_replicas" \
    "sed -i 's/^LimitNOFILE=.*/LimitNOFILE=65536/' /etc/systemd/system/unificus@.service; systemctl daemon-reload; restart_replicas"

echo "$missed faults were missed or not mended"
[ "$missed" = 0 ]
