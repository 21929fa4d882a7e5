-- On a full table: the column goes from the catalogue alone.

-- What the log was last told of an endpoint's health stands in `push_health`, which is written with the log.
alter table push_endpoint drop column reported;
