#!/usr/bin/env python3
"""Three attacks at once beside a normal load: clients that do not read, slow searches, and huge lists.

Twenty accounts make a fixed number of calls a second over two replicas with enforced limits. Latency counts from the
time at which a call was due, so that a stall shows in every call that it delays. The attackers have their own accounts;
one of them has many contacts to search. Prints the latency of the load before, during and after the attacks.
"""

import contextlib
import http.client
import json
import multiprocessing
import queue
import random
import socket
import threading
import time

from cluster import BASE, Cluster, arguments, milliseconds, report

# Calls a second of each account.
PACE = 5.0
TIMEOUT = 30
# Seconds before the load's first call, and after the attack's last one.
SETTLE = 1


def main():
    options = arguments(__doc__, seconds=60, quiet=20, accounts=20, contacts=100_000, sockets=200, searches=16, lists=4)
    attackers = 3
    open_limits = {"UNIFICUS_QUOTA__ENFORCED": "false"}
    with Cluster(options.binary, accounts=options.accounts + attackers, replicas=0) as cluster:
        normal, (reader, searcher, lister) = cluster.accounts[:-attackers], cluster.accounts[-attackers:]
        filler = cluster.start_replica(**open_limits)
        fill(filler, searcher, options.contacts)
        fill(filler, reader, 2_000)
        filler.kill()
        # Filling consumes quota too; the attackers begin with a full month.
        cluster.sql("update quota_month set used = 0")
        cluster.settings["UNIFICUS_QUOTA__ENFORCED"] = "true"
        replicas = [cluster.start_replica(), cluster.start_replica()]

        phases = [("before", options.quiet), ("during", options.seconds + SETTLE), ("after", options.quiet)]
        results = multiprocessing.Queue()
        begun = multiprocessing.Event()
        addresses = [replica.api for replica in replicas]
        load = multiprocessing.Process(target=run_load, args=(addresses, normal, phases, begun, results))
        load.start()
        begun.wait()
        # The attack begins when the first phase is over.
        time.sleep(options.quiet + SETTLE)
        memory = [round(replica.rss_mb()) for replica in replicas]
        attacks = [
            multiprocessing.Process(target=attack_unread, args=(addresses, reader, options.sockets, options.seconds, results)),
            multiprocessing.Process(target=attack_search, args=(addresses, searcher, options.searches, options.seconds, results)),
            multiprocessing.Process(target=attack_lists, args=(addresses, lister, options.lists, options.seconds, results)),
        ]
        for attack in attacks:
            attack.start()
        figures = {}
        peak = list(memory)
        while len(figures) < len(attacks) + 1:
            with contextlib.suppress(queue.Empty):
                figures.update([results.get(timeout=1)])
            peak = [max(highest, round(replica.rss_mb())) for highest, replica in zip(peak, replicas)]
        for process in [*attacks, load]:
            process.join()
        after = [round(replica.rss_mb()) for replica in replicas]
        report("siege", **figures, rss_mb={"before": memory, "peak": peak, "after": after})


def fill(replica, account, count):
    """Creates contacts over several connections."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def work():
        with contextlib.closing(http.client.HTTPConnection(*replica.api, timeout=60)) as connection:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                status, _, body = replica.call(account, "POST", "/contact", contact(number), connection=connection)
                assert status == 201, (status, body)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def contact(number):
    words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"]
    first, last = words[number % 8], words[number // 8 % 8]
    return {
        "role": "Lead", "first_name": f"{first}{number}", "last_name": last, "email": f"{first}.{number}@example.org",
        "phone": f"+31 20 {number:07}", "background_info": "lorem ipsum " * 20,
    }


def run_load(addresses, accounts, phases, begun, results):
    """Runs a thread per account, each with its own connection to one of the replicas."""
    samples = {name: {"latency": [], "refused": {}} for name, _ in phases}
    start = time.monotonic() + SETTLE
    begun.set()

    def phase_of(due):
        for name, seconds in phases:
            if due < seconds:
                return name
            due -= seconds
        return None

    def work(index, account):
        pace, dice = 1 / PACE, random.Random(index)
        connection, made = None, []
        for step in range(1_000_000):
            due = index * pace / len(accounts) + step * pace
            phase = phase_of(due)
            if phase is None:
                return
            time.sleep(max(0.0, start + due - time.monotonic()))
            method, path, body = next_call(dice, index, step, made)
            try:
                connection = connection or http.client.HTTPConnection(*addresses[index % len(addresses)], timeout=TIMEOUT)
                data = json.dumps(body) if body else None
                connection.request(method, BASE + path, data, account.headers())
                response = connection.getresponse()
                content = response.read()
                status = response.status
                if method == "POST" and status == 201:
                    made.append(json.loads(content)["data"]["uid"])
            except (OSError, http.client.HTTPException) as error:
                status, connection = type(error).__name__, None
            sample = samples[phase]
            sample["latency"].append(time.monotonic() - start - due)
            if status not in (200, 201):
                sample["refused"][str(status)] = sample["refused"].get(str(status), 0) + 1

    threads = [threading.Thread(target=work, args=item) for item in enumerate(accounts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = {name: {**milliseconds(got["latency"]), "refused": got["refused"]} for name, got in samples.items()}
    results.put(("load", shown))


def next_call(dice, index, step, made):
    """Draws a call: of ten, four are creates, three reads, one an update, one a page and one a search."""
    kind = dice.randrange(10)
    if kind < 4 or not made:
        return "POST", "/contact", contact(index * 1_000_000 + step)
    if kind < 7:
        return "GET", f"/contact/{dice.choice(made)}", None
    if kind == 7:
        return "PUT", f"/contact/{dice.choice(made)}", {"title": f"step {step}"}
    if kind == 8:
        return "GET", "/contacts?limit=20", None
    return "GET", "/contacts?q=amber", None


def attack_unread(addresses, account, count, seconds, results):
    """Requests large responses and never reads them; every second socket sends no credentials."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in account.headers().items())
    requests = [("/contacts?limit=500", headers), ("/swagger/json-file", ""), ("/changes?limit=500", headers), ("/swagger/json-file", "")]
    end = time.monotonic() + seconds
    sockets = []
    for number in range(count):
        path, sent = requests[number % len(requests)]
        request = f"GET {BASE}{path} HTTP/1.1\r\nHost: localhost\r\n{sent}\r\n".encode()
        with contextlib.suppress(OSError):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(5)
            client.connect(addresses[number // len(requests) % len(addresses)])
            # Without credentials many requests queue on the connection.
            client.sendall(request if sent else request * 32)
            sockets.append(client)
        # Below the limit of calls per second, so that the responses are the large ones.
        time.sleep(0.02)
    time.sleep(max(0.0, end - time.monotonic()))
    still = sum(1 for client in sockets if is_open(client))
    for client in sockets:
        client.close()
    results.put(("unread", {"sockets": len(sockets), "open_at_the_end": still}))


def is_open(client):
    """Returns False if the server reset the connection, because a write to it fails then."""
    try:
        client.setblocking(False)
        client.send(b"x")
        return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    except BlockingIOError:
        return True
    except OSError:
        return False


def repeat(threads, seconds, work, results, name):
    """Calls `work(number)` on several threads until the time is over, and counts its results."""
    counts, lock, end = {}, threading.Lock(), time.monotonic() + seconds

    def run(number):
        while time.monotonic() < end:
            outcome = str(work(number))
            with lock:
                counts[outcome] = counts.get(outcome, 0) + 1
            if outcome in ("429", "503"):
                time.sleep(0.1)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    results.put((name, counts))


def attack_search(addresses, account, threads, seconds, results):
    """Sends searches that scan every contact; every second one is abandoned after 0.3 s."""
    paths = ["/contacts?q=zz", "/contacts?tag=none", "/contacts?orderBy=background_info", "/contacts?q=no%20such%20name"]

    def work(number):
        timeout = 0.3 if number % 2 else TIMEOUT
        connection = http.client.HTTPConnection(*addresses[number % len(addresses)], timeout=timeout)
        with contextlib.closing(connection):
            try:
                connection.request("GET", BASE + paths[number % len(paths)], headers=account.headers())
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return "abandoned"

    repeat(threads, seconds, work, results, "searches")


def attack_lists(addresses, account, threads, seconds, results):
    """Creates projects whose team is a list of very many distinct words, close to the largest body."""
    team = json.dumps({"name": "x", "team": [f"w{number}" for number in range(55_000)]})

    def work(number):
        connection = http.client.HTTPConnection(*addresses[number % len(addresses)], timeout=TIMEOUT)
        with contextlib.closing(connection):
            try:
                connection.request("POST", BASE + "/project", team, account.headers())
                return connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                return type(error).__name__

    repeat(threads, seconds, work, results, "lists")


if __name__ == "__main__":
    main()
