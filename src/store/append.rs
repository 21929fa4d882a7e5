//! The statement that appends a batch: it inserts events, advances heads, and may insert the rows of new records. One
//! statement for all of them takes PostgreSQL less time than one each.

/// Makes the statement. $1 to $7 are events and $8 to $10 heads. `$inserted` is empty, or ends the first part of the `with`
/// and begins a second one, whose parameters are from $11 on.
macro_rules! append {
    ($table:literal, $inserted:expr) => {
        concat!(
            "-- ",
            $table,
            ".append
with appended as (
    insert into event (account_id, seq, uid, type, at, origin, body)
    select account_id, seq, uid, type, at, origin, body
    from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[], $7::text[])
        as e(account_id, seq, uid, type, at, origin, body)",
            $inserted,
            "
)
update head set seq = h.seq, live = h.live::json
from unnest($8::uuid[], $9::bigint[], $10::text[]) as h(account_id, seq, live)
where head.account_id = h.account_id"
        )
    };
}
pub(super) use append;

/// Appends events of records that all have rows.
pub(super) const APPEND: &str = append!("batch", "");
