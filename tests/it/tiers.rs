//! Tiers and their limits are configuration.

use hyper::Method;
use serde_json::{Value, json};
use unificus::app::App;
use unificus::clock::Clock;
use unificus::config::Config;
use unificus::domain::tier::Tier;
use unificus::store::audit::By;

use crate::support::client::lead;
use crate::support::program::{failure_text, lines, unificus};
use crate::support::service::account_on;
use crate::support::{Client, Service};

/// A price list as an operator writes it.
const TIERS: &str =
    "{ basic = { title = 'Basic', calls_per_month = 3 }, pinnacle = { title = 'Peak', calls_per_month = 500 } }";

/// The tiers of [`TIERS`], and no limit per second.
fn own_tiers(config: &mut Config) {
    config.quota = toml::from_str(&format!("tiers = {TIERS}\nburst_per_second = 0")).unwrap();
}

async fn on_tier(service: &Service, tier: &str) -> Client {
    let (account, secret) = account_on(&service.store, tier).await;
    service.client.as_caller(account, &secret)
}

async fn set_tier(service: &Service, client: &Client, tier: &str) {
    let by = By::new("test", Clock::system().now());
    assert!(service.store.set_tier(client.account, &Tier::parse(tier).unwrap(), by).await.unwrap());
}

#[tokio::test]
async fn an_own_tier_has_its_own_limit_and_title() {
    let service = Service::configured(own_tiers).await;
    let client = on_tier(&service, "basic").await;

    for remaining in [2, 1, 0] {
        let response = client.get("/contacts").await;
        response.expect(200);
        // The limit per second is off, so neither field has it.
        assert!(response.header("ratelimit-policy").starts_with("\"month\";q=3;w="));
        assert!(response.header("ratelimit").starts_with(&format!("\"month\";r={remaining};t=")));
    }
    let refused = client.get("/contacts").await;
    refused.expect(429);
    assert_eq!(refused.json["violated-policies"], json!(["month"]));
    let usage = client.get("/usage").await;
    let usage = usage.expect(200);
    assert_eq!((&usage["tier"], &usage["limit"], &usage["remaining"]), (&json!("basic"), &json!(3), &json!(0)));
    let page = client.get("/swagger").await.text;
    assert!(page.contains("<tr><td>Basic</td><td>3</td></tr><tr><td>Peak</td><td>500</td></tr>"), "{page}");
    assert!(service.gauge(r#"unificus_quota_calls_total{outcome="refused",tier="basic"}"#).await >= 1.0);
}

/// Another replica, or a command with another configuration, may move an account to a tier that this replica lacks.
#[tokio::test]
async fn a_call_of_an_account_whose_tier_is_not_configured_is_refused_and_executes_nothing() {
    let service = Service::configured(own_tiers).await;
    let client = on_tier(&service, "pinnacle").await;
    client.contact("ann@example.org").await.expect(201);
    set_tier(&service, &client, "gold").await;

    for (method, path, body) in [
        (Method::GET, "/contacts", String::new()),
        (Method::POST, "/contact", lead("bob@example.org").to_string()),
        (Method::GET, "/usage", String::new()),
    ] {
        let refused = client.send(method, path, &[], &body).await;
        refused.expect(503);
        assert_eq!(refused.json["title"], "Unknown tier", "{path}");
        assert_eq!(refused.header("ratelimit"), "", "{path}");
    }
    service.client.get("/contacts").await.expect(200);

    set_tier(&service, &client, "pinnacle").await;
    let contacts = client.get("/contacts").await;
    assert_eq!(contacts.expect(200).as_array().unwrap().len(), 1);
    let usage = client.get("/usage").await;
    assert_eq!(usage.expect(200)["used"], json!(2), "the refused calls were not counted");
}

#[tokio::test]
async fn the_service_does_not_start_while_an_account_has_a_tier_that_is_not_configured() {
    let service = Service::configured(own_tiers).await;
    let client = on_tier(&service, "basic").await;
    set_tier(&service, &client, "gold").await;
    let mut config = service.env.config();
    own_tiers(&mut config);

    let error = App::start(config.clone(), Clock::system()).await.err().expect("the service refuses to start");

    let error = format!("{error:#}");
    assert!(error.contains("gold (accounts: 1)") && error.contains("basic, pinnacle"), "{error}");
    set_tier(&service, &client, "basic").await;
    App::start(config, Clock::system()).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn accounts_are_made_on_configured_tiers_alone() {
    let service = Service::configured(own_tiers).await;
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str()), ("UNIFICUS_QUOTA__TIERS", TIERS)];
    let run = async |arguments: &str| unificus(arguments, &settings).await;

    let made = lines(&run("account create Acme --json").await).remove(0);
    assert_eq!(made["tier"], "basic", "the tier with the fewest calls");
    let id = made["public_id"].as_str().unwrap();
    assert_eq!(lines(&run(&format!("account tier {id} pinnacle --json")).await)[0]["tier"], "pinnacle");
    for refused in [format!("account tier {id} thrive"), "account create Other --tier thrive".to_owned()] {
        let error = failure_text(&run(&refused).await);
        assert!(error.contains("no tier \"thrive\", but basic, pinnacle"), "{error}");
    }
    let listed = lines(&run("account list --json").await);
    let tier = |listed: &&Value| listed["public_id"] == id && listed["tier"] == "pinnacle";
    assert!(listed.iter().any(|listed| tier(&listed)), "{listed:?}");
    assert!(listed.iter().all(|listed| listed["name"] != "Other"), "{listed:?}");
}
