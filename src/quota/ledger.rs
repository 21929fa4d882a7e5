//! Calls, taken before they are carried out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::Date;
use tokio::sync::{Notify, oneshot};

use super::window::{Standing, Window, day};
use crate::config;
use crate::domain::account::Tier;
use crate::domain::{AccountId, Timestamp};
use crate::store::quota::{Ask, Grant, month};
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

/// What calls are asked of. Cloning shares it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    config: config::Quota,
    /// By the days (UTC) that the calls are made on.
    asked: Mutex<BTreeMap<Key, Asked>>,
    burst: Mutex<Burst>,
    wake: Arc<Notify>,
}

type Key = (AccountId, Date);

/// What waits for the next question about one account's day.
#[derive(Default)]
struct Asked {
    callers: Vec<oneshot::Sender<Place>>,
    /// Who asks without wanting a call.
    lookers: Vec<oneshot::Sender<Place>>,
    /// Calls that nobody waits for, where limits are not enforced.
    counted: u64,
    given_back: u64,
}

/// Where a caller came in the month.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The month's calls, the caller's own among them where it is granted.
    used: u64,
    most: u64,
    granted: bool,
    revision: i64,
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
    key: Key,
    /// Where the account stands, this call counted; nothing where limits are not enforced.
    standing: Option<Standing>,
}

/// The answer to a question.
pub struct Told<T> {
    /// What was asked for, or why it is refused.
    pub outcome: Result<T, Denied>,
    /// The account's revision at that moment; nothing where the database was not asked.
    pub revision: Option<i64>,
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

    /// Takes one call from the account's month, whose limit is that of the tier that the account has at that moment;
    /// `tier` is the caller's belief. Cancelled while it waits, it takes none.
    pub async fn take(&self, account: AccountId, tier: Tier, at: Timestamp) -> Told<Call> {
        let key = (account, day(at));
        if !self.shared.config.enforced {
            self.asked().entry(key).or_default().counted += 1;
            return Told { outcome: Ok(Call { ledger: self.clone(), key, standing: None }), revision: None };
        }
        let calls = self.shared.burst().call(account, at);
        if calls > self.shared.config.burst_per_second {
            // What the month has left is not worth a question here.
            let standing = Standing { month: None, ..self.standing(calls, tier.monthly_calls(), 0, at) };
            return Told { outcome: Err(Denied::Burst(standing)), revision: None };
        }
        let Some(place) = self.ask(key, |asked| &mut asked.callers).await else { return Told::UNAVAILABLE };
        let standing = self.standing(calls, place.most, place.used, at);
        let outcome = if place.granted {
            Ok(Call { ledger: self.clone(), key, standing: Some(standing) })
        } else {
            Err(Denied::Month(standing))
        };
        Told { outcome, revision: Some(place.revision) }
    }

    /// Where the account stands once all that this replica knows of its day is booked; nothing where limits are not
    /// enforced. Takes no call, of the second neither.
    pub async fn look(&self, account: AccountId, at: Timestamp) -> Told<Option<Standing>> {
        let Some(place) = self.ask((account, day(at)), |asked| &mut asked.lookers).await else {
            return Told::UNAVAILABLE;
        };
        let calls = self.shared.burst().calls(account, at);
        let standing = self.standing(calls, place.most, place.used, at);
        Told { outcome: Ok(self.shared.config.enforced.then_some(standing)), revision: Some(place.revision) }
    }

    /// Waits in one of a day's lists for the next question; `None` where it is not answered.
    async fn ask(&self, key: Key, list: fn(&mut Asked) -> &mut Vec<oneshot::Sender<Place>>) -> Option<Place> {
        let (reply, answer) = oneshot::channel();
        list(self.asked().entry(key).or_default()).push(reply);
        self.shared.wake.notify_one();
        answer.await.ok()
    }

    fn standing(&self, calls: u64, most: u64, used: u64, at: Timestamp) -> Standing {
        let burst = Window::burst(self.shared.config.burst_per_second, calls);
        Standing { burst, month: Some(Window::month(most, used, at)) }
    }

    /// Asks the database for all that waits. What could not be given back or counted is kept for the next time; callers
    /// are told that the database is away.
    pub async fn book(&self, store: &Store) -> Result<bool, StoreError> {
        let asked = self.due();
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

    /// What the next question is about: of each account's month the first day. Only at midnight is there another, which
    /// waits for the question after.
    fn due(&self) -> BTreeMap<Key, Asked> {
        let mut asked = self.asked();
        let mut latest = None;
        let is_first = |((account, day), _): &(Key, Asked)| {
            let month = (*account, month(*day));
            latest.replace(month) != Some(month)
        };
        let (due, later) = std::mem::take(&mut *asked).into_iter().partition(is_first);
        *asked = later;
        due
    }

    fn answer(&self, mut asked: BTreeMap<Key, Asked>, grants: &[Grant]) {
        for grant in grants {
            let key = (grant.account, grant.day);
            let Some(Asked { callers, lookers, .. }) = asked.remove(&key) else { continue };
            let Grant { calls, used, most, revision, .. } = *grant;
            let place = |granted, used| Place { used, most, granted, revision };
            // The first to be answered took the first of the calls granted.
            let granted = (used - calls + 1..=used).map(|used| place(true, used));
            for (caller, place) in callers.into_iter().zip(granted.chain(std::iter::repeat(place(false, used)))) {
                let gone = caller.send(place).is_err();
                if gone && place.granted {
                    self.give_back(key);
                }
            }
            for looker in lookers {
                let _gone = looker.send(place(false, used));
            }
        }
    }

    fn give_back(&self, key: Key) {
        self.asked().entry(key).or_default().given_back += 1;
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<Key, Asked>> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn burst(&self) -> MutexGuard<'_, Burst> {
        self.burst.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Burst {
    /// Counts a call in the account's second; returns how many that makes.
    fn call(&mut self, account: AccountId, at: Timestamp) -> u64 {
        let second = at.unix_timestamp();
        // One that is late, for its account had to be looked up, counts with those of the present second.
        if second > self.second {
            self.second = second;
            self.calls.clear();
        }
        let calls = self.calls.entry(account).or_default();
        *calls += 1;
        *calls
    }

    /// The calls of the account's second so far.
    fn calls(&self, account: AccountId, at: Timestamp) -> u64 {
        if self.second == at.unix_timestamp() { self.calls.get(&account).copied().unwrap_or(0) } else { 0 }
    }
}

impl Asked {
    fn ask(&self, (account, day): Key) -> Ask {
        // Of calls that were never booked, those given back are simply not booked.
        let unbooked = self.counted.min(self.given_back);
        let callers = u64::try_from(self.callers.len()).unwrap_or(u64::MAX);
        let calls = callers.saturating_add(self.counted - unbooked);
        // Without callers there is no limit to hold: these calls were carried out.
        Ask { account, day, calls, given_back: self.given_back - unbooked, limited: !self.callers.is_empty() }
    }
}

impl<T> Told<T> {
    const UNAVAILABLE: Self = Self { outcome: Err(Denied::Unavailable), revision: None };
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
        standing.month.iter_mut().for_each(|month| month.left += 1);
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
