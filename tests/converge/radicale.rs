//! Radicale, a CardDAV server, as a process; and vdirsyncer, another synchroniser, between it and a folder of cards.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hyper::Method;
use tokio::process::{Child, Command};
use unificus::config::program_path;
use unificus::domain::AccountId;

use crate::support::{Client, until};

const BOOK: &str = "/ann/book/";
const MAKE_BOOK: &str = "<?xml version=\"1.0\"?><mkcol xmlns=\"DAV:\" xmlns:c=\"urn:ietf:params:xml:ns:carddav\"><set><prop>\
    <resourcetype><collection/><c:addressbook/></resourcetype></prop></set></mkcol>";
const CREDENTIALS: (&str, &str) = ("authorization", "Basic YW5uOg==");

/// A server with one address book.
pub(crate) struct Radicale {
    child: Child,
    directory: PathBuf,
    port: u16,
    client: Client,
}

fn python(program: &str) -> Command {
    let (path, data_home) = program_path();
    let directory = data_home.join("unificus/python/bin");
    assert!(directory.join(program).exists(), "{program} is missing: run deploy/setup.sh tests");
    let mut command = Command::new(directory.join(program));
    command.env("PATH", format!("{}:{path}", directory.display())).stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Radicale {
    pub(crate) async fn start(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let nobody = AccountId(uuid::Uuid::nil());
        let client = Client::new(&format!("http://127.0.0.1:{port}"), nobody, "");
        let child = Self::spawn(directory, port);
        let server = Self { child, directory: directory.to_owned(), port, client };
        server.wait().await;
        let xml = [CREDENTIALS, ("content-type", "application/xml")];
        let method = Method::from_bytes(b"MKCOL").unwrap();
        let made = server.client.try_send_bare(method, BOOK, &xml, MAKE_BOOK).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text);
        server
    }

    fn spawn(directory: &Path, port: u16) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(directory.join("radicale.log")).unwrap();
        let mut command = python("radicale");
        command.args(["--server-hosts", &format!("127.0.0.1:{port}"), "--auth-type", "none"]);
        command.args(["--rights-type", "authenticated", "--storage-filesystem-folder"]).arg(directory.join("storage"));
        command.stderr(log).spawn().unwrap()
    }

    async fn wait(&self) {
        until("Radicale listens", async || {
            self.client.try_send_bare(Method::GET, "/", &[CREDENTIALS], "").await.is_ok()
        })
        .await;
    }

    /// Kills it, and starts it again.
    pub(crate) async fn restart(&mut self) {
        self.child.kill().await.unwrap();
        self.child = Self::spawn(&self.directory, self.port);
        self.wait().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{BOOK}", self.port)
    }

    /// The cards by file name, as the server stores them.
    pub(crate) fn cards(&self) -> BTreeMap<String, String> {
        cards(&self.directory.join("storage/collection-root/ann/book"))
    }

    pub(crate) async fn put(&self, name: &str, text: &str) {
        let headers = [CREDENTIALS, ("content-type", "text/vcard")];
        let reply = self.client.try_send_bare(Method::PUT, &format!("{BOOK}{name}"), &headers, text).await.unwrap();
        assert!(matches!(reply.status, 201 | 204), "{} {}", reply.status, reply.text);
    }

    pub(crate) async fn delete(&self, name: &str) {
        let path = format!("{BOOK}{name}");
        let reply = self.client.try_send_bare(Method::DELETE, &path, &[CREDENTIALS], "").await.unwrap();
        assert!(matches!(reply.status, 200 | 204), "{} {}", reply.status, reply.text);
    }
}

/// The cards of a folder by file name.
pub(crate) fn cards(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let cards = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "vcf"));
    let card = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
    };
    cards.map(card).collect()
}

/// A folder of cards that vdirsyncer keeps equal to an address book.
pub(crate) struct Folder {
    directory: PathBuf,
}

impl Folder {
    pub(crate) async fn new(directory: &Path, url: &str) -> Self {
        std::fs::create_dir_all(directory.join("cards")).unwrap();
        let at = directory.display();
        let config = format!(
            "[general]\nstatus_path = \"{at}/status/\"\n\n[pair p]\na = \"folder\"\nb = \"server\"\ncollections = null\n\
             conflict_resolution = \"b wins\"\n\n[storage folder]\ntype = \"filesystem\"\npath = \"{at}/cards/\"\n\
             fileext = \".vcf\"\n\n[storage server]\ntype = \"carddav\"\nurl = \"{url}\"\nusername = \"ann\"\npassword = \"x\"\n"
        );
        std::fs::write(directory.join("config"), config).unwrap();
        let folder = Self { directory: directory.to_owned() };
        folder.run(&["discover"]).await;
        folder
    }

    pub(crate) async fn sync(&self) {
        self.run(&["sync", "--force-delete"]).await;
    }

    async fn run(&self, arguments: &[&str]) {
        let mut command = python("vdirsyncer");
        command.arg("--config").arg(self.directory.join("config")).args(arguments);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "vdirsyncer {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn cards(&self) -> BTreeMap<String, String> {
        cards(&self.directory.join("cards"))
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join("cards").join(name), text).unwrap();
    }

    pub(crate) fn delete(&self, name: &str) {
        std::fs::remove_file(self.directory.join("cards").join(name)).unwrap();
    }
}
