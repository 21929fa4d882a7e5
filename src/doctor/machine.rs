//! This machine: ports, open files, and the space of disks that can be seen from here.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::diagnosis::Findings;
use crate::config::Config;
use crate::store::diagnosis::connections_of;

/// Files besides connections: logs, libraries, NATS, timers.
const OTHER_FILES: usize = 100;

/// The time within which a replica on this machine answers.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// The longest head of its answer, in bytes.
const MAX_ANSWER: u64 = 4_096;

/// Shares of free space, in percent, below which a disk is nearly full and full.
const NEARLY_FULL: u64 = 10;
const FULL: u64 = 2;

/// Reasons why an address cannot be taken, each with its remedy.
const PORT_ERRORS: [(ErrorKind, &str, &str); 3] = [
    (
        ErrorKind::AddrInUse,
        "another program listens there",
        "end that program (`ss -ltnp` names it), or choose another port",
    ),
    (
        ErrorKind::AddrNotAvailable,
        "this machine has no such address",
        "choose an address of this machine (`ip address`), or 0.0.0.0",
    ),
    (
        ErrorKind::PermissionDenied,
        "ports below 1024 need a right",
        "choose a port from 1024 on, or give the program CAP_NET_BIND_SERVICE",
    ),
];
const OTHER_PORT_ERROR: (ErrorKind, &str, &str) = (ErrorKind::Other, "it cannot be taken", "choose another address");

/// Examines ports and limits.
pub(super) async fn examine(config: &Config, findings: &mut Findings) {
    ports(config, findings).await;
    files(config, findings);
}

async fn ports(config: &Config, findings: &mut Findings) {
    let (api, metrics) = (config.http.listen, config.metrics.listen);
    if api == metrics && api.port() != 0 {
        return findings.error(
            "ports",
            format!("http.listen and metrics.listen are both {api}"),
            "choose another port for metrics.listen",
        );
    }
    let is_replica_here = answers(metrics).await;
    for (name, address) in [("http.listen", api), ("metrics.listen", metrics)] {
        let Err(error) = TcpListener::bind(address) else { continue };
        if error.kind() == ErrorKind::AddrInUse && is_replica_here {
            continue;
        }
        let (_, problem, remedy) =
            PORT_ERRORS.iter().find(|(kind, ..)| *kind == error.kind()).unwrap_or(&OTHER_PORT_ERROR);
        findings.error("ports", format!("{name} {address}: {problem} ({error})"), *remedy);
    }
    let state = if is_replica_here { "a replica listens there" } else { "free" };
    findings.ok_unless_reported("ports", format!("{api} and {metrics}: {state}"));
}

/// Whether a replica answers at its operators' listener.
async fn answers(metrics: SocketAddr) -> bool {
    let answer = async {
        let mut stream = TcpStream::connect(metrics).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut response = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut response).await?;
        Ok::<_, std::io::Error>(response.ends_with(b"alive\n"))
    };
    matches!(tokio::time::timeout(ANSWERED_WITHIN, answer).await, Ok(Ok(true)))
}

fn files(config: &Config, findings: &mut Findings) {
    let check = "files";
    let others = config.push.in_flight.saturating_add(connections_of(config)).saturating_add(OTHER_FILES);
    let needed = config.http.max_connections.saturating_add(others);
    let needed = u64::try_from(needed).unwrap_or(u64::MAX);
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((limit, _)) if limit < needed => findings.warning(
            check,
            format!("this process may open {limit} files, and http.max_connections and push.in_flight need {needed}"),
            format!(
                "start the service with `ulimit -n {needed}`, or `LimitNOFILE={needed}` in its unit; or lower them"
            ),
        ),
        Ok((limit, _)) => findings.ok(check, format!("this process may open {limit} files, and needs up to {needed}")),
        Err(error) => findings.warning(check, format!("the limit is not known: {error}"), "look at `ulimit -n`"),
    }
}

/// Examines the disk of a directory.
pub(super) fn space(check: &'static str, directory: &Path, about: &str, findings: &mut Findings) {
    let (free, all) = match statvfs(directory) {
        // The types differ between systems.
        #[allow(clippy::useless_conversion, clippy::allow_attributes, reason = "macOS counts blocks in 32 bits")]
        Ok(disk) => {
            let block = u64::from(disk.fragment_size());
            (block * u64::from(disk.blocks_available()), block * u64::from(disk.blocks()))
        }
        Err(error) => return findings.ok(check, format!("{about}the free space of its disk is not known: {error}")),
    };
    let message = format!("{about}{} of {} are free at {}", size(free), size(all), directory.display());
    let percent = free.saturating_mul(100).checked_div(all).unwrap_or(100);
    let remedy = "make the disk larger; a full disk stops every write";
    if percent < FULL {
        findings.error(check, message, remedy);
    } else if percent < NEARLY_FULL {
        findings.warning(check, message, remedy);
    } else {
        findings.ok(check, message);
    }
}

/// Whether a database's URL names a server on this machine.
pub(super) fn is_here(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    match url.host_str() {
        None | Some("") => true,
        Some(host) => {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host == "localhost" || host.starts_with('/') || address.is_ok_and(|address| address.is_loopback())
        }
    }
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_is_recognised_by_its_url() {
        for here in ["postgresql://u@127.0.0.1:5432/d", "postgresql://u@localhost/d", "postgresql://u@[::1]/d"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["postgresql://u@10.0.0.1/d", "postgresql://u@db.example.org/d", "no url"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(999), size(8_400_000), size(12_000_000_000)], ["0 kB", "8 MB", "12 GB"]);
    }
}
