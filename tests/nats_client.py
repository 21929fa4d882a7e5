"""An independent NATS client (nats-py) that logs in with a secret key. Prints one JSON object, or one line per step.

tour URL ID KEY OTHER_ID OTHER_KEY   reads the durable ID_erp, sends a command, and tries all that is refused
hold URL ID KEY                      logs in, prints "in", and prints "out" when its connection is ended
login URL TOKEN…                     tries to log in with each token, and prints whether it was let in
"""

import asyncio
import json
import sys

import nats
from nats.errors import Error, NoRespondersError, TimeoutError

TIMEOUT = 10
# Long enough for a response over loopback, where none may come.
SILENCE = 0.3


async def connect(url, public_id, key, errors=None, **options):
    async def on_error(error):
        if errors is not None:
            errors.append(str(error))

    return await nats.connect(
        url,
        token=f"{public_id}:{key}",
        inbox_prefix=f"_INBOX_{public_id}".encode(),
        error_cb=on_error,
        allow_reconnect=False,
        **options,
    )


async def refused(client, errors, action):
    """Whether the server reports a permissions violation for the action."""
    before = len(errors)
    await action()
    await client.flush(TIMEOUT)
    # The error comes before the response to the flush, and its callback runs after it.
    for _ in range(100):
        if len(errors) > before:
            return "permissions violation" in errors[-1]
        await asyncio.sleep(SILENCE / 100)
    return False


async def tour(url, public_id, key, other_id, other_key):
    errors, result = [], {}
    client = await connect(url, public_id, key, errors)
    other = await connect(url, other_id, other_key)
    jetstream = client.jetstream(timeout=TIMEOUT)

    durable = f"{public_id}_erp"
    consumer = await jetstream.pull_subscribe_bind(durable, stream="EVENTS")
    messages = await consumer.fetch(2, timeout=TIMEOUT)
    for message in messages:
        await message.ack_sync(timeout=TIMEOUT)
    result["read"] = [json.loads(message.data)["id"] for message in messages]
    result["subjects"] = [message.subject for message in messages]
    info = await jetstream.consumer_info("EVENTS", durable)
    result["pending"], result["ack_pending"] = info.num_pending, info.num_ack_pending

    forged = {"Nats-Request-Info": json.dumps({"acc": "CRM_CLIENTS", "user": f"{other_id}:x"})}
    command = {"op_id": "one", "ref": {"id": "17"}, "set": {"role": "Lead", "first_name": "N", "last_name": "M", "email": "n@example.org"}}
    result["replies"] = []
    for _ in range(2):
        subject = f"crm.v1.{public_id}.cmd.contact.upsert"
        reply = await client.request(subject, json.dumps(command).encode(), TIMEOUT, headers=forged)
        result["replies"].append(json.loads(reply.data))

    publish = [
        f"crm.v1.{other_id}.cmd.contact.update",
        f"crm.v1.{public_id}.evt.contact.created",
        f"crm.v1.{other_id}.evt.contact.created",
        f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{other_id}_erp",
        f"$JS.API.CONSUMER.INFO.EVENTS.{other_id}_erp",
        f"$JS.ACK.EVENTS.{other_id}_erp.1.1.1.1.0",
        f"$JS.API.CONSUMER.CREATE.EVENTS.{public_id}_mine",
        f"$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.{public_id}_mine",
        f"$JS.API.CONSUMER.DELETE.EVENTS.{durable}",
        "$JS.API.STREAM.INFO.EVENTS",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.STREAM.MSG.GET.EVENTS",
        "$JS.API.DIRECT.GET.EVENTS",
        "$JS.API.INFO",
        "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.SERVER.PING",
        f"_INBOX_{other_id}.x",
        "anything",
    ]
    subscribe = [
        f"crm.v1.{other_id}.evt.>",
        "crm.v1.*.evt.>",
        "crm.v1.>",
        f"crm.v1.{public_id}.cmd.>",
        ">",
        "*.>",
        f"_INBOX_{other_id}.>",
        "_INBOX.>",
        "$SYS.>",
        "$JS.>",
        "$SYS.REQ.USER.AUTH",
    ]
    result["permitted"] = [
        subject for subject in publish
        if not await refused(client, errors, lambda: client.publish(subject, b"{}", reply=f"_INBOX_{public_id}.y"))
    ] + [subject for subject in subscribe if not await refused(client, errors, lambda: client.subscribe(subject))]
    result["tried"] = len(publish) + len(subscribe)

    # A server checks no reply subject. Nothing that it sends there may reach the stream.
    for subject in [f"crm.v1.{public_id}.cmd.contact.update", f"$JS.API.CONSUMER.INFO.EVENTS.{durable}"]:
        await client.publish(subject, b"{}", reply=f"crm.v1.{other_id}.evt.contact.created")
    await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{durable}", b"1", reply=f"crm.v1.{other_id}.evt.note.created")
    await client.flush(TIMEOUT)

    # The other account's client is not disturbed, and sees its own events only.
    own = await other.subscribe(f"crm.v1.{other_id}.evt.contact.updated")
    await other.flush(TIMEOUT)
    try:
        result["strange"] = (await own.next_msg(SILENCE)).subject
    except TimeoutError:
        result["strange"] = None
    await client.close()
    await other.close()
    print(json.dumps(result))


async def hold(url, public_id, key):
    ended = asyncio.Event()

    async def on_end():
        ended.set()

    client = await connect(url, public_id, key, disconnected_cb=on_end, closed_cb=on_end)
    await client.flush(TIMEOUT)
    print("in", flush=True)
    await ended.wait()
    print("out", flush=True)


async def login(url, tokens):
    outcomes = []
    for token in tokens:
        try:
            client = await nats.connect(url, token=token, allow_reconnect=False, connect_timeout=TIMEOUT)
            await client.flush(TIMEOUT)
            await client.close()
            outcomes.append(True)
        except (Error, NoRespondersError, OSError):
            outcomes.append(False)
    print(json.dumps(outcomes))


def main():
    command, *arguments = sys.argv[1:]
    if command == "tour":
        asyncio.run(tour(*arguments))
    elif command == "hold":
        asyncio.run(hold(*arguments))
    else:
        # As JSON, because an argument cannot have every character.
        asyncio.run(login(arguments[0], json.loads(arguments[1])))


main()
