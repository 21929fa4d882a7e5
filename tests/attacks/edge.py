"""The HTTP edge from outside, without credentials: clients that do not read, odd heads, large bodies, many documents.

Prints the number of connections that stay open of those that do not read or read slowly, the responses to odd requests,
whether three common clients see the refusal of a body that is too large, and the latency of another client during a
flood of document requests.
"""

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

from cluster import BASE, Cluster, arguments, milliseconds, report, wait_for

LARGE = f"GET {BASE}/swagger/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

ODD = {
    "no_host": b"GET %s/asyncapi.json HTTP/1.1\r\n\r\n",
    "two_hosts": b"GET %s/asyncapi.json HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host_with_user": b"GET %s/asyncapi.json HTTP/1.1\r\nHost: a:b@c\r\n\r\n",
    "garbage": b"GARBAGE%s\r\n\r\n",
    "large_head": b"GET %s/asyncapi.json HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "long_target": b"GET %s/" + b"x" * 65_535 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "options": b"OPTIONS %s/contacts HTTP/1.1\r\nHost: a\r\n\r\n",
}


def connect(replica, buffer=4096):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.connect(replica.api)
    return client


def read_response(client):
    """Reads one response; returns its status and whether it is a problem and forbids sniffing, or None if there is none."""
    client.settimeout(10)
    try:
        response = http.client.HTTPResponse(client)
        response.begin()
        body = response.read()
        return {"status": response.status, "problem": b'"detail"' in body, "nosniff": response.headers.get("X-Content-Type-Options") == "nosniff"}
    except (OSError, http.client.HTTPException):
        return None


def is_open(client):
    """Returns whether the service keeps the connection open; reads nothing from it."""
    state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == 1


def attack_writes(replica, clients, drips, seconds):
    """Opens sockets that do not read, and sockets that read slowly."""
    silent = [connect(replica) for _ in range(clients)]
    dripping = [connect(replica, 1 << 14) for _ in range(drips)]
    for client in silent + dripping:
        client.setblocking(False)
        client.send(LARGE * 20)
    began, ended = time.monotonic(), None
    while time.monotonic() - began < seconds:
        for client in dripping:
            try:
                client.recv(64)
            except OSError:
                pass
        left = sum(map(is_open, silent + dripping))
        if left == 0:
            ended = time.monotonic() - began
            break
        time.sleep(0.5)
    figures = {
        "clients": clients + drips,
        "left": sum(map(is_open, silent)) + sum(map(is_open, dripping)),
        "left_of_drips": sum(map(is_open, dripping)),
        "watched_s": round(time.monotonic() - began, 1),
        "all_ended_after_s": ended and round(ended, 1),
        "rss_mb": round(replica.rss_mb()),
    }
    for client in silent + dripping:
        client.close()
    return figures


def attack_heads(replica):
    responses = {}
    for name, request in ODD.items():
        with replica.connect() as client:
            client.sendall(request % BASE.encode())
            responses[name] = read_response(client)
    return responses


def upload(replica, account):
    """Returns the results of urllib, curl and node for a body of 10 MB."""
    url = f"http://{replica.api[0]}:{replica.api[1]}{BASE}/contact"
    body = b"x" * (10 << 20)
    results = {}
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, account.headers(), method="POST"), timeout=30)
    except urllib.error.HTTPError as error:
        results["urllib"] = error.code
    except OSError as error:
        results["urllib"] = type(error).__name__
    headers = [part for name, value in account.headers().items() for part in ("-H", f"{name}: {value}")]
    for name, more in (("curl", []), ("curl_without_expect", ["-H", "Expect:"])):
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *headers, *more, "--data-binary", "@-", url]
        ran = subprocess.run(command, input=body, capture_output=True, timeout=60)
        results[name] = f"{ran.stdout.decode()} {ran.stderr.decode().strip()}".strip()
    if shutil.which("node"):
        script = f"""fetch({json.dumps(url)}, {{method: "POST", headers: {json.dumps(account.headers())},
            body: "x".repeat(10 << 20)}}).then(response => console.log(response.status), error => console.log("" + error.cause))"""
        ran = subprocess.run(["node", "-e", script], capture_output=True, timeout=60)
        results["node"] = ran.stdout.decode().strip()
    return results


def attack_documents(replica, account, workers, seconds):
    """Measures another client's reads before and during a flood of requests for the OpenAPI document."""
    stop, counts = threading.Event(), [0] * workers

    def flood(number):
        client = http.client.HTTPConnection(*replica.api, timeout=30)
        while not stop.is_set():
            client.request("GET", f"{BASE}/swagger/json-file", headers={"Host": f"host-{counts[number]}.example"})
            client.getresponse().read()
            counts[number] += 1

    def reads():
        client, times, until = http.client.HTTPConnection(*replica.api, timeout=30), [], time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            replica.call(account, "GET", "/contacts", connection=client)
            times.append(time.monotonic() - began)
            time.sleep(0.01)
        return milliseconds(times)

    before = reads()
    threads = [threading.Thread(target=flood, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    during = reads()
    stop.set()
    for thread in threads:
        thread.join()
    return {"before": before, "during": during, "documents_per_s": round(sum(counts) / seconds)}


def hold_idle(replica, idle):
    """Opens idle connections, which the service must keep while it responses another client."""
    clients = [replica.connect() for _ in range(idle)]
    wait_for(lambda: (replica.metric("unificus_http_connections") or 0) >= idle, 20, "connections are not open")
    status = replica.call(None, "GET", "/swagger")[0]
    for client in clients:
        client.close()
    return {"idle": idle, "another_is_answered": status}


def main():
    options = arguments(__doc__, clients=180, drips=20, seconds=100, idle=3000)
    with Cluster(options.binary, replicas=1) as cluster:
        replica, account = cluster.replicas[0], cluster.accounts[0]
        figures = {
            "heads": attack_heads(replica),
            "upload": upload(replica, account),
            "documents": attack_documents(replica, account, workers=4, seconds=5),
            "kept": hold_idle(replica, options.idle),
            "writes": attack_writes(replica, options.clients, options.drips, options.seconds),
        }
        text = replica.get_metrics()[1]
        lines = [line for line in text.splitlines() if line.startswith("unificus_http_connections_bounded_total{")]
        figures["bounded"] = {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}
        report("edge", **figures)


if __name__ == "__main__":
    main()
