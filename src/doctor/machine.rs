//! This machine: ports, open files, and the space of disks that can be seen from here.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
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

/// The time within which a replica on this machine responds.
const RESPONSE_WITHIN: Duration = Duration::from_secs(2);

/// The longest response of it that is read, in bytes.
const MAX_RESPONSE: u64 = 4 << 20;

/// The gauge of the files that a replica may open.
const FILES_OF_REPLICA: &str = "process_max_fds ";

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

/// Examines ports and limits, and the disks of directories.
pub(super) async fn examine(config: &Config, directories: &[PathBuf], findings: &mut Findings) {
    let metrics = config.metrics.listen;
    let is_replica_here = get(metrics, "/livez").await.is_some_and(|response| response.ends_with("alive\n"));
    ports(config, is_replica_here, findings);
    let of_replica = if is_replica_here { get(metrics, "/metrics").await } else { None };
    files(config, of_replica.as_deref().and_then(files_of_replica), findings);
    for directory in directories {
        match statvfs(directory) {
            Ok(_) => space("disk", directory, "", findings),
            Err(error) => findings.warning(
                "disk",
                format!("the disk of {} cannot be examined: {error}", directory.display()),
                "name a directory of this machine, and run this as a user who may enter it",
            ),
        }
    }
}

fn ports(config: &Config, is_replica_here: bool, findings: &mut Findings) {
    let (api, metrics) = (config.http.listen, config.metrics.listen);
    if api == metrics && api.port() != 0 {
        return findings.error(
            "ports",
            format!("http.listen and metrics.listen are both {api}"),
            "choose another port for metrics.listen",
        );
    }
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

/// The response of a replica's operators' listener. HTTP/1.0, because its bodies come in one piece.
async fn get(metrics: SocketAddr, path: &str) -> Option<String> {
    let response = async {
        let mut stream = TcpStream::connect(metrics).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        let mut response = String::new();
        stream.take(MAX_RESPONSE).read_to_string(&mut response).await?;
        Ok::<_, std::io::Error>(response)
    };
    tokio::time::timeout(RESPONSE_WITHIN, response).await.ok()?.ok()
}

/// The number of files that a replica may open, from its metrics.
fn files_of_replica(metrics: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(FILES_OF_REPLICA))?.trim().parse().ok()
}

/// The limit of the replica here counts; where none runs, that of this process, which may be another one than the unit's.
fn files(config: &Config, of_replica: Option<u64>, findings: &mut Findings) {
    let check = "files";
    let who = if of_replica.is_some() { "the replica" } else { "this process" };
    let others = config.push.in_flight.saturating_add(connections_of(config)).saturating_add(OTHER_FILES);
    let needed = config.http.max_connections.saturating_add(others);
    let needed = u64::try_from(needed).unwrap_or(u64::MAX);
    let limit = of_replica.map_or_else(|| getrlimit(Resource::RLIMIT_NOFILE).map(|(limit, _)| limit), Ok);
    match limit {
        Ok(limit) if limit < needed => findings.warning(
            check,
            format!("{who} may open {limit} files, and http.max_connections and push.in_flight need {needed}"),
            format!(
                "start the service with `ulimit -n {needed}`, or `LimitNOFILE={needed}` in its unit; or lower them"
            ),
        ),
        Ok(limit) => findings.ok(check, format!("{who} may open {limit} files, and needs up to {needed}")),
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
