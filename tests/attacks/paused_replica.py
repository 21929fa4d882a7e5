#!/usr/bin/env python3
"""Pauses a replica by SIGSTOP under load while its machine stays reachable, and resumes it later.

Prints, for the other replica, the time until every account's event is in the stream (by the relay's cursors), and the
latency of writes while the paused replica may hold the locks of the accounts that it was writing.
"""

import concurrent.futures
import threading
import time

from cluster import Cluster, arguments, milliseconds, report

BEHIND = "select count(*) from head h left join relay_cursor c using (account_id) where h.seq > coalesce(c.seq, 0)"


def load(replica, account, name, stop):
    """Creates contacts at one replica until `stop` is set; the replica may be paused during any of them."""
    number = 0
    while not stop.is_set():
        number += 1
        try:
            replica.call(account, "POST", "/contact", {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": f"{name}-{number}@example.org"}, timeout=2)
        except OSError:
            pass


def write(replica, account, email, deadline):
    """Sends one create, repeated while the status is 503; returns the seconds it took and the number of 503s."""
    began, refused = time.monotonic(), 0
    while time.monotonic() < deadline:
        status, _, _ = replica.call(account, "POST", "/contact", {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": email}, timeout=60)
        if status == 201:
            return time.monotonic() - began, refused
        refused += 1
        time.sleep(0.2)
    return time.monotonic() - began, refused


def main():
    options = arguments(__doc__, accounts=8, seconds=40)
    with Cluster(options.binary, accounts=options.accounts, replicas=2) as cluster:
        victim, other = cluster.replicas
        deadline = time.monotonic() + 60
        while victim.metric("unificus_shards_owned") != 32 and time.monotonic() < deadline:
            time.sleep(0.1)
        stop = threading.Event()
        written, idle = cluster.accounts[: options.accounts // 2], cluster.accounts[options.accounts // 2 :]
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            loads = [pool.submit(load, victim, account, n, stop) for account in written for n in range(4)]
            time.sleep(2)
            victim.pause()
            paused = time.monotonic()
            end = paused + options.seconds
            ends = [pool.submit(write, other, account, "paused@example.org", end) for account in cluster.accounts]
            times = [future.result() for future in ends]
            stop.set()
            relayed = None
            while time.monotonic() < end and relayed is None:
                if cluster.sql(BEHIND) == "0":
                    relayed = round(time.monotonic() - paused, 1)
                time.sleep(0.1)
            shards = other.metric("unificus_shards_owned")
            victim.resume()
            for future in loads:
                future.result()
        deadline, balanced = time.monotonic() + 30, False
        while time.monotonic() < deadline and not balanced:
            balanced = all(replica.metric("unificus_shards_owned") == 32 for replica in cluster.replicas)
            time.sleep(0.1)
        report(
            "paused_replica",
            relayed_after_s=relayed,
            shards_of_the_other=shards,
            accounts_under_load=milliseconds([seconds for seconds, _ in times[: len(written)]]),
            other_accounts=milliseconds([seconds for seconds, _ in times[len(written) :]]),
            refused=sum(refused for _, refused in times),
            balanced_again=balanced,
        )


if __name__ == "__main__":
    main()
