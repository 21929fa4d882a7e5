// Receives this service's webhooks and verifies each with the JavaScript library of Standard Webhooks.
//
// Run it by hand beside a service that may call loopback, such as that of `make run ENV_FILE=/tmp/service.env`:
//   npm install --no-save --prefix /tmp/webhooks standardwebhooks@1.1.1
//   NODE_PATH=/tmp/webhooks/node_modules node tests/verify_webhooks.mjs /tmp/service.env
//
// It creates an endpoint for its own address and a few contacts, verifies the deliveries, deletes the endpoint, and exits
// with 0 if every signature is valid and no forged body is accepted.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { Webhook } = createRequire(import.meta.url)("standardwebhooks");
const CONTACTS = 5;
const TIMEOUT_MS = 30_000;

const lines = readFileSync(process.argv[2], "utf8").split("\n").filter((line) => line.includes("="));
const env = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
const keys = { "x-public-id": env.UNIFICUS_PUBLIC_ID, "x-secret-key": env.UNIFICUS_SECRET_KEY };

async function call(method, path, body) {
  const headers = { ...keys, "content-type": "application/json" };
  const response = await fetch(env.UNIFICUS_BASE_URL + path, { method, headers, body: body && JSON.stringify(body) });
  const content = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${content.message}`);
  return content.data;
}

const arrived = [];
const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    arrived.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
    response.writeHead(204).end();
    if (arrived.length === CONTACTS) server.emit("enough");
  });
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${server.address().port}/hook`;
const endpoint = await call("POST", "/push/endpoints", { url, events: ["contact.created"] });
try {
  const enough = new Promise((done, failed) => {
    server.once("enough", done);
    setTimeout(() => failed(new Error(`${arrived.length} of ${CONTACTS} arrived`)), TIMEOUT_MS).unref();
  });
  for (let number = 0; number < CONTACTS; number += 1) {
    const email = `zoë.${Date.now()}.${number}@example.org`;
    await call("POST", "/contact", { role: "Lead", first_name: "Zoë", last_name: "👩‍💻", email });
  }
  await enough;
  const webhook = new Webhook(endpoint.secret);
  for (const { headers, body } of arrived) {
    const event = webhook.verify(body, headers);
    if (event.id !== headers["webhook-id"]) throw new Error(`${event.id} arrived as ${headers["webhook-id"]}`);
    let forged = true;
    try {
      webhook.verify(body.replace("Zoë", "Eve"), headers);
    } catch {
      forged = false;
    }
    if (forged) throw new Error("a forged body was accepted");
  }
  console.log(JSON.stringify({ verified: arrived.length, forged: 0 }));
} finally {
  await call("DELETE", `/push/endpoints/${endpoint.id}`);
  server.closeAllConnections();
  server.close();
}
