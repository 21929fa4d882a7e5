#!/usr/bin/env python3
"""Calls without a response, of accounts with 80 calls a month, on two replicas.

Abandons twenty long polls, kills a replica with thirty in flight, repeats a write under its idempotency key at the limit,
and requests `/usage` as fast as possible. Prints the calls used and the statuses of each.
"""

import json
import threading
import time

from cluster import BASE, Cluster, arguments, report, wait_for

LIMIT = 80


def main():
    options = arguments(__doc__, polls=30)
    settings = {"UNIFICUS_QUOTA__ENFORCED": "true", "UNIFICUS_QUOTA__BURST_PER_SECOND": "50"}
    with Cluster(options.binary, accounts=4, settings=settings, tier="free-trial") as cluster:
        first, second = cluster.replicas
        abandoner, killed, replayer, reader = cluster.accounts
        figures = {"abandoned": abandon(second, abandoner, 20), "replay_at_limit": replay(second, replayer)}
        figures["usage"] = flood_usage(second, reader)
        figures["killed"] = kill(first, second, killed, options.polls)
        report("lost_calls", **figures)


def used(replica, account):
    def read():
        status, _, body = replica.call(account, "GET", "/usage")
        return [json.loads(body)["data"]["used"]] if status == 200 else None
    return wait_for(read, 10, "/usage does not answer")[0]


def poll(replica, account):
    """Sends a long poll, and does not wait for its response."""
    connection = replica.connect()
    head = [f"GET {BASE}/changes?wait=30 HTTP/1.1", "Host: unificus"]
    head += [f"{name}: {value}" for name, value in account.headers().items()]
    connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    return connection


def settled(replica, account, expected, seconds):
    """Returns the calls used, once they are as expected or the seconds are over."""
    deadline = time.monotonic() + seconds
    while used(replica, account) > expected and time.monotonic() < deadline:
        time.sleep(0.25)
    return used(replica, account)


def abandon(replica, account, polls):
    connections = [poll(replica, account) for _ in range(polls)]
    wait_for(lambda: used(replica, account) == polls, 10, "the polls do not arrive")
    for connection in connections:
        connection.close()
    return {"polls": polls, "used_before": polls, "used_after": settled(replica, account, 0, 5)}


def kill(replica, other, account, polls):
    connections = [poll(replica, account) for _ in range(polls)]
    wait_for(lambda: used(other, account) == polls, 10, "the polls do not arrive")
    began = time.monotonic()
    replica.kill()
    after = settled(other, account, 1, 20)
    for connection in connections:
        connection.close()
    return {"in_flight": polls, "used_after": after, "seconds": round(time.monotonic() - began, 1)}


def replay(replica, account):
    lead = {"role": "Lead", "first_name": "", "last_name": "", "email": "ann@example.org"}
    key = {"Idempotency-Key": "once"}
    made, _, _ = replica.call(account, "POST", "/contact", lead, key)
    statuses = []
    while used(replica, account) < LIMIT:
        time.sleep(0.05)
        statuses.append(replica.call(account, "GET", "/contacts")[0])
    time.sleep(1)
    again, headers, _ = replica.call(account, "POST", "/contact", lead, key)
    other, _, _ = replica.call(account, "POST", "/contact", {**lead, "email": "bob@example.org"}, {"Idempotency-Key": "new"})
    return {"made": made, "replayed": again, "is_replay": headers.get("Idempotent-Replayed"), "new_write": other}


def flood_usage(replica, account):
    """Sends 400 requests, eight at a time; returns the number of each status."""
    statuses, lock = {}, threading.Lock()

    def work():
        for _ in range(50):
            status, _, _ = replica.call(account, "GET", "/usage")
            with lock:
                statuses[status] = statuses.get(status, 0) + 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


if __name__ == "__main__":
    main()
