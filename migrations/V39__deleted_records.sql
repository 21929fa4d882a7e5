-- On a full table: contacts, companies and projects are read once, and writes to each wait meanwhile (about a second for a
-- million records). Replicas of the version before write and read as they did.

-- The lists of deleted records. An index of them alone costs nothing when a record is created or changed.
create index contact_deleted on contact (account_id, uid) where deleted;
create index company_deleted on company (account_id, uid) where deleted;
create index project_deleted on project (account_id, uid) where deleted;
