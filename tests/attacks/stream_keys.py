#!/usr/bin/env python3
"""A deleted key and its streams: on two replicas, while events flow, and without a notification between replicas.

Opens a stream and a long poll on each replica with a second key, deletes the key, and goes on writing with the first
one. Prints for each the time from the deletion to its end, and the number of events that the stream still sent.
"""

import contextlib
import http.client
import json
import threading
import time

from cluster import BASE, Cluster, arguments, report


def main():
    options = arguments(__doc__, seconds=40, rate=5.0)
    with Cluster(options.binary, accounts=1) as cluster:
        account = cluster.accounts[0]
        created = cluster.command("key", "add", account.public_id, "partner", "--json")
        created = json.loads(created)
        partner = {"X-Public-ID": account.public_id, "X-Secret-Key": created["secret_key"]}
        results, deleted, done = {}, [None], threading.Event()
        readers = []
        for number, replica in enumerate(cluster.replicas):
            readers.append(threading.Thread(target=follow, args=(replica, partner, f"stream_{number}", results, deleted, done)))
            readers.append(threading.Thread(target=poll, args=(replica, partner, f"poll_{number}", results, deleted)))
        for reader in readers:
            reader.start()
        time.sleep(2)
        # By SQL, so that no replica is notified.
        cluster.sql(f"delete from account_key where key_id = '{created['key_id']}'")
        deleted[0] = time.monotonic()
        number = 0
        while time.monotonic() < deleted[0] + options.seconds and any(reader.is_alive() for reader in readers):
            if time.monotonic() > deleted[0] + 4:
                # Before this time the long polls must end without an event.
                contact = {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": f"p{number}@example.org"}
                cluster.replicas[number % 2].call(account, "POST", "/contact", contact)
            number += 1
            time.sleep(1 / options.rate)
        done.set()
        for reader in readers:
            reader.join(timeout=5)
        report("stream_keys", seconds=options.seconds, **dict(sorted(results.items())))


def follow(replica, headers, name, results, deleted, done):
    client = http.client.HTTPConnection(*replica.api, timeout=1)
    late, ended = 0, None
    with contextlib.closing(client):
        client.request("GET", f"{BASE}/changes/stream", headers=headers)
        response = client.getresponse()
        while not done.is_set():
            try:
                line = response.fp.readline()
            except TimeoutError:
                # A timeout leaves the file object unusable, so the socket is wrapped anew.
                response.fp = client.sock.makefile("rb") if client.sock else response.fp
                continue
            if not line or line.strip() == b"0":
                ended = time.monotonic()
                break
            if line.startswith(b"data:") and deleted[0]:
                late += 1
    results[name] = {"ended_after_s": round(ended - deleted[0], 2) if ended else None, "events_after_deletion": late}


def poll(replica, headers, name, results, deleted):
    client = http.client.HTTPConnection(*replica.api, timeout=60)
    with contextlib.closing(client):
        client.request("GET", f"{BASE}/changes?wait=30", headers=headers)
        status = client.getresponse().status
        ended = time.monotonic()
    while deleted[0] is None:
        time.sleep(0.01)
    results[name] = {"ended_after_s": round(ended - deleted[0], 2), "status": status}


if __name__ == "__main__":
    main()
