//! The requests: contacts of about 500 bytes and ten fields, each with its own email.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use url::Url;

use crate::accounts::Account;

/// The address of the API.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    host: String,
    prefix: String,
}

impl Target {
    /// Reads a base URL such as `http://127.0.0.1:4000/secure-api`. Only plain HTTP on an IP address.
    pub(crate) fn parse(base: &str) -> Result<Self> {
        let url = Url::parse(base).with_context(|| format!("reading the base URL {base}"))?;
        let host = url.host_str().unwrap_or_default();
        let host = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
        let address = host.parse().with_context(|| format!("{host} is not an address and a port"))?;
        Ok(Self { address, host, prefix: url.path().trim_end_matches('/').to_owned() })
    }

    /// A complete request with an account's keys; `path` is relative to `/secure-api`.
    pub(crate) fn request(&self, method: &str, path: &str, account: &Account, body: &str) -> Vec<u8> {
        let mut request = self.head(method, path, account, body.len());
        request.push_str(body);
        request.into_bytes()
    }

    fn head(&self, method: &str, path: &str, account: &Account, length: usize) -> String {
        let Self { host, prefix, .. } = self;
        let Account { public_id, secret_key } = account;
        format!(
            "{method} {prefix}{path} HTTP/1.1\r\nhost: {host}\r\nx-public-id: {public_id}\r\n\
             x-secret-key: {secret_key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    }
}

/// Writes the create of a contact for any of the accounts, each with a new number.
pub(crate) struct Creates {
    heads: Vec<String>,
    /// Distinguishes this process's emails from those of an earlier process against the same service.
    run: String,
    issued: AtomicU64,
}

/// The digits of a contact's number.
const DIGITS: usize = 10;
const BEFORE_NUMBER: &str = r#"{"role":"Lead","first_name":"Wilhelmina","last_name":"Vandenberg","email":"w."#;
const AFTER_NUMBER: &str = r#"@load.example","title":"Head of procurement","phone":"+31 20 555 01 23","work_phone":"+31 20 555 01 24","website":"https://www.example.com/people/vandenberg","background_info":"Met at the fair in Utrecht, asked for the new catalogue.","tags":["newsletter","north","trade fair"],"address":{"address_line_1":"Keizersgracht 123","city":"Amsterdam","country":"Netherlands","zip":"1015 CJ"}}"#;

impl Creates {
    /// `run` is a text of letters and digits that differs from run to run.
    pub(crate) fn new(target: &Target, accounts: &[Account], run: String) -> Self {
        let length = BEFORE_NUMBER.len() + run.len() + 1 + DIGITS + AFTER_NUMBER.len();
        let heads = accounts.iter().map(|account| target.head("POST", "/contact", account, length)).collect();
        Self { heads, run, issued: AtomicU64::new(0) }
    }

    /// Replaces the content of `request` by the next create of the account at `index`.
    pub(crate) fn write(&self, index: usize, request: &mut Vec<u8>) {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        request.clear();
        request.extend_from_slice(self.heads.get(index).map_or(b"".as_slice(), String::as_bytes));
        write_contact(request, &self.run, number);
    }
}

/// Appends the contact with this number.
pub(crate) fn write_contact(body: &mut Vec<u8>, run: &str, number: u64) {
    body.extend_from_slice(BEFORE_NUMBER.as_bytes());
    // Writing to a vector cannot fail.
    drop(write!(body, "{run}.{number:0DIGITS$}"));
    body.extend_from_slice(AFTER_NUMBER.as_bytes());
}
