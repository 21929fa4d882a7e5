"""Tries to learn secrets of webhooks with a read-only key: values of headers, and names of the operator's network.

Also searches a dump of the database for the header's value. Prints one JSON line.
"""

import argparse
import json
import subprocess

from cluster import Account, Cluster, wait_for

VALUE = "Bearer hush-hush-1234"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    args = parser.parse_args()
    with Cluster(args.binary, replicas=1, settings={"UNIFICUS_PUSH__ALLOW_NETWORKS": "[]"}) as cluster:
        replica, account = cluster.replicas[0], cluster.accounts[0]
        added = cluster.command("key", "add", account.public_id, "reader", "--read-only", "--json")
        reader = Account(account.public_id, json.loads(added)["secret_key"])
        created = {}
        for host in ("localhost", "no-such-name.invalid"):
            body = {"url": f"http://{host}:9/", "headers": {"authorization": VALUE}}
            status, _, content = replica.call(account, "POST", "/push/endpoints", body)
            assert status == 201, content
            created[host] = json.loads(content)["data"]["id"]
        _, _, listed = replica.call(reader, "GET", "/push/endpoints")
        learned = {}
        for host, endpoint in created.items():
            _, _, content = replica.call(account, "POST", f"/push/endpoints/{endpoint}/test", {})
            tested = json.loads(content)["data"]
            logged = lambda: json.loads(replica.call(reader, "GET", f"/push/endpoints/{endpoint}/attempts")[2])["data"]
            attempt = wait_for(logged, 30, "the attempt is not logged")[0]
            learned[host] = {
                "outcome": attempt["outcome"], "error": attempt["error"], "seconds": tested["duration_ms"] // 1000,
            }
        dump = subprocess.run(
            [cluster.bin / "pg_dump", cluster.database], capture_output=True, text=True, check=True
        ).stdout
        print(json.dumps({
            "value_shown_to_reader": VALUE in listed.decode(),
            "value_in_dump": dump.count("hush-hush"),
            "told_of_names": learned,
            "names_told_apart": len({json.dumps(one) for one in learned.values()}) > 1,
        }))


if __name__ == "__main__":
    main()
