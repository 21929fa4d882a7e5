#!/usr/bin/env python3
"""Verifies that nothing that was answered 201 is missing on any channel, and that no account's log has a gap.

`make load` writes the receipts: `public_id uid` for every 201, as it arrived, while somebody killed the service,
Postgres and NATS. This reads the log in Postgres (by psql), the feed (by HTTP), the stream in NATS (by nats-py) and
what a webhook receiver kept, and holds each against the receipts and against seq 1, 2, 3, ... Exit status 1 and the
first violations where they differ; 2 where it could not look.
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
    """What one channel showed of each account: seq and uid in the order of arrival."""

    def __init__(self, name):
        self.name = name
        self.events = defaultdict(list)
        self.violations = []
        self.remark = ""

    def wrong(self, text):
        self.violations.append(text)

    def report(self):
        count = sum(len(events) for events in self.events.values())
        verdict = f"{len(self.violations)} VIOLATIONS" if self.violations else "ok"
        print(f"{self.name}: {verdict}, {count} events of {len(self.events)} accounts{self.remark}")
        for text in self.violations[:SHOWN]:
            print(f"  {text}")
        if len(self.violations) > SHOWN:
            print(f"  and {len(self.violations) - SHOWN} more")
        return not self.violations


def check_order(channel, heads):
    """Every account's events are exactly 1..n, each once, in order."""
    for account, head in heads.items():
        seqs = [seq for seq, _ in channel.events.get(account, [])]
        if seqs == list(range(1, head + 1)):
            continue
        seen = set(seqs)
        missing = [seq for seq in range(1, head + 1) if seq not in seen]
        beyond = sorted(seen - set(range(1, head + 1)))
        what = [
            f"missing {missing[:5]} ({len(missing)})" if missing else "",
            f"beyond the head {beyond[:5]}" if beyond else "",
            f"{len(seqs) - len(seen)} duplicates" if len(seqs) > len(seen) else "",
            "out of order" if seqs != sorted(seqs) else "",
        ]
        channel.wrong(f"{account}: of 1..{head}: " + ", ".join(filter(None, what)))


def check_receipts(channel, receipts):
    """Every uid that a client was given is there."""
    for account, uids in receipts.items():
        for uid in uids - {uid for _, uid in channel.events.get(account, [])}:
            channel.wrong(f"{account}: contact {uid} was answered 201 and is not there")


def check_same(channel, log):
    """The same uid at the same seq as in the log."""
    for account, events in channel.events.items():
        truth = dict(log.events.get(account, []))
        for seq, uid in events:
            if truth.get(seq) != uid:
                channel.wrong(f"{account}: seq {seq} is {uid} here and {truth.get(seq)} in the log")


def psql(url, query):
    """Rows of a query, each a list of texts."""
    found = shutil.which("psql") or next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"), reverse=True)), None)
    if found is None:
        raise LookupError("no psql found")
    # Arguments are shown to every user of the machine, so the password goes by the environment.
    parts = urllib.parse.urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    environment = dict(os.environ, PGPASSWORD=urllib.parse.unquote(parts.password or ""))
    command = [found, "-X", "-q", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1"]
    command.append(parts._replace(netloc=user + address).geturl())
    done = subprocess.run(
        command, input=query, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    if done.returncode != 0:
        raise LookupError(f"psql: {done.stderr.strip()}")
    return [line.split(" ") for line in done.stdout.splitlines() if line]


def read_log(url, accounts):
    """The log, and the head of every account. A head that is not the last event's seq is a violation."""
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
    """The contacts as the API shows them; their seq is their version."""
    ids = "'{" + ",".join(accounts) + "}'::uuid[]"
    models = Channel("read models")
    for account, version, uid in psql(url, f"select account_id, version, uid from contact where account_id = any({ids});"):
        models.events[account].append((int(version), uid))
    return models


def read_feed(base, accounts, patience):
    """GET /changes of every account from the start, page by page."""
    feed = Channel("feed")
    url = urllib.parse.urlsplit(base)
    client = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    for account, key in accounts.items():
        cursor = None
        while True:
            query = {"limit": PAGE} | ({"after": cursor} if cursor else {})
            path = f"{url.path}/changes?{urllib.parse.urlencode(query)}"
            page = get(client, path, {"X-Public-ID": account, "X-Secret-Key": key}, patience)
            for event in page["data"]:
                seq = event["data"]["seq"]
                feed.events[account].append((seq, event["subject"]))
                if event["id"] != f"{account}:{seq}":
                    feed.wrong(f"{account}: event {seq} has the id {event['id']}")
            meta = page["meta"]
            if not meta["has_more"]:
                break
            if meta["cursor"] == cursor:
                feed.wrong(f"{account}: there is more after {cursor}, and the cursor stands still")
                break
            cursor = meta["cursor"]
    return feed


def get(client, path, headers, patience):
    """An answer's JSON; waits where the service asks for it (429, 503)."""
    until = time.monotonic() + patience
    while True:
        client.request("GET", path, headers=headers)
        answer = client.getresponse()
        body = answer.read()
        if answer.status == 200:
            return json.loads(body)
        if answer.status not in (429, 503) or time.monotonic() > until:
            raise LookupError(f"GET {path} was answered {answer.status}: {body[:200]!r}")
        time.sleep(min(float(answer.headers.get("Retry-After", "1")), 5))


async def read_nats(url, stream, heads, patience):
    """Every account's subject in the stream from its first message, by the id that deduplicates."""
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

    channel = Channel("nats")
    connection = await nats.connect(url)
    try:
        context = connection.jetstream()
        until = time.monotonic() + patience
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
    """How many messages the stream holds below a subject."""
    info = await context.stream_info(stream, subjects_filter=subject)
    return sum((info.state.subjects or {}).values())


def read_hooks(path, accounts):
    """The bodies that a webhook receiver kept, one per line. A webhook may come twice; its first arrival counts."""
    hooks = Channel("webhooks")
    seen, again = set(), 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            event = json.loads(line)
            account, seq = event["id"].rsplit(":", 1)
            arrival = (account, int(seq), event["subject"])
        except (ValueError, KeyError):
            hooks.wrong(f"line {number} is no event: {line[:80]}")
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
    """Shell lines NAME=value."""
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
    parser.add_argument("--env-file", type=Path, required=True, help="what `unificus dev --env-file` wrote")
    parser.add_argument("--receipts", type=Path, required=True, help="what `make load` wrote by --receipts")
    parser.add_argument("--accounts", type=Path, required=True, help="what it wrote by --accounts-file")
    parser.add_argument("--hooks", type=Path, help="what it, or another receiver, wrote by --hooks")
    parser.add_argument("--stream", default="EVENTS", help="the stream in NATS")
    parser.add_argument("--without-nats", action="store_true", help="leave NATS out (it takes nats-py)")
    parser.add_argument("--patience", type=float, default=60, help="seconds that the relay may still need")
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
    ordered = [read_feed(env["UNIFICUS_BASE_URL"], written, args.patience)]
    if not args.without_nats:
        ordered.append(asyncio.run(read_nats(env["UNIFICUS_NATS_URL"], args.stream, heads, args.patience)))
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
        print(f"could not look: {error!r}", file=sys.stderr)
        sys.exit(2)
