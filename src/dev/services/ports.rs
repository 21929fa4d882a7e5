//! The ports of the servers: chosen once, remembered in the data directory, kept as long as they are free.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The first port. The range is below the ports of outgoing connections (32768 and up on Linux). Within those, a client that
/// dials a stopped server may get the same port for its own end and connect to itself; then the server cannot bind when it
/// starts again. Nor could a server whose port another client uses.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

const FILE: &str = "ports.toml";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ports {
    pub postgres: u16,
    pub nats: u16,
}

impl Ports {
    /// The remembered ports if both are free, else new ones, which are remembered.
    ///
    /// # Errors
    /// When no port is free or the file cannot be written.
    pub(super) fn claim(dir: &Path) -> Result<Self> {
        let file = dir.join(FILE);
        if let Some(ports) = Self::remembered(&file).filter(|ports| is_free(ports.postgres) && is_free(ports.nats)) {
            return Ok(ports);
        }
        let ports = Self::choose(dir)?;
        let text = toml::to_string(&ports).context("writing the ports as TOML")?;
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(ports)
    }

    /// None where the file is missing or does not parse: then only the ports change.
    fn remembered(file: &Path) -> Option<Self> {
        toml::from_str(&std::fs::read_to_string(file).ok()?).ok()
    }

    /// The first free ports from a position that depends on the directory, so that searches for others start elsewhere.
    fn choose(dir: &Path) -> Result<Self> {
        let mut free = candidates(dir).filter(|port| is_free(*port));
        let mut next = || free.next().context("no free port on 127.0.0.1");
        Ok(Self { postgres: next()?, nats: next()? })
    }
}

fn candidates(dir: &Path) -> impl Iterator<Item = u16> {
    let spread = |sum: u32, byte: &u8| sum.wrapping_mul(31).wrapping_add(u32::from(*byte));
    let start = dir.as_os_str().as_bytes().iter().fold(0, spread) % u32::from(COUNT);
    (0..u32::from(COUNT)).filter_map(move |step| {
        // Never fails: the remainder is below COUNT, and FIRST + COUNT is a port.
        let offset = u16::try_from((start + step) % u32::from(COUNT)).ok()?;
        FIRST.checked_add(offset)
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_stay_below_the_ephemeral_range_and_never_repeat() {
        let mut ports: Vec<u16> = candidates(Path::new("/some/where")).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), usize::from(COUNT));
        assert_eq!((ports.first(), ports.last()), (Some(&20_000), Some(&31_999)));
    }

    #[test]
    fn ports_are_remembered_while_free_and_chosen_anew_when_taken() {
        let dir = std::env::temp_dir().join(format!("unificus-ports-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let first = Ports::claim(&dir).unwrap();
        let second = Ports::claim(&dir).unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first.nats)).unwrap();
        let third = Ports::claim(&dir).unwrap();
        std::fs::write(dir.join(FILE), "not ports").unwrap();
        let fourth = Ports::claim(&dir).unwrap();
        drop(taken);
        std::fs::remove_dir_all(&dir).unwrap();

        assert_ne!(first.postgres, first.nats);
        assert_eq!(first, second);
        assert_ne!(third.nats, first.nats);
        assert_eq!(third, fourth);
    }
}
