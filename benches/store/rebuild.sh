#!/usr/bin/env bash
# Verifies and rebuilds the read models of 1,000,000 events while a service takes 2,000 writes/s, and prints a line per
# step with its seconds. The service, its PostgreSQL and its NATS are those of `unificus dev`, in a temporary directory that
# is removed at the end. The steps:
#
#   equal      `unificus verify` finds every read model equal to the log
#   rebuild    `unificus rebuild` of all accounts, and `verify` again
#   by hand    a row that psql changes is found by `verify` and mended by `rebuild`
#   kill -9    a rebuild is killed after a third of the log; `verify`; the next run continues; `verify`
#
#     UNIFICUS=target/release/unificus LOAD=target/release/deps/load-… benches/store/rebuild.sh
#
# Variables: EVENTS (1000000), ACCOUNTS (200), RATE (2000 writes/s), PG_BIN.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../dev_service.sh"
unificus=$(realpath "${UNIFICUS:-$here/../../target/release/unificus}")
load=$(realpath "${LOAD:?the program of benches/load: cargo bench --bench load --no-run prints its path}")
bin=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)}
events=${EVENTS:-1000000} accounts=${ACCOUNTS:-200} rate=${RATE:-2000}
dir=$(mktemp -d /var/tmp/unificus-rebuild-XXXXXX)
chmod 755 "$dir"
service='' writers=''

end() {
    if [ -n "$writers" ]; then kill "$writers" 2>/dev/null || true; fi
    if [ -n "$service" ]; then kill "$service" 2>/dev/null || true; wait "$service" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap end EXIT
say() { printf '%s\n' "$*"; }
sql() { "$bin/psql" -XqAt -v ON_ERROR_STOP=1 "$UNIFICUS_DATABASE_URL" "$@"; }
seconds() { awk -v from="$1" -v to="$(date +%s.%N)" 'BEGIN { printf "%.1f", to - from }'; }

# Runs verify, and requires its exit status.
verify() { # status, label
    local from status=0
    from=$(date +%s.%N)
    "$unificus" verify >"$dir/verify" 2>"$dir/progress" || status=$?
    say "$2: verify ended with $status in $(seconds "$from") s: $(head -1 "$dir/verify" | cut -c1-160)"
    if [ "$status" != "$1" ]; then
        cat "$dir/verify" "$dir/progress"
        exit 1
    fi
}

rebuild() { # label
    local from
    from=$(date +%s.%N)
    "$unificus" rebuild >"$dir/rebuild" 2>"$dir/progress" || { cat "$dir/rebuild" "$dir/progress"; exit 1; }
    say "$1: $(tail -1 "$dir/rebuild")"
}

start_service

from=$(date +%s.%N)
# The demo account would be filled too.
sql -c 'delete from head' -c 'delete from account_key' -c 'delete from account'
sql -v events="$events" -v accounts="$accounts" -v records=only -f "$here/records.sql" -f "$here/fill.sql" >/dev/null 2>"$dir/fill" ||
    { cat "$dir/fill"; exit 1; }
say "fill: $(sql -c 'select sum(seq) from head') events in $(seconds "$from") s"
verify 0 'without writes'
rebuild 'without writes'

"$load" --only creates --rate "$rate" --seconds 3600 --env-file "$dir/env" --pid "$service" >"$dir/load" 2>&1 &
writers=$!
until [ "$(sql -c 'select sum(seq) from head')" -gt "$((events + rate))" ]; do sleep 0.2; done
before=$(sql -c 'select sum(seq) from head') began=$(date +%s.%N)

verify 0 'equal'
rebuild 'rebuild'
verify 0 'rebuild'

sql -c "update contact set record = replace(record, 'Wilhelmina', 'Wilhelm') where (account_id, uid) in (
    select account_id, uid from contact where key like '%@load.example' limit 1)"
verify 1 'by hand'
rebuild 'by hand'
verify 0 'by hand'

"$unificus" rebuild --json >"$dir/killed" 2>/dev/null &
killed=$!
until awk -F'[:,]' '/"phase":"load"/ { if (3 * $2 > $4) ok = 1 } END { exit !ok }' "$dir/killed"; do
    kill -0 "$killed" || { cat "$dir/killed"; exit 1; }
    sleep 0.05
done
kill -9 "$killed"
say "kill -9: at $(grep '"load"' "$dir/killed" | tail -1)"
verify 0 'kill -9'
rebuild 'kill -9'
verify 0 'kill -9'

after=$(sql -c 'select sum(seq) from head')
say "writes: $(awk -v n="$((after - before))" -v s="$(seconds "$began")" 'BEGIN { printf "%d events in %.0f s, %.0f/s", n, s, n / s }')"
say "left: $(sql -c "select count(*) from pg_namespace where nspname = 'unificus_rebuild'") schemas of a rebuild"
kill "$writers"
writers=''
grep -i 'error\|refused\|failed' "$dir/load" || true
