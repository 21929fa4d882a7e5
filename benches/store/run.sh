#!/usr/bin/env bash
# Measures what the shape of the tables costs a batch of commands, on a Postgres of its own: made in an empty directory,
# with the settings of `unificus dev` (src/dev/services/postgres.rs), on loopback. Nothing else is needed but Debian's
# package postgresql; user root runs the server as user postgres.
#
#     benches/store/run.sh batches   # transactions/s of batches of 1, 20 and 100 commands, per shape of the tables
#     benches/store/run.sh sizes     # WAL and disk bytes per event, per shape of the tables
#     benches/store/run.sh reads     # lookups/s of one record, per shape of the tables
#     benches/store/run.sh history   # a record's history: index event_record against a walk over the primary key
#     benches/store/run.sh fill      # a database `filled` of 1,000,000 events, which stays where DIR is set
#     benches/store/run.sh migrate   # the same, then each migration after V19 with its time and the locks that it takes
#     benches/store/run.sh rebuild   # `unificus rebuild` of FILL_EVENTS events against COPY of the resulting rows
#     benches/store/run.sh           # the first four
#
# The figures are of shapes that are measured in turns on one machine, so their ratios hold where the machine is shared;
# the absolute figures do not. Variables: DIR (a directory for the server; default: a temporary one that is removed at
# the end), UNIFICUS (the program, for `rebuild`; default target/release/unificus), PORT (5599), ROUNDS (5), SECONDS_EACH (10), EVENTS (per template, 200000), FILL_EVENTS (1000000), CLIENTS (8).
#
# Shapes of the tables:
#
#   today        nine tables of records, index event_record on event (migrations V1 to V19)
#   no_index     nine tables of records, no event_record
#   partitioned  one table `record`, a partition per kind of record, event_record
#   partitioned_no_index
#                one table `record`, a partition per kind of record, no event_record
#   plain        one table `record` without partitions, event_record
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
migrations=$here/../../migrations
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
bin=${PG_BIN:-$bin}
port=${PORT:-5599}
rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-10}
events=${EVENTS:-200000}
fill_events=${FILL_EVENTS:-1000000}
clients=${CLIENTS:-8}
# Accounts of each client, as a lane has its own.
of_client=20
accounts=$((clients * of_client))
shapes=(today no_index partitioned partitioned_no_index plain)
kinds=(contact company project custom_field audience circle note world push_health)
# The last migration before the decision that these figures led to.
last=19

export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGDATABASE=postgres
# As src/store/mod.rs sets them for connections that write.
lane_settings='-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_bitmapscan=off
    -c plan_cache_mode=force_generic_plan -c jit=off'

server_settings=(listen_addresses=127.0.0.1 unix_socket_directories= max_connections=200 shared_buffers=1GB fsync=on
    synchronous_commit=on max_wal_size=4GB wal_init_zero=off checkpoint_timeout=15min autovacuum_naptime=1min
    logging_collector=off)

log() { printf '%s\n' "$*" >&2; }
sql() { PGOPTIONS='-c client_min_messages=warning' "$bin/psql" -XqAt -v ON_ERROR_STOP=1 "$@"; }
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# ---- the server ----

start_server() {
    if [ -n "${DIR:-}" ]; then mkdir -p "$DIR"; dir=$DIR keep=1; else dir=$(mktemp -d) keep=; fi
    if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
    chmod 755 "$dir"
    trap stop_server EXIT
    if [ ! -d "$dir/data" ]; then
        as_postgres "$bin/initdb" --no-sync --auth=trust --encoding=UTF8 -U postgres --locale C.UTF-8 \
            -D "$dir/data" >/dev/null
    fi
    as_postgres "$bin/pg_ctl" -w -D "$dir/data" -l "$dir/log" -o "-p $port ${server_settings[*]/#/-c }" start >/dev/null
}

stop_server() {
    as_postgres "$bin/pg_ctl" -w -m fast -D "$dir/data" stop >/dev/null || true
    if [ -n "$keep" ]; then log "server's directory: $dir"; else rm -rf "$dir"; fi
}

# ---- databases ----

# Applies migrations after the first number and up to the second.
migrate() {
    local file number
    for file in $(ls "$migrations"/V*.sql | sort -V); do
        number=${file##*/V} number=${number%%__*}
        if [ "$number" -gt "$2" ] && [ "$number" -le "$3" ]; then sql -1 -d "$1" -f "$file"; fi
    done
}

# Makes a database with so many events in so many accounts.
fill() {
    if sql -c "select 1 from pg_database where datname = '$1'" | grep -q 1; then return; fi
    sql -c 'drop database if exists unfinished' -c 'create database unfinished'
    migrate unfinished 0 $last
    sql -d unfinished -v events="$2" -v accounts="$3" -f "$here/records.sql" -f "$here/fill.sql" >&2
    sql -c "alter database unfinished rename to $1"
}

# Makes a database per shape, which each run copies.
make_templates() {
    fill today "$events" "$accounts"
    local shape
    for shape in "${shapes[@]:1}"; do
        if sql -c "select 1 from pg_database where datname = '$shape'" | grep -q 1; then continue; fi
        sql -c 'drop database if exists unfinished' -c 'create database unfinished template today strategy file_copy'
        case $shape in partitioned | partitioned_no_index) one_table list ;; plain) one_table '' ;; esac
        case $shape in no_index | partitioned_no_index) sql -d unfinished -c 'drop index event_record' ;; esac
        sql -d unfinished -c 'vacuum (analyze)'
        sql -c "alter database unfinished rename to $shape"
    done
}

# Puts the nine tables' rows into one, partitioned by kind where $1 is `list`.
one_table() {
    {
        echo "create table record (account_id uuid not null, entity text not null, uid uuid not null,
            version bigint not null, key text, role text, deleted boolean not null, created_at timestamptz not null,
            updated_at timestamptz not null, record text not null, listed boolean not null default false,
            kept boolean not null default false, primary key (account_id, uid, entity))"
        if [ "$1" = list ]; then echo ' partition by list (entity);'; else echo ' with (toast_tuple_target = 8160);'; fi
        local kind
        for kind in "${kinds[@]}"; do
            if [ "$1" = list ]; then
                echo "create table record_$kind partition of record for values in ('$kind')
                    with (toast_tuple_target = 8160);"
                case $kind in
                    note | push_health) ;;
                    project) echo "create index on record_project (account_id, key) where not deleted;" ;;
                    company) echo "create unique index on record_company (account_id, key) where not deleted;
                        create index on record_company (account_id, uid) where listed;" ;;
                    *) echo "create unique index on record_$kind (account_id, key) where not deleted;" ;;
                esac
            fi
            echo "insert into record (account_id, entity, uid, version, key, role, deleted, created_at, updated_at,
                    record)
                select account_id, '$kind', uid, version, key, role, deleted, created_at, updated_at, record from $kind
                order by created_at, uid; drop table $kind;"
        done
        if [ "$1" != list ]; then
            echo "create unique index on record (account_id, entity, key) where not deleted;
                create index on record (account_id, uid) where listed;"
        fi
    } | sql -1 -d unfinished
}

# Makes a fresh database `run` of a shape. The copy begins and ends with a checkpoint, so every run starts from one state.
copy_of() {
    sql -c 'drop database if exists run' -c "create database run template $1 strategy file_copy"
}

# ---- the batch of the service, as pgbench sends it ----

# Batches are what src/store/batch.rs sends: two round trips, each a pipeline. Command i of all that a client has sent
# goes to one of its accounts in turn. Positions, identifiers and keys follow from i, so statements compute in a
# subquery what the service sends in arrays.

# The commands of the batch from $1 up to $2, in hundredths of it, with an alias `c`.
commands() {
    cat <<S
(select i, account_id, seq, bench.uid(account_id, seq) as uid, bench.key(account_id, seq) as key
from generate_series(:first::bigint + :size::int * $1 / 100, :first::bigint + :size::int * $2 / 100 - 1) as i
cross join lateral (select (:accounts::uuid[])[(i + i / $of_client) % $of_client + 1] as account_id,
    :base::bigint + i / $of_client + 1 as seq) as s) as c
S
}

begin_script() {
    cat <<S
\if :ready = 0
select body, record from bench.sample \gset
select array_agg(bench.account_id(n))::text as accounts
from generate_series(:client_id * $of_client, :client_id * $of_client + $of_client - 1) as n \gset
select max(seq) as base from head where account_id = any(:accounts::uuid[]) \gset
\set first 0
\set ready 1
\endif
S
}

open_batch() {
    local locked=':accounts::uuid[]'
    if [ "$1" = 1 ]; then locked="array(select account_id from $(commands 0 100))"; fi
    cat <<S
\startpipeline
begin;
select account_id, seq, live::text, epoch from head where account_id = any($locked) order by account_id for update;
select a.account_id, a.key, a.request_hash, a.outcome::text from $(commands 0 100)
join answer a on a.account_id = c.account_id and a.key = 'tryton:' || c.key
    and a.at > clock_timestamp() - make_interval(secs => 86400);
S
}

# Looks up the records of the commands from $2 up to $3: by `key`, which finds none, or by the `uid` of an earlier record.
load() {
    local table=$1 entity='' on="r.key = c.key and not r.deleted"
    if [ "$table" = record ]; then entity="and r.entity = $(entity_of)"; fi
    if [ "$4" = uid ]; then on="r.uid = bench.uid(c.account_id, c.seq - 30)"; fi
    cat <<S
select r.account_id, r.record from $(commands "$2" "$3")
join $table r on r.account_id = c.account_id $entity and $on;
S
}

append_events() {
    cat <<S
\endpipeline
\startpipeline
insert into event (account_id, seq, uid, type, at, origin, body)
select account_id, seq, uid, 'contact.created', now(), 'tryton', :body::text from $(commands 0 100);
S
}

# Writes the records of the commands from $2 up to $3.
upsert() {
    local table=$1 column='' value='' arbiter=''
    if [ "$table" = record ]; then column='entity, ' value="$(entity_of), " arbiter=', entity'; fi
    cat <<S
insert into $table (account_id, ${column}uid, version, key, role, deleted, created_at, updated_at, record)
select account_id, ${value}uid, seq, key, 'Lead', false, now(), now(), :record::text from $(commands "$2" "$3")
on conflict (account_id, uid$arbiter) do update set version = excluded.version, key = excluded.key, role = excluded.role,
    deleted = excluded.deleted, updated_at = excluded.updated_at, record = excluded.record;
S
}

end_batch() {
    cat <<S
update head set seq = h.seq, live = h.live::json
from (select account_id, max(seq) as seq, '{"contact":1234,"company":56}' as live
    from $(commands 0 100) group by account_id) as h
where head.account_id = h.account_id;
insert into answer (account_id, key, request_hash, outcome, at)
select account_id, 'tryton:' || key, '\\x6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b'::bytea,
    '{"done":{"entity":"contact","uid":"00000000-0000-0000-0000-000000000000","version":1,"what":"created"}}'::json,
    clock_timestamp() from $(commands 0 100)
on conflict (account_id, key) do update
    set request_hash = excluded.request_hash, outcome = excluded.outcome, at = excluded.at;
commit;
\endpipeline
\set first :first + :size
S
}

# Where the kinds of records of a mixed batch begin and end, in hundredths of it, and how a batch looks for them.
mixture='contact 0 50 uid key
company 50 65 uid key
project 65 70 uid
custom_field 70 75 uid key
audience 75 80 key
circle 80 85 key
note 85 100'

# The kind of a command of the batch: all are contacts, or they are mixed.
entity_of() {
    if [ "$mix" = contacts ]; then echo "'contact'"; return; fi
    local kind from to ways
    printf 'case '
    while read -r kind from to ways; do
        printf "when c.i < :first::bigint + :size::int * %s / 100 then '%s' " "$to" "$kind"
    done <<<"$mixture"
    echo 'end'
}

# Prints the script of a batch: of new contacts alone, or `mixed`, of seven kinds of records.
script() {
    local shape=$1 size=$3 kind from to ways way
    mix=$2
    begin_script
    open_batch "$size"
    case $shape/$mix in
        today/contacts | no_index/contacts) load contact 0 100 key ;;
        */contacts) load record 0 100 key ;;
        today/mixed | no_index/mixed)
            while read -r kind from to ways; do
                for way in $ways; do load "$kind" "$from" "$to" "$way"; done
            done <<<"$mixture" ;;
        # The first three quarters have every kind that is looked for by uid, and all but notes have a key.
        */mixed) load record 0 75 uid; load record 0 85 key ;;
    esac
    append_events
    case $shape/$mix in
        today/contacts | no_index/contacts) upsert contact 0 100 ;;
        today/mixed | no_index/mixed)
            while read -r kind from to ways; do upsert "$kind" "$from" "$to"; done <<<"$mixture" ;;
        *) upsert record 0 100 ;;
    esac
    end_batch
}

# Statements of a batch, with begin and commit.
statements() { script "$@" | sed '1,/\\startpipeline/d' | grep -c ';$'; }

bench() { # script, size of a batch, then options
    local file=$1 size=$2
    shift 2
    PGOPTIONS=$lane_settings "$bin/pgbench" -n -M prepared -c "$clients" -j 2 -f "$file" \
        -D ready=0 -D size="$size" "$@" run
}

# Runs pgbench and prints transactions/s and the processor time of the server's sessions per transaction, in µs. Where
# other programs share the machine, the second figure is the steadier one. The kernel adds the processor time of sessions
# that have ended to that of the postmaster.
measure() {
    local before printed ticks
    before=$(ticks)
    printed=$("$@")
    ticks=$(($(ticks) - before))
    awk -v ticks=$ticks -v hertz="$(getconf CLK_TCK)" '
        /^number of transactions actually processed/ { split($NF, n, "/"); transactions = n[1] }
        /^tps/ { tps = $3 }
        END { printf "%.1f %.2f\n", tps, ticks / hertz * 1e6 / transactions }' <<<"$printed"
}

ticks() {
    # Sessions end a moment after pgbench.
    sleep 0.3
    sed 's/.*) //' "/proc/$(head -1 "$dir/data/postmaster.pid")/stat" | awk '{ print $14 + $15 }'
}

# Reads lines of a group, a name and two figures, of which each name has one per round; the group's first name is what the
# others are compared with. Prints per name the first figure's median, then of both figures the ratio to the first name's
# in the same round: median (smallest to largest).
summary() {
    awk -v label="$1" '
        function median(list, n,  i, j, t) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
                    t = list[j]; list[j] = list[j - 1]; list[j - 1] = t
                }
            return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
        }
        function ratio(figures, group, name,  i, list, m) {
            for (i = 1; i <= n[group, name]; i++) list[i] = figures[group, name, i] / figures[group, first[group], i]
            m = median(list, n[group, name])
            return sprintf("%.3f (%.3f to %.3f)", m, list[1], list[n[group, name]])
        }
        {
            if (!($1 in first)) { first[$1] = $2; groups[++g] = $1 }
            if (!(($1, $2) in n)) names[$1, ++count[$1]] = $2
            k = ++n[$1, $2]; a[$1, $2, k] = $3; b[$1, $2, k] = $4
        }
        END {
            printf "| %s | shape | per second | to the first | server time, µs | to the first |\n", label
            print "| --- | --- | ---: | --- | ---: | --- |"
            for (i = 1; i <= g; i++) for (j = 1; j <= count[groups[i]]; j++) {
                group = groups[i]; name = names[group, j]; rounds = n[group, name]
                for (k = 1; k <= rounds; k++) { x[k] = a[group, name, k]; y[k] = b[group, name, k] }
                printf "| %s | %s | %.0f | %s | %.0f | %s |\n", group, name, median(x, rounds), ratio(a, group, name),
                    median(y, rounds), ratio(b, group, name)
            }
        }'
}

# ---- the measurements ----

# Batches/s of each shape, in turns.
batches() {
    make_templates
    local file=$dir/batch.sql turn shape batch mix size of count results=$dir/batches.txt
    : >"$results"
    for turn in $(seq "$rounds"); do
        for batch in contacts/1 contacts/20 contacts/100 mixed/20 mixed/100; do
            mix=${batch%/*} size=${batch#*/}
            if [ "$mix" = contacts ]; then of=("${shapes[@]}"); else of=(today partitioned plain); fi
            for shape in "${of[@]}"; do
                script "$shape" "$mix" "$size" >"$file"
                copy_of "$shape"
                bench "$file" "$size" -T 2 >/dev/null
                count=$(statements "$shape" "$mix" "$size")
                echo "$batch $shape:$count $(measure bench "$file" "$size" -T "$seconds")" >>"$results"
            done
            log "batches: round $turn of $rounds, $batch"
        done
    done
    echo '# batches: shape:statements (begin and commit among them); per second are batches'
    summary batch <"$results"
}

# WAL and disk bytes per event, of a number of batches of 20 contacts that is the same for each shape: first of batches
# right after a checkpoint, where each page is written in full once, then of as many more.
sizes() {
    make_templates
    local file=$dir/batch.sql shape batches=200 part before written wal disk
    written=$((clients * batches * 20))
    echo "# sizes: per event of batches of 20 contacts, $written events after a checkpoint and as many after those"
    for shape in "${shapes[@]}"; do
        script "$shape" contacts 20 >"$file"
        copy_of "$shape"
        for part in 'after a checkpoint' 'from then on'; do
            sql -c 'select pg_stat_reset_shared($$wal$$)' >/dev/null
            before=$(sizes_of)
            bench "$file" 20 -t $batches >/dev/null
            sleep 1
            wal=$(sql -F ' ' -c "select round(wal_bytes / $written) || ' bytes, '
                || round(wal_records / $written::numeric, 2) || ' records, '
                || round(wal_fpi / $written::numeric, 3) || ' full pages' from pg_stat_wal")
            disk=$(paste <(echo "$before") <(sizes_of) | awk -v n=$written '{ printf "%s %.0f, ", $1, ($4 - $2) / n }')
            echo "$shape, $part: WAL $wal; on disk $disk"
        done
    done
    echo "# sizes: bytes per event (event_record, event) and per contact of the templates"
    sql -F ' ' -d today -c "
        select relname, round(pg_relation_size(oid)::numeric / n)
        from pg_class, lateral (select case when relname like 'contact%' then (select count(*) from contact)
            else (select count(*) from event) end as n) as c
        where relname in ('event', 'event_pkey', 'event_record', 'contact', 'contact_pkey', 'contact_key') order by 1"
    sql -F ' ' -d partitioned -c "
        select relname, round(pg_relation_size(oid)::numeric / (select count(*) from record_contact)) from pg_class
        where relname in ('record_contact', 'record_contact_pkey', 'record_contact_account_id_key_idx') order by 1"
}

# Bytes of the log and its indexes, and of records with theirs.
sizes_of() {
    sql -F ' ' -d run -c "
        select 'event', sum(pg_relation_size(oid)) from pg_class where relname = 'event' union all
        select 'event_pkey', sum(pg_relation_size(oid)) from pg_class where relname = 'event_pkey' union all
        select 'event_record', coalesce(sum(pg_relation_size(oid)), 0) from pg_class where relname = 'event_record'
        union all
        select 'records', sum(pg_indexes_size(oid) + pg_relation_size(oid)) from pg_class
            where relkind = 'r' and relname in ('contact', 'record_contact', 'record')"
}

# Lookups/s of one record, and of the records of a batch of 20, in turns. `literal` is a statement per kind of record,
# `param` one statement for all kinds.
reads() {
    make_templates
    local turn read file=$dir/read.sql results=$dir/reads.txt
    : >"$results"
    for turn in $(seq "$rounds"); do
        for read in 'one today' 'one partitioned/param' 'one partitioned/literal' 'one plain/param' 'batch today' \
            'batch partitioned/param' 'batch plain/param'; do
            read_script "$read" >"$file"
            bench_reads "$read" "$file" 1 >/dev/null
            echo "$read $(measure bench_reads "$read" "$file" "$seconds")" >>"$results"
        done
        log "reads: round $turn of $rounds"
    done
    echo '# reads: per second are lookups, of one record or of 20'
    summary lookup <"$results"
}

bench_reads() { # what is read, script, seconds
    local options='' database=${1#* }
    if [ "${1% *}" = batch ]; then options=$lane_settings; fi
    PGOPTIONS=$options "$bin/pgbench" -n -M prepared -c "$clients" -j 2 -f "$2" -D kind=contact -T "$3" "${database%/*}"
}

# Records are drawn of those that the first create of a group of three events made; seven in ten are contacts.
read_script() {
    local table=record entity=''
    case $1 in
        *' today') table=contact ;;
        one*/param) entity="and r.entity = :kind::text" ;;
        one*/literal) entity="and r.entity = 'contact'" ;;
        batch*) entity="and r.entity = k.entity" ;;
    esac
    cat <<S
\set n random(0, $((accounts - 1)))
\set s random(0, $((events / accounts / 3 - 25))) * 3 + 1
S
    case $1 in
        one*) cat <<S ;;
select r.uid, r.version, r.deleted, r.record from $table r
where r.account_id = bench.account_id(:n) $entity and r.uid = bench.uid(bench.account_id(:n), :s);
S
        batch*) cat <<S ;;
select r.account_id, r.record
from (select account_id, case when s > 0 then :kind::text end as entity, bench.uid(account_id, s) as uid
    from generate_series(:s::bigint, :s::bigint + 57, 3) as s
    cross join lateral (select bench.account_id((:n + s) % $accounts) as account_id) as a) as k
join $table r on r.account_id = k.account_id $entity and r.uid = k.uid;
S
    esac
}

# The uses of index event_record, with it and without, in turns. `erase` finds the attempts to deliver a
# record's events among the account's 5,000 (as push_attempt.erase does; without its update, so that it can be repeated).
# `history` reads a record's events.
history() {
    make_templates
    local shape turn of read way figures file=$dir/history.sql results=$dir/history.txt
    : >"$results"
    for turn in $(seq "$rounds"); do
        for shape in today no_index; do
            copy_of "$shape"
            sql -d run -c "$long_history" -c "vacuum analyze"
            of=(as_today)
            if [ "$shape" = no_index ]; then of=(as_today walk); fi
            for read in erase/11 history/11 history/301; do
                for way in "${of[@]}"; do
                    history_script "$way/$read" >"$file"
                    figures=$(measure "$bin/pgbench" -n -M prepared -c 1 -f "$file" -T 3 run)
                    echo "$read $shape:$way $figures" >>"$results"
                done
            done
        done
        log "history: round $turn of $rounds"
    done
    echo '# history: one session; per second are reads'
    summary read <"$results"
}

# The first account gets 40 endpoints' attempts, and its third record 300 further events, one in 40 of the log.
long_history="
insert into push_attempt (account_id, endpoint_id, attempt_id, at, seq, webhook_id, trigger, outcome, duration_ms, bytes,
    body)
select account_id, endpoint_id, gen_random_uuid(), at, seq, webhook_id, trigger, outcome, duration_ms, bytes, body
from push_attempt, generate_series(2, 40) where account_id = bench.account_id(0);
insert into event (account_id, seq, uid, type, at, origin, body)
select account_id, seq, uid, type, now(), 'tryton', bench.body(account_id, seq, type, uid, previous, key,
    bench.record('contact', uid, key, 4, seq, ''))
from (select h.account_id, h.seq + 40 * k as seq, 'contact.updated' as type,
        case when k = 1 then 4 else h.seq + 40 * k - 40 end as previous,
        bench.uid(h.account_id, 4) as uid, bench.key(h.account_id, 4) as key
    from head h, generate_series(1, 300) as k where h.account_id = bench.account_id(0)) as e;
update contact r set version = (select max(seq) from event e where e.account_id = r.account_id)
where r.account_id = bench.account_id(0) and r.uid = bench.uid(r.account_id, 4);"

history_script() {
    local created=1
    if [ "${1##*/}" = 301 ]; then created=4; fi
    local uid="bench.uid(bench.account_id(0), $created)"
    local walk="with recursive history as (
    select e.seq, e.body from contact r join event e on e.account_id = r.account_id and e.seq = r.version
    where r.account_id = bench.account_id(0) and r.uid = $uid
    union all
    select e.seq, e.body from history h
    join event e on e.account_id = bench.account_id(0) and e.seq = (h.body::json -> 'data' ->> 'previous_version')::bigint
)"
    local last="coalesce(nullif(split_part(split_part(a.webhook_id, ':', 2), '-', 2), '')::bigint, a.seq)"
    case $1 in
        as_today/erase/*) echo "select count(*) from push_attempt a
            where a.account_id = bench.account_id(0) and a.body <> '' and exists (
                select from event e
                where e.account_id = bench.account_id(0) and e.uid = $uid and e.seq between a.seq and $last);" ;;
        walk/erase/*) echo "$walk select count(*) from push_attempt a
            where a.account_id = bench.account_id(0) and a.body <> ''
                and exists (select from history h where h.seq between a.seq and $last);" ;;
        as_today/history/*) echo "select seq, body from event
            where account_id = bench.account_id(0) and uid = $uid order by seq;" ;;
        walk/history/*) echo "$walk select seq, body from history order by seq;" ;;
    esac
}

# Fills a database `filled` and prints its time.
filled() {
    local started=$SECONDS
    fill filled "$fill_events" 200
    echo "# fill: $fill_events events in $((SECONDS - started)) s (0 s: the directory had them);" \
        "$(sql -c "select pg_size_pretty(pg_database_size('filled'))")"
}

# Applies each migration after V19 to a copy of `filled`: its time, and the strongest lock that it held on each table.
later_migrations() {
    filled
    copy_of filled
    local file number
    for file in $(ls "$migrations"/V*.sql | sort -V); do
        number=${file##*/V} number=${number%%__*}
        if [ "$number" -le $last ]; then continue; fi
        echo "# migrate: ${file##*/}"
        {
            echo '\timing on'
            echo 'begin;'
            # One statement after the other, so that each has its time.
            cat "$file"
            echo '\timing off'
            echo "select 'lock', c.relkind, c.relname, string_agg(distinct l.mode, ' ')
                from pg_locks l join pg_class c on c.oid = l.relation
                where l.pid = pg_backend_pid() and c.relnamespace = 'public'::regnamespace
                    and l.mode like '%Exclusive%'
                group by 1, 2, 3 order by 2, 3;"
            echo '\timing on'
            echo 'commit;'
        } | sql -F ' ' -d run
    done
    sql -c 'drop database run'
}

# Alternates between `unificus rebuild` and COPY of the same rows into equal tables with the same indexes, one table after
# the other on one connection, from files of the server in the binary format.
rebuild() {
    local program=${UNIFICUS:-$here/../../target/release/unificus} url=postgresql://postgres@127.0.0.1:$port/rebuilt turn
    export UNIFICUS_DATABASE__URL=$url
    sql -c 'drop database if exists rebuilt' -c 'create database rebuilt'
    "$program" migrate >&2
    sql -d rebuilt -v events="$fill_events" -v accounts=200 -v records=only -f "$here/records.sql" -f "$here/fill.sql" >&2
    sql -c checkpoint
    "$program" verify >&2
    as_postgres mkdir -p "$dir/rows"
    local kind results=$dir/rebuild.txt
    : >"$results"
    for kind in "${kinds[@]}" contact_company; do
        sql -d rebuilt -c "copy $kind to '$dir/rows/$kind' (format binary)"
    done
    for turn in $(seq "$rounds"); do
        sql -d rebuilt -c 'drop schema if exists equal cascade' -c 'create schema equal' -c checkpoint
        for kind in "${kinds[@]}" contact_company; do
            sql -d rebuilt -c "create table equal.$kind (like $kind including all)"
        done
        echo "COPY $(elapsed copy_rows)" >>"$results"
        sql -d rebuilt -c 'drop schema equal cascade' -c checkpoint
        echo "rebuild $(elapsed "$program" rebuild)" >>"$results"
        log "rebuild: round $turn of $rounds"
    done
    "$program" verify >&2
    sort "$results" | awk '
        { n[$1]++; of[$1, n[$1]] = $2; text[$1] = text[$1] " " $2 }
        function median(name,   i, j, t, count) {
            count = n[name]
            for (i = 1; i <= count; i++) v[i] = of[name, i]
            for (i = 1; i <= count; i++) for (j = i + 1; j <= count; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
            return v[int((count + 1) / 2)]
        }
        END {
            print "# rebuild: seconds, in turns"
            print "COPY:" text["COPY"]
            print "rebuild:" text["rebuild"]
            printf "speed of rebuild / speed of COPY (medians): %.2f\n", median("COPY") / median("rebuild")
        }'
    sql -c 'drop database rebuilt'
}

copy_rows() {
    local kind
    for kind in "${kinds[@]}" contact_company; do
        sql -d rebuilt -c "copy equal.$kind from '$dir/rows/$kind' (format binary)"
    done
}

# The seconds that a command takes.
elapsed() {
    local from
    from=$(date +%s.%N)
    "$@" >&2
    awk -v from="$from" -v to="$(date +%s.%N)" 'BEGIN { printf "%.2f", to - from }'
}

start_server
case ${1:-all} in
    batches | sizes | reads | history) "$1" ;;
    fill) filled ;;
    migrate) later_migrations ;;
    rebuild) rebuild ;;
    all) batches; sizes; reads; history ;;
    *) log "$0: unknown measurement '$1'; the first lines of this file list all"; exit 2 ;;
esac
