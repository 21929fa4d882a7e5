//! A client that writes its requests byte by byte, for requests that no HTTP library sends.

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::client::Reply;
use super::{Client, LONG};

/// A connection to the service.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(client: &Client) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        Self { stream: socket.connect(address(client)).await.unwrap(), read: Vec::new() }
    }

    /// With a receive buffer of about this many bytes, so that the kernel takes little before it is read.
    pub(crate) async fn connect_narrow(client: &Client, bytes: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        Self { stream: socket.connect(address(client)).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next response, read to its end.
    pub(crate) async fn response(&mut self) -> Reply {
        tokio::time::timeout(LONG, self.next()).await.expect("no response arrives")
    }

    async fn next(&mut self) -> Reply {
        let end = loop {
            match self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await,
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap())
        };
        let headers: HeaderMap = lines.map(field).collect();
        let length = headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        while self.read.len() < length {
            self.fill().await;
        }
        let body: Bytes = self.read.drain(..length).collect();
        let text = String::from_utf8_lossy(&body).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status, headers, body, text, json }
    }

    async fn fill(&mut self) {
        let read = self.stream.read_buf(&mut self.read).await.expect("the connection broke before the response");
        assert!(read > 0, "the connection ended before the response: {:?}", String::from_utf8_lossy(&self.read));
    }

    /// Reads until a text has arrived, of a response that does not end.
    pub(crate) async fn reads(&mut self, text: &str) {
        let read = async {
            while !String::from_utf8_lossy(&self.read).contains(text) {
                self.fill().await;
            }
        };
        tokio::time::timeout(LONG, read).await.unwrap_or_else(|_| panic!("{text} does not arrive"));
    }

    /// Waits for the service to close the connection without further bytes.
    pub(crate) async fn ends(mut self) {
        let mut rest = self.read.clone();
        let end =
            tokio::time::timeout(LONG, self.stream.read_to_end(&mut rest)).await.expect("the connection stays open");
        end.expect("the connection is reset");
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

/// Sends one request on its own connection.
pub(crate) async fn exchange(client: &Client, request: impl AsRef<[u8]>) -> Reply {
    let mut raw = Raw::connect(client).await;
    raw.send(request).await;
    raw.response().await
}

/// The header lines of a client's keys.
pub(crate) fn keys(client: &Client) -> String {
    format!("X-Public-ID: {}\r\nX-Secret-Key: {}\r\n", client.account, client.secret)
}

fn address(client: &Client) -> std::net::SocketAddr {
    client.base.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap()
}

/// Checks for a refusal whose body is a problem.
#[track_caller]
pub(crate) fn assert_problem(response: &Reply, status: u16) {
    assert_eq!(response.status, status, "{}", response.text);
    assert_eq!(response.header("content-type"), "application/problem+json", "{}", response.text);
    assert_eq!(response.header("x-content-type-options"), "nosniff");
    for member in ["type", "title", "detail", "instance", "message"] {
        assert!(response.json[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {}", response.text);
    }
    assert_eq!((&response.json["status"], &response.json["success"]), (&Value::from(status), &Value::from(false)));
}
