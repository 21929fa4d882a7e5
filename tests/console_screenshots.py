"""Pictures of the console: desktop and phone, light and dark, of each path.

    tests/console_screenshots.py URL EMAIL PASSWORD DIRECTORY [PATH …]

URL is that of the console as `unificus dev` prints it. Drives Chromium through chromedriver by the protocol WebDriver, with
the standard library alone.
"""

import base64
import json
import pathlib
import subprocess
import sys
import urllib.request

SIZES = {"desktop": (1280, 900), "phone": (360, 780)}
PATHS = [
    "/sign-in",
    "/integrations/secure-api",
    "/integrations/secure-api?dialog=add-key",
    "/integrations/push",
    "/integrations/push/new",
    "/integrations/sync",
    "/integrations/sync/conflicts",
    "/integrations/sync/rules",
    "/integrations/sync/undo",
    "/branding",
    "/team",
    "/team?dialog=invite",
    "/audit",
    "/profile",
    "/components",
]


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
            raise SystemExit(f"{path}: {error.read().decode()[:500]}")

    def cdp(self, command, parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def find(self, css):
        return next(iter(self.call("POST", "/element", {"using": "css selector", "value": css}).values()))

    def type(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def quit(self):
        self.call("DELETE", "")
        self.driver.terminate()
        self.driver.wait()


def name_of(path):
    return "".join(sign if sign.isalnum() else "-" for sign in path.strip("/")) or "start"


def main(url, email, password, directory, *paths):
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    browser = Browser()
    wide = []
    try:
        for scheme in ("light", "dark"):
            browser.cdp("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            signed_in = scheme == "dark"
            for path in paths or PATHS:
                if not path.startswith("/sign-in") and not signed_in:
                    browser.call("POST", "/url", {"url": url + "/sign-in"})
                    browser.type("#field-email", email)
                    browser.type("#field-password", password + "\ue007")
                    browser.find("nav.menu")
                    signed_in = True
                for size, (width, height) in SIZES.items():
                    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
                    browser.cdp("Emulation.setDeviceMetricsOverride", metrics)
                    browser.call("POST", "/url", {"url": url + path})
                    overflow = browser.run("return document.documentElement.scrollWidth - innerWidth")
                    if overflow > 0:
                        wide.append(f"{path} {size}: {overflow} px too wide")
                    full = browser.run("return document.documentElement.scrollHeight")
                    if "dialog=" not in path:
                        browser.cdp("Emulation.setDeviceMetricsOverride", {**metrics, "height": max(height, min(full, 4000))})
                    shot = browser.cdp("Page.captureScreenshot", {"format": "png"})["data"]
                    (folder / f"{name_of(path)}-{size}-{scheme}.png").write_bytes(base64.b64decode(shot))
        for entry in browser.call("POST", "/se/log", {"type": "browser"}):
            print(entry["level"], entry["message"])
    finally:
        browser.quit()
    print("\n".join(wide) or "nothing is wider than its window")


main(*sys.argv[1:])
