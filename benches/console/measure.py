"""Measures the pages of the console of an account with 100,000 contacts.

    benches/console/measure.py TARGET/release/unificus

Starts `unificus dev` in a temporary directory, fills the demo account, signs in, and asks every GET route of
`src/console/routes.rs` and the lists with their searches 200 times each, one after the other over one connection. Prints
p50 and p99 of the time until the whole response is there, seen from a client on the same machine, and the bytes of the
body. A live stream and an export are measured to their first bytes. Ends with status 1 if the p99 of a page exceeds 30 ms.
Only figures of a machine that does nothing else mean something.

Variables: RECORDS (100000), REQUESTS (200), ONLY (a part of the paths that are measured).
"""

import concurrent.futures
import csv
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parents[2]
RECORDS = int(os.environ.get("RECORDS", "100000"))
REQUESTS = int(os.environ.get("REQUESTS", "200"))
ONLY = os.environ.get("ONLY", "")
LIMIT_MS = 30.0

# Files and the dry run of an undoing take as long as what they read; they are measured, and have no limit.
UNLIMITED = ("/export", "/undo?")

# The routes whose responses do not end, or are whole files: their time is that of the first bytes.
ENDLESS = ("/live", "/export")


class Service:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        env_file = directory / "env"
        log = open(directory / "service.log", "w", encoding="utf-8")
        arguments = [program, "dev", "--port", "0", "--data-dir", directory / "data", "--env-file", env_file]
        settings = {"UNIFICUS_QUOTA__ENFORCED": "false", "UNIFICUS_CONSOLE__SHOW_COMPONENTS": "true",
                    "UNIFICUS_PUSH__ALLOW_HTTP": "true", "UNIFICUS_QUOTA__BURST_PER_SECOND": "0"}
        self.process = subprocess.Popen(arguments, env=os.environ | settings, stdout=log, stderr=log)
        while not env_file.exists():
            if self.process.poll() is not None:
                raise SystemExit((directory / "service.log").read_text())
            time.sleep(0.1)
        lines = env_file.read_text().splitlines()
        self.env = dict(line.removeprefix("UNIFICUS_").split("=", 1) for line in lines)

    def run(self, *arguments):
        settings = os.environ | {"UNIFICUS_DATABASE__URL": self.env["DATABASE_URL"]}
        subprocess.run([self.program, *arguments], env=settings, check=True, stdout=subprocess.DEVNULL)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def sql(self, text):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))
        program = shutil.which("psql") or (found[-1] if found else "psql")
        done = subprocess.run([program, self.env["DATABASE_URL"], "-Atqc", text], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()


class Api:
    def __init__(self, env):
        self.base = urllib.parse.urlsplit(env["BASE_URL"])
        self.headers = {"X-Public-ID": env["PUBLIC_ID"], "X-Secret-Key": env["SECRET_KEY"], "content-type": "application/json"}

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.base.netloc)
        connection.request(method, self.base.path + path, None if body is None else json.dumps(body), self.headers)
        response = connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {text[:300]}")
        connection.close()
        return json.loads(text)["data"] if text else None


class Browser:
    """One connection with the cookies of a session."""

    def __init__(self, url):
        self.url = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(self.url.netloc)
        self.cookies = {}

    def send(self, method, path, fields=None):
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), "accept-encoding": "gzip"}
        body = None if fields is None else urllib.parse.urlencode(fields)
        if body is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, headers)
        try:
            response = self.connection.getresponse()
        except http.client.RemoteDisconnected:
            # The service closes a connection that was idle for half a minute.
            self.connection.close()
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
        for cookie in response.headers.get_all("set-cookie") or []:
            name, value = cookie.split(";", 1)[0].split("=", 1)
            self.cookies[name] = value
        return response

    def get(self, path):
        response = self.send("GET", path)
        return response, response.read()

    def sign_in(self, email, password):
        _, form = self.get("/console/sign-in")
        csrf = re.search(rb'name="csrf" value="([^"]*)"', form)[1].decode()
        response = self.send("POST", "/console/sign-in", {"email": email, "password": password, "csrf": csrf})
        response.read()
        if response.status != 303:
            raise SystemExit(f"signing in: {response.status}")

    def timed(self, path):
        """Milliseconds, bytes of the body and the status."""
        is_endless = urllib.parse.urlsplit(path).path.endswith(ENDLESS)
        began = time.perf_counter()
        response = self.send("GET", path)
        size = len(response.read1(1 << 16) if is_endless else response.read())
        taken = (time.perf_counter() - began) * 1_000
        if is_endless:
            self.connection.close()
        return taken, size, response.status


def fill(service, api):
    """Contacts with companies, roles, tags and custom fields; projects, a long history, endpoints, conflicts, audit rows."""
    directory = service.directory
    with open(directory / "contacts.csv", "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["id", "role", "first_name", "last_name", "email", "phone", "title", "tags", "city", "company"])
        roles = ["Lead", "Lead", "Lead", "Prospect", "Client"]
        for i in range(RECORDS):
            tags = ",".join(["new"] + ["vip"] * (i % 50 == 0) + ["rare"] * (i == RECORDS // 2))
            lines.writerow([i, roles[i % 5], f"Ann {i}", "Zebra" if i == RECORDS // 3 else "Lee", f"contact.{i}@example.org",
                            f"+31 20 {i:07}", "Engineer", tags, "Delft", f"Company {i % 1000}"])
    began = time.perf_counter()
    service.run("import", "contacts", directory / "contacts.csv", "--account", service.env["PUBLIC_ID"], "--ref-column", "id")
    print(f"imported {RECORDS} contacts in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: api.call("POST", "/project", {"name": f"Project {i}", "status": "Open"}), range(500)))
    made = api.call("GET", "/contact/contact.1@example.org")
    for i in range(200):
        api.call("PUT", "/contact/" + made["uid"], {"title": f"Engineer {i}"})
    for i in range(20):
        api.call("POST", "/push/endpoints", {"url": f"http://127.0.0.1:1/{i}", "description": f"Shop {i}"})
    api.call("PUT", "/contact/" + made["uid"], {"title": "Director"})
    account = service.env["PUBLIC_ID"]
    service.sql(f"""insert into audit (account_id, audit_id, at, actor, action, detail)
        select '{account}', ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, now() - i * interval '1 second',
            'user' || i % 100 || '@example.org', (array['key.add', 'user.sign_in', 'account.on_missing'])[1 + i % 3], '{{"name": "a"}}'
        from generate_series(1, 100000) i""")
    service.sql("vacuum analyze event, contact, company, project, audit, contact_company, record_ref, contact_search")


def paths(service, api):
    """Every GET route with values for its parameters, then the lists with searches and filters."""
    account = service.env["PUBLIC_ID"]
    text = (HERE / "src/console/routes.rs").read_text(encoding="utf-8")
    routes = re.findall(r'page\("([^"]*)"', text)
    one = lambda query: service.sql(query)
    uid = {
        "/contacts": api.call("GET", "/contact/contact.1@example.org")["uid"],
        "/companies": one(f"select uid from company where account_id = '{account}' and key like 'company 7%' limit 1")
        or one(f"select uid from company where account_id = '{account}' limit 1"),
        "/projects": one(f"select uid from project where account_id = '{account}' limit 1"),
    }
    endpoint = one(f"select endpoint_id from push_endpoint where account_id = '{account}' limit 1")
    deadline = time.time() + 30
    attempt = ""
    while not attempt and time.time() < deadline:
        attempt = one(f"select attempt_id from push_attempt where account_id = '{account}' and endpoint_id = '{endpoint}' limit 1")
        time.sleep(0.5)
    browser_page = Browser(service.env["CONSOLE_URL"])
    _, sign_in = browser_page.get("/console/sign-in")
    asset = re.search(rb"/assets/(console-[^\"]*\.css)", sign_in)[1].decode()
    for route in routes:
        if route in ("/brand/logo/{tag}",):
            continue  # The account has no logo.
        for prefix, value in uid.items():
            if route.startswith(prefix):
                route = route.replace("{uid}", value)
        filled = route.replace("{id}", endpoint).replace("{attempt}", attempt).replace("{token}", "nothing")
        if filled.startswith("/assets/"):
            filled = f"/assets/{asset}"
        elif filled.startswith("/brand/style/"):
            filled = "/brand/style/1f6f54.css"
        yield "/console" + filled
    half = RECORDS // 2
    deep = one(f"select uid from contact where account_id = '{account}' and not deleted order by uid offset {half} limit 1")
    yield f"/console/contacts?after={cursor(deep)}"
    yield f"/console/contacts?before={cursor(deep)}"
    for query in ["q=zebra", "q=lee", "q=ann+77", "q=nobody", "q=contact.99999@", "q=le", "tag=new", "tag=vip", "tag=rare", "tag=nothing",
                  "role=Client", "order=oldest", "order=a-z", "role=Client&order=a-z", "tag=rare&order=a-z", "q=lee&role=Client",
                  "q=zebra&tag=vip", "q=lee&tag=nothing", "state=deleted", f"company={uid['/companies']}"]:
        yield f"/console/contacts?{query}"
    for query in ["q=company+77", "q=nothing", "tag=nothing", "role=Client", "order=a-z", "state=deleted"]:
        yield f"/console/companies?{query}"
    yield "/console/projects?q=project+77"
    yield f"/console/contacts/{uid['/contacts']}?version=3"
    yield f"/console/contacts/{uid['/contacts']}?at=5"
    for query in ["kind=key.", "kind=brand.", "kind=nothing.", "actor=user7@example.org", "actor=nobody@example.org",
                  "from=2026-01-01", "until=2020-01-01", "before=01900000-0000-7000-8000-000000000100"]:
        yield f"/console/audit?{query}"
    yield f"/console/integrations/push/{endpoint}?dialog=delete"
    yield "/console/integrations/sync/undo?origin=demo&by=event&from=1"


def cursor(uid):
    import base64

    return base64.urlsafe_b64encode(bytes.fromhex(uid.replace("-", ""))).decode().rstrip("=")


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="unificus-console-", dir="/var/tmp"))
    directory.chmod(0o755)
    service = Service(program, directory)
    try:
        api = Api(service.env)
        fill(service, api)
        browser = Browser(service.env["CONSOLE_URL"])
        browser.sign_in(service.env["CONSOLE_EMAIL"], service.env["CONSOLE_PASSWORD"])
        measured = [path for path in paths(service, api) if ONLY in path]
        # The first search of an account asks for the index of its texts, which is then made in the background.
        browser.get("/console/contacts?q=lee")
        indexed = f"select count(*) from contact_search where account_id = '{service.env['PUBLIC_ID']}'"
        while int(service.sql(indexed)) < RECORDS:
            time.sleep(0.5)
        service.sql("vacuum analyze event, contact, company, project, audit, contact_company, record_ref, contact_search")
        slow = []
        print(f"{'page':72} {'status':>6} {'p50 ms':>8} {'p99 ms':>8} {'bytes':>8}")
        for path in measured:
            browser.timed(path)
            results = sorted(browser.timed(path) for _ in range(REQUESTS))
            times = [taken for taken, _, _ in results]
            p50, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
            _, size, status = results[0]
            is_slow = p99 > LIMIT_MS and not any(part in path for part in UNLIMITED)
            mark = " *" if is_slow else ""
            print(f"{path[:72]:72} {status:>6} {p50:>8.1f} {p99:>8.1f} {size:>8}{mark}", flush=True)
            if is_slow:
                slow.append(path)
        print(f"{len(measured)} pages, {len(slow)} with a p99 above {LIMIT_MS:.0f} ms: {', '.join(slow) or 'none'}")
        sys.exit(1 if slow else 0)
    finally:
        service.end()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
