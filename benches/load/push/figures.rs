//! The results, as a table for people and as one line of JSON for programs.

use serde_json::json;

use super::book::Book;
use crate::figures::say;

/// Fields that were not measured are `None`.
#[derive(Default)]
pub(crate) struct PushFigures {
    pub(crate) per_s_1: Option<f64>,
    pub(crate) per_s_10: Option<f64>,
    pub(crate) batch_per_s: Option<f64>,
    pub(crate) p99_ms_300: Option<f64>,
    pub(crate) catch_up_s: Option<f64>,
    pub(crate) statements_per_event: Option<f64>,
    /// Connections that were opened for all deliveries to ten endpoints of one receiver.
    pub(crate) connections_10: Option<f64>,
    /// Deliveries per CPU second of the service, divided by the posts per CPU second of a bare client.
    pub(crate) share_of_bare: Option<f64>,
    /// From the return of a service that was killed until the last overdue retry has arrived.
    pub(crate) overdue_retries_s: Option<f64>,
    /// Statements per event besides those of its write, at 50 events/s.
    pub(crate) statements_beside_write_50: Option<f64>,
    /// CPU time of the service per event at 50 events/s, without that of the idle service.
    pub(crate) cpu_us_event_50: Option<f64>,
    pub(crate) attacked_p99_ms: Option<f64>,
    /// The maximum growth of the service's memory.
    pub(crate) attacked_rss_mb: Option<f64>,
    duplicates: u64,
    order_violations: u64,
    lost: u64,
}

impl PushFigures {
    /// Takes a book whose endpoints should have this many events each. Returns its rate.
    pub(crate) fn settle(&mut self, book: &Book, heads: &[u64]) -> Option<f64> {
        let lost: u64 = (0..).zip(heads).map(|(endpoint, head)| book.missing(endpoint, *head)).sum();
        self.lost += lost;
        self.duplicates += book.duplicates;
        self.order_violations += book.order_violations;
        if lost > 0 {
            say(&format!("         {lost} events did not arrive"));
            return None;
        }
        book.per_second()
    }

    /// Prints the table, then the JSON.
    pub(crate) fn print(&self) {
        say("");
        say("| figure | measured | at least | aim |");
        say("| --- | --- | --- | --- |");
        let count = |count: u64| Some(count as f64);
        for (label, figure, decimals, least, aim) in [
            ("delivered events/s, one endpoint, receiver at 0 ms", self.per_s_1, 0, "3,500", "8,500"),
            ("delivered events/s, ten endpoints on the same events", self.per_s_10, 0, "6,000", "12,000"),
            ("batch mode, events/s", self.batch_per_s, 0, "20,000", "50,000"),
            ("p99 commit → received at 300 events/s, ms", self.p99_ms_300, 2, "10", "2"),
            ("catch up after an outage of 20 s, s", self.catch_up_s, 2, "5", "1"),
            ("statements of push per event at 300 events/s", self.statements_per_event, 4, "0.2", "0.02"),
            ("connections for 200,000 deliveries to ten endpoints", self.connections_10, 0, "1,000", "400"),
            ("deliveries per CPU second ÷ a bare hyper client's posts", self.share_of_bare, 2, "0.4", "0.7"),
            ("retries due while the service was killed, s after its return", self.overdue_retries_s, 2, "2", "0.5"),
            ("statements beside the write at 50 events/s", self.statements_beside_write_50, 3, "0.3", "0.1"),
            ("CPU of the service per event at 50 events/s, µs", self.cpu_us_event_50, 0, "2,000", "1,000"),
            ("another account while one is attacked, p99, ms", self.attacked_p99_ms, 2, "50", "10"),
            ("growth of the service's memory meanwhile, MB", self.attacked_rss_mb, 1, "20", "5"),
            ("lost, over the whole run", count(self.lost), 0, "0", "0"),
            ("duplicates, over the whole run", count(self.duplicates), 0, "≤ window", "≤ window"),
            ("order violations, over the whole run", count(self.order_violations), 0, "0", "0"),
        ] {
            let measured = figure.map_or_else(|| "not measured".to_owned(), |figure| format!("{figure:.decimals$}"));
            say(&format!("| {label} | {measured} | {least} | {aim} |"));
        }
        say("");
        let whole = |figure: Option<f64>| figure.map(|figure| figure.round() as i64);
        let rounded = |figure: Option<f64>| figure.map(|figure| (figure * 1e4).round() / 1e4);
        let json = json!({
            "per_s_1": whole(self.per_s_1),
            "per_s_10": whole(self.per_s_10),
            "batch_per_s": whole(self.batch_per_s),
            "p99_ms_300": rounded(self.p99_ms_300),
            "catch_up_s": rounded(self.catch_up_s),
            "statements_per_event": rounded(self.statements_per_event),
            "connections_10": whole(self.connections_10),
            "share_of_bare": rounded(self.share_of_bare),
            "overdue_retries_s": rounded(self.overdue_retries_s),
            "statements_beside_write_50": rounded(self.statements_beside_write_50),
            "cpu_us_event_50": whole(self.cpu_us_event_50),
            "duplicates": self.duplicates,
            "order_violations": self.order_violations,
            "lost": self.lost,
            "attacked_p99_ms": rounded(self.attacked_p99_ms),
            "attacked_rss_mb": rounded(self.attacked_rss_mb),
        });
        say(&json.to_string());
    }
}
