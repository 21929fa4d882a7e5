//! Each kind of wrong value, and each kind of damage to a log.

use std::collections::BTreeSet;

use serde_json::json;

use super::{WithoutStdout as _, dump, equal, history, is_left, rebuilt, results, run};
use crate::support::Service;
use crate::support::program::failure_text;

/// A wrong row or count: the statement that makes it for account `$1`, the record that is reported, and the field.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "update contact set record = replace(record, '\"Zoe\"', '\"Zoë\"') where account_id = $1 and key = 'z@example.org'",
        "contact",
        "record.first_name",
    ),
    (
        "update contact set record = record || ' ' where account_id = $1 and key = 'z@example.org'",
        "contact",
        "record, byte",
    ),
    ("update contact set key = 'other@example.org' where account_id = $1 and key = 'z@example.org'", "contact", "key"),
    ("update contact set key = null where account_id = $1 and key = 'z@example.org'", "contact", "key"),
    ("update contact set role = 'Client' where account_id = $1 and key = 'z@example.org'", "contact", "role"),
    ("update contact set version = version + 1 where account_id = $1 and key = 'z@example.org'", "contact", "version"),
    ("update contact set deleted = true where account_id = $1 and key = 'z@example.org'", "contact", "deleted"),
    (
        "update contact set created_at = created_at - interval '1 second' where account_id = $1 and key = 'z@example.org'",
        "contact",
        "created_at",
    ),
    (
        "update contact set updated_at = updated_at + interval '1 microsecond' where account_id = $1 and key = 'z@example.org'",
        "contact",
        "updated_at",
    ),
    ("delete from contact where account_id = $1 and key = 'z@example.org'", "contact", "row"),
    (
        "insert into contact select account_id, gen_random_uuid(), version, 'surplus', role, deleted, created_at, updated_at, record from contact where account_id = $1 and key = 'z@example.org'",
        "contact",
        "row",
    ),
    (
        "delete from contact_company where account_id = $1 and contact_uid = (select uid from contact where account_id = $1 and key = 'p3@example.org')",
        "contact",
        "contact_company.company_uid",
    ),
    (
        "insert into contact_company select account_id, (select uid from company where account_id = $1 and key = 'kept'), uid from contact where account_id = $1 and key = 'z@example.org'",
        "contact",
        "contact_company.company_uid",
    ),
    (
        "insert into contact_company select account_id, uid, gen_random_uuid() from company where account_id = $1 and key = 'kept'",
        "contact",
        "contact_company.company_uid",
    ),
    ("update company set listed = not listed where account_id = $1 and key = 'kept'", "company", "listed"),
    (
        "update company set kept = not kept, listed = not listed where account_id = $1 and key = 'kept'",
        "company",
        "kept",
    ),
    ("update project set record = '{}' where account_id = $1", "project", "record."),
    ("delete from custom_field where account_id = $1", "schema", "row"),
    ("update audience set key = '17' where account_id = $1", "audience", "key"),
    ("update circle set key = 'foes' where account_id = $1", "circle", "key"),
    ("update note set record = replace(record, 'Rang', 'Sang') where account_id = $1", "note", "record.note"),
    ("delete from world where account_id = $1", "world", "row"),
    (
        "insert into push_health select account_id, uid, version, null, null, deleted, created_at, updated_at, record from world where account_id = $1",
        "push",
        "row",
    ),
    (
        "update contact_search set text = 'nobody' where account_id = $1 and text like '%zed%'",
        "contact",
        "contact_search.text",
    ),
    (
        "insert into contact_search select account_id, gen_random_uuid(), 'surplus' from head where account_id = $1",
        "contact",
        "contact_search.text",
    ),
    (
        "update head set live = jsonb_set(live::jsonb, '{contact}', '99')::json where account_id = $1",
        "",
        "head.live.contact",
    ),
    ("update head set listed_companies = listed_companies + 1 where account_id = $1", "", "head.listed_companies"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_value_is_found_with_its_account_record_and_field_and_is_mended() {
    let service = Service::start().await;
    let (env, sql) = (&service.env, service.env.sql().await);
    let mut accounts = Vec::new();
    for _ in WRONG {
        let api = service.other_client().await;
        history(&service, &api).await;
        accounts.push(api.account);
    }
    equal(env, "before").await;
    let before = dump(&sql).await;
    for (account, (change, ..)) in accounts.iter().zip(WRONG) {
        assert!(sql.execute(*change, &[&account.0]).await.unwrap() > 0, "{change}");
    }

    let output = run(env, "verify --json").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let findings = results(&output);
    for (account, (change, entity, field)) in accounts.iter().zip(WRONG) {
        let finding = findings.iter().find(|finding| finding["public_id"] == json!(account));
        let finding = finding.unwrap_or_else(|| panic!("not found: {change}"));
        assert_eq!(finding["different"], "read_model", "{change}: {finding}");
        assert_eq!(finding["entity"].as_str().unwrap_or_default(), *entity, "{change}: {finding}");
        assert_eq!(finding["uid"].is_null(), entity.is_empty(), "{change}: {finding}");
        assert!(finding["field"].as_str().unwrap().starts_with(field), "{change}: {finding}");
        assert_ne!(finding["expected"], finding["stored"], "{change}: {finding}");
    }

    // Half of them one by one, the rest all together.
    let half = accounts.len() / 2;
    let named: Vec<String> = accounts.iter().take(half).map(|account| format!(" --account {account}")).collect();
    let mended = rebuilt(env, &named.concat()).await;
    assert_eq!(mended["accounts"], half);
    assert!(mended["mended"].as_u64().unwrap() >= half as u64, "{mended}");
    let output = run(env, "verify --json").await;
    let unsound: BTreeSet<_> = results(&output).iter().map(|finding| finding["public_id"].to_string()).collect();
    assert_eq!(unsound.len(), accounts.len() - half + 1, "the named accounts are equal, and there is a line of totals");
    rebuilt(env, "").await;
    equal(env, "after").await;
    assert_eq!(dump(&sql).await, before, "every row is as the service wrote it");
    assert!(!is_left(&sql).await);
}

/// A damaged log: the statement for account `$1`, and the field that is reported.
const DAMAGED: &[(&str, &str)] = &[
    ("delete from event where account_id = $1 and seq = 3", "event"),
    ("delete from event where account_id = $1 and seq = (select seq from head where account_id = $1)", "event"),
    ("update head set seq = seq - 1 where account_id = $1", "head.seq"),
    ("delete from head where account_id = $1", "head"),
    ("update head set epoch = 0 where account_id = $1", "head.epoch"),
    ("update event set body = left(body, 300) where account_id = $1 and seq = 2", "event.body"),
    (
        "update event set body = replace(body, '\"role\":\"Lead\"', '\"role\":\"Boss\"') where account_id = $1 and type = 'contact.deleted'",
        "event.body",
    ),
    (
        "update event set body = regexp_replace(body, '\"previous_version\":\\d+', '\"previous_version\":1') where account_id = $1 and type = 'company.deleted'",
        "event.body.data.previous_version",
    ),
    ("update event set uid = gen_random_uuid() where account_id = $1 and seq = 2", "event.uid"),
    ("update event set type = 'contact.exploded' where account_id = $1 and seq = 2", "event.type"),
    ("update event set type = 'contact.deleted' where account_id = $1 and type = 'contact.updated'", "event.type"),
    ("update event set at = at + interval '1 second' where account_id = $1 and seq = 2", "event.at"),
    ("update event set origin = 'nobody' where account_id = $1 and seq = 2", "event.origin"),
    (
        "update event set body = replace(body, '\"version\":2,', '\"version\":3,') where account_id = $1 and seq = 2",
        "event.body.data.record.version",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_named_and_nothing_is_rebuilt_from_it() {
    let service = Service::start().await;
    let (env, sql) = (&service.env, service.env.sql().await);
    let mut accounts = Vec::new();
    for (change, _) in DAMAGED {
        let api = service.other_client().await;
        history(&service, &api).await;
        assert!(sql.execute(*change, &[&api.account.0]).await.unwrap() > 0, "{change}");
        accounts.push(api.account);
    }
    let before = dump(&sql).await;

    let output = run(env, "verify --json").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let findings = results(&output);
    for (account, (change, field)) in accounts.iter().zip(DAMAGED) {
        let finding = findings.iter().find(|finding| finding["public_id"] == json!(account));
        let finding = finding.unwrap_or_else(|| panic!("not found: {change}"));
        assert_eq!(
            (&finding["different"], finding["field"].as_str().unwrap()),
            (&json!("log"), *field),
            "{change}: {finding}"
        );
    }

    // Beyond the head, and the epoch of the head, nothing is read to rebuild.
    let read = accounts.iter().zip(DAMAGED).filter(|(_, (_, field))| !field.starts_with("head."));
    for (account, (change, _)) in read {
        let text = failure_text(&run(env, &format!("rebuild --account {account}")).await.without_stdout());
        assert!(text.contains(&format!("the log of account {account} is damaged at position")), "{change}: {text}");
    }
    let text = failure_text(&run(env, "rebuild").await.without_stdout());
    assert!(text.contains("is damaged at position"), "{text}");
    assert_eq!(dump(&sql).await, before, "nothing is touched");
    assert!(!is_left(&sql).await);
}
