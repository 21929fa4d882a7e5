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

/// A card with examples to copy.
pub(super) fn card() -> Markup {
    super::super::super::components::card(
        "Receive and verify",
        "Every request is signed by the rules of Standard Webhooks, for which there are libraries in all languages. Answer with 2xx within \
         15 seconds; anything else is sent again.",
        html! {
            (code_block("JavaScript example", NODE))
            details.more { summary { "Python" } (code_block("Python example", PYTHON)) }
        },
    )
}
