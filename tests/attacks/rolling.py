"""A rolling upgrade: a replica of the previous version runs on while the schema is migrated and a new replica starts.

Both write and read endpoints with custom headers. Prints one JSON line.
"""

import argparse
import http.server
import json
import threading

from cluster import Cluster, wait_for

VALUE = "Bearer hush-hush-1234"


class Receiver(http.server.BaseHTTPRequestHandler):
    received = []

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        Receiver.received.append((self.path, self.headers.get("authorization")))
        self.send_response(200 if self.headers.get("authorization") == VALUE else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


def contact(name):
    return {"role": "Lead", "first_name": name, "last_name": "Doe", "email": f"{name}@example.org"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--before", required=True, help="a binary of the previous version")
    args = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    statuses = {}
    with Cluster(args.before, replicas=1) as cluster:
        old, account = cluster.replicas[0], cluster.accounts[0]

        def call(name, replica, method, path, body=None):
            status, _, response = replica.call(account, method, path, body)
            statuses[name] = status
            if status >= 300:
                raise RuntimeError(f"{name}: {status} {response}")
            return json.loads(response)["data"]

        first = call("old creates", old, "POST", "/push/endpoints", {"url": f"{url}/a", "headers": {"authorization": VALUE}})
        cluster.binary = args.binary
        cluster.command("migrate")
        new = cluster.start_replica()
        call("old writes", old, "POST", "/contact", contact("a"))
        call("new writes", new, "POST", "/contact", contact("b"))
        second = call("new creates", new, "POST", "/push/endpoints", {"url": f"{url}/b", "headers": {"authorization": VALUE}})
        call("old lists", old, "GET", "/push/endpoints")
        call("old changes", old, "PUT", f"/push/endpoints/{second['id']}", {"description": "by the previous version"})
        call("new changes", new, "PUT", f"/push/endpoints/{first['id']}", {"description": "by the new version"})
        call("old reads", old, "GET", f"/push/endpoints/{first['id']}")
        before = Receiver.received.copy()
        old.kill()
        call("new writes alone", new, "POST", "/contact", contact("c"))

        def all_sent():
            shown = [call("new reads", new, "GET", f"/push/endpoints/{one['id']}") for one in (first, second)]
            return shown if all(one["through_seq"] == 3 for one in shown) else None

        wait_for(all_sent, 60, "deliveries do not catch up")
        sent = [value for _, value in Receiver.received]
        stored = cluster.sql("select headers::text from push_endpoint")
        print(json.dumps({
            "statuses": statuses,
            "sent_before_the_end_of_the_old": len(before),
            "sent_with_the_value": sent.count(VALUE),
            "sent_without": sent.count(None),
            "sent_something_else": len([value for value in sent if value not in (VALUE, None)]),
            "stored_in_clear": stored.count("hush"),
        }))


if __name__ == "__main__":
    main()
