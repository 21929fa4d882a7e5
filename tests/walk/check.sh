#!/bin/bash
# Runs in the root of tests/walk/walk.sh: asks the API, the feed, a webhook, the doctor and Prometheus of the installation.
# Prints a line for each that is well, and ends with status 1 at the first that is not.
set -euo pipefail

fail() {
    echo "check: $*" >&2
    exit 1
}

set -a
. /etc/unificus/unificus.env
. /etc/unificus/replica-a.env
set +a
operator() { unificus "$@" --config /etc/unificus/unificus.toml; }

# Webhooks go to public addresses over https alone. A receiver in the root needs both settings, on every replica.
if ! grep -q UNIFICUS_PUSH__ /etc/unificus/unificus.env; then
    printf 'UNIFICUS_PUSH__ALLOW_HTTP=true\nUNIFICUS_PUSH__ALLOW_NETWORKS=%s\n' "'[\"127.0.0.0/8\"]'" >>/etc/unificus/unificus.env
    for replica in a b; do
        systemctl restart unificus@$replica
        port=$((9465 + $(printf '%d' "'$replica") - 97))
        until curl --silent --fail "http://127.0.0.1:$port/readyz" >/dev/null; do sleep 0.2; done
    done
fi
for port in 9465 9466; do
    [ "$(curl --silent "http://127.0.0.1:$port/readyz" | head -n 1)" = ready ] || fail "the replica of port $port is not ready"
done
echo "two replicas are ready"

drawn=$(operator account create Walk --tier thrive --json)
field() { echo "$drawn" | grep -o "\"$1\":\"[^\"]*\"" | cut -d '"' -f 4; }
id=$(field public_id) key=$(field secret_key)
call() {
    local port=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body -H "X-Public-ID: $id" -H "X-Secret-Key: $key" "$@" "http://127.0.0.1:$port/secure-api$path"
}

# Takes one request after the other, and writes them to a file.
cat >/root/receiver.pl <<'END'
use strict; use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1:8099', Listen => 8, ReuseAddr => 1) or die $!;
open my $file, '>>', '/root/received' or die; $file->autoflush(1);
while (my $client = $listener->accept) {
    my $length = 0;
    while (my $line = <$client>) { $length = $1 if $line =~ /^content-length: *(\d+)/i; last if $line =~ /^\r?\n$/ }
    read $client, my $body, $length;
    print $file "$body\n";
    print $client "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"; close $client;
}
END
rm -f /root/received
perl /root/receiver.pl &
receiver=$!
trap 'kill $receiver' EXIT
until (: </dev/tcp/127.0.0.1/8099) 2>/dev/null; do sleep 0.1; done

call 8081 /push/endpoints -d '{"url":"http://127.0.0.1:8099/hook","events":["contact.*"]}' >/dev/null
for n in 1 2 3 4 5 6; do
    port=$((8081 + n % 2))
    call $port /contact -d "{\"role\":\"Lead\",\"first_name\":\"Ann\",\"last_name\":\"Walk$n\",\"email\":\"ann$n@example.org\"}" >/dev/null
done
echo "six contacts were written through both replicas"
for n in 1 2 3 4 5 6; do
    call $((8082 - n % 2)) /contact/ann$n@example.org | grep -q "Walk$n" || fail "contact $n is not read through the other replica"
done
echo "each is read through the other replica"
events=$(call 8082 "/changes?entity=contact" | grep -o 'crm.contact.created' | wc -l)
[ "$events" -ge 6 ] || fail "the feed has $events of 6 events"
echo "the feed has their events"
for _ in $(seq 100); do
    received=$(grep -c 'crm.contact.created' /root/received 2>/dev/null || true)
    [ "${received:-0}" -lt 6 ] || break
    sleep 0.1
done
[ "${received:-0}" -ge 6 ] || fail "the webhook received ${received:-0} of 6 events"
echo "the webhook received them"
# `relay verify` compares the stream with the log: an event that was not published is missing.
for _ in $(seq 50); do
    if operator relay verify --account "$id" >/root/verified 2>/dev/null; then break; fi
    sleep 0.2
done
operator relay verify --account "$id" 2>/dev/null || fail "the stream lacks events"

operator doctor --disk /var/lib/postgresql --disk /var/lib/nats 2>/dev/null | tee /root/doctor || fail "the doctor has errors"
grep -qx 'All is well.' /root/doctor || fail "the doctor has warnings"

# Rules wait for up to an hour, but whatever is wrong now is pending after the first evaluations.
echo "waiting for three minutes of scrapes"
sleep "${WAIT:-180}"
query() { curl --silent --fail --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query; }
query 'count(up{job="unificus"} == 1)' | grep -q '"2"' || fail "Prometheus does not scrape two replicas: $(query 'up{job="unificus"}')"
echo "Prometheus scrapes two replicas"
alerts=$(curl --silent --fail http://127.0.0.1:9090/api/v1/alerts)
[ "$alerts" = '{"status":"success","data":{"alerts":[]}}' ] || fail "alerts: $alerts"
rules=$(curl --silent --fail 'http://127.0.0.1:9090/api/v1/rules?type=alert' | grep -o '"type":"alerting"' | wc -l)
echo "$rules alerts are loaded, none is firing or pending"
ended=$(curl --silent http://127.0.0.1:9090/consoles/unificus-health.html | grep -c '</html>' || true)
[ "$ended" = 1 ] || fail "the console of Prometheus is not served"
echo "all is well"
