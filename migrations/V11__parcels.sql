-- On a full table: both columns come without rewriting it.

-- `first_seq` is the first event of its record that a waiting one stands for, where that is not itself. `batch` is the
-- first event of the batch that it was sent in: a batch that failed goes again as it was.
alter table push_waiting
    add column first_seq bigint,
    add column batch     bigint;
