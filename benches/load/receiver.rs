//! A receiver of webhooks on loopback, and the endpoints that send to it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::accounts::Account;
use crate::arrivals::Arrivals;
use crate::connection::Connection;
use crate::contact::Target;
use crate::subscriber::Reader;

/// Starts a receiver on its own thread; it answers 200 to everything as soon as the body has arrived.
pub(crate) async fn start(arrivals: Arc<Arrivals>) -> Result<(Reader, SocketAddr)> {
    let serve =
        async |arrivals: Arc<Arrivals>, ready: oneshot::Sender<SocketAddr>, mut stopped: oneshot::Receiver<()>| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("binding the receiver")?;
            let address = listener.local_addr().context("reading the receiver's address")?;
            let _ = ready.send(address);
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.context("accepting a delivery")?;
                        // All connections end with the runtime of this thread.
                        tokio::spawn(receive(stream, Arc::clone(&arrivals)));
                    }
                    _ = &mut stopped => return Ok(()),
                }
            }
        };
    Reader::start("receiver", arrivals, serve).await
}

async fn receive(stream: TcpStream, arrivals: Arc<Arrivals>) {
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request: Request<Incoming>| {
        let arrivals = Arc::clone(&arrivals);
        async move {
            if let Ok(body) = request.into_body().collect().await {
                arrivals.take(&body.to_bytes());
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    // A sender may disconnect at any time.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// The push endpoints of accounts, one each.
pub(crate) struct Endpoints {
    target: Target,
    made: Vec<(Account, String)>,
}

impl Endpoints {
    /// Creates one for every account, for events from now on.
    pub(crate) async fn make(target: &Target, accounts: &[Account], receiver: SocketAddr) -> Result<Self> {
        let mut connection = Connection::open(target.address).await.context("connecting to create push endpoints")?;
        let body = format!(r#"{{"url":"http://{receiver}/hook","from":"now"}}"#);
        let mut endpoints = Self { target: target.clone(), made: Vec::new() };
        for account in accounts {
            let request = target.request("POST", "/push/endpoints", account, &body);
            let response = connection.exchange(&request).await.context("creating a push endpoint")?;
            let text = String::from_utf8_lossy(response.body);
            ensure!(response.status == 201, "creating a push endpoint returned {}: {text}", response.status);
            let id = id(response.body).with_context(|| format!("a push endpoint has no id in {text}"))?;
            endpoints.made.push((account.clone(), id));
        }
        Ok(endpoints)
    }

    pub(crate) async fn delete(self) -> Result<()> {
        let mut connection = Connection::open(self.target.address).await.context("connecting to delete endpoints")?;
        for (account, id) in &self.made {
            let request = self.target.request("DELETE", &format!("/push/endpoints/{id}"), account, "");
            let response = connection.exchange(&request).await.context("deleting a push endpoint")?;
            ensure!(matches!(response.status, 200 | 204), "deleting a push endpoint returned {}", response.status);
        }
        Ok(())
    }
}

fn id(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let data = body.get("data")?;
    let id = data.get("id").or_else(|| data.get("uid"))?;
    Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
}
