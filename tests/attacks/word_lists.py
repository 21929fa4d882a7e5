#!/usr/bin/env python3
"""Lists of distinct words beside other accounts' writes and the health check, on one replica.

The attacker sends a project whose `team` is a list of 80,000 words, two of them at once as one text with commas, then the
same words as one value of a multi-select field and as a list of tags. Prints status and latency of each, and the latency
of `/livez` and of the writes of eight other accounts meanwhile.
"""

import json
import threading
import time

from cluster import Cluster, arguments, milliseconds, report


def main():
    options = arguments(__doc__, words=80_000)
    words = [f"{number:05x}" for number in range(options.words)]
    with Cluster(options.binary, accounts=9, replicas=1) as cluster:
        replica, (attacker, *tenants) = cluster.replicas[0], cluster.accounts
        field = {"entity": "contact", "type": "multi_select", "name": "Colours", "allowed_values": ["Red", "Green"]}
        status, _, body = replica.call(attacker, "POST", "/fields", field)
        assert status == 201, body
        custom = {json.loads(body)["data"]["uid"]: words}
        lead = {"role": "Lead", "first_name": "", "last_name": ""}
        attacks = {
            "team": ["/project", {"name": "P", "team": words}],
            "team_text_twice": ["/project", {"name": "P", "team": ",".join(words)}],
            "multi_select": ["/contact", {**lead, "custom_fields": custom}],
            "tags": ["/contact", {**lead, "tags": words}],
        }
        figures = {}
        for name, (path, body) in attacks.items():
            figures[name] = beside(replica, attacker, tenants, path, json.dumps(body), 2 if name == "team_text_twice" else 1)
        report("word_lists", body_kb=len(json.dumps(attacks["team"][1])) // 1000, **figures)


def beside(replica, attacker, tenants, path, body, copies):
    """Sends the body, and measures the latency of other requests meanwhile."""
    stop, health, writes, answers, lock = threading.Event(), [], [], [], threading.Lock()

    def attack():
        began = time.monotonic()
        status, _, _ = replica.call(attacker, "POST", path, body)
        with lock:
            answers.append([status, round(time.monotonic() - began, 3)])

    def watch():
        while not stop.is_set():
            began = time.monotonic()
            replica.get_metrics("/livez")
            health.append(time.monotonic() - began)

    def write(tenant, number):
        lead = {"role": "Lead", "first_name": "", "last_name": ""}
        while not stop.is_set():
            began = time.monotonic()
            replica.call(tenant, "POST", "/contact", lead)
            with lock:
                writes.append(time.monotonic() - began)

    others = [threading.Thread(target=watch)]
    others += [threading.Thread(target=write, args=(tenant, number)) for number, tenant in enumerate(tenants)]
    attackers = [threading.Thread(target=attack) for _ in range(copies)]
    for thread in others:
        thread.start()
    time.sleep(0.5)
    for thread in attackers:
        thread.start()
    for thread in attackers:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()
    return {"answers": answers, "livez": milliseconds(health), "writes_of_others": milliseconds(writes)}


if __name__ == "__main__":
    main()
