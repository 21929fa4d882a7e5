//! `unificus doctor`: checks a deployment from inside, with the service's own configuration, and says how to mend it.
//!
//! It uses what the service uses: the same URLs, roles and connections. It changes nothing, and may run beside replicas.
//! A check that cannot be made because another one failed is left out.

mod database;
mod diagnosis;
mod machine;
mod nats;
mod secrets;

use std::path::PathBuf;

use diagnosis::Findings;
pub use diagnosis::{Diagnosis, Level};

use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::Store;

/// Checks everything, in the order in which it should be mended; and the disks of these directories.
pub async fn examine(config: &Config, clock: &Clock, directories: &[PathBuf]) -> anyhow::Result<Vec<Diagnosis>> {
    let metrics = Metrics::new()?;
    let store = Store::new(&config.database, config.commands.lane_count(), metrics.clone())?;
    let mut findings = Findings::default();
    let has_schema = database::examine(config, &store, clock, &mut findings).await;
    secrets::examine(config, &store, has_schema, &mut findings).await;
    nats::examine(config, &metrics, &mut findings).await;
    machine::examine(config, directories, &mut findings).await;
    Ok(findings.into_list())
}
