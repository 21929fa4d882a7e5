//! The JSON Web Tokens of auth callout: a login request of the server, and the signed response to it (ADR-14, ADR-26 of
//! NATS).
//!
//! They are signed by `ed25519-nkey`: Ed25519 over the first two parts, with keys in the text form of NATS. Pure: the time
//! is passed in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::clock;

/// The first part of every token.
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// The audience of a login request.
const REQUEST_AUDIENCE: &str = "nats-authorization-request";

/// The longest login request that is read, in bytes. A server passes on at most 4 KiB of its client's `CONNECT`, unless it
/// is configured otherwise.
pub(super) const MAX_REQUEST: usize = 64 << 10;

/// A login that a server asks about.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The server's id, which is also its public key.
    pub server: String,
    /// The number of the connection at the server.
    pub connection: u64,
    /// The public id and the secret key that the client claims: the two parts of its token, or its user and password.
    /// `None` where it presents neither.
    pub claimed: Option<(String, String)>,
    /// The public key that the server invented for the connection: the subject of the response.
    user: String,
}

/// The claimed key is a secret.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("server", &self.server)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// The rights of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The user name that the server shows for the connection, and passes on with its commands.
    pub name: String,
    /// The account of the server that the connection belongs to.
    pub server_account: String,
    /// Subjects on which it may publish; all others are refused.
    pub publish: Vec<String>,
    /// Subjects to which it may subscribe; all others are refused.
    pub subscribe: Vec<String>,
    /// The largest number of its subscriptions.
    pub max_subscriptions: i64,
    /// The largest message that it may publish, in bytes.
    pub max_payload: i64,
    /// The Unix time in seconds at which the server ends it.
    pub expires_at: Option<i64>,
}

/// A login request that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a login request that a server signed: {0}")]
pub struct NotALogin(&'static str);

/// The key that signs responses. The servers know its public key.
pub struct Issuer {
    pair: KeyPair,
    public: String,
}

/// The text is not the seed of an account's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be the seed of an account's nkey: 58 characters that begin with SA")]
pub struct NotASeed;

#[derive(Deserialize)]
struct Request {
    iss: String,
    aud: String,
    #[serde(default)]
    exp: Option<i64>,
    nats: RequestOf,
}

#[derive(Deserialize)]
struct RequestOf {
    server_id: ServerId,
    user_nkey: String,
    client_info: ClientInfo,
    #[serde(default)]
    connect_opts: ConnectOptions,
}

#[derive(Deserialize)]
struct ServerId {
    id: String,
}

#[derive(Deserialize)]
struct ClientInfo {
    id: u64,
}

#[derive(Deserialize, Default)]
struct ConnectOptions {
    #[serde(default)]
    auth_token: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    pass: Option<String>,
}

impl ConnectOptions {
    fn claimed(self) -> Option<(String, String)> {
        match self.auth_token {
            Some(token) => token.split_once(':').map(|(id, key)| (id.to_owned(), key.to_owned())),
            None => self.user.zip(self.pass),
        }
    }
}

impl Login {
    /// Reads a login request. `now` is a Unix time in seconds.
    pub fn read(token: &[u8], now: i64) -> Result<Self, NotALogin> {
        if token.len() > MAX_REQUEST {
            return Err(NotALogin("it is too long"));
        }
        let token = std::str::from_utf8(token).map_err(|_| NotALogin("it is no text"))?;
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotALogin("it has not three parts"));
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| NotALogin("a part is not base64"));
        let request: Request =
            serde_json::from_slice(&decode(claims)?).map_err(|_| NotALogin("its claims cannot be read"))?;
        let server = KeyPair::from_public_key(&request.iss).map_err(|_| NotALogin("its issuer has no key"))?;
        if server.key_pair_type() != KeyPairType::Server || request.iss != request.nats.server_id.id {
            return Err(NotALogin("its issuer is not its server"));
        }
        let signed = format!("{header}.{claims}");
        server.verify(signed.as_bytes(), &decode(signature)?).map_err(|_| NotALogin("its signature is wrong"))?;
        if request.aud != REQUEST_AUDIENCE {
            return Err(NotALogin("its audience is another one"));
        }
        if request.exp.is_some_and(|at| at <= now) {
            return Err(NotALogin("it has expired"));
        }
        Ok(Self {
            server: request.iss,
            connection: request.nats.client_info.id,
            claimed: request.nats.connect_opts.claimed(),
            user: request.nats.user_nkey,
        })
    }
}

impl Issuer {
    /// The key of a seed.
    pub fn from_seed(seed: &str) -> Result<Self, NotASeed> {
        // The error is left out: it may quote the seed.
        let pair = KeyPair::from_seed(seed).ok().filter(|pair| pair.key_pair_type() == KeyPairType::Account);
        let pair = pair.ok_or(NotASeed)?;
        let public = pair.public_key();
        Ok(Self { pair, public })
    }

    /// A new key, and its seed.
    #[must_use]
    pub fn generate() -> (Self, String) {
        let pair = KeyPair::new_account();
        let public = pair.public_key();
        #[expect(clippy::expect_used, reason = "a key that was made from random bytes has its seed")]
        let seed = pair.seed().expect("a new key has a seed");
        (Self { pair, public }, seed)
    }

    /// The public key, which `authorization.auth_callout.issuer` of the servers names.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// The response that lets a client in.
    pub(super) fn permit(&self, login: &Login, permit: &Permit, now: i64) -> Option<String> {
        let mut user = json!({
            "aud": permit.server_account,
            "name": permit.name,
            "sub": login.user,
            "nats": {
                "type": "user",
                "version": 2,
                "pub": {"allow": permit.publish},
                "sub": {"allow": permit.subscribe},
                "subs": permit.max_subscriptions,
                "data": -1,
                "payload": permit.max_payload,
            },
        });
        if let (Some(at), Json::Object(claims)) = (permit.expires_at, &mut user) {
            claims.insert("exp".to_owned(), json!(at));
        }
        let user = self.sign(user, now)?;
        self.respond(login, json!({"type": "authorization_response", "version": 2, "jwt": user}), now)
    }

    /// The response that refuses a client. The server logs the reason; the client learns only that it is refused.
    pub(super) fn refuse(&self, login: &Login, reason: &str, now: i64) -> Option<String> {
        self.respond(login, json!({"type": "authorization_response", "version": 2, "error": reason}), now)
    }

    fn respond(&self, login: &Login, response: Json, now: i64) -> Option<String> {
        self.sign(json!({"aud": login.server, "sub": login.user, "nats": response}), now)
    }

    fn sign(&self, mut claims: Json, now: i64) -> Option<String> {
        let members = claims.as_object_mut()?;
        members.insert("iss".to_owned(), json!(self.public));
        members.insert("iat".to_owned(), json!(now));
        members.insert("jti".to_owned(), json!(clock::fresh_uid().0.simple().to_string()));
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(text.as_bytes()).ok()?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_796_000_000;

    /// A request as a server sends it, with one change of its claims.
    fn request(server: &KeyPair, change: impl FnOnce(&mut Json)) -> String {
        let mut claims = json!({
            "aud": REQUEST_AUDIENCE, "exp": NOW + 2, "iat": NOW, "iss": server.public_key(),
            "nats": {
                "server_id": {"id": server.public_key(), "name": "one"}, "user_nkey": "UABC",
                "client_info": {"id": 7, "host": "127.0.0.1"}, "connect_opts": {"auth_token": "id:the-secret:x"},
            },
        });
        change(&mut claims);
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims.to_string()));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(server.sign(text.as_bytes()).unwrap()))
    }

    fn claims_of(token: &str) -> Json {
        let claims = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }

    #[test]
    fn a_login_is_read_and_its_debug_text_has_no_secret() {
        let server = KeyPair::new_server();
        let login = Login::read(request(&server, |_| {}).as_bytes(), NOW).unwrap();
        let claimed = |id: &str, key: &str| Some((id.to_owned(), key.to_owned()));
        assert_eq!((login.connection, &login.claimed), (7, &claimed("id", "the-secret:x")));
        assert_eq!(login.server, server.public_key());
        assert!(!format!("{login:?}").contains("the-secret"));
        for (options, expected) in [
            (json!({"user": "u", "pass": "p"}), claimed("u", "p")),
            (json!({"auth_token": "no colon", "user": "u", "pass": "p"}), None),
            (json!({"user": "u"}), None),
            (json!({}), None),
        ] {
            let request = request(&server, |claims| claims["nats"]["connect_opts"] = options);
            assert_eq!(Login::read(request.as_bytes(), NOW).unwrap().claimed, expected);
        }
    }

    #[test]
    fn a_request_that_no_server_signed_is_refused() {
        let (server, other) = (KeyPair::new_server(), KeyPair::new_server());
        let refused = |token: &str| Login::read(token.as_bytes(), NOW).unwrap_err().0;
        let good = request(&server, |_| {});
        assert_eq!(refused(""), "it has not three parts");
        assert_eq!(refused(&format!("{good}.x")), "it has not three parts");
        assert_eq!(refused("a.b!.c"), "a part is not base64");
        let (signed, _) = good.rsplit_once('.').unwrap();
        let (_, foreign) = request(&other, |_| {}).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(refused(&format!("{signed}.{foreign}")), "its signature is wrong");
        assert_eq!(
            refused(&request(&other, |claims| claims["iss"] = json!(server.public_key()))),
            "its issuer is not its server"
        );
        let posing = request(&other, |claims| {
            claims["iss"] = json!(server.public_key());
            claims["nats"]["server_id"]["id"] = json!(server.public_key());
        });
        assert_eq!(refused(&posing), "its signature is wrong");
        let user = KeyPair::new_user();
        assert_eq!(refused(&request(&user, |_| {})), "its issuer is not its server");
        assert_eq!(refused(&request(&server, |claims| claims["aud"] = json!("x"))), "its audience is another one");
        assert_eq!(refused(&request(&server, |claims| claims["exp"] = json!(NOW))), "it has expired");
        assert_eq!(refused(&"x".repeat(MAX_REQUEST + 1)), "it is too long");
        assert!(Login::read(&[0xFF, 0, b'.'], NOW).is_err());
    }

    #[test]
    fn a_response_is_signed_for_the_connection_and_its_server_alone() {
        let server = KeyPair::new_server();
        let login = Login::read(request(&server, |_| {}).as_bytes(), NOW).unwrap();
        let (issuer, seed) = Issuer::generate();
        assert_eq!(Issuer::from_seed(&seed).unwrap().public_key(), issuer.public_key());
        let permit = Permit {
            name: "a:k".to_owned(),
            server_account: "CLIENTS".to_owned(),
            publish: vec!["p".to_owned()],
            subscribe: vec!["s".to_owned()],
            max_subscriptions: 3,
            max_payload: 4,
            expires_at: Some(NOW + 60),
        };
        let response = issuer.permit(&login, &permit, NOW).unwrap();
        let claims = claims_of(&response);
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!(server.public_key()), &json!("UABC")));
        let user = claims_of(claims["nats"]["jwt"].as_str().unwrap());
        assert_eq!((&user["aud"], &user["sub"], &user["exp"]), (&json!("CLIENTS"), &json!("UABC"), &json!(NOW + 60)));
        assert_eq!(user["nats"]["pub"], json!({"allow": ["p"]}));
        assert_eq!(user["nats"]["sub"], json!({"allow": ["s"]}));
        assert_eq!((&user["nats"]["subs"], &user["nats"]["payload"]), (&json!(3), &json!(4)));
        let (signed, signature) = response.rsplit_once('.').unwrap();
        let public = KeyPair::from_public_key(issuer.public_key()).unwrap();
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let refusal = claims_of(&issuer.refuse(&login, "no such key", NOW).unwrap());
        assert_eq!(refusal["nats"], json!({"type": "authorization_response", "version": 2, "error": "no such key"}));
    }

    #[test]
    fn only_an_accounts_seed_is_an_issuer() {
        let user = KeyPair::new_user().seed().unwrap();
        for text in ["", "SA", "SAAB", user.as_str(), &"S".repeat(58)] {
            assert!(Issuer::from_seed(text).is_err(), "{text:?}");
        }
    }
}
