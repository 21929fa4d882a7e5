//! The number of endpoints of all accounts, by state.

use super::{Store, StoreError};

const COUNTS: &str = "-- push_endpoint.counts
select count(*) filter (where e.state = 'live' and c.failing_since is null) as delivering,
    count(*) filter (where e.state = 'live' and c.failing_since is not null) as failing,
    count(*) filter (where e.state = 'paused') as paused,
    count(*) filter (where e.state = 'disabled') as disabled,
    (select count(account_id) from push_retry where parked) as parked_events
from push_endpoint e join push_endpoint_cursor c on c.account_id = e.account_id and c.endpoint_id = e.endpoint_id";

/// Endpoints of all accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Endpoints that are live and whose last delivery succeeded, or that had none.
    pub delivering: i64,
    /// Endpoints that are live and whose last deliveries failed.
    pub failing: i64,
    /// Endpoints that their owners paused.
    pub paused: i64,
    /// Endpoints that the service disabled.
    pub disabled: i64,
    /// Events that wait for the owners of their endpoints.
    pub parked_events: i64,
}

impl Store {
    /// Counts the endpoints of all accounts.
    pub async fn endpoint_counts(&self) -> Result<EndpointCounts, StoreError> {
        let client = self.replica_reader().await?;
        let statement = client.prepare_cached(COUNTS).await?;
        let row = client.query_one(&statement, &[]).await?;
        Ok(EndpointCounts {
            delivering: row.get("delivering"),
            failing: row.get("failing"),
            paused: row.get("paused"),
            disabled: row.get("disabled"),
            parked_events: row.get("parked_events"),
        })
    }
}
