-- On a full table: the columns come without rewriting a table; then contacts, companies and their links are read once,
-- every head and every company that is listed is written once, and writes wait meanwhile (a second or two for a
-- million records). Both tables' dead rows are left to autovacuum.

-- How many live records of each kind the account has, as `{"contact": 12}`. It stands in the row that every writer
-- locks and writes in any case, so that it costs no statement and no lock of its own.
alter table head add column live json not null default '{}';
-- How many of the account's companies are listed.
alter table head add column listed_companies bigint not null default 0;

-- A company is listed when it is live and a live contact belongs to it.
alter table company add column listed boolean not null default false;
update company c set listed = true
where not c.deleted
    and exists (select from contact_company l where l.account_id = c.account_id and l.company_uid = c.uid);
create index company_listed on company (account_id, uid) where listed;

update head h set
    live = json_build_object(
        'contact', (select count(*) from contact r where r.account_id = h.account_id and not r.deleted),
        'company', (select count(*) from company r where r.account_id = h.account_id and not r.deleted)),
    listed_companies = (select count(*) from company r where r.account_id = h.account_id and r.listed);
