//! A private Prometheus with the rules and consoles of `deploy/prometheus/`.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use unificus::domain::AccountId;

use super::{program, repository};
use crate::support::program::Dir;
use crate::support::{Client, LONG};

/// A running Prometheus, killed when it is dropped.
pub(crate) struct Prometheus {
    _child: Child,
    pub(crate) url: String,
    client: Client,
    /// Dropped last, because the server writes there.
    _directory: Dir,
}

impl Prometheus {
    /// Starts it with the repository's configuration, except that it looks twice a second, at these addresses.
    pub(crate) async fn start(name: &str, targets: &[&str]) -> Self {
        let directory = Dir::new(name);
        let config = std::fs::read_to_string(repository("deploy/prometheus/prometheus.yml")).unwrap();
        let config = config.replace("_interval: 15s", "_interval: 500ms");
        assert_eq!(config.matches("_interval: 500ms").count(), 2);
        let own = |path: &str| directory.path().join(path);
        for part in ["rules", "targets"] {
            std::fs::create_dir(own(part)).unwrap();
        }
        for rules in ["rules/recording.yml", "rules/alerts.yml"] {
            std::fs::copy(repository("deploy/prometheus").join(rules), own(rules)).unwrap();
        }
        std::fs::write(own("prometheus.yml"), config).unwrap();
        std::fs::write(own("targets/unificus.yml"), format!("- targets: {targets:?}\n")).unwrap();
        let (child, address) = Self::spawn(directory.path()).await;
        let url = format!("http://{address}");
        let client = Client::new(&url, AccountId(uuid::Uuid::nil()), "");
        Self { _child: child, url, client, _directory: directory }
    }

    async fn spawn(directory: &Path) -> (Child, String) {
        let consoles = repository("deploy/prometheus");
        let mut child = program("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"])
            .arg(format!("--web.console.templates={}", consoles.join("consoles").display()))
            .arg(format!("--web.console.libraries={}", consoles.join("console_libraries").display()))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus is installed by deploy/setup.sh tests");
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            loop {
                let line = log.next_line().await.unwrap().expect("Prometheus ended before it listened");
                if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                    return address.to_owned();
                }
            }
        };
        let address = tokio::time::timeout(LONG, listening).await.expect("Prometheus does not start");
        // Its output is read, because a full pipe would block it.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        (child, address)
    }

    /// The response of its API; `None` while it starts.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let response = self.client.get(path).await;
        (response.status != 503).then_some(response.json)
    }

    /// The values of an instant query, without those that are no number. Fails where Prometheus refuses the query.
    pub(crate) async fn query(&self, query: &str) -> Vec<f64> {
        let parameters = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let Some(response) = self.get(&format!("/api/v1/query?{parameters}")).await else { return Vec::new() };
        assert_eq!(response["status"], "success", "{query}: {response}");
        let series = response["data"]["result"].as_array().unwrap();
        let values = series.iter().map(|one| one["value"][1].as_str().unwrap().parse::<f64>().unwrap());
        values.filter(|value| !value.is_nan()).collect()
    }
}
