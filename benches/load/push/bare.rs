//! The cost of a delivery beside that of a bare hyper client that posts the same bytes with the same window.

use std::fs::read_to_string;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::sink::{Mode, Sample, Sink};

/// The default window of an endpoint.
const WINDOW: usize = 32;
const TICKS_PER_SECOND: f64 = 100.0;

/// Posts a delivery's request this many times with [`WINDOW`] connections, on a thread of its own. Returns the CPU seconds of
/// that thread for one post.
pub(super) async fn cpu_per_post(sample: Sample, posts: u64) -> Result<f64> {
    let sink = Sink::start(1, Mode::Accept).await?;
    let (address, (done, is_done)) = (sink.address, oneshot::channel());
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let measured = runtime.context("creating the runtime of the bare client").and_then(|runtime| {
            let before = thread_cpu_seconds()?;
            runtime.block_on(post_all(address, Arc::new(sample), posts))?;
            Ok((thread_cpu_seconds()? - before) / posts as f64)
        });
        drop(done.send(measured));
    };
    Builder::new().name("bare".to_owned()).spawn(body).context("starting the bare client's thread")?;
    is_done.await.context("the bare client ended early")?
}

async fn post_all(address: SocketAddr, sample: Arc<Sample>, posts: u64) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    for _ in 0..WINDOW {
        let (sample, next) = (Arc::clone(&sample), Arc::clone(&next));
        connections.spawn(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            while next.fetch_add(1, Ordering::Relaxed) < posts {
                sender.ready().await?;
                let mut request = Request::post(sample.path.as_str()).body(Full::new(sample.body.clone()))?;
                request.headers_mut().clone_from(&sample.headers);
                let response = sender.send_request(request).await?;
                ensure!(response.status() == 200, "the sink answered {}", response.status());
                response.into_body().collect().await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = connections.join_next().await {
        ended.context("a connection's task ended in a panic")??;
    }
    Ok(())
}

/// CPU seconds of this thread; see proc(5).
fn thread_cpu_seconds() -> Result<f64> {
    let stat = read_to_string("/proc/thread-self/stat").context("reading the CPU time of a thread")?;
    let (_, fields) = stat.rsplit_once(')').context("reading the CPU time of a thread")?;
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("reading the CPU time of a thread")?;
    Ok((user + system) / TICKS_PER_SECOND)
}
