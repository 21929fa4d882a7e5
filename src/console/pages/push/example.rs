//! How a receiver checks that a request comes from this service.

use maud::{Markup, html};

use super::super::super::components::code::code_block;

const NODE: &str = r#"import express from "express";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET); // whsec_…

express()
  .post("/hook", express.raw({ type: "*/*" }), (request, response) => {
    const event = webhook.verify(request.body, request.headers); // throws on a wrong signature
    console.log(event.type, event.data.record.uid);
    response.sendStatus(204);
  })
  .listen(3000);"#;

const PYTHON: &str = r#"import os
from flask import Flask, request
from standardwebhooks.webhooks import Webhook

app = Flask(__name__)
webhook = Webhook(os.environ["WEBHOOK_SECRET"])  # whsec_…

@app.post("/hook")
def hook():
    event = webhook.verify(request.data, request.headers)  # raises on a wrong signature
    print(event["type"], event["data"]["record"]["uid"])
    return "", 204"#;

/// A receiver to try webhooks with, which needs Python 3 alone.
const TRIAL: &str = r#"from http.server import BaseHTTPRequestHandler, HTTPServer

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        print(self.headers["webhook-id"], body.decode())
        self.send_response(204)
        self.end_headers()

HTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()"#;

/// A card with examples to copy.
pub(super) fn card() -> Markup {
    super::super::super::components::card(
        "Receive and verify",
        "Every request is signed by the rules of Standard Webhooks, for which there are libraries in all languages. Respond with a status of \
         200 to 299 within 15 seconds; after anything else the request is sent again.",
        html! {
            (code_block("JavaScript example", NODE))
            p.hint { "Install both packages with " code { "npm install express standardwebhooks" } "." }
            details.more {
                summary { "Python" }
                (code_block("Python example", PYTHON))
                p.hint { "Install both packages with " code { "pip install flask standardwebhooks" } "." }
            }
        },
    )
}

/// A card with a receiver for a first try, where the service may send to the machine that it runs on.
pub(super) fn trial() -> Markup {
    html! {
        section.card {
            header.card-head {
                h2 { "No receiver yet?" }
                p {
                    "Save this as " code { "receiver.py" } " on a machine that this service can reach, and run it with "
                    code { "python3 receiver.py" } ". It prints every request. On the machine of the service itself, the endpoint is "
                    code { "http://127.0.0.1:9000/" } "."
                }
            }
            (code_block("Receiver", TRIAL))
        }
    }
}
