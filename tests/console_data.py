"""Data for the pictures of the console: an account that several systems write to, made through the public API and the console.

Two kinds of data need days, and are written to the database: calls of former days, and events that failed their whole
schedule of retries, which takes three days, with the attempts of these days.
"""

import http.client
import http.server
import json
import subprocess
import threading
import time
import urllib.parse

PEOPLE = [
    ("Chiara", "Rossi", "Marea Interiors", "Milan", "Client", ["vip", "interiors"]),
    ("Jonas", "Lindqvist", "Fjordlys AS", "Bergen", "Client", ["wholesale"]),
    ("Amara", "Okafor", "Palmgrove Hotels", "Lagos", "Prospect", ["hospitality"]),
    ("Sofie", "de Vries", "Blauwe Reiger BV", "Utrecht", "Client", ["vip"]),
    ("Kenji", "Tanaka", "Sato & Daughters", "Osaka", "Client", ["wholesale", "export"]),
    ("Leïla", "Benali", "Atelier Benali", "Lyon", "Lead", ["trade-fair"]),
    ("Emre", "Yılmaz", "Bosporus Ceramics", "Istanbul", "Prospect", ["export"]),
    ("Grace", "Whitfield", "Northwind Bakery", "Leeds", "Client", ["hospitality"]),
    ("Marília", "Antunes", "Ateliê Marília", "Porto", "Lead", ["trade-fair", "interiors"]),
    ("Noah", "Bergström", "Kestrel Analytics", "Denver", "Lead", []),
    ("Priya", "Raman", "Lotus & Teak", "Chennai", "Prospect", ["export"]),
    ("Oskar", "Nowak", "Nowak Meble", "Poznań", "Client", ["wholesale"]),
]

PROJECTS = [
    ("Hotel lobby, Lagos", "Planned", "2026-12-07", "2027-03-19", 48200, "Palmgrove Hotels"),
    ("Showroom Milan", "Open", "2026-10-05", "2027-01-15", 31500, "Marea Interiors"),
    ("Autumn catalogue", "Done", "2026-08-17", "2026-10-30", 9400, "Ateliê Marília"),
    ("Teak terrace furniture", "Open", "2026-11-02", "2027-02-26", 22750, "Lotus & Teak"),
]

# The lines of the nightly import, which have slipped by one: each contact gets the telephone number and the title of the next.
SLIPPED = [("Amara", "Emre", "Workshop manager"), ("Emre", "Grace", "Owner"), ("Grace", "Priya", "Export manager"),
           ("Priya", "Noah", "Data analyst"), ("Noah", "Marília", "Interior designer"), ("Marília", "Amara", "Hotel director")]

# The seconds that an event's attempts come after its first (src/push/retry_delays.rs).
RETRIES = [0, 5, 305, 2_105, 9_305, 27_305, 63_305, 113_705, 185_705, 272_105]

CONSOLE_FIELDS = [
    {"entity": "contact", "type": "date", "name": "Birthday"},
    {"entity": "contact", "type": "text", "name": "Delivery note", "description": "Printed on the packing slip."},
    {"entity": "company", "type": "multi_select", "name": "Materials", "allowed_values": "Oak\nTeak\nWalnut\nSteel"},
    {"entity": "project", "type": "currency", "name": "Budget agreed"},
]


class Receiver:
    """A server on loopback that accepts webhooks, refuses them, or answers with a status page, by their path."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                refused = self.path.startswith("/warehouse")
                body = b'{"error": "the table dim_contact is locked by a migration"}' if refused else b'{"received": true}'
                self.send_response(500 if refused else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"


class Client:
    """Requests to one address, with the errors of the service as exceptions."""

    def __init__(self, url):
        self.url = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(self.url.hostname, self.url.port)

    def send(self, method, path, body, headers):
        self.connection.request(method, self.url.path + path, body, headers)
        response = self.connection.getresponse()
        text = response.read().decode()
        if response.status >= 400:
            raise SystemExit(f"{method} {path}: {response.status} {text[:500]}")
        return response, text


class Api(Client):
    def __init__(self, url, public_id, secret_key):
        super().__init__(url)
        self.headers = {"x-public-id": public_id, "x-secret-key": secret_key, "content-type": "application/json"}

    def call(self, method, path, body=None):
        _, text = self.send(method, path, None if body is None else json.dumps(body), self.headers)
        return json.loads(text)["data"]

    def sync(self, *operations):
        return self.call("POST", "/sync/batch", {"ops": [{"op_id": f"{time.time_ns()}-{number}", **operation}
                                                         for number, operation in enumerate(operations)]})


class Web(Client):
    """The console as a browser without scripts uses it."""

    def __init__(self, url):
        super().__init__(url)
        self.cookies = {}
        self.csrf = ""

    def request(self, method, path, body=None):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"cookie": cookies, "content-type": "application/x-www-form-urlencoded"}
        response, text = self.send(method, path, body, headers)
        for cookie in response.headers.get_all("set-cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        if 'name="csrf" value="' in text:
            self.csrf = between(text, 'name="csrf" value="', '"')
        return text

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, **fields):
        return self.request("POST", path, urllib.parse.urlencode({"csrf": self.csrf, **fields}, doseq=True))

    def sign_in(self, email, password):
        self.get("/sign-in")
        self.post("/sign-in", email=email, password=password, next="")
        self.get("/profile")
        return self

    def add_key(self, name, **fields):
        """Adds a Secret Key by the page's form, and reads it as the copy icon does."""
        self.post("/integrations/secure-api/keys", name=name, **fields)
        page = self.get("/integrations/secure-api")
        row = page.rsplit(f">{name}<", 1)[1]
        key = between(row, "/integrations/secure-api/keys/", "/")
        return key, self.post(f"/integrations/secure-api/keys/{key}/reveal")


def between(text, before, after):
    return text.split(before, 1)[1].split(after, 1)[0]


def email_of(first, last, company):
    plain = str.maketrans("ïıéèêáàâãçñöøåńíłš", "iieeeaaaacnooanils")
    host = "".join(sign for sign in company.lower().translate(plain) if sign.isalnum())
    return f"{first}.{last}@{host}.example".lower().translate(plain).replace(" ", "")


def fill(env, receiver, run):
    """Fills the demo account. `run` runs a command of the binary. Returns the ids that addresses of pages have."""
    base, public_id = env["UNIFICUS_BASE_URL"], env["UNIFICUS_PUBLIC_ID"]
    run("account", "tier", public_id, "thrive")
    web = Web(env["UNIFICUS_CONSOLE_URL"]).sign_in(env["UNIFICUS_CONSOLE_EMAIL"], env["UNIFICUS_CONSOLE_PASSWORD"])
    ids = {}
    systems = {}
    for name, fields in [("Website form", {"origin": "website"}), ("ERP", {"origin": "erp"}), ("Newsletter tool", {"origin": "newsletter"}),
                         ("Nightly import", {"origin": "nightly-import"}), ("Reporting", {"origin": "reporting", "read_only": "on", "expires": "2027-06-30"})]:
        ids["key"], secret = web.add_key(name, **fields)
        systems[name] = Api(base, public_id, secret)
    website, erp, newsletter, nightly = (systems[name] for name in ["Website form", "ERP", "Newsletter tool", "Nightly import"])
    add_endpoints(web, erp, receiver, ids)
    for field in CONSOLE_FIELDS:
        web.post("/custom-fields", **{"visibility": "public", "description": "", "allowed_values": "", **field})
    web.post("/audiences", name="Trade fair invitations", id="")
    people = add_people(website, erp, newsletter)
    # It begins behind the events that write_past parks.
    add_endpoint(web, receiver, "Newsletter tool", "/newsletter", ["contact.*"])
    ids["parked"] = [people[name]["uid"] for name in ("Leïla", "Kenji", "Marília")]
    add_history(website, erp, newsletter, people, ids)
    add_conflicts(erp, newsletter, web, people)
    deleted = website.call("POST", "/contact", {"role": "Lead", "first_name": "Test", "last_name": "Entry", "email": "test@test.example"})
    website.call("DELETE", f"/contact/{deleted['uid']}")
    ids["deleted"] = deleted["uid"]
    spoil(nightly, people)
    people["Grace"] = erp.call("PUT", f"/contact/{people['Grace']['uid']}", {"phone": "+44 113 496 0720"})
    systems["Reporting"].call("GET", "/contacts")
    for name, entity in [("warehouse", ""), ("shop", "contact")]:
        web.post("/integrations/sync/consumers", name=name, entity=entity, **{"from": "start"})
    web.post("/integrations/sync/rules/fields", field="company.phone", rule="system_of_record", origin="erp")
    web.post("/integrations/sync/rules/fields", field="contact.tags", rule="existing_wins", origin="")
    add_team(web, env)
    ids["user"] = between(web.get("/team"), "dialog=remove&amp;user=", "\"")
    ids["field"] = between(web.get("/custom-fields"), "dialog=change&amp;field=", '"')
    for endpoint in erp.call("GET", "/push/endpoints"):
        ids[endpoint["description"]] = endpoint["id"]
    write_past(env, ids)
    until_attempts(erp, ids)
    return ids


def add_endpoints(web, api, receiver, ids):
    for name, path, events in [("Order system", "/orders", ["contact.*", "company.*"]), ("Data warehouse", "/warehouse", []),
                               ("Old shop", "/old-shop", ["contact.created"])]:
        add_endpoint(web, receiver, name, path, events)
    for endpoint in api.call("GET", "/push/endpoints"):
        ids[endpoint["description"]] = endpoint["id"]
    web.post(f"/integrations/push/{ids['Old shop']}/pause")


def add_endpoint(web, receiver, name, path, events):
    web.post("/integrations/push", url=receiver.url(path), description=name, events=events, mode="single")


def add_people(website, erp, newsletter):
    people = {}
    for number, (first, last, company, city, role, tags) in enumerate(PEOPLE):
        email = email_of(first, last, company)
        people[first] = website.call("POST", "/contact", {
            "role": role, "first_name": first, "last_name": last, "email": email, "phone": f"+31 20 496 {700 + number:04}",
            "tags": tags, "address": {"city": city}, "company": {"name": company, "create_company_if_not_exists": True}})
    companies = {company["name"]: company["uid"] for company in erp.call("GET", "/companies?idle=true&limit=100")}
    for number, name in enumerate(sorted({person[2] for person in PEOPLE})):
        erp.sync({"op": "upsert", "entity": "company", "ref": {"id": f"K-{1000 + number}"}, "match": ["name"],
                  "set": {"name": name, "phone": f"+39 02 555 {100 + number:04}", "tags": ["customer"]}})
    for name, status, start, end, amount, company in PROJECTS:
        erp.call("POST", "/project", {"name": name, "status": status, "start_date": start, "end_date": end, "team": ["Ann", "Emre"],
                                      "estimated_value": {"amount": amount, "currency": "EUR"}, "client": companies[company]})
    newsletter.call("POST", "/marketing/subscribe", [{"email": person["email"], "audiences": [1, 2]} for person in list(people.values())[:6]])
    return people


def add_history(website, erp, newsletter, people, ids):
    """A contact that three systems write to."""
    chiara = people["Chiara"]["uid"]
    ids["contact"] = chiara
    erp.sync({"op": "upsert", "entity": "contact", "ref": {"id": "10482"}, "match": ["email"],
              "set": {"email": people["Chiara"]["email"], "title": "Head of Purchasing", "work_phone": "+39 02 555 0184",
                      "address": {"address_line_1": "Via Tortona 31", "city": "Milano", "zip": "20144", "country": "Italy"}}})
    newsletter.call("PUT", f"/contact/{chiara}", {"tags": ["vip", "interiors", "newsletter"]})
    website.call("PUT", f"/contact/{chiara}", {"phone": "+39 347 555 0120", "website": "https://mareainteriors.example"})
    fields = erp.call("GET", "/fields?limit=100")
    channel = next(field["uid"] for field in fields if field["name"] == "Preferred channel")
    erp.call("PUT", f"/contact/{chiara}", {"title": "Managing Director", "custom_fields": {channel: "Phone"},
                                           "circles": {"add": ["Key accounts"]}})
    project = erp.call("GET", "/project/name/Showroom+Milan")
    ids["project"] = project["uid"]
    ids["company"] = erp.call("GET", "/company/Marea+Interiors")["uid"]
    erp.call("PUT", f"/project/uid/{ids['project']}", {"status": "In progress", "team": ["Ann", "Emre", "Farida"]})


def add_conflicts(erp, newsletter, web, people):
    """Values that lost: the newsletter tool writes what it read before the ERP changed it."""
    for name, field, theirs, ours in [("Jonas", "title", "Buyer", "Purchasing manager"), ("Sofie", "email", "sofie@blauwereiger.example", "s.devries@blauwereiger.example"),
                                      ("Kenji", "work_phone", "+81 6 5550 1122", "+81 6 5550 1199"), ("Oskar", "website", "https://nowak.example", "https://nowakmeble.example")]:
        contact = erp.call("GET", f"/contact/{people[name]['uid']}")
        erp.call("PUT", f"/contact/{contact['uid']}", {field: ours})
        newsletter.sync({"op": "update", "entity": "contact", "uid": contact["uid"], "base": contact["version"], "set": {field: theirs}})
    conflict = erp.call("GET", "/sync/conflicts?status=open")[0]
    web.post(f"/integrations/sync/conflicts/{conflict['uid']}/resolve", take="kept")


def spoil(nightly, people):
    """A nightly import whose lines have slipped by one, and which brings back contacts that were gone."""
    for name, other, title in SLIPPED:
        nightly.call("PUT", f"/contact/{people[name]['uid']}", {"phone": people[other]["phone"], "title": title})
    for first, last, company in [("Paula", "Steiner", "Steiner Bau"), ("Miro", "Hašek", "Galerie Hašek")]:
        nightly.call("POST", "/contact", {"role": "Lead", "first_name": first, "last_name": last, "email": email_of(first, last, company)})


def add_team(web, env):
    for name, role in [("ann.devries", "admin"), ("emre.yilmaz", "member"), ("farida.haddad", "member")]:
        email = f"{name}@example.com"
        page = web.post("/team/invite", email=email, role=role)
        if name != "farida.haddad":
            link = between(page, "/console/link/", "<")
            joining = Web(env["UNIFICUS_CONSOLE_URL"])
            joining.get(f"/link/{link}")
            joining.post(f"/link/{link}", password="correct horse battery")


def write_past(env, ids):
    """Calls of former days, and parked events."""
    statements = f"""
        with past as (select array_agg(case when day < extract(day from now() at time zone 'utc')
                                            then (28 + 23 * sin(day * 1.7) * sin(day * 0.6) + (day * 7) % 11)::bigint else days[day] end order by day) as days
                      from quota_month, generate_series(1, 31) as day where account_id = '{env["UNIFICUS_PUBLIC_ID"]}')
        update quota_month set days = past.days, used = (select sum(calls) from unnest(past.days) as calls)
        from past where account_id = '{env["UNIFICUS_PUBLIC_ID"]}';
        update push_endpoint set created_at = now() - interval '12 days' where account_id = '{env["UNIFICUS_PUBLIC_ID"]}';
        insert into push_retry (account_id, endpoint_id, seq, uid, attempts, next_at, parked)
        select account_id, '{ids["Newsletter tool"]}', seq, uid, {len(RETRIES)}, now() - interval '20 minutes' * row_number() over (order by seq), true
        from event where account_id = '{env["UNIFICUS_PUBLIC_ID"]}' and type like '%.created' and uid = any('{{{",".join(ids["parked"])}}}'::uuid[]);
        do $$ begin
            for day in 2..4 loop
                execute format('create table if not exists push_attempt_%s partition of push_attempt for values from (%L) to (%L)',
                    to_char(now() at time zone 'utc' - interval '1 day' * day, 'YYYYMMDD'),
                    to_char(now() at time zone 'utc' - interval '1 day' * day, 'YYYY-MM-DD 00:00"Z"'),
                    to_char(now() at time zone 'utc' - interval '1 day' * (day - 1), 'YYYY-MM-DD 00:00"Z"'));
            end loop;
        end $$;
        insert into push_attempt (account_id, endpoint_id, attempt_id, at, seq, webhook_id, trigger, outcome, status, duration_ms, bytes, body, uids)
        select r.account_id, r.endpoint_id,
            (lpad(to_hex((extract(epoch from a.at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
                || '8' || substr(md5(random()::text), 1, 15))::uuid,
            a.at, r.seq, r.account_id || ':' || r.seq, case when a.delay = 0 then 'event' else 'retry' end, 'status', 422,
            31 + (random() * 40)::integer, octet_length(a.body), convert_to(a.body, 'UTF8'), array[r.uid]
        from push_retry r cross join lateral (
            select r.next_at - interval '1 second' * ({RETRIES[-1]} - delay) as at, delay,
                '{{"error": "this address was unsubscribed by its owner and cannot be added again"}}' as body
            from unnest(array{RETRIES}) as delay) as a
        where r.account_id = '{env["UNIFICUS_PUBLIC_ID"]}' and r.parked"""
    subprocess.run(["psql", "--quiet", "--set=ON_ERROR_STOP=1", env["UNIFICUS_DATABASE_URL"], "--command", statements], check=True)


def until_attempts(api, ids):
    """Waits for attempts at both kinds of receiver, for at most half a minute."""
    for name, status in [("Order system", "delivered"), ("Newsletter tool", "delivered"), ("Data warehouse", "failed")]:
        end = time.monotonic() + 30
        while not (attempts := api.call("GET", f"/push/endpoints/{ids[name]}/attempts?status={status}")):
            if time.monotonic() > end:
                raise SystemExit(f"no attempt at {name} was {status}")
            time.sleep(0.2)
        ids[f"{name} attempt"] = attempts[0]["id"]
