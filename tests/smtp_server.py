"""A mail server for tests (aiosmtpd). Prints the port it listens on, then each mail as a line of JSON."""

import asyncio
import email
import email.policy
import json
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        mail = {
            "from": message["from"],
            "to": envelope.rcpt_tos,
            "subject": message["subject"],
            "text": message.get_content(),
            "greeting": session.host_name,
            "whole": envelope.content.decode(errors="replace"),
        }
        print(json.dumps(mail), flush=True)
        return "250 OK"


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), hostname="localhost"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The test ends the server by closing its input.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
