-- Functions from which `fill.sql` and the batches of `run.sh` make identifiers and JSON of realistic size. They stand in
-- a schema of their own, so that one `drop schema bench cascade` removes them.
--
-- Each account has the same log. Events come in groups of three: create, create, update. The two creates of group g make
-- the records number 2g and 2g + 1. The update of group g goes to record 2(g - g mod 10), so one record in twenty has a
-- history of eleven events and each of the others has one event.

create schema bench;

create function bench.account_id(n bigint) returns uuid language sql immutable parallel safe as $$
    select md5('account ' || n)::uuid
$$;

-- Grows with `seq`, as a UUID of version 7 grows with time; the rest is random.
create function bench.uid(account uuid, seq bigint) returns uuid language sql immutable parallel safe as $$
    select encode(substr(int8send(seq), 3) || int8send(hashint8extended(seq, 7)) || substr(uuid_send(account), 1, 2), 'hex')::uuid
$$;

create function bench.key(account uuid, seq bigint) returns text language sql immutable parallel safe as $$
    select encode(int8send(hashint8extended(seq, 1)) || substr(uuid_send(account), 1, 4), 'hex') || '@load.example'
$$;

-- The kind of a record by its number in the account.
create function bench.kind(record bigint) returns text language sql immutable parallel safe as $$
    select case record % 40
        when 5 then 'company' when 12 then 'company' when 20 then 'company' when 33 then 'company'
        when 7 then 'project' when 27 then 'project'
        when 9 then 'custom_field' when 14 then 'audience' when 16 then 'circle'
        when 22 then 'note' when 36 then 'note'
        when 38 then 'world'
        else 'contact' end
$$;

-- The time of every event, and of every record, which has no fraction of a second.
create function bench.at() returns timestamptz language sql immutable parallel safe as $$
    select timestamptz '2026-09-01 03:02:02.123890Z'
$$;

-- The lookup key of a record with this name.
create function bench.lookup_key(kind text, key text, created bigint) returns text language sql immutable parallel safe as $$
    select case kind
        when 'note' then null when 'push' then null
        when 'audience' then created::text
        when 'custom_field' then 'contact/' || key
        else key end
$$;

-- The name of a kind of record in types of events and in the counts of a head.
create function bench.name_of(kind text) returns text language sql immutable parallel safe as $$
    select case kind when 'custom_field' then 'schema' else kind end
$$;

-- The root of the event types of a kind of record.
create function bench.type_of(kind text, is_update boolean) returns text language sql immutable parallel safe as $$
    select case
        when kind = 'custom_field' then case when is_update then 'schema.field_changed' else 'schema.field_added' end
        else kind || case when is_update then '.updated' else '.created' end end
$$;

-- The record as clients see it: about 1.1 kB for a contact.
create function bench.record(kind text, uid uuid, key text, created bigint, version bigint, links text)
returns text language sql immutable parallel safe as $$
    select case kind
        when 'contact' then format('{"uid":"%s","role":"Lead","name_prefix":null,"first_name":"Wilhelmina","last_name":"Vandenberg %s","title":"Head of procurement","email":"%s","home_email":null,"work_email":null,"phone":"+31 20 555 01 %s","home_phone":null,"work_phone":"+31 20 555 01 24","shop_phone":null,"website":"https://www.example.com/people/vandenberg","background_info":"Met at the fair in Utrecht, asked for the new catalogue.","tags":["newsletter","north","trade fair"],"address":{"address_line_1":"Keizersgracht %s","address_line_2":null,"city":"Amsterdam","state":null,"country":"Netherlands","zip":"1015 CJ"},"full_address":"Keizersgracht %s, Amsterdam, 1015 CJ, Netherlands","companies":[%s],"circles":[],"audiences":[],"custom_fields":{},"target_custom_fields":{},',
            uid, created, key, version, created, created, links)
        when 'company' then format('{"uid":"%s","role":"Lead","name":"%s","category":null,"phone":"+49 30 901820","home_phone":null,"work_phone":null,"shop_phone":null,"website":"https://acme.example/%s","background_info":"Line one.\nLine two.","tags":["alpha","zulu"],"address":{"address_line_1":"Hauptstrasse %s","address_line_2":"2. Stock","city":"Berlin","state":"BE","country":"DE","zip":"10115"},"full_address":"Hauptstrasse %s, 2. Stock, Berlin, BE, 10115, DE","primaryContact":null,"custom_fields":{},',
            uid, key, version, created, created)
        when 'note' then format('{"uid":"%s","contact":"%s","title":"Call","note":"Met in Rome, number %s","date":"2026-11-24",',
            uid, uid, version)
        when 'audience' then format('{"uid":"%s","id":%s,"name":"%s",', uid, created, key)
        when 'custom_field' then format('{"uid":"%s","entity":"contact","type":"text","name":"%s","description":"number %s","allowed_values":[],',
            uid, key, version)
        when 'push' then format('{"uid":"%s","status":"%s","description":"number %s","failing_since":null,', uid, key, version)
        else format('{"uid":"%s","name":"%s",', uid, key) end
    || format('"active":true,"created":"2026-09-01T03:02:02+00:00","updated":"2026-09-01T03:02:02+00:00","version":%s,"deleted":false,"refs":[],"field_seq":{"role":%s,"first_name":%s,"last_name":%s,"email":%s,"title":%s,"phone":%s,"tags":%s,"address":%s}}',
        version, created, created, created, created, created, version, created, created)
$$;

-- The event as every channel sends it: about 2.2 kB for a new contact, the record at its end.
create function bench.body(account uuid, seq bigint, type text, uid uuid, previous bigint, key text, record text)
returns text language sql immutable parallel safe as $$
    select format('{"specversion":"1.0","id":"%s:%s","source":"/accounts/%s","type":"crm.%s","subject":"%s","time":"2026-09-01T03:02:02.123890Z","sequence":"%s","partitionkey":"%s","origin":"tryton","datacontenttype":"application/json","data":{"seq":%s,"previous_version":%s,"changed":{%s},"record":%s}}',
        account, seq, account, type, uid, lpad(seq::text, 20, '0'), uid, seq, coalesce(previous::text, 'null'),
        case
            when type = 'contact.created' then format('"role":{"from":null,"to":"Lead"},"first_name":{"from":null,"to":"Wilhelmina"},"last_name":{"from":null,"to":"Vandenberg %s"},"email":{"from":null,"to":"%s"},"title":{"from":null,"to":"Head of procurement"},"phone":{"from":null,"to":"+31 20 555 01 %s"},"work_phone":{"from":null,"to":"+31 20 555 01 24"},"website":{"from":null,"to":"https://www.example.com/people/vandenberg"},"background_info":{"from":null,"to":"Met at the fair in Utrecht, asked for the new catalogue."},"tags":{"from":[],"to":["newsletter","north","trade fair"]}',
                seq, key, seq)
            when type like 'contact.%' then format('"last_name":{"from":"%s","to":"%s"},"phone":{"from":"number %s","to":"number %s"}', key, key, previous, seq)
            when type like 'company.%' then format('"name":{"from":"%s","to":"%s"},"website":{"from":"number %s","to":"number %s"}', key, key, previous, seq)
            when type like 'project.%' then format('"name":{"from":"%s","to":"%s"},"info_description":{"from":"number %s","to":"number %s"}', key, key, previous, seq)
            when type like 'note.%' then format('"title":{"from":"%s","to":"%s"},"note":{"from":"number %s","to":"number %s"}', key, key, previous, seq)
            when type like 'push.%' then format('"status":{"from":"%s","to":"%s"},"description":{"from":"number %s","to":"number %s"}', key, key, previous, seq)
            when type like 'schema.%' then format('"name":{"from":"%s","to":"%s"},"description":{"from":"number %s","to":"number %s"}', key, key, previous, seq)
            else format('"name":{"from":"%s","to":"%s"}', key || previous, key)
        end, record)
$$;

-- One new contact, whose texts the batches of `run.sh` send.
create table bench.sample as
select bench.body(bench.account_id(0), 1, 'contact.created', u, null, k, r) as body, r as record
from (select bench.uid(bench.account_id(0), 1) as u, bench.key(bench.account_id(0), 1) as k) as i
cross join lateral (select bench.record('contact', u, k, 1, 1, '') as r) as t;
