-- Takes from the service's role what it never does. Run it as unificus_owner after every `unificus migrate`:
--
--   psql -X -v ON_ERROR_STOP=1 -f deploy/postgres/rights.sql "$OWNER_URL"
--
-- It is a second lock on the door; the service runs without it too. A role of another name: -v service=…

\set ON_ERROR_STOP on
\set QUIET on
\if :{?service}
\else
    \set service unificus
\endif

-- The log only grows. Erasing a person's data replaces bodies of events, and deletes no event.
revoke delete, truncate on event from :"service";
-- Nobody rewrites the record of changes outside of the log.
revoke update, delete, truncate on audit from :"service";
-- Only `unificus migrate` writes it, as the owner.
revoke insert, update, delete, truncate on refinery_schema_history from :"service";
