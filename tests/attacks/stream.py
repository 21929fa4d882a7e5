"""Foreign or missing messages in the stream must not stop the relay: three scenarios on two replicas.

forged    a message with an id far beyond the end of an account's log
lost      the stream is deleted and recreated while both replicas run
restored  the end of the log is removed, as by a restored backup, while both replicas run

    python3 tests/attacks/stream.py --binary target/release/unificus
"""

import base64
import contextlib
import json
import socket
import time
import urllib.parse

from cluster import Cluster, arguments, report, wait_for

STREAM = "EVENTS"
WAIT_S = 15


class Nats:
    """Requests to NATS, one at a time."""

    def __init__(self, url):
        at = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=10)
        self.read = self.socket.makefile("rb")
        self.read.readline()
        options = {"verbose": False, "headers": True, "no_responders": True}
        if at.username:
            options |= {"user": urllib.parse.unquote(at.username), "pass": urllib.parse.unquote(at.password)}
        self.socket.sendall(f"CONNECT {json.dumps(options)}\r\nSUB _INBOX.attack 1\r\n".encode())

    def request(self, subject, payload=b"", headers=None):
        if headers:
            head = "NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
            sizes = f"{len(head)} {len(head) + len(payload)}"
            self.socket.sendall(f"HPUB {subject} _INBOX.attack {sizes}\r\n{head}".encode() + payload + b"\r\n")
        else:
            self.socket.sendall(f"PUB {subject} _INBOX.attack {len(payload)}\r\n".encode() + payload + b"\r\n")
        while True:
            line = self.read.readline().split()
            if line[0] in (b"MSG", b"HMSG"):
                body = self.read.read(int(line[-1]) + 2)[:-2]
                return json.loads(body) if line[0] == b"MSG" else {}
            if line[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif line[0] == b"-ERR":
                raise RuntimeError(line)

    def api(self, name, /, **body):
        return self.request(f"$JS.API.{name}", json.dumps(body).encode())

    def ids(self, account):
        """Returns the ids of an account's events in the stream, and the number of its other messages."""
        filter, sequence, ids, foreign = f"crm.v1.{account.public_id}.evt.>", 1, [], 0
        while True:
            response = self.api(f"STREAM.MSG.GET.{STREAM}", seq=sequence, next_by_subj=filter)
            if "message" not in response:
                return ids, foreign
            sequence = response["message"]["seq"] + 1
            body = json.loads(base64_text(response["message"].get("data", "")) or "{}")
            if "id" in body:
                ids.append(body["id"].split(":", 1)[1])
            else:
                foreign += 1


def base64_text(text):
    return base64.b64decode(text).decode()


def create(replica, account, numbers):
    for number in numbers:
        body = {"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": f"p{number}@example.org"}
        status, _, content = replica.call(account, "POST", "/contact", body)
        assert status == 201, content


def settled(nats, account, expected):
    """The account's ids in the stream, once they are as expected or the wait is over."""
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: nats.ids(account)[0] == expected, WAIT_S, "")
    return nats.ids(account)


def series(cluster, name):
    """Returns the sum of a series over the replicas; None if one lacks it."""
    values = [replica.metric(name) for replica in cluster.replicas]
    return None if None in values else sum(values)


def forged(cluster, nats, account):
    create(cluster.replicas[0], account, range(1, 6))
    settled(nats, account, [str(n) for n in range(1, 6)])
    subject = f"crm.v1.{account.public_id}.evt.contact.created"
    nats.request(subject, b"{}", {"Nats-Msg-Id": f"{account.public_id}:1000000"})
    # Replaces the owner of the shards; its successors read the account's position from the stream.
    for replica in cluster.replicas:
        replica.kill()
    cluster.replicas.clear()
    for _ in range(2):
        cluster.start_replica()
    create(cluster.replicas[1], account, range(6, 11))
    ids, foreign = settled(nats, account, [str(n) for n in range(1, 11)])
    return {"written": 10, "in_stream": len(ids), "foreign": foreign,
            "alerts": series(cluster, "unificus_relay_foreign_total"),
            "lag": cluster.replicas[0].metric("unificus_relay_lag_events")}


def lost(cluster, nats, accounts):
    for account in accounts:
        create(cluster.replicas[0], account, range(1, 77))
    for account in accounts:
        settled(nats, account, [str(n) for n in range(1, 77)])
    config = nats.api(f"STREAM.INFO.{STREAM}")["config"]
    nats.api(f"STREAM.DELETE.{STREAM}")
    nats.api(f"STREAM.CREATE.{STREAM}", **config)
    for account in accounts:
        create(cluster.replicas[1], account, [77])
    expected = [str(n) for n in range(1, 78)]
    whole = [settled(nats, account, expected)[0] == expected for account in accounts]
    return {"accounts": len(accounts), "whole_again": sum(whole)}


def restored(cluster, nats, account):
    create(cluster.replicas[0], account, range(1, 76))
    settled(nats, account, [str(n) for n in range(1, 76)])
    time.sleep(1)
    one = f"account_id = '{account.public_id}'"
    cluster.sql(
        f"begin; delete from event where {one} and seq > 70; delete from contact where {one} and version > 70;"
        f"update head set seq = 70, live = '{{\"contact\": 70}}' where {one};"
        f"update relay_cursor set seq = least(seq, 70) where {one}; commit"
    )
    ghosts = []
    for replica in cluster.replicas:
        page = json.loads(replica.call(account, "GET", "/changes?limit=500")[2])
        ghosts.append(sum(event["data"]["seq"] > 70 for event in page["data"]))
    create(cluster.replicas[0], account, [101])
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: series(cluster, "unificus_relay_stopped_accounts"), WAIT_S, "")
    stopped = series(cluster, "unificus_relay_stopped_accounts")
    with contextlib.suppress(RuntimeError):
        cluster.command("log", "restored", "--account", account.public_id)
    create(cluster.replicas[1], account, [102])
    expected = [*(str(n) for n in range(1, 72)), "2:72"]
    ids, _ = settled(nats, account, expected)
    return {"lost_events_read": ghosts, "stopped": stopped, "stream_is_the_log": ids == expected, "stream_ends": ids[-3:]}


def main():
    options = arguments(__doc__)
    with Cluster(options.binary, accounts=10) as cluster:
        nats = Nats(cluster.nats)
        first, second, *rest = cluster.accounts
        report("stream", forged=forged(cluster, nats, first), restored=restored(cluster, nats, second),
               lost=lost(cluster, nats, rest))


if __name__ == "__main__":
    main()
