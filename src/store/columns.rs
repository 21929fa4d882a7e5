//! Integers of columns. PostgreSQL has only signed integers, so a stored value may not fit the code's type. Such a value is
//! reported as corrupt and never converted to another number.

use std::fmt::Display;

use tokio_postgres::Row as PgRow;
use tokio_postgres::types::FromSql;

use super::StoreError;

/// Returns a `bigint` that counts something.
pub(super) fn count(
    row: &PgRow,
    table: &'static str,
    column: &'static str,
    key: &dyn Display,
) -> Result<u64, StoreError> {
    integer::<i64, _>(row, table, column, key)
}

/// Returns an `integer` that counts something.
pub(super) fn small_count(
    row: &PgRow,
    table: &'static str,
    column: &'static str,
    key: &dyn Display,
) -> Result<u32, StoreError> {
    integer::<i32, _>(row, table, column, key)
}

/// Returns a column of type `Stored` as a `Value`.
pub(super) fn integer<'a, Stored, Value>(
    row: &'a PgRow,
    table: &'static str,
    column: &'static str,
    key: &dyn Display,
) -> Result<Value, StoreError>
where
    Stored: FromSql<'a>,
    Value: TryFrom<Stored, Error: std::error::Error + Send + Sync + 'static>,
{
    let stored: Stored = row.get(column);
    Value::try_from(stored).map_err(|error| StoreError::corrupt(table, column, key, error))
}

/// Returns a value as the `integer` of a column that it is written to.
pub(super) fn to_integer<Value>(
    value: Value,
    table: &'static str,
    column: &'static str,
    key: &dyn Display,
) -> Result<i32, StoreError>
where
    i32: TryFrom<Value, Error: std::error::Error + Send + Sync + 'static>,
{
    i32::try_from(value).map_err(|error| StoreError::corrupt(table, column, key, error))
}

/// Returns a bound as a `bigint`. No table has as many rows as the largest `bigint`, so a larger bound means the same.
pub(super) fn limit(bound: usize) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}
