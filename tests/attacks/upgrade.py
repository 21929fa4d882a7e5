"""A rolling upgrade under load: two replicas of the version before, a migration, then two replicas of this version.

    tests/attacks/upgrade.py --before OLD/unificus --binary NEW/unificus --seconds 120

Writers create and change contacts all the time, through a balancer that knows which replicas may be used. At a quarter of
the time the new build migrates the schema. Then each old replica is replaced as an orchestrator does it: a new one is
started, the old one gets no new requests, and a second later SIGTERM. With --back the upgrade is rolled back in the same
way, because a migration only expands the schema.

Afterwards every receipt is looked for in the log, the log is checked for gaps, the stream is compared with it by
`unificus relay verify`, the read models by `unificus verify`, and the events that a webhook receiver got are compared
with it. Prints one JSON line; exits with 1 where anything was lost or any write failed otherwise than by 503 with
Retry-After.
"""

import argparse
import collections
import http.client
import http.server
import itertools
import json
import random
import signal
import statistics
import sys
import threading
import time

from cluster import BASE, Cluster, wait_for

WRITERS = 8
# The time between the moment at which a replica gets no new requests and SIGTERM, as deploy/kubernetes has it (5 s there).
PRE_STOP = 1.0


class Receiver(http.server.BaseHTTPRequestHandler):
    """Stores the ids of the events that arrived, and how often each did."""

    protocol_version = "HTTP/1.1"
    ids = collections.Counter()
    lock = threading.Lock()

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with Receiver.lock:
            Receiver.ids[event["id"]] += 1
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Balancer:
    """The replicas that get new requests, in turns."""

    def __init__(self, replicas):
        self.replicas = list(replicas)
        self.turn = itertools.count()

    def pick(self):
        replicas = self.replicas
        return replicas[next(self.turn) % len(replicas)]

    def add(self, replica):
        self.replicas = [*self.replicas, replica]

    def remove(self, replica):
        self.replicas = [other for other in self.replicas if other is not replica]


class Writer(threading.Thread):
    """Creates contacts and changes them. Follows Retry-After, with the same idempotency key."""

    def __init__(self, number, balancer, accounts, stop):
        super().__init__()
        self.number, self.balancer, self.accounts, self.stop = number, balancer, accounts, stop
        self.random = random.Random(number)
        self.connections = {}
        self.receipts, self.statuses, self.failures, self.seconds = [], collections.Counter(), [], []

    def run(self):
        for turn in itertools.count():
            if self.stop.is_set():
                break
            account = self.random.choice(self.accounts)
            key = f"{self.number}-{turn}"
            body = {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": f"{key}@example.org"}
            created = self.write(account, "POST", "/contact", body, key)
            if created and turn % 3 == 0:
                self.write(account, "PUT", f"/contact/{created['uid']}", {"title": key}, f"{key}-put")

    def write(self, account, method, path, body, key):
        began = time.monotonic()
        while True:
            status, retry_after, data = self.send(account, method, path, body, key)
            self.statuses[status] += 1
            if status in (200, 201):
                self.seconds.append(time.monotonic() - began)
                self.receipts.append((account.public_id, data["uid"], data["version"]))
                return data
            if status != 503 or retry_after is None:
                self.failures.append((status, method, path, str(data)[:200]))
                return None
            time.sleep(min(float(retry_after), 1.0))

    def send(self, account, method, path, body, key):
        replica = self.balancer.pick()
        # A connection is used as long as its replica is; those of removed replicas are closed.
        for other in [other for other in self.connections if other not in self.balancer.replicas]:
            self.connections.pop(other).close()
        connection = self.connections.setdefault(replica, http.client.HTTPConnection(*replica.api, timeout=60))
        headers = {**account.headers(), "Idempotency-Key": key, "Content-Type": "application/json"}
        try:
            connection.request(method, BASE + path, json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connections.pop(replica, None)
            return repr(error), None, None
        data = json.loads(text)
        return response.status, response.headers.get("Retry-After"), data.get("data", data)


def replace(cluster, balancer, old, binary):
    """Starts a replica of a build, and stops an old one as an orchestrator does."""
    cluster.binary = binary
    new = cluster.start_replica()
    wait_for(lambda: new.get_metrics("/readyz")[0] == 200, 60, "the new replica is not ready")
    balancer.add(new)
    balancer.remove(old)
    time.sleep(PRE_STOP)
    began = time.monotonic()
    old.process.send_signal(signal.SIGTERM)
    if old.process.wait(timeout=60) != 0:
        raise RuntimeError(f"the old replica ended with {old.process.returncode}: {old.log_text()[-2000:]}")
    return round(time.monotonic() - began, 2)


def run(args, cluster, accounts):
    balancer, stop = Balancer(cluster.replicas), threading.Event()
    writers = [Writer(number, balancer, accounts, stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    result = {}
    try:
        time.sleep(args.seconds / 4)
        cluster.binary = args.binary
        began = time.monotonic()
        result["migrations"] = json.loads(cluster.command("migrate", "--json"))["applied"]
        result["migration_seconds"] = round(time.monotonic() - began, 2)
        steps = [args.binary, args.binary]
        if args.back:
            steps += [args.before, args.before, args.binary, args.binary]
        pause = args.seconds / 2 / len(steps)
        result["stop_seconds"] = []
        for binary in steps:
            time.sleep(pause)
            result["stop_seconds"].append(replace(cluster, balancer, balancer.replicas[0], binary))
        time.sleep(args.seconds / 4)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    seconds = sorted(second for writer in writers for second in writer.seconds)
    statuses = sum((writer.statuses for writer in writers), collections.Counter())
    result |= {
        "replaced": len(steps),
        "writes": len(seconds),
        "statuses": {str(status): count for status, count in statuses.items()},
        "failed": [failure for writer in writers for failure in writer.failures],
        "median_ms": round(statistics.median(seconds) * 1000, 1),
        "p99_ms": round(seconds[len(seconds) * 99 // 100] * 1000, 1),
        "longest_ms": round(seconds[-1] * 1000, 1),
    }
    return result, [receipt for writer in writers for receipt in writer.receipts]


def lost(cluster, accounts, receipts):
    """Compares log, stream, read models and webhooks with the receipts."""
    events = {}
    for line in cluster.sql("select account_id, seq, uid from event order by account_id, seq").splitlines():
        account, seq, uid = line.split("|")
        events.setdefault(account, []).append((int(seq), uid))
    logged = {(account, uid, seq) for account, of in events.items() for seq, uid in of}
    gaps = [account for account, of in events.items() if [seq for seq, _ in of] != list(range(1, len(of) + 1))]
    ids = {f"{account}:{seq}" for account, of in events.items() for seq, _ in of}

    def published():
        verified = [json.loads(line) for line in cluster.command("relay", "verify", "--json").splitlines()]
        missing = any(line.get("missing") for line in verified)
        # The last line has the totals.
        return None if missing or verified[-1]["unsound"] else verified[:-1]

    stream = wait_for(published, 120, "the stream lacks events of the log")
    wait_for(lambda: ids <= set(Receiver.ids), 120, "webhooks do not catch up")
    cluster.command("verify")
    return {
        "receipts": len(receipts),
        "events": len(ids),
        "receipts_without_event": len([receipt for receipt in receipts if receipt not in logged]),
        "logs_with_gaps": len(gaps),
        "accounts_in_the_stream": len(stream),
        "webhooks_missing": len(ids - set(Receiver.ids)),
        "webhooks_unknown": len(set(Receiver.ids) - ids),
        "webhooks_repeated": sum(1 for count in Receiver.ids.values() if count > 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="a binary of this version")
    parser.add_argument("--before", required=True, help="a binary of the version before")
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--back", action="store_true", help="roll back in between, and forward again")
    args = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Cluster(args.before, accounts=args.accounts, replicas=2) as cluster:
        for account in cluster.accounts:
            endpoint = {"url": f"http://127.0.0.1:{server.server_port}/"}
            status, _, text = cluster.replicas[0].call(account, "POST", "/push/endpoints", endpoint)
            if status != 201:
                raise RuntimeError(f"no endpoint: {status} {text}")
        result, receipts = run(args, cluster, cluster.accounts)
        result["after"] = lost(cluster, cluster.accounts, receipts)
    print(json.dumps(result))
    after = result["after"]
    wrong = ["receipts_without_event", "logs_with_gaps", "webhooks_missing", "webhooks_unknown"]
    return 1 if result["failed"] or any(after[name] for name in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
