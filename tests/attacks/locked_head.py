#!/usr/bin/env python3
"""Locks one account's head for some seconds, like a replica that is paused in the middle of a transaction.

Prints the latency of writes to other accounts in the same lane meanwhile, and the statuses of writes to the locked one.
"""

import collections
import concurrent.futures
import subprocess
import time

from cluster import Cluster, arguments, milliseconds, report


def create(replica, account, number):
    began = time.monotonic()
    body = {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": f"p{number}@example.org"}
    status, _, _ = replica.call(account, "POST", "/contact", body, timeout=60)
    return time.monotonic() - began, status


def main():
    options = arguments(__doc__, accounts=8, seconds=12)
    settings = {"UNIFICUS_COMMANDS__LANES": "1"}
    with Cluster(options.binary, accounts=options.accounts, replicas=1, settings=settings) as cluster:
        replica, (locked, *others) = cluster.replicas[0], cluster.accounts
        for account in cluster.accounts:
            create(replica, account, 0)
        hold = f"begin; select from head where account_id = '{locked.public_id}' for update; select pg_sleep({options.seconds}); commit"
        holder = subprocess.Popen(
            [cluster.bin / "psql", "-Xq", cluster.database, "-c", hold], stdout=subprocess.DEVNULL
        )
        time.sleep(1)
        end, free = time.monotonic() + options.seconds - 2, []
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            blocked = [pool.submit(create, replica, locked, number) for number in range(1, 9)]
            number = 1
            while time.monotonic() < end:
                number += 1
                futures = [pool.submit(create, replica, account, number) for account in others]
                free += [future.result() for future in futures]
                time.sleep(0.05)
            results = [future.result() for future in blocked]
        holder.wait()
        report(
            "locked_head",
            held_s=options.seconds,
            other_accounts=milliseconds([seconds for seconds, _ in free]),
            other_accounts_refused=sum(status != 201 for _, status in free),
            locked_account=milliseconds([seconds for seconds, _ in results]),
            locked_account_statuses=dict(collections.Counter(status for _, status in results)),
        )


if __name__ == "__main__":
    main()
