#!/usr/bin/env python3
"""Walks over a list by `nextPage` on two replicas, several with one key, while records are created and deleted.

Every record of a fixed set exists throughout. Walkers begin one after the other and alternate between the replicas, while
a writer deletes records between those of the set and creates others at both ends. Prints the number of records of the
set that each walker missed or saw twice, per sort order, and the number of records that changed in the second of an
`updatedMin` and were not listed.
"""

import json
import urllib.parse

from cluster import BASE, Cluster, arguments, report


def main():
    options = arguments(__doc__, records=60, walkers=4)
    with Cluster(options.binary, accounts=4) as cluster:
        figures = {}
        for order, account in zip(["", "email", "-email", "last_name"], cluster.accounts):
            figures[order or "created"] = walk(cluster.replicas, account, order, options.records, options.walkers)
        report("walks", **figures, updated_min_missed=miss_in_second(cluster.replicas[0], cluster.accounts[0]))


def create(replica, account, email, last_name):
    body = {"role": "Lead", "first_name": "Ann", "last_name": last_name, "email": f"{email}@example.org"}
    status, _, content = replica.call(account, "POST", "/contact", body)
    assert status == 201, content
    return json.loads(content)["data"]


def walk(replicas, account, order, records, walkers):
    stay = [f"m{number:03}" for number in range(records)]
    for email in stay:
        create(replicas[0], account, email, "M")
        create(replicas[0], account, email + "x", "M")
    first = "/contacts?" + urllib.parse.urlencode({"limit": 5, "orderBy": order})
    walks = []
    for step in range(1_000):
        if step < walkers:
            walks.append({"path": first, "seen": []})
        elif not any(walk["path"] for walk in walks):
            break
        for number, walk in enumerate(walks):
            if walk["path"]:
                status, _, content = replicas[(step + number) % 2].call(account, "GET", walk["path"])
                assert status == 200, content
                page = json.loads(content)
                walk["seen"] += [row["email"].split("@")[0] for row in page["data"]]
                link = page["meta"]["pagination"]["nextPage"]
                walk["path"] = link and link[link.index(BASE) + len(BASE):]
        for gone in stay[2 * step:2 * step + 2]:
            replicas[0].call(account, "DELETE", f"/contact/{gone}x@example.org")
        if step < records // 2:
            create(replicas[0], account, f"a{step}", "A")
            create(replicas[0], account, f"z{step}", "Z")
    missed = [len(set(stay) - set(walk["seen"])) for walk in walks]
    twice = [len(walk["seen"]) - len(set(walk["seen"])) for walk in walks]
    return {"missed": missed, "twice": twice}


def miss_in_second(replica, account):
    """Requests the records changed since the latest `updated` of a list, right after two more changes."""
    missed = 0
    for number in range(20):
        shown = create(replica, account, f"u{number}", "U")["updated"]
        later = create(replica, account, f"v{number}", "U")
        query = urllib.parse.urlencode({"updatedMin": shown, "limit": 500})
        data = json.loads(replica.call(account, "GET", f"/contacts?{query}")[2])["data"]
        missed += later["uid"] not in [row["uid"] for row in data]
    return missed


if __name__ == "__main__":
    main()
