//! The throttle of signing in: attempts within a window, by a hash of the email address or of the client's network.

use std::time::Duration;

use crate::store::{Store, StoreError};

const TAKE: &str = "-- sign_in_throttle.take
insert into sign_in_throttle as t (subject, attempts, began_at)
select subject, 1, stored_now() from unnest($1::bytea[]) as s(subject) order by subject
on conflict (subject) do update set
    attempts = case when t.began_at < stored_now() - make_interval(secs => $2) then 1 else t.attempts + 1 end,
    began_at = case when t.began_at < stored_now() - make_interval(secs => $2) then stored_now() else t.began_at end
returning subject, attempts, extract(epoch from began_at - stored_now())::float8 + $2 as ends_in";

const CLEAR: &str = "-- sign_in_throttle.clear
delete from sign_in_throttle where subject = $1";

const SWEEP: &str = "-- sign_in_throttle.sweep
delete from sign_in_throttle where began_at < stored_now() - make_interval(secs => $1)";

/// The attempts that were counted for a subject.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CountedAttempts {
    pub subject: Vec<u8>,
    /// With this one.
    pub attempts: i32,
    /// The seconds until the count begins again.
    pub ends_in: f64,
}

impl Store {
    /// Counts an attempt of each subject before it is made, so that concurrent attempts are counted too.
    pub async fn count_attempt(
        &self,
        subjects: &[Vec<u8>],
        window: Duration,
    ) -> Result<Vec<CountedAttempts>, StoreError> {
        let client = self.writer().await?;
        let rows = client.query(TAKE, &[&subjects, &window.as_secs_f64()]).await?;
        let counted = rows.iter().map(|row| CountedAttempts {
            subject: row.get("subject"),
            attempts: row.get("attempts"),
            ends_in: row.get("ends_in"),
        });
        Ok(counted.collect())
    }

    /// Forgets the attempts of a subject, because one of them succeeded.
    pub async fn clear_attempts(&self, subject: &[u8], window: Duration) -> Result<(), StoreError> {
        let client = self.writer().await?;
        client.execute(CLEAR, &[&subject]).await?;
        client.execute(SWEEP, &[&window.as_secs_f64()]).await?;
        Ok(())
    }
}
