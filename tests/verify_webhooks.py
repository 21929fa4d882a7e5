#!/usr/bin/env python3
"""Verifies and reads deliveries with the libraries of Standard Webhooks and CloudEvents.

The argument is a file with one delivery per line, as it arrived: {"secret", "headers": {name: value}, "body"}. The script
verifies every signature and reads every event, and exits with 1 at the first error. Prints the numbers of deliveries and
events as JSON.
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
    """Verifies the signature of a delivery; returns its events."""
    headers, body = delivery["headers"], delivery["body"]
    Webhook(delivery["secret"]).verify(body, headers)
    kind = headers["content-type"]
    if kind == SINGLE:
        return [from_http_event(HTTPMessage(headers=headers, body=body.encode()))]
    if kind != BATCH:
        raise ValueError(f"content type {kind}")
    # The batch format is an array of events in the JSON format, which the library reads.
    return [JSONFormat().read(None, json.dumps(event)) for event in json.loads(body)]


def main():
    deliveries = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    read = []
    for number, delivery in enumerate(deliveries, 1):
        try:
            read += events(delivery)
        except Exception as error:  # any error of a library
            sys.exit(f"delivery {number}: {type(error).__name__}: {error}")
    for event in read:
        if not event.get_type().startswith("crm.") or event.get_time() is None or not event.get_subject():
            sys.exit(f"event {event.get_id()} lacks a type, a time or a subject of this service")
    print(json.dumps({"deliveries": len(deliveries), "events": len(read)}))


if __name__ == "__main__":
    main()
