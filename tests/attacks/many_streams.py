#!/usr/bin/env python3
"""Two thousand streams on one replica: their cost while idle, and the cost of an event for all of them.

All streams belong to one account. Prints CPU seconds of the replica and transactions of PostgreSQL over an idle time, the
replica's memory, and the time until events, written on this and on another replica, have reached every stream.
"""

import os
import resource
import selectors
import socket
import time

from cluster import BASE, Cluster, arguments, report


def main():
    options = arguments(__doc__, streams=2000, quiet=15, events=20, configured=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = ["UNIFICUS_FEED__STREAMS_PER_KEY", "UNIFICUS_FEED__STREAMS_PER_ACCOUNT"]
    # A binary from before these settings refuses them.
    settings = {name: str(options.streams) for name in names if options.configured}
    with Cluster(options.binary, accounts=1, settings=settings) as cluster:
        account, (replica, other) = cluster.accounts[0], cluster.replicas
        idle_mb, refused = replica.rss_mb(), 0
        streams = []
        for _ in range(options.streams):
            stream = open_stream(replica, account)
            refused += stream is None
            if stream:
                streams.append(stream)
        figures = {"open": len(streams), "refused": refused}
        time.sleep(3)
        figures["kb_per_stream"] = round((replica.rss_mb() - idle_mb) * 1024 / max(1, len(streams)))
        cpu, transactions = cpu_seconds(replica), count_transactions(cluster)
        time.sleep(options.quiet)
        figures["quiet_cpu_share"] = round((cpu_seconds(replica) - cpu) / options.quiet, 3)
        figures["quiet_transactions_per_s"] = round((count_transactions(cluster) - transactions) / options.quiet)
        for name, writer in [("here", replica), ("elsewhere", other)]:
            figures[name] = deliver(cluster, replica, writer, account, streams, options.events, name)
        report("many_streams", **figures)


def deliver(cluster, replica, writer, account, streams, events, name):
    cpu, transactions, begun = cpu_seconds(replica), count_transactions(cluster), time.monotonic()
    for number in range(events):
        contact = {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": f"{name}{number}@example.org"}
        status, _, body = writer.call(account, "POST", "/contact", contact)
        assert status == 201, body
    written = time.monotonic() - begun
    seen, selector = {stream: b"" for stream in streams}, selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream, selectors.EVENT_READ)
    mark = f"{name}{events - 1}@example.org".encode()
    left, deadline = len(streams), time.monotonic() + 60
    while left and time.monotonic() < deadline:
        for key, _ in selector.select(timeout=1):
            data = key.fileobj.recv(1 << 20)
            tail = seen[key.fileobj] + data
            if not data or mark in tail:
                selector.unregister(key.fileobj)
                left -= bool(data)
            seen[key.fileobj] = tail[-100:]
    selector.close()
    delivered = time.monotonic() - begun
    # Counters of PostgreSQL's idle connections lag by up to ten seconds.
    time.sleep(11)
    return {
        "not_delivered": left, "written_s": round(written, 2), "delivered_s": round(delivered, 2),
        "cpu_s": round(cpu_seconds(replica) - cpu, 2), "transactions": count_transactions(cluster) - transactions,
    }


def open_stream(replica, account):
    client = socket.create_connection(replica.api, timeout=30)
    headers = "".join(f"{name}: {value}\r\n" for name, value in account.headers().items())
    client.sendall(f"GET {BASE}/changes/stream HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    if b" 200 " not in client.recv(65536).split(b"\r\n")[0]:
        client.close()
        return None
    return client


def cpu_seconds(replica):
    with open(f"/proc/{replica.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def count_transactions(cluster):
    return int(cluster.sql("select xact_commit from pg_stat_database where datname = current_database()"))


if __name__ == "__main__":
    main()
