//! The dashboards under a real load: no panel is empty, none errors, and none names a metric that the service lacks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use unificus::config::program_path;

use super::load::Load;
use super::prometheus::Prometheus;
use super::{repository, values};
use crate::support::browser::with_browser;
use crate::support::program::Dir;
use crate::support::servers::Servers;
use crate::support::{LONG, Replica, Service, instant};

const BOARDS: [&str; 4] = ["unificus-api", "unificus-sync", "unificus-log", "unificus-health"];

/// The time within which every panel has data. Gauges of all accounts are set every ten seconds.
const DEADLINE: Duration = Duration::from_secs(90);

/// Scrapes that a picture shows.
const SCRAPES: f64 = 50.0;

/// The width of a picture in pixels. Charts are drawn for the width that the window had before, so both are the same.
const WIDTH: u32 = 1_280;

/// The seconds of a picture, and of the window of its rates.
const PICTURED: &str = "range=26&window=8";

/// Comparisons that hold under the load, each empty until it does.
const STATES: [&str; 8] = [
    r#"max(unificus_push_endpoints{state="failing"}) == 3"#,
    r#"max(unificus_push_endpoints{state="delivering"}) == 3"#,
    r#"max(unificus_quota_accounts{tier="free-trial", band="over"}) == 1"#,
    "min(unificus_replicas) == 2",
    "sum(unificus_shards_owned) == 64",
    "min(unificus_jetstream_up) == 1",
    "sum(unificus_feed_streams) == 6",
    "sum(unificus_feed_long_polls) >= 1",
];

fn board(name: &str) -> Value {
    let text = std::fs::read_to_string(repository("deploy/grafana/dashboards").join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The queries of a dashboard, each with its panel's title.
fn queries(board: &Value) -> Vec<(String, String)> {
    let panels = board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let queries = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().unwrap_or_else(|| panic!("{} has no query", panel["title"]));
        targets
            .iter()
            .map(|target| (panel["title"].as_str().unwrap().to_owned(), target["expr"].as_str().unwrap().to_owned()))
    });
    queries.collect()
}

/// A query as Grafana sends it when everything is chosen.
fn filled(query: &str) -> String {
    let filled = query.replace("$__rate_interval", "10s").replace("$replica", ".*").replace("$tier", ".*");
    assert!(!filled.contains('$'), "an unknown variable in {query}");
    filled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_shows_data_of_two_replicas_under_load() {
    let env = Servers::get().env().await;
    let service = Service::in_env(env.clone(), unificus::clock::Clock::system(), |_| {}).await;
    let store = service.store.clone();
    service.app.stop().await.unwrap();
    let more = [
        ("UNIFICUS_METRICS__TOP_ACCOUNTS", "true"),
        ("UNIFICUS_QUOTA__ENFORCED", "true"),
        ("UNIFICUS_COMMANDS__LANES", "2"),
    ];
    let replicas = [Replica::start(&env, &more).await, Replica::start(&env, &more).await];
    let prometheus = Prometheus::start("prometheus", &replicas.each_ref().map(Replica::metrics_address)).await;
    let load = Load::start(&store, &replicas).await;

    let states = STATES.map(|query| ("the state under load".to_owned(), query.to_owned()));
    let mut empty: Vec<(String, String)> = BOARDS.iter().flat_map(|name| queries(&board(name))).chain(states).collect();
    assert!(empty.len() > 60, "{} queries", empty.len());
    let mut pause = tokio::time::interval(Duration::from_millis(250));
    let began = instant();
    while !empty.is_empty() {
        assert!(began.elapsed() < DEADLINE, "these panels are empty: {empty:#?}");
        pause.tick().await;
        let mut still = Vec::new();
        for (title, query) in empty {
            if prometheus.query(&filled(&query)).await.is_empty() {
                still.push((title, query));
            }
        }
        empty = still;
    }
    assert_eq!(prometheus.query("count(up{job=\"unificus\"} == 1)").await, [2.0]);
    rules_are_evaluated(&prometheus).await;
    for replica in &replicas {
        names_are_exported(&replica.metrics().await);
    }

    let scraped = async || prometheus.query("min(count_over_time(up[5m]))").await;
    while scraped().await.first().is_none_or(|scrapes| *scrapes < SCRAPES) {
        assert!(began.elapsed() < DEADLINE, "Prometheus does not scrape");
        pause.tick().await;
    }
    take_pictures(&prometheus).await;
    drop(load);
}

async fn rules_are_evaluated(prometheus: &Prometheus) {
    let rules = prometheus.get("/api/v1/rules").await.unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 30);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

/// Every metric of the rules and dashboards is one that this scrape has.
fn names_are_exported(scrape: &str) {
    let exported: BTreeSet<&str> = values(scrape, "# TYPE ").iter().filter_map(|line| line.split(' ').next()).collect();
    let rules = ["recording", "alerts"].map(|name| {
        std::fs::read_to_string(repository("deploy/prometheus/rules").join(format!("{name}.yml"))).unwrap()
    });
    let boards =
        BOARDS.map(|name| queries(&board(name)).into_iter().map(|(_, query)| query + "\n").collect::<String>());
    let mut looked_at = 0;
    for text in rules.iter().chain(&boards) {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        for word in words.filter(|word| word.starts_with("unificus_") || word.starts_with("process_")) {
            let metric = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| word.strip_suffix(part));
            assert!(
                exported.contains(word) || metric.is_some_and(|metric| exported.contains(metric)),
                "the service does not export {word}"
            );
            looked_at += 1;
        }
    }
    assert!(looked_at > 80, "{looked_at} names");
}

/// Draws each console in a browser, without an error and without an empty panel. `make pictures` copies the pictures into
/// the documentation.
async fn take_pictures(prometheus: &Prometheus) {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&directory).unwrap();
    with_browser("consoles", async |browser| {
        for name in BOARDS {
            browser.open(&format!("{}/consoles/{name}.html?{PICTURED}", prometheus.url)).await;
            browser.find("//body[@data-drawn = 'yes']").await;
            let text = browser.text().await;
            assert!(!text.contains("No data."), "{name}: an empty panel in\n{text}");
            let drawn = browser.run("return document.querySelectorAll('.panel svg, .panel table').length").await;
            let panels = browser.run("return document.querySelectorAll('.panel').length").await;
            assert_eq!(drawn, panels, "{name}");
            let picture = browser.picture(WIDTH).await;
            std::fs::write(directory.join(format!("{name}.png")), picture).unwrap();
            let console = browser.console().await;
            assert!(console.iter().all(|line| line.contains("favicon")), "{name}: {console:?}");
        }
    })
    .await;
}

/// The committed dashboards and consoles are those that `make dashboards` writes.
#[tokio::test]
async fn the_dashboards_are_built_from_their_panels() {
    let directory = Dir::new("dashboards");
    let (_, data_home) = program_path();
    let python = data_home.join("unificus/python/bin/python");
    let mut build = Command::new(python);
    build.arg(repository("deploy/grafana/build.py")).arg(directory.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tokio::time::timeout(LONG, build.kill_on_drop(true).output()).await.expect("it does not end");
    let Output { status, stderr, .. } = output.expect("run deploy/setup.sh tests");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    for name in BOARDS {
        for path in [format!("grafana/dashboards/{name}.json"), format!("prometheus/consoles/{name}.html")] {
            let built = std::fs::read_to_string(directory.path().join(&path)).unwrap();
            let committed = std::fs::read_to_string(repository("deploy").join(&path)).unwrap();
            assert!(built == committed, "run `make dashboards`: {path} is not what panels.py says");
        }
    }
}

#[test]
fn each_dashboard_has_its_variables_and_links_to_the_others() {
    for name in BOARDS {
        let board = board(name);
        assert_eq!(board["uid"], name);
        let variables = board["templating"]["list"].as_array().unwrap();
        let variables: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(variables, ["datasource", "replica", "tier"], "{name}");
        let link = &board["links"][0];
        assert_eq!((&link["type"], &link["tags"][0]), (&Value::from("dashboards"), &Value::from("unificus")));
        assert_eq!((&link["includeVars"], &link["keepTime"]), (&Value::from(true), &Value::from(true)), "{name}");
        assert!(board["tags"].as_array().unwrap().contains(&Value::from("unificus")), "{name}");
        let mut titles = BTreeSet::new();
        for (title, query) in queries(&board) {
            assert!(
                filled(&query).to_lowercase().contains("unificus") || query.contains("process_"),
                "{title}: {query}"
            );
            titles.insert(title);
        }
        assert!(titles.len() >= 10, "{name}: {titles:?}");
    }
}
