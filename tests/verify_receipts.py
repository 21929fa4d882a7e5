#!/usr/bin/env python3
"""Verifies that every contact that was answered 201 is on every channel, and that no account's log has a gap.

`make load` writes the receipts: `public_id uid` for every 201 as it arrives, while an operator kills the service,
Postgres and NATS. This script reads the log in Postgres (by psql), the feed (by HTTP), the stream in NATS (by nats-py)
and the bodies that a webhook receiver stored, and compares each with the receipts and with seq 1, 2, 3, ... It exits
with 1 and prints the first violations if they differ, and with 2 if it could not read a channel.
"""

import argparse
import asyncio
import glob
import http.client
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections import defaultdict
from pathlib import Path

PAGE = 500
SHOWN = 10


class Channel:
    """The events of one channel by account: seq and uid in the order of arrival."""

    def __init__(self, name):
        self.name = name
        self.events = defaultdict(list)
        self.violations = []
        self.remark = ""

    def wrong(self, text):
        self.violations.append(text)

    def report(self):
        count = sum(len(events) for events in self.events.values())
        result = f"{len(self.violations)} VIOLATIONS" if self.violations else "ok"
        print(f"{self.name}: {result}, {count} events of {len(self.events)} accounts{self.remark}")
        for text in self.violations[:SHOWN]:
            print(f"  {text}")
        if len(self.violations) > SHOWN:
            print(f"  and {len(self.violations) - SHOWN} more")
        return not self.violations


def check_order(channel, heads):
    """Checks that every account's events are exactly 1..n, each once, in order."""
    for account, head in heads.items():
        seqs = [seq for seq, _ in channel.events.get(account, [])]
        if seqs == list(range(1, head + 1)):
            continue
        seen = set(seqs)
        missing = [seq for seq in range(1, head + 1) if seq not in seen]
        beyond = sorted(seen - set(range(1, head + 1)))
        differences = [
            f"missing {missing[:5]} ({len(missing)})" if missing else "",
            f"beyond the head {beyond[:5]}" if beyond else "",
            f"{len(seqs) - len(seen)} duplicates" if len(seqs) > len(seen) else "",
            "out of order" if seqs != sorted(seqs) else "",
        ]
        channel.wrong(f"{account}: of 1..{head}: " + ", ".join(filter(None, differences)))


def check_receipts(channel, receipts):
    """Checks that every uid that a client received is there."""
    for account, uids in receipts.items():
        for uid in uids - {uid for _, uid in channel.events.get(account, [])}:
            channel.wrong(f"{account}: contact {uid} was answered 201 and is missing")


def check_same(channel, log):
    """Checks that each seq has the same uid as in the log."""
    for account, events in channel.events.items():
        truth = dict(log.events.get(account, []))
        for seq, uid in events:
            if truth.get(seq) != uid:
                channel.wrong(f"{account}: seq {seq} is {uid} here and {truth.get(seq)} in the log")


def psql(url, query):
    """Returns the rows of a query, each as a list of texts."""
    program = shutil.which("psql") or next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"), reverse=True)), None)
    if program is None:
        raise LookupError("psql not found")
    # Arguments are shown to every user of the machine, so the password goes by the environment.
    parts = urllib.parse.urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    environment = dict(os.environ, PGPASSWORD=urllib.parse.unquote(parts.password or ""))
    command = [program, "-X", "-q", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1"]
    command.append(parts._replace(netloc=user + address).geturl())
    done = subprocess.run(
        command, input=query, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    if done.returncode != 0:
        raise LookupError(f"psql: {done.stderr.strip()}")
    return [line.split(" ") for line in done.stdout.splitlines() if line]


def read_log(url, accounts):
    """Returns the log, and the head of every account. A head that is not the last event's seq is a violation."""
    ids = "'{" + ",".join(accounts) + "}'::uuid[]"
    log = Channel("log")
    for account, seq, uid in psql(url, f"select account_id, seq, uid from event where account_id = any({ids}) order by account_id, seq;"):
        log.events[account].append((int(seq), uid))
    heads = {account: 0 for account in accounts}
    for account, seq in psql(url, f"select account_id, seq from head where account_id = any({ids});"):
        heads[account] = int(seq)
    check_order(log, heads)
    return log, heads


def read_models(url, accounts):
    """Returns the contacts of the read model; their seq is their version."""
    ids = "'{" + ",".join(accounts) + "}'::uuid[]"
    models = Channel("read models")
    for account, version, uid in psql(url, f"select account_id, version, uid from contact where account_id = any({ids});"):
        models.events[account].append((int(version), uid))
    return models


def read_feed(base, accounts, timeout_s):
    """Reads GET /changes of every account from the start, page by page."""
    feed = Channel("feed")
    url = urllib.parse.urlsplit(base)
    client = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    for account, key in accounts.items():
        cursor = None
        while True:
            query = {"limit": PAGE} | ({"after": cursor} if cursor else {})
            path = f"{url.path}/changes?{urllib.parse.urlencode(query)}"
            page = get(client, path, {"X-Public-ID": account, "X-Secret-Key": key}, timeout_s)
            for event in page["data"]:
                seq = event["data"]["seq"]
                feed.events[account].append((seq, event["subject"]))
                if event["id"] != f"{account}:{seq}":
                    feed.wrong(f"{account}: event {seq} has the id {event['id']}")
            meta = page["meta"]
            if not meta["has_more"]:
                break
            if meta["cursor"] == cursor:
                feed.wrong(f"{account}: has_more is true after {cursor}, and the cursor does not advance")
                break
            cursor = meta["cursor"]
    return feed


def get(client, path, headers, timeout_s):
    """Returns the JSON of a response; waits as `Retry-After` says on 429 and 503."""
    until = time.monotonic() + timeout_s
    while True:
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        body = response.read()
        if response.status == 200:
            return json.loads(body)
        if response.status not in (429, 503) or time.monotonic() > until:
            raise LookupError(f"GET {path} returned {response.status}: {body[:200]!r}")
        time.sleep(min(float(response.headers.get("Retry-After", "1")), 5))


async def read_nats(url, stream, heads, timeout_s):
    """Reads every account's subject in the stream from its first message, by the id that deduplicates."""
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

    channel = Channel("nats")
    connection = await nats.connect(url)
    try:
        context = connection.jetstream()
        until = time.monotonic() + timeout_s
        for account, head in heads.items():
            subject = f"crm.v1.{account}.evt.>"
            # The relay may still be catching up after the last outage.
            while await messages(context, stream, subject) < head and time.monotonic() < until:
                await asyncio.sleep(0.2)
            config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE, inactive_threshold=30)
            subscription = await context.pull_subscribe(subject, stream=stream, config=config)
            pending = (await subscription.consumer_info()).num_pending
            while pending:
                for message in await subscription.fetch(min(pending, PAGE), timeout=10):
                    pending = message.metadata.num_pending
                    name, _, seq = (message.headers or {}).get("Nats-Msg-Id", "").rpartition(":")
                    event = json.loads(message.data)
                    if name != account or event["id"] != f"{name}:{seq}":
                        channel.wrong(f"{account}: Nats-Msg-Id {name}:{seq} on event {event['id']}")
                    channel.events[account].append((event["data"]["seq"], event["subject"]))
            await subscription.unsubscribe()
    finally:
        await connection.close()
    return channel


async def messages(context, stream, subject):
    """Returns the number of messages in the stream below a subject."""
    info = await context.stream_info(stream, subjects_filter=subject)
    return sum((info.state.subjects or {}).values())


def read_hooks(path, accounts):
    """Reads the bodies that a webhook receiver stored, one per line. A webhook may arrive twice; the first arrival counts."""
    hooks = Channel("webhooks")
    seen, again = set(), 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            event = json.loads(line)
            account, seq = event["id"].rsplit(":", 1)
            arrival = (account, int(seq), event["subject"])
        except (ValueError, KeyError):
            hooks.wrong(f"line {number} is not an event: {line[:80]}")
            continue
        if account not in accounts:
            continue
        if arrival in seen:
            again += 1
            continue
        seen.add(arrival)
        hooks.events[account].append(arrival[1:])
    # Order holds per record, and different records overtake each other.
    last = {}
    for account, events in hooks.events.items():
        for seq, uid in events:
            if last.get((account, uid), 0) > seq:
                hooks.wrong(f"{account}: record {uid}: seq {seq} came after {last[(account, uid)]}")
            last[(account, uid)] = seq
        events.sort()
    hooks.remark = f", {again} came again"
    return hooks


def read_env(path):
    """Reads shell lines NAME=value."""
    words = [word for line in path.read_text().splitlines() for word in shlex.split(line, comments=True)]
    return dict(word.split("=", 1) for word in words if "=" in word)


def read_receipts(path):
    receipts = defaultdict(set)
    for line in path.read_text().splitlines():
        account, uid = line.split(" ")
        receipts[account].add(uid)
    return receipts


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env-file", type=Path, required=True, help="the file written by `unificus dev --env-file`")
    parser.add_argument("--receipts", type=Path, required=True, help="the file written by `make load` with --receipts")
    parser.add_argument("--accounts", type=Path, required=True, help="the file written with --accounts-file")
    parser.add_argument("--hooks", type=Path, help="the file written with --hooks, or by another receiver")
    parser.add_argument("--stream", default="EVENTS", help="the stream in NATS")
    parser.add_argument("--without-nats", action="store_true", help="do not read NATS, which needs nats-py")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait for the relay and for 429 and 503 to end")
    return parser.parse_args()


def main():
    args = arguments()
    env = read_env(args.env_file)
    accounts = {}
    for line in args.accounts.read_text().splitlines():
        account = json.loads(line)
        accounts[account["public_id"]] = account["secret_key"]
    receipts = read_receipts(args.receipts)
    print(f"receipts: {sum(map(len, receipts.values()))} contacts of {len(receipts)} accounts")

    log, heads = read_log(env["UNIFICUS_DATABASE_URL"], accounts)
    written = {account: key for account, key in accounts.items() if heads[account]}
    channels = [log, read_models(env["UNIFICUS_DATABASE_URL"], accounts)]
    ordered = [read_feed(env["UNIFICUS_BASE_URL"], written, args.timeout)]
    if not args.without_nats:
        ordered.append(asyncio.run(read_nats(env["UNIFICUS_NATS_URL"], args.stream, heads, args.timeout)))
    if args.hooks:
        ordered.append(read_hooks(args.hooks, accounts))
    for channel in ordered:
        check_order(channel, heads)
        check_same(channel, log)
    channels += ordered
    for channel in channels:
        check_receipts(channel, receipts)
    # A list, so that every channel reports.
    return 0 if all([channel.report() for channel in channels]) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LookupError, OSError, ImportError) as error:
        print(f"reading a channel failed: {error!r}", file=sys.stderr)
        sys.exit(2)
