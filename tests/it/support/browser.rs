//! A headless Chromium, driven through chromedriver by the protocol `WebDriver` (<https://www.w3.org/TR/webdriver2/>).
//!
//! The driver itself waits for the requested element, so that no code here polls.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::LONG;
use super::servers::directory;

/// The key under which the protocol passes an element (section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The error for an element that is in the page no more (section 6.6).
const STALE: &str = "stale element reference";

/// A browser with one window and its own profile.
pub(crate) struct Browser {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    driver: Driver,
    session: String,
    /// The directory of downloads.
    pub(crate) downloads: PathBuf,
}

/// chromedriver in its own process group. When dropped, it is killed with its child processes.
struct Driver {
    child: Child,
    port: u16,
    home: PathBuf,
}

/// Runs a test with a browser, and quits the browser also when the test panics.
pub(crate) async fn with_browser(name: &str, test: impl AsyncFnOnce(&Browser)) {
    let browser = Browser::start(name).await;
    let ended = AssertUnwindSafe(test(&browser)).catch_unwind().await;
    let quit = browser.quit().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    quit.unwrap();
}

impl Browser {
    async fn start(name: &str) -> Self {
        let home = directory(name);
        let downloads = home.join("downloads");
        std::fs::create_dir_all(&downloads).unwrap();
        let driver = Driver::start(home);
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        let mut browser = Self { http, driver, session: String::new(), downloads };
        let capabilities = capabilities(&browser.driver.home, &browser.downloads);
        let session = browser.call(Method::POST, "", Some(capabilities)).await.unwrap();
        browser.session = format!("/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    async fn quit(&self) -> Result<Value, String> {
        self.call(Method::DELETE, "", None).await
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Waits for the first element that matches an `XPath`.
    pub(crate) async fn find(&self, xpath: &str) -> Element<'_> {
        let id = Mutex::new(self.element_id(xpath).await);
        Element { browser: self, xpath: xpath.to_owned(), id }
    }

    async fn element_id(&self, xpath: &str) -> String {
        let element = self.call(Method::POST, "/element", Some(json!({"using": "xpath", "value": xpath}))).await;
        match element {
            Ok(element) => element[ELEMENT].as_str().unwrap().to_owned(),
            Err(error) => panic!("no {xpath}: {error}\n{}", self.text().await),
        }
    }

    /// Waits until an expression of JavaScript is true on the page that is shown, which looks at every frame. A key press
    /// or a click is answered before the page's script has done all that follows from it.
    pub(crate) async fn until(&self, condition: &str) {
        let script = format!(
            "const done = arguments[0];
            const look = () => {{ if ({condition}) done(true); else requestAnimationFrame(look); }};
            look();"
        );
        let waited = self.call(Method::POST, "/execute/async", Some(json!({"script": script, "args": []}))).await;
        if let Err(error) = waited {
            panic!("never {condition}: {error}\n{}", self.text().await);
        }
    }

    /// The visible text of the page.
    pub(crate) async fn text(&self) -> String {
        let text = self.post("/execute/sync", json!({"script": "return document.body.innerText", "args": []})).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// A picture of the whole page in a window of this width, as PNG.
    pub(crate) async fn picture(&self, width: u32) -> Vec<u8> {
        // Without scroll bars, which take a part of the width.
        let height = "document.documentElement.style.overflow = 'hidden'; return document.body.offsetHeight";
        let height = self.run(height).await;
        // The window's own edges are part of its height.
        let edges = self.run("return window.outerHeight - window.innerHeight").await;
        let height = height.as_u64().unwrap() + edges.as_u64().unwrap();
        self.post("/window/rect", json!({"width": width, "height": height})).await;
        let picture = self.call(Method::GET, "/screenshot", None).await.unwrap();
        STANDARD.decode(picture.as_str().unwrap()).unwrap()
    }

    /// A command of the protocol of Chromium's developer tools.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    /// The new entries of the console since the last call: script errors, failed requests, violations of the page's
    /// policy.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        let line = |entry: &Value| format!("{}: {}", entry["level"].as_str().unwrap(), entry["message"]);
        entries.as_array().unwrap().iter().map(line).collect()
    }

    /// The name and the content of the one downloaded file, once it is complete.
    pub(crate) async fn downloaded(&self) -> (String, String) {
        let appeared = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            loop {
                let files = std::fs::read_dir(&self.downloads).unwrap().flatten().map(|entry| entry.path());
                // An incomplete file has another extension.
                let whole = files.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "json"));
                if let Some(file) = whole {
                    return file;
                }
                look.tick().await;
            }
        };
        let file = tokio::time::timeout(LONG, appeared).await.expect("nothing was downloaded");
        (file.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(file).unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let uri = format!("http://127.0.0.1:{}/session{}{path}", self.driver.port, self.session);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body))).unwrap();
        let response = self.http.request(request).await.map_err(|error| format!("{error:?}"))?;
        let is_success = response.status().is_success();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        let mut reply: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        if is_success {
            return Ok(reply["value"].take());
        }
        let [error, message] = ["error", "message"].map(|key| reply["value"][key].as_str().unwrap_or_default());
        Err(format!("{error}: {message}"))
    }
}

/// An element of the page that is shown. Where the page has replaced it by its like, that one is meant.
pub(crate) struct Element<'a> {
    browser: &'a Browser,
    xpath: String,
    id: Mutex<String>,
}

impl Element<'_> {
    pub(crate) async fn click(&self) {
        self.call(Method::POST, "click", Some(json!({}))).await;
    }

    /// Types at the end of the current text.
    pub(crate) async fn type_in(&self, text: &str) {
        self.call(Method::POST, "value", Some(json!({"text": text}))).await;
    }

    /// A property of the element.
    pub(crate) async fn property(&self, name: &str) -> Value {
        self.call(Method::GET, &format!("property/{name}"), None).await
    }

    pub(crate) async fn clear(&self) {
        self.call(Method::POST, "clear", Some(json!({}))).await;
    }

    /// Its rectangle in the window, in pixels: left, top, width, height.
    pub(crate) async fn rectangle(&self) -> [f64; 4] {
        let rectangle = self.call(Method::GET, "rect", None).await;
        ["x", "y", "width", "height"].map(|side| rectangle[side].as_f64().unwrap())
    }

    /// A property of its computed style.
    pub(crate) async fn style(&self, property: &str) -> String {
        self.call(Method::GET, &format!("css/{property}"), None).await.as_str().unwrap().to_owned()
    }

    async fn call(&self, method: Method, command: &str, body: Option<Value>) -> Value {
        loop {
            let path = format!("/element/{}/{command}", self.id.lock().await);
            match self.browser.call(method.clone(), &path, body.clone()).await {
                Ok(reply) => return reply,
                // A live part of the page was replaced after the element was found; the driver did nothing.
                Err(error) if error.starts_with(STALE) => {
                    *self.id.lock().await = self.browser.element_id(&self.xpath).await;
                }
                Err(error) => panic!("{command} {}: {error}", self.xpath),
            }
        }
    }
}

fn capabilities(home: &Path, downloads: &Path) -> Value {
    // Root's processes cannot run in a sandbox, and these load only our own pages.
    let arguments = [
        "--headless".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-quic".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        // A browser that is controlled by a pipe ends when the pipe closes, so it ends with the driver.
        "--remote-debugging-pipe".to_owned(),
        "--window-size=1280,900".to_owned(),
        format!("--user-data-dir={}", home.join("profile").display()),
    ];
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "timeouts": {"implicit": LONG.as_millis(), "pageLoad": LONG.as_millis(), "script": LONG.as_millis()},
        "goog:chromeOptions": {"args": arguments, "prefs": {"download.default_directory": downloads}},
        "goog:loggingPrefs": {"browser": "ALL"},
    }}})
}

impl Driver {
    fn start(home: PathBuf) -> Self {
        // On Linux the driver ends with the thread that spawned it; elsewhere, when it is dropped.
        let (program, arguments): (&str, &[&str]) = if cfg!(target_os = "linux") {
            ("setpriv", &["--pdeathsig=KILL", "chromedriver"])
        } else {
            ("chromedriver", &[])
        };
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--port=0")
            .env("HOME", &home)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed by deploy/setup.sh tests");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let port = stdout
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        Self { child, port: port.expect("chromedriver prints its port"), home }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ended_already = killpg(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGKILL);
        let _reaped_already = self.child.wait();
        let _removed_with_the_run = std::fs::remove_dir_all(&self.home);
    }
}
