#!/usr/bin/env bash
# Imports a file of contacts into an empty account while the service runs idle beside it, and prints one line of JSON: records
# per second of the import, of its dry run, of the same import once more (every line is replayed) and of the export; the peak
# memory of each in MiB; and the load of the machine before it. The service, its PostgreSQL and its NATS are those of
# `unificus dev`, in a temporary directory that is removed at the end.
#
#     UNIFICUS=target/release/unificus benches/sync/import.sh
#
# Variables: RECORDS (100000).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../dev_service.sh"
unificus=$(realpath "${UNIFICUS:-$here/../../target/release/unificus}")
records=${RECORDS:-100000}
dir=$(mktemp -d /var/tmp/unificus-import-XXXXXX)
chmod 755 "$dir"
service=''

end() {
    if [ -n "$service" ]; then kill "$service" 2>/dev/null || true; wait "$service" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap end EXIT

start_service
load=$(cut -d' ' -f1 /proc/loadavg)

account=$("$unificus" account create --json Import | sed 's/.*"public_id":"\([^"]*\)".*/\1/')
awk -v records="$records" 'BEGIN {
    print "id,role,first_name,last_name,email,phone,title,tags,city,company"
    for (i = 1; i <= records; i++)
        printf "%d,Lead,Ann %d,Lee,contact.%d@example.org,+31 20 %07d,Engineer,\"new, vip\",Delft,Company %d\n", i, i, i, i, i % 1000
}' >"$dir/contacts.csv"

# Runs a command; prints its seconds and its peak memory in MiB.
timed() { # name, arguments of unificus
    local name=$1 from
    shift
    from=$(date +%s.%N)
    /usr/bin/env python3 - "$unificus" "$@" >"$dir/$name" 2>"$dir/$name.err" <<'PYTHON' || { cat "$dir/$name.err" >&2; exit 1; }
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
print(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "")
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(done.returncode)
PYTHON
    awk -v from="$from" -v to="$(date +%s.%N)" -v memory="$(tail -1 "$dir/$name")" -v records="$records" -v name="$name" \
        'BEGIN { printf "\"%s_per_s\":%d,\"%s_mib\":%d", name, records / (to - from), name, memory }'
}

import=(import contacts "$dir/contacts.csv" --account "$account" --ref-column id --json)
dry=$(timed dry_run "${import[@]}" --dry-run)
run=$(timed import "${import[@]}")
again=$(timed replay "${import[@]}")
out=$(timed export export contacts "$dir/out.csv" --account "$account" --json)
created=$(sed -n 's/.*"created":\([0-9]*\).*/\1/p' "$dir/import" | head -1)
lines=$(wc -l <"$dir/out.csv")
if [ "$created" != "$records" ] || [ "$lines" != $((records + 1)) ]; then
    echo "created $created records and exported $lines lines" >&2
    exit 1
fi
printf '{"name":"sync.import","records":%d,%s,%s,%s,%s,"load":%s}\n' "$records" "$run" "$dry" "$again" "$out" "$load"
