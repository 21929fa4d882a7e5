// Scores of five main pages of the console by Lighthouse, on a telephone with a slow network and on a desktop.
//
//     node run.mjs PROGRAM MODULES [FILTER]
//
// PROGRAM is unificus, MODULES the directory `node_modules` with lighthouse. Starts `unificus dev` in a temporary directory,
// signs in to the demo account, and fails where a score is below 95, a layout shifts or a script delays the first paint.

import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [program, modules, filter = ""] = process.argv.slice(2);
const require = createRequire(path.resolve(modules, "x"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { default: lighthouse, desktopConfig } = await load("lighthouse");
const { launch } = await load("chrome-launcher");
const { default: puppeteer } = await load("puppeteer-core");

const LEAST = 95;
const CATEGORIES = ["performance", "accessibility", "best-practices"];
const PAGES = ["/sign-in", "/dashboard", "/contacts", "/integrations/secure-api", "/integrations/push"];

const directory = mkdtempSync("/var/tmp/unificus-lighthouse-");
chmodSync(directory, 0o755);
const file = path.join(directory, "env");
const service = spawn(program, ["dev", "--port", "0", "--data-dir", path.join(directory, "data"), "--env-file", file], { stdio: "ignore" });
const ended = new Promise((resolve) => service.once("exit", resolve));

/** Signs in in the browser, which keeps the session's cookie. */
async function signIn(browser, url, email, password) {
  const page = await browser.newPage();
  await page.goto(`${url}/sign-in`);
  await page.type("input[name=email]", email);
  await page.type("input[name=password]", password);
  await Promise.all([page.waitForNavigation(), page.click("button[type=submit]")]);
  if (page.url().includes("/sign-in")) throw new Error("signing in failed");
  await page.close();
}

let failed = 0;
let chrome;
let isSignedIn = false;
try {
  while (!existsSync(file)) {
    if (service.exitCode !== null) throw new Error("the service does not start");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const env = Object.fromEntries(readFileSync(file, "utf8").trim().split("\n").map((line) => [line.split("=", 1)[0], line.slice(line.indexOf("=") + 1)]));
  const url = env.UNIFICUS_CONSOLE_URL;
  chrome = await launch({ chromePath: process.env.CHROME_PATH, chromeFlags: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  const browser = await puppeteer.connect({ browserURL: `http://127.0.0.1:${chrome.port}`, defaultViewport: null });
  console.log(`${"page".padEnd(28)} ${"device".padEnd(9)} ${CATEGORIES.join("  ")}  shift  first paint ms  bytes`);
  for (const page of PAGES.filter((page) => page.includes(filter))) {
    if (page !== "/sign-in" && !isSignedIn) await signIn(browser, url, env.UNIFICUS_CONSOLE_EMAIL, env.UNIFICUS_CONSOLE_PASSWORD);
    isSignedIn ||= page !== "/sign-in";
    for (const [device, config] of [["telephone", undefined], ["desktop", desktopConfig]]) {
      const flags = { port: chrome.port, logLevel: "error", onlyCategories: CATEGORIES, maxWaitForLoad: 20_000, disableStorageReset: true };
      const { lhr } = await lighthouse(url + page, flags, config);
      const audit = (name) => lhr.audits[name];
      const scores = CATEGORIES.map((name) => Math.round((lhr.categories[name].score ?? 0) * 100));
      const shift = audit("cumulative-layout-shift").numericValue;
      const blocking = (audit("render-blocking-resources").details?.items ?? []).map((item) => item.url).filter((name) => name.endsWith(".js"));
      console.log(
        page.padEnd(28), device.padEnd(9), scores.map((score, index) => String(score).padStart(CATEGORIES[index].length)).join("  "),
        ` ${shift.toFixed(3)} `, String(Math.round(audit("first-contentful-paint").numericValue)).padStart(14),
        ` ${Math.round(audit("total-byte-weight").numericValue)}`,
      );
      if (lhr.finalDisplayedUrl !== url + page) throw new Error(`${page} leads to ${lhr.finalDisplayedUrl}`);
      if (scores.some((score) => score < LEAST) || shift > 0 || blocking.length > 0) {
        failed += 1;
        for (const name of CATEGORIES) {
          for (const { id, weight } of lhr.categories[name].auditRefs) {
            const { score, title, displayValue, details } = audit(id);
            if (score !== null && score < 0.9 && (weight > 0 || name !== "performance")) {
              console.log(`    ${name}: ${id}: ${title} ${displayValue ?? ""} ${JSON.stringify(details?.items ?? []).slice(0, 600)}`);
            }
          }
        }
        if (blocking.length > 0) console.log(`    scripts delay the first paint: ${blocking}`);
      }
    }
  }
} finally {
  await chrome?.kill();
  service.kill("SIGTERM");
  await ended;
  rmSync(directory, { recursive: true, force: true });
}
console.log(failed === 0 ? `every score is at least ${LEAST}` : `${failed} below ${LEAST}, or with a layout shift`);
process.exit(failed === 0 ? 0 : 1);
