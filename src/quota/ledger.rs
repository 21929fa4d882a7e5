//! Calls, taken before they are carried out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::Date;
use tokio::sync::{Notify, oneshot};

use super::window::{Standing, Window, month};
use crate::config;
use crate::domain::account::Tier;
use crate::domain::{AccountId, Timestamp};
use crate::store::quota::{Ask, Grant};
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

/// What calls are asked of. Cloning shares it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    config: config::Quota,
    asked: Mutex<BTreeMap<(AccountId, Date), Asked>>,
    burst: Mutex<Burst>,
    wake: Arc<Notify>,
}

/// What waits for the next question about one account's month.
#[derive(Default)]
struct Asked {
    most: u64,
    callers: Vec<oneshot::Sender<Option<u64>>>,
    /// Calls that nobody waits for, where limits are not enforced.
    counted: u64,
    given_back: u64,
}

/// The calls of the present second.
#[derive(Default)]
struct Burst {
    second: i64,
    calls: HashMap<AccountId, u64>,
}

/// A call that may be carried out, and is counted unless it is given back.
pub struct Call {
    ledger: Ledger,
    key: (AccountId, Date),
    /// Where the account stands, this call counted; nothing where limits are not enforced.
    standing: Option<Standing>,
}

/// Why a call may not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Too many in this second.
    Burst(Standing),
    /// The month's calls are used up.
    Month(Standing),
    /// The database did not answer.
    Unavailable,
}

impl Ledger {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(config: config::Quota) -> Self {
        let (asked, burst, wake) = (Mutex::default(), Mutex::default(), Arc::default());
        Self { shared: Arc::new(Shared { config, asked, burst, wake }) }
    }

    /// Takes one call from the account's month. Cancelled while it waits, it takes none.
    pub async fn take(&self, account: AccountId, tier: Tier, at: Timestamp) -> Result<Call, Denied> {
        let key = (account, month(at));
        if !self.shared.config.enforced {
            self.asked().entry(key).or_default().counted += 1;
            return Ok(Call { ledger: self.clone(), key, standing: None });
        }
        let most = tier.monthly_calls();
        let per_second = self.shared.config.burst_per_second;
        let burst = self.burst(account, at);
        let standing =
            |used| Standing { burst: Window::burst(per_second, burst), month: Window::month(most, used, at) };
        if burst > per_second {
            // What the month has left is not worth a question here.
            return Err(Denied::Burst(standing(0)));
        }
        let (reply, answer) = oneshot::channel();
        {
            let mut asked = self.asked();
            let asked = asked.entry(key).or_default();
            // The tier of the latest caller: a change takes effect on the next call.
            asked.most = most;
            asked.callers.push(reply);
        }
        self.shared.wake.notify_one();
        match answer.await {
            Ok(Some(used)) => Ok(Call { ledger: self.clone(), key, standing: Some(standing(used)) }),
            Ok(None) => Err(Denied::Month(standing(most))),
            Err(_) => Err(Denied::Unavailable),
        }
    }

    /// Asks the database for all that waits. What could not be given back or counted is kept for the next time; callers
    /// are told that the database is away.
    pub async fn book(&self, store: &Store) -> Result<bool, StoreError> {
        let asked = std::mem::take(&mut *self.asked());
        if asked.is_empty() {
            return Ok(false);
        }
        let asks: Vec<Ask> = asked.iter().map(|(key, asked)| asked.ask(*key)).collect();
        match store.take_calls(&asks).await {
            Ok(grants) => {
                self.answer(asked, &grants);
                Ok(true)
            }
            Err(error) => {
                let mut now = self.asked();
                for (key, Asked { counted, given_back, .. }) in asked {
                    if counted + given_back > 0 {
                        let kept = now.entry(key).or_default();
                        kept.counted += counted;
                        kept.given_back += given_back;
                    }
                }
                Err(error)
            }
        }
    }

    fn answer(&self, mut asked: BTreeMap<(AccountId, Date), Asked>, grants: &[Grant]) {
        for grant in grants {
            let key = (grant.account, grant.month);
            let callers = asked.remove(&key).map(|asked| asked.callers).unwrap_or_default();
            // The first to be answered took the first of the calls granted.
            let places = (grant.used - grant.calls + 1..=grant.used).map(Some).chain(std::iter::repeat(None));
            for (caller, place) in callers.into_iter().zip(places) {
                let gone = caller.send(place).is_err();
                if gone && place.is_some() {
                    self.give_back(key);
                }
            }
        }
    }

    /// Counts a call in the account's second; returns how many that makes.
    fn burst(&self, account: AccountId, at: Timestamp) -> u64 {
        let mut burst = self.shared.burst.lock().unwrap_or_else(PoisonError::into_inner);
        let second = at.unix_timestamp();
        if burst.second != second {
            burst.second = second;
            burst.calls.clear();
        }
        let calls = burst.calls.entry(account).or_default();
        *calls += 1;
        *calls
    }

    fn give_back(&self, key: (AccountId, Date)) {
        self.asked().entry(key).or_default().given_back += 1;
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<(AccountId, Date), Asked>> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn ask(&self, (account, month): (AccountId, Date)) -> Ask {
        // Of calls that were never booked, those given back are simply not booked.
        let unbooked = self.counted.min(self.given_back);
        let callers = u64::try_from(self.callers.len()).unwrap_or(u64::MAX);
        // Without callers there is no limit to hold: these calls were carried out.
        let most = if self.callers.is_empty() { u64::MAX } else { self.most };
        let calls = callers.saturating_add(self.counted - unbooked);
        Ask { account, month, calls, given_back: self.given_back - unbooked, most }
    }
}

impl Call {
    /// Where the account stands.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.standing
    }

    /// The call does not count; returns where the account stands without it.
    #[must_use]
    pub fn give_back(self) -> Option<Standing> {
        self.ledger.give_back(self.key);
        let mut standing = self.standing?;
        standing.month.left += 1;
        Some(standing)
    }
}

/// Asks the database as long as there is something to ask.
pub struct Booking {
    ledger: Ledger,
    store: Store,
}

impl Booking {
    /// The ledger stays the caller's to take calls from.
    #[must_use]
    pub fn new(ledger: Ledger, store: Store) -> Self {
        Self { ledger, store }
    }
}

impl Worker for Booking {
    const NAME: &'static str = "quota";
    /// So long does a call wait that was given back.
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let booked = self.ledger.book(&self.store).await?;
        let enforced = self.ledger.shared.config.enforced;
        // Where nobody waits, one write a second is enough.
        Ok(if booked && enforced { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.ledger.shared.wake)
    }
}
