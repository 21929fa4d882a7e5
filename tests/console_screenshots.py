"""Pictures of the console: every page and its main dialogs, desktop and phone, light and dark.

    tests/console_screenshots.py BINARY DIRECTORY [PART OF A NAME …]

Starts `BINARY dev` with a data directory of its own, fills the account (tests/console_data.py), and writes
DIRECTORY/NAME-{desktop,phone}-{light,dark}.png, and DIRECTORY/docs for docs/console.md. Drives Chromium through chromedriver
by the protocol WebDriver, with the standard library alone. Fails where a page is wider than its window or reports an error
to the browser's console.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import console_data

SIZES = {"desktop": (1280, 900), "phone": (360, 780)}

# The names of pictures, and the pages: `{…}` are ids that the data gives.
OUTSIDE = {
    "sign-in": "/sign-in",
    "forgot": "/forgot",
    "link-dead": "/link/nothing",
}
INSIDE = {
    "dashboard": "/dashboard",
    "contacts": "/contacts",
    "contacts-search": "/contacts?q=ross",
    "contacts-nothing": "/contacts?q=nobody",
    "contacts-deleted": "/contacts?state=deleted",
    "contact": "/contacts/{contact}",
    "contact-then": "/contacts/{contact}?version=2",
    "contact-deleted": "/contacts/{deleted}",
    "contact-restore": "/contacts/{deleted}?dialog=restore",
    "contacts-import": "/contacts/import",
    "companies": "/companies",
    "company": "/companies/{company}",
    "projects": "/projects",
    "project": "/projects/{project}",
    "secure-api": "/integrations/secure-api",
    "secure-api-add-key": "/integrations/secure-api?dialog=add-key",
    "secure-api-delete-key": "/integrations/secure-api?dialog=delete-key&key={key}",
    "push": "/integrations/push",
    "push-delete": "/integrations/push?dialog=delete&id={Old shop}",
    "push-new": "/integrations/push/new",
    "push-live": "/integrations/push/{Order system}",
    "push-failing": "/integrations/push/{Data warehouse}",
    "push-parked": "/integrations/push/{Newsletter tool}",
    "push-edit": "/integrations/push/{Newsletter tool}/edit",
    "push-rotate": "/integrations/push/{Order system}?dialog=rotate",
    "push-replay": "/integrations/push/{Order system}?dialog=replay",
    "push-attempt": "/integrations/push/{Data warehouse}/attempts/{Data warehouse attempt}",
    "sync": "/integrations/sync",
    "sync-add-consumer": "/integrations/sync?dialog=add-consumer",
    "sync-delete-consumer": "/integrations/sync?dialog=delete-consumer&name=warehouse",
    "sync-conflicts": "/integrations/sync/conflicts",
    "sync-resolved": "/integrations/sync/conflicts?status=resolved",
    "sync-rules": "/integrations/sync/rules",
    "sync-undo": "/integrations/sync/undo",
    "sync-undo-dry-run": "/integrations/sync/undo?origin=nightly-import&by=event&from=1&to=",
    "sync-undo-confirm": "/integrations/sync/undo?origin=nightly-import&by=event&from=1&to=&dialog=confirm",
    "custom-fields": "/custom-fields",
    "custom-fields-add": "/custom-fields?dialog=add",
    "custom-fields-change": "/custom-fields?dialog=change&field={field}",
    "custom-fields-archive": "/custom-fields?dialog=archive&field={field}",
    "custom-fields-archived": "/custom-fields?state=archived",
    "audiences": "/audiences",
    "audiences-add": "/audiences?dialog=add",
    "branding": "/branding",
    "team": "/team",
    "team-invite": "/team?dialog=invite",
    "team-remove": "/team?dialog=remove&user={user}",
    "team-link": "/team?dialog=link&user={user}",
    "audit": "/audit",
    "profile": "/profile",
    "profile-totp": "/profile?step=totp",
    "missing": "/contacts/nothing",
    "components": "/components",
    "menu": "/dashboard#menu",
}
DOCS = {"live-documentation": "/secure-api/swagger"}
# An account in which nothing has happened, as the command line makes it.
EMPTY = {
    "empty-dashboard": "/dashboard",
    "empty-contacts": "/contacts",
    "empty-companies": "/companies",
    "empty-projects": "/projects",
    "empty-secure-api": "/integrations/secure-api",
    "empty-push": "/integrations/push",
    "empty-sync": "/integrations/sync",
    "empty-conflicts": "/integrations/sync/conflicts",
    "empty-rules": "/integrations/sync/rules",
    "empty-undo": "/integrations/sync/undo",
    "empty-custom-fields": "/custom-fields",
    "empty-audiences": "/audiences",
    "empty-audit": "/audit",
    "empty-team": "/team",
}


# The pictures of docs/console.md, which show what fits into a window.
DOCS_PICTURES = {
    "dashboard-desktop-light", "secure-api-desktop-light", "secure-api-phone-light", "contact-desktop-light",
    "push-failing-desktop-dark", "sync-undo-dry-run-desktop-light",
}


class Browser:
    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if "successfully on port " in line:
                port = line.rsplit(" ", 1)[1].strip().rstrip(".")
                break
        self.base = f"http://127.0.0.1:{port}/session"
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars"]
        options = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": arguments},
                   "timeouts": {"implicit": 5000}, "goog:loggingPrefs": {"browser": "ALL"}}}}
        self.base += "/" + self.call("POST", "", options)["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers={"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.read().decode()[:500]}") from error

    def cdp(self, command, parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def find(self, css):
        return next(iter(self.call("POST", "/element", {"using": "css selector", "value": css}).values()))

    def type(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def sign_in(self, url, email, password):
        self.cdp("Network.clearBrowserCookies", {})
        self.open(url + "/sign-in")
        self.type("#field-email", email)
        self.type("#field-password", password + "\ue007")
        self.find("nav.menu")

    def quit(self):
        self.call("DELETE", "")
        self.driver.terminate()
        self.driver.wait()


class Photographer:
    def __init__(self, browser, folder, parts):
        self.browser, self.folder, self.parts = browser, folder, parts
        self.complaints = []

    def wanted(self, pages):
        return {name: path for name, path in pages.items() if not self.parts or any(part in name for part in self.parts)}

    def take(self, pages, url, ids):
        for name, path in self.wanted(pages).items():
            address = url + path.format_map(ids)
            for scheme in ("light", "dark"):
                self.browser.cdp("Emulation.setEmulatedMedia", {"features": [
                    {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]})
                for size, (width, height) in SIZES.items():
                    self.one(f"{name}-{size}-{scheme}", address, width, height, size == "phone")

    def one(self, name, address, width, height, mobile):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.browser.cdp("Emulation.setDeviceMetricsOverride", metrics)
        self.browser.open(address)
        if address.endswith("#menu"):
            self.browser.run("document.getElementById('menu').showPopover()")
        elif address.endswith("/swagger"):
            self.browser.find(".opblock")
        # `innerWidth` grows with a page that is too wide for a phone.
        overflow = self.browser.run("return document.documentElement.scrollWidth") - width
        if overflow > 0:
            self.complaints.append(f"{name}: {overflow} px too wide")
        if name in DOCS_PICTURES:
            self.picture(self.folder / "docs" / f"console-{name}.png")
        full = self.browser.run("return document.documentElement.scrollHeight")
        if "dialog=" not in address and not address.endswith("#menu"):
            self.browser.cdp("Emulation.setDeviceMetricsOverride", {**metrics, "height": max(height, min(full, 3600))})
        self.picture(self.folder / f"{name}.png")

    def picture(self, file):
        shot = self.browser.cdp("Page.captureScreenshot", {"format": "png"})["data"]
        file.write_bytes(base64.b64decode(shot))


@contextlib.contextmanager
def service(binary):
    """`unificus dev` in a data directory of its own; yields the values of its env file."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="unificus-screenshots-"))
    # PostgreSQL's own user, which it runs as for root, looks for its files below.
    directory.chmod(0o711)
    env_file = directory / "service.env"
    environment = {**os.environ, "UNIFICUS_CONSOLE__SHOW_COMPONENTS": "true"}
    process = subprocess.Popen([binary, "dev", "--data-dir", directory / "data", "--port", "0", "--env-file", env_file],
                               stdout=(directory / "log").open("w"), stderr=subprocess.STDOUT, env=environment)
    try:
        # Written when the service accepts requests.
        while not env_file.exists():
            if process.poll() is not None:
                raise SystemExit((directory / "log").read_text()[-2000:])
            time.sleep(0.1)
        yield dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        shutil.rmtree(directory)


def empty_account(env, run):
    """Another account, and its Super Admin."""
    account = json.loads(run("account", "create", "Marea Interiors", "--json"))
    public_id = next(account[name] for name in ("public_id", "account", "id") if name in account)
    link = run("user", "add", public_id, "chiara@example.com", "--role", "super_admin")
    token = link.split("/link/")[1].split()[0]
    web = console_data.Web(env["UNIFICUS_CONSOLE_URL"])
    web.get(f"/link/{token}")
    web.post(f"/link/{token}", password="correct horse battery")
    return "chiara@example.com", "correct horse battery"


def main(binary, directory, *parts):
    folder = pathlib.Path(directory)
    (folder / "docs").mkdir(parents=True, exist_ok=True)
    receiver = console_data.Receiver()
    with service(binary) as env:
        def run(*arguments):
            variables = {**os.environ, "UNIFICUS_DATABASE__URL": env["UNIFICUS_DATABASE_URL"], "UNIFICUS_CONSOLE__URL": env["UNIFICUS_CONSOLE_URL"].removesuffix("/console")}
            return subprocess.run([binary, *arguments], check=True, stdout=subprocess.PIPE, text=True, env=variables).stdout

        ids = console_data.fill(env, receiver, run)
        url = env["UNIFICUS_CONSOLE_URL"]
        browser = Browser()
        try:
            photographer = Photographer(browser, folder, parts)
            photographer.take(OUTSIDE, url, ids)
            browser.sign_in(url, env["UNIFICUS_CONSOLE_EMAIL"], env["UNIFICUS_CONSOLE_PASSWORD"])
            photographer.take(INSIDE, url, ids)
            photographer.take(DOCS, url.removesuffix("/console"), ids)
            if photographer.wanted(EMPTY):
                browser.sign_in(url, *empty_account(env, run))
                photographer.take(EMPTY, url, ids)
            complaints = photographer.complaints
            complaints += [entry["message"] for entry in browser.call("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE" and "status of 4" not in entry["message"]]
        finally:
            browser.quit()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")
    if complaints:
        raise SystemExit("\n".join(complaints))


if __name__ == "__main__":
    main(*sys.argv[1:])
