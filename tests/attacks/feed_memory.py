#!/usr/bin/env python3
"""Large events against the memory of a replica: one page of the feed, and streams that are never read.

Fills the log of one account with events of about 200 kB each, then reads `GET /changes?limit=500` once, and then opens
streams and pages that are not read. Prints the resident memory before, at the peak, and seconds after the end.
"""

import contextlib
import json
import pathlib
import socket
import threading
import time

from cluster import BASE, Cluster, arguments, report


def main():
    options = arguments(__doc__, events=300, streams=25, pages=100, hold=6, settle=12)
    with Cluster(options.binary, accounts=1, replicas=1) as cluster:
        account = cluster.accounts[0]
        fill(cluster.replicas[0], account, options.events)
        cluster.replicas[0].kill()
        # Starts a replica with empty caches.
        replica = cluster.start_replica()
        replica.call(account, "GET", "/contacts")
        first = first_cursor(replica, account)
        figures = {"idle_mb": anonymous_mb(replica)}

        with peak_of(replica) as peak:
            status, _, body = replica.call(account, "GET", "/changes?limit=500")
        meta = json.loads(body)["meta"]
        figures["one_page"] = {"status": status, "mb": round(len(body) / 2**20, 1), "has_more": meta["has_more"], "peak_mb": peak[0]}

        with peak_of(replica) as peak:
            sockets = [send_request(replica, account, f"/changes/stream?after={first}") for _ in range(options.streams)]
            time.sleep(options.hold)
            for client in sockets:
                client.close()
        figures["unread_streams"] = {"count": options.streams, "peak_mb": peak[0]}

        with peak_of(replica) as peak:
            sockets = [send_request(replica, account, "/changes?limit=500") for _ in range(options.pages)]
            time.sleep(options.hold)
            figures["in_flight_mb"] = round((replica.metric("unificus_feed_in_flight_bytes") or 0) / 2**20, 1)
            for client in sockets:
                client.close()
        figures["unread_pages"] = {"count": options.pages, "peak_mb": peak[0]}

        time.sleep(options.settle)
        figures["after_mb"] = anonymous_mb(replica)
        report("feed_memory", events=options.events, **figures)


def fill(replica, account, count):
    contact = {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": "heavy@example.org"}
    assert replica.call(account, "POST", "/contact", contact)[0] == 201
    for number in range(count):
        letter = "\N{GRINNING FACE}\N{SMILING FACE WITH OPEN MOUTH}"[number % 2]
        status, _, body = replica.call(account, "PUT", "/contact/heavy@example.org", {"background_info": letter * 16384})
        assert status == 200, body


def anonymous_mb(replica):
    """Returns the resident memory in MB, without the pages of the program file."""
    for line in pathlib.Path(f"/proc/{replica.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return round(int(line.split()[1]) / 1024)
    return 0


def first_cursor(replica, account):
    return json.loads(replica.call(account, "GET", "/changes?limit=1")[2])["meta"]["cursor"]


def send_request(replica, account, path):
    """Sends a request whose response is not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    client.connect(replica.api)
    headers = "".join(f"{name}: {value}\r\n" for name, value in account.headers().items())
    client.sendall(f"GET {BASE}{path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    return client


@contextlib.contextmanager
def peak_of(replica):
    """Yields a list whose single element is, at the end, the peak of resident memory in MB."""
    peak, done = [anonymous_mb(replica)], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous_mb(replica))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    main()
