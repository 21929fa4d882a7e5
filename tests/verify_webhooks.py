#!/usr/bin/env python3
"""Reads deliveries as their receiver does who trusts nobody: with the libraries of Standard Webhooks and CloudEvents.

The argument is a file with one delivery a line, as it arrived: {"secret", "headers": {name: value}, "body"}. Every
signature is verified and every event is read; what is not right ends it with exit status 1. Prints how many deliveries
and events there were, as JSON.
"""

import json
import sys
from pathlib import Path

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def events(delivery):
    """The events of a delivery whose signature holds."""
    headers, body = delivery["headers"], delivery["body"]
    Webhook(delivery["secret"]).verify(body, headers)
    kind = headers["content-type"]
    if kind == SINGLE:
        return [from_http_event(HTTPMessage(headers=headers, body=body.encode()))]
    if kind != BATCH:
        raise ValueError(f"content type {kind}")
    # The batch format is an array of events in the JSON format, and that is what the library reads.
    return [JSONFormat().read(None, json.dumps(event)) for event in json.loads(body)]


def main():
    deliveries = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    found = []
    for number, delivery in enumerate(deliveries, 1):
        try:
            found += events(delivery)
        except Exception as error:  # whatever a library says is wrong
            sys.exit(f"delivery {number}: {type(error).__name__}: {error}")
    for event in found:
        if not event.get_type().startswith("crm.") or event.get_time() is None or not event.get_subject():
            sys.exit(f"event {event.get_id()} lacks what events of this service have")
    print(json.dumps({"deliveries": len(deliveries), "events": len(found)}))


if __name__ == "__main__":
    main()
