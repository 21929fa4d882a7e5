# Sourced by the scripts of benches: starts the service with a PostgreSQL and a NATS of its own by `unificus dev`, without quotas.
# Needs $unificus and $dir; sets $service, the environment that `unificus dev` writes, and the database for the commands.

start_service() {
    UNIFICUS_QUOTA__ENFORCED=false "$unificus" dev --port 0 --data-dir "$dir/data" --env-file "$dir/env" \
        >"$dir/service.out" 2>"$dir/service.log" &
    service=$!
    until [ -s "$dir/env" ]; do
        kill -0 "$service" || { cat "$dir/service.log"; exit 1; }
        sleep 0.2
    done
    set -a
    # shellcheck disable=SC1091
    . "$dir/env"
    set +a
    export UNIFICUS_DATABASE__URL=$UNIFICUS_DATABASE_URL
}
