//! Random histories of commands.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::{dump, equal, operator, rebuilt};
use crate::support::client::lead;
use crate::support::{Client, Service};

/// A command of a random history.
#[derive(Debug, Clone)]
enum Step {
    Create { person: u8, company: Option<u8> },
    Transfer { person: u8, company: Option<u8> },
    Rename { person: u8, to: u8 },
    Delete { person: u8 },
    Company { company: u8, rename: Option<u8> },
    DeleteCompany { company: u8 },
    Keep { company: u8, kept: bool },
    Project { number: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let company = || prop::option::of(0..4_u8);
    prop_oneof![
        4 => (0..8_u8, company()).prop_map(|(person, company)| Step::Create { person, company }),
        3 => (0..8_u8, company()).prop_map(|(person, company)| Step::Transfer { person, company }),
        2 => (0..8_u8, 0..8_u8).prop_map(|(person, to)| Step::Rename { person, to }),
        2 => (0..8_u8).prop_map(|person| Step::Delete { person }),
        2 => (0..4_u8, prop::option::of(0..4_u8)).prop_map(|(company, rename)| Step::Company { company, rename }),
        1 => (0..4_u8).prop_map(|company| Step::DeleteCompany { company }),
        1 => (0..4_u8, any::<bool>()).prop_map(|(company, kept)| Step::Keep { company, kept }),
        1 => (0..3_u8).prop_map(|number| Step::Project { number }),
    ]
}

/// Sends a command. It may be refused, as commands of a random history are.
async fn send(service: &Service, api: &Client, step: Step) {
    let company = |company: Option<u8>| match company {
        Some(company) => json!({"name": format!("Co {company}"), "create_company_if_not_exists": true}),
        None => Value::Null,
    };
    let person = |person: u8| format!("/contact/p{person}@example.org");
    let reply = match step {
        Step::Create { person, company: of } => {
            let mut body = lead(&format!("p{person}@example.org"));
            body["company"] = company(of);
            api.post("/contact", body).await
        }
        Step::Transfer { person: of, company: to } => api.put(&person(of), json!({"company": company(to)})).await,
        Step::Rename { person: of, to } => {
            api.put(&person(of), json!({"email": format!("P{to}@example.org"), "phone": format!("+31 20 {to}")})).await
        }
        Step::Delete { person: of } => api.delete(&person(of)).await,
        Step::Company { company, rename: None } => api.post("/company", json!({"name": format!("Co {company}")})).await,
        Step::Company { company, rename: Some(to) } => {
            api.put(&format!("/company/Co+{company}"), json!({"name": format!("co {to}")})).await
        }
        Step::DeleteCompany { company } => api.delete(&format!("/company/Co+{company}")).await,
        Step::Keep { company, kept } => {
            service.store.keep_company(api.account, &format!("co {company}"), kept, operator()).await.unwrap();
            return;
        }
        Step::Project { number } => api.post("/project", json!({"name": format!("P {number}")})).await,
    };
    assert!(matches!(reply.status, 200 | 201 | 404 | 422), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_history_the_rebuilt_read_models_equal_the_live_ones() {
    const HISTORIES: usize = 12;
    let service = Service::start().await;
    let (env, sql) = (&service.env, service.env.sql().await);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[29; 32]);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    for _ in 0..HISTORIES {
        let api = service.other_client().await;
        let steps = prop::collection::vec(step(), 20..60).new_tree(&mut runner).unwrap().current();
        for step in steps {
            send(&service, &api, step).await;
        }
    }
    equal(env, "as the service wrote them").await;
    let before = dump(&sql).await;

    rebuilt(env, "").await;

    assert_eq!(dump(&sql).await, before);
    equal(env, "as they were rebuilt").await;
}
