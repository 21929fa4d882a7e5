-- On a full table: the column comes without rewriting the table.

-- An operator wants the company listed though no contact belongs to it.
alter table company add column kept boolean not null default false;
