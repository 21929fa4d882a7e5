#!/usr/bin/env python3
"""One account's slow searches beside another tenant's reads and settings, on one replica.

The attacker has many contacts and sends searches that scan all of them, from many connections, half of which disconnect
after 0.3 s. Meanwhile another tenant reads and changes settings, one call after the other. Prints the tenant's calls and
their latency, the statuses of the attacker, and the number of statements that still ran at the end.
"""

import contextlib
import http.client
import threading
import time
import uuid

from cluster import BASE, Cluster, arguments, milliseconds, report, wait_for

TIMEOUT = 30
SEARCHES = ["/contacts?q=no%20such%20name", "/contacts?tag=none", "/contacts?orderBy=background_info", "/contacts?q=example"]


def main():
    options = arguments(__doc__, seconds=20, contacts=100_000, connections=40)
    with Cluster(options.binary, accounts=2, replicas=1) as cluster:
        replica, (attacker, tenant) = cluster.replicas[0], cluster.accounts
        fill(cluster, attacker, options.contacts)
        alone = timed_search(replica, attacker)
        indexed = timed_search(replica, attacker) if wait_for_index(cluster) else None
        quiet, _ = work_as_tenant(replica, tenant, 3)

        end = time.monotonic() + options.seconds
        statuses, lock = {}, threading.Lock()
        attack = [
            threading.Thread(target=search, args=(replica, attacker, number, end, statuses, lock))
            for number in range(options.connections)
        ]
        for thread in attack:
            thread.start()
        time.sleep(1)
        took, refused = work_as_tenant(replica, tenant, options.seconds - 1)
        for thread in attack:
            thread.join()
        left = running(cluster)
        gone = time.monotonic()
        while running(cluster) and time.monotonic() < gone + 90:
            time.sleep(0.1)
        report(
            "slow_searches", search_ms=alone, search_by_index_ms=indexed, tenant_quiet=milliseconds(quiet), tenant_attacked=milliseconds(took),
            tenant_refused=refused, attacker=statuses, running_at_the_end=left,
            seconds_until_none_ran=round(time.monotonic() - gone, 1),
            ended={reason: replica.metric(f'unificus_statements_ended_total{{reason="{reason}"}}') for reason in ("abandoned", "timeout")},
        )


def fill(cluster, account, count):
    """Inserts contacts by SQL, because the attack is on reads."""
    cluster.sql(f"""
        insert into contact (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
        select '{account.public_id}', lpad(to_hex(n), 32, '0')::uuid, 0, 'p' || n || '@example.org', 'Lead', false, now(),
            now(), json_build_object('uid', lpad(to_hex(n), 32, '0')::uuid, 'first_name', 'Name' || n, 'last_name', 'Lee',
            'email', 'p' || n || '@example.org', 'background_info', repeat(md5(n::text), 20), 'tags', '[]'::json)::text
        from generate_series(1, {count}) as n""")
    cluster.sql(f"update head set live = '{{\"contact\": {count}}}' where account_id = '{account.public_id}'")
    cluster.sql("analyze contact")


def wait_for_index(cluster):
    """Returns whether the service has an index for searches; waits until it is built after the first search."""
    if not cluster.sql("select to_regclass('search_cursor')"):
        return False
    made = "select count(*) from search_cursor where backfilled is null"
    return wait_for(lambda: cluster.sql(made) != "0", 120, "the index is not built")


def timed_search(replica, account):
    """Returns the milliseconds of one search without results, the faster of two."""
    took = []
    for _ in range(2):
        began = time.monotonic()
        status, _, body = replica.call(account, "GET", SEARCHES[0])
        assert status == 200, (status, body)
        took.append(time.monotonic() - began)
    return round(min(took) * 1e3, 1)


def work_as_tenant(replica, account, seconds):
    """Creates, reads, lists and searches in turn; returns the seconds of each call and the number of refusals."""
    took, refused, end = [], {}, time.monotonic() + seconds
    while time.monotonic() < end:
        name = uuid.uuid4().hex
        calls = [
            ("POST", "/contact", {"role": "Lead", "first_name": "a", "last_name": "b", "email": f"{name}@example.org"}),
            ("GET", f"/contact/{name}@example.org", None),
            ("GET", "/contacts?limit=20", None),
            ("GET", "/contacts?q=" + name, None),
            ("GET", "/push/endpoints", None),
            ("GET", "/changes?limit=1", None),
        ]
        for method, path, body in calls:
            began = time.monotonic()
            try:
                status, _, _ = replica.call(account, method, path, body, timeout=TIMEOUT)
            except OSError as error:
                status = type(error).__name__
            took.append(time.monotonic() - began)
            if status not in (200, 201):
                refused[str(status)] = refused.get(str(status), 0) + 1
            if time.monotonic() >= end:
                break
    return took, refused


def search(replica, account, number, end, statuses, lock):
    timeout = 0.3 if number % 2 else TIMEOUT
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(*replica.api, timeout=timeout)
        with contextlib.closing(connection):
            try:
                connection.request("GET", BASE + SEARCHES[number // 2 % len(SEARCHES)], headers=account.headers())
                response = connection.getresponse()
                response.read()
                status = str(response.status)
                if response.status == 503:
                    time.sleep(float(response.headers["Retry-After"]))
            except OSError:
                status = "abandoned"
        with lock:
            statuses[status] = statuses.get(status, 0) + 1


def running(cluster):
    """Returns the number of list statements that PostgreSQL executes."""
    return int(cluster.sql("""
        select count(*) from pg_stat_activity
        where datname = 'unificus' and state = 'active' and query like '-- contact.page%'"""))


if __name__ == "__main__":
    main()
