//! The architecture as data: who may use whom, what belongs where, and every exception with its reason.
//!
//! An exception that excuses nothing any more fails its rule, so these tables never outgrow the code.

use crate::architecture::borders::{Apart, Never, Only};
use crate::architecture::layers::Layers;
use crate::architecture::violation::Exemptions;
use crate::architecture::vocabulary::{Allowed, At, Word};

/// The folders whose modules lie in layers.
pub(crate) const LAYERED: &[&Layers] = &[&TOP, &HTTP];

/// The top-level modules of the crate. Every module but `domain` may use those beside the layers.
pub(crate) const TOP: Layers = Layers {
    inside: "src/",
    layers: &[
        &["domain"],
        &["contract"],
        &["projection", "broker", "store"],
        &[
            "command", "sync", "push", "feed", "quota", "relay", "shard", "sweep", "search", "keys", "secrets",
            "rebuild", "gateway", "audited", "erasure", "users",
        ],
        &["http", "console"],
        &["app", "doctor"],
        &["dev"],
        &["main", "cli", "lib"],
    ],
    beside: &["clock", "config", "console_config", "metrics", "telemetry", "traces", "worker", "lifecycle", "memory"],
    siblings: &[
        ("main", "cli", "main is cli's thin shell"),
        ("console", "http", "the pages share the server, the brands of hosts and the service's URL with the API"),
        ("users", "secrets", "the secret of a second factor is kept sealed"),
        ("users", "keys", "the first set-up makes an account with its first key"),
        ("command", "feed", "a commit is announced to the account's followers"),
        ("relay", "feed", "the relay is a cursor on the log"),
        ("relay", "shard", "only a shard's owner relays"),
        ("push", "feed", "an endpoint is a cursor on the log"),
        ("push", "shard", "only a shard's owner pushes"),
        ("push", "command", "an endpoint's health changes by commands"),
        ("sweep", "feed", "what is behind is marked for its followers"),
        ("sweep", "command", "answers are swept when commands no longer remember them"),
        ("push", "secrets", "an endpoint's secrets are kept sealed"),
        ("keys", "secrets", "a key's text is kept sealed"),
        ("sync", "command", "a batch goes in as commands"),
        ("sync", "feed", "a conflict is read from the log"),
        ("keys", "quota", "the limiter's statement reports whether an account has changed"),
        ("audited", "command", "a change stores the response that a repetition gets, for as long as commands do"),
        ("audited", "secrets", "a stored response may hold a secret"),
        ("push", "audited", "an endpoint changes in one audited transaction"),
        ("gateway", "audited", "a consumer changes in one audited transaction"),
        ("gateway", "shard", "only a shard's owner makes consumers again"),
        ("gateway", "keys", "a login to NATS presents a key"),
        ("gateway", "quota", "a command over NATS is a call"),
        ("erasure", "feed", "events in memory are dropped where the log has them in another form"),
        ("erasure", "push", "responses to deliveries of before are written, or never will be"),
        ("erasure", "shard", "a replica confirms by its owner session"),
        ("projection", "store", "a rebuild reads the log and swaps the tables"),
    ],
    apart: &[],
};

/// The modules of the API. `mod` is `http/mod.rs`, which assembles the router and the state: nothing else names its items.
pub(crate) const HTTP: Layers = Layers {
    inside: "src/http/",
    layers: &[&["response"], &["request"], &["resources", "server"], &["spec"], &["mod", "tests"]],
    beside: &[],
    siblings: &[],
    apart: &[("spec", "server", "the documents say what resources answer, not how connections are served")],
};

/// Names that a folder never uses.
pub(crate) const NEVER: &[Never] = &[
    Never {
        inside: "src/domain/",
        names: &[
            "tokio::",
            "serde_json::",
            "http::",
            "axum::",
            "hyper::",
            "postgres::",
            "tokio_postgres::",
            "deadpool::",
            "deadpool_postgres::",
            "async_nats::",
            "tracing::",
        ],
        why: "the domain is pure: values in, events out",
    },
    Never {
        inside: "src/http/",
        names: &["tokio_postgres::", "async_nats::"],
        why: "http speaks to the layers below, never to Postgres or NATS",
    },
    Never {
        inside: "src/push/scheduler/",
        names: &["tokio::", "tracing::"],
        why: "the scheduler is pure: events and the time in, deliveries out",
    },
];

/// Folders that keep apart although their layers would allow the edge.
pub(crate) const APART: &[Apart] = &[Apart {
    from: "src/push/scheduler/",
    to: "src/store/",
    why: "the scheduler decides on types of its own and of the domain; what it decided is written elsewhere",
}];

/// Names that only their home uses.
pub(crate) const DATABASE: Only = Only {
    names: &["tokio_postgres::", "deadpool_postgres::", "postgres_types::", "refinery::"],
    homes: &["src/store/", "src/dev/"],
    why: "PostgreSQL is spoken in store/ alone",
};
pub(crate) const SQL_HOMES: &[&str] = DATABASE.homes;

pub(crate) const BROKER: Only =
    Only { names: &["async_nats::", "nkeys::"], homes: &["src/broker/"], why: "NATS is spoken in broker/ alone" };

pub(crate) const TIME: Only = Only {
    names: &["SystemTime::now", "Instant::now", "Timestamp::now", "UtcDateTime::now", "now_utc", "now_local", "now_v7"],
    homes: &["src/clock.rs"],
    why: "the time comes from the clock that was passed in",
};

pub(crate) const ENVIRONMENT: Only = Only {
    names: &["env::var", "env::vars", "env::var_os", "env::vars_os", "env::set_var", "env::remove_var"],
    homes: &["src/config.rs"],
    why: "the environment is read once, by config",
};

pub(crate) const TASKS: Only = Only {
    names: &[
        "tokio::spawn",
        "task::spawn",
        "task::spawn_local",
        "thread::spawn",
        ".spawn(",
        ".spawn_on(",
        ".spawn_local(",
    ],
    homes: &["src/app.rs", "src/lifecycle.rs"],
    why: "long-lived tasks are started in app.rs, where they are seen and stopped",
};
pub(crate) const TASK_EXCEPTIONS: &Exemptions = &[
    ("src/dev/services/", "Postgres and NATS are child processes, each anchored to a thread of its own"),
    ("src/http/server/listener.rs", "a connection each, in the tracker that app drains"),
    ("src/push/supervisor.rs", "a worker per endpoint with something to do, in the tracker that app drains"),
    (
        "src/store/reading.rs",
        "cancels an abandoned statement, for seconds at most, and has no caller left to wait for it",
    ),
    ("src/relay/passes.rs", "the passes of the relay, which end with it"),
    ("src/rebuild/workers.rs", "the tasks of one command, which waits for all of them"),
    ("src/shard.rs", "drives the owner session's connection, in the tracker that app drains"),
];

pub(crate) const STATUS: Only = Only {
    names: &[
        "StatusCode::*",
        "StatusCode::from_u16",
        "StatusCode::BAD_REQUEST",
        "StatusCode::UNAUTHORIZED",
        "StatusCode::PAYMENT_REQUIRED",
        "StatusCode::FORBIDDEN",
        "StatusCode::NOT_FOUND",
        "StatusCode::METHOD_NOT_ALLOWED",
        "StatusCode::NOT_ACCEPTABLE",
        "StatusCode::PROXY_AUTHENTICATION_REQUIRED",
        "StatusCode::REQUEST_TIMEOUT",
        "StatusCode::CONFLICT",
        "StatusCode::GONE",
        "StatusCode::LENGTH_REQUIRED",
        "StatusCode::PRECONDITION_FAILED",
        "StatusCode::PAYLOAD_TOO_LARGE",
        "StatusCode::URI_TOO_LONG",
        "StatusCode::UNSUPPORTED_MEDIA_TYPE",
        "StatusCode::RANGE_NOT_SATISFIABLE",
        "StatusCode::EXPECTATION_FAILED",
        "StatusCode::IM_A_TEAPOT",
        "StatusCode::MISDIRECTED_REQUEST",
        "StatusCode::UNPROCESSABLE_ENTITY",
        "StatusCode::LOCKED",
        "StatusCode::FAILED_DEPENDENCY",
        "StatusCode::TOO_EARLY",
        "StatusCode::UPGRADE_REQUIRED",
        "StatusCode::PRECONDITION_REQUIRED",
        "StatusCode::TOO_MANY_REQUESTS",
        "StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE",
        "StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS",
        "StatusCode::INTERNAL_SERVER_ERROR",
        "StatusCode::NOT_IMPLEMENTED",
        "StatusCode::BAD_GATEWAY",
        "StatusCode::SERVICE_UNAVAILABLE",
        "StatusCode::GATEWAY_TIMEOUT",
        "StatusCode::HTTP_VERSION_NOT_SUPPORTED",
        "StatusCode::VARIANT_ALSO_NEGOTIATES",
        "StatusCode::INSUFFICIENT_STORAGE",
        "StatusCode::LOOP_DETECTED",
        "StatusCode::NOT_EXTENDED",
        "StatusCode::NETWORK_AUTHENTICATION_REQUIRED",
    ],
    homes: &["src/http/response/problem.rs", "src/console/error.rs"],
    why: "which status an error has is decided in one file: http/response/problem.rs for the API, console/error.rs for pages",
};
/// Files that read a status, or that answer before there is a request to have a problem with.
pub(crate) const STATUS_EXCEPTIONS: &Exemptions = &[];

pub(crate) const FILE_LINES: usize = 600;
pub(crate) const MOD_LINES: usize = 250;
pub(crate) const FUNCTION_LINES: usize = 80;
/// Subjects are `path::function`.
pub(crate) const FUNCTION_EXCEPTIONS: &Exemptions = &[];

/// Test files whose subject is slowness itself, such as a receiver that drips.
pub(crate) const SLEEP_EXCEPTIONS: &Exemptions = &[];

/// Statements that span accounts. Subjects are the statements' names.
pub(crate) const STATEMENT_EXCEPTIONS: &Exemptions = &[
    ("schema.lock", "the schema is no account's"),
    ("schema.exists", "the schema is no account's"),
    ("schema.applied", "the schema is no account's"),
    ("schema.owner", "the schema is no account's"),
    ("store.ping", "reads nothing"),
    ("restored.recovering", "reads nothing"),
    ("store.after_cancel", "reads nothing"),
    ("contact_search.relax", "reads nothing"),
    ("owner.join", "replicas own shards, not accounts"),
    ("owner.members", "replicas own shards, not accounts"),
    ("owner.try_lock", "replicas own shards, not accounts"),
    ("owner.unlock", "replicas own shards, not accounts"),
    ("owner_lease.renew", "replicas own shards, not accounts"),
    ("owner_lease.end_expired", "replicas own shards, not accounts"),
    ("erasure.not_long", "reads nothing"),
    ("store.clock", "reads the time"),
    ("doctor.server", "reads the server's state"),
    ("doctor.settings", "reads the server's state"),
    ("doctor.extensions", "reads the server's state"),
    ("doctor.privileges", "reads the schema's state"),
    ("doctor.partitions", "reads the schema's state"),
    ("doctor.archiver", "reads the server's state"),
    ("doctor.sessions", "reads the server's state"),
    ("doctor.members", "replicas own shards, not accounts"),
    ("doctor.standby", "reads the server's state"),
    ("console_user.any", "whether it is the first start is no account's"),
    ("sign_in_throttle.take", "a visitor who signs in has no account yet"),
    ("sign_in_throttle.clear", "a visitor who signs in has no account yet"),
    ("sign_in_throttle.sweep", "a visitor who signs in has no account yet"),
    ("rebuild.lock", "a run is no account's"),
    ("rebuild.unlock", "a run is no account's"),
    ("rebuild.lock_shared", "a run is no account's"),
    ("rebuild.live_schema", "a run is no account's"),
    ("rebuild.exists", "a rebuilt table has the records of all accounts"),
    ("rebuild.run", "a run is no account's"),
    ("rebuild.restores", "counts the restores of all logs"),
    ("rebuild.schema_version", "the schema is no account's"),
    ("rebuild.autovacuum_of", "a rebuilt table has the records of all accounts"),
    ("rebuild.lock_out_vacuum", "a rebuilt table has the records of all accounts"),
    ("verify.begin_snapshot", "a swap is of all accounts"),
    ("rebuild.make_run", "a rebuilt table has the records of all accounts"),
    ("rebuild.start_run", "a run is no account's"),
    ("rebuild.storage", "a rebuilt table has the records of all accounts"),
    ("rebuild.grants", "a rebuilt table has the records of all accounts"),
    ("rebuild.indexes", "a rebuilt table has the records of all accounts"),
    ("rebuild.size", "a rebuilt table has the records of all accounts"),
    ("rebuild.create_schema", "a rebuilt table has the records of all accounts"),
    ("rebuild.create_table", "a rebuilt table has the records of all accounts"),
    ("rebuild.drop_schema", "a rebuilt table has the records of all accounts"),
    ("rebuild.create_index", "a rebuilt table has the records of all accounts"),
    ("rebuild.primary_key", "a rebuilt table has the records of all accounts"),
    ("rebuild.analyze", "a rebuilt table has the records of all accounts"),
    ("rebuild.lock_heads", "a rebuilt table has the records of all accounts"),
    ("rebuild.forget_texts", "a rebuilt table has the records of all accounts"),
    ("rebuild.lock_tables", "a rebuilt table has the records of all accounts"),
    ("rebuild.drop_live", "a rebuilt table has the records of all accounts"),
    ("rebuild.take_name", "a rebuilt table has the records of all accounts"),
    ("rebuild.drop_shadow", "a rebuilt table has the records of all accounts"),
    ("push_attempt.partitions", "a day's partition has the attempts of all accounts"),
    ("push_attempt.not_long", "reads nothing"),
    ("push_attempt.unhurried", "reads nothing"),
    ("push_attempt.add_day", "a day's partition has the attempts of all accounts"),
    ("push_attempt.drop_day", "a day's partition has the attempts of all accounts"),
    ("push_attempt.add_day_as_owner", "a day's partition has the attempts of all accounts"),
    ("push_attempt.drop_day_as_owner", "a day's partition has the attempts of all accounts"),
];

/// Keys that do not begin with the account. Subjects are `table` for a primary key, `table.index` for a unique index.
pub(crate) const KEY_EXCEPTIONS: &Exemptions = &[
    (
        "brand_host.brand_host_name",
        "a request names a host and no account: a host is one account's in the installation",
    ),
    ("owner_lease", "replicas own shards, not accounts"),
    ("sign_in_throttle", "a visitor who signs in has no account yet"),
];

/// Migrations that were released before the rule and break replicas of the version before them, and one of which it was
/// measured that it does not. Subjects are files.
pub(crate) const CONTRACT_EXCEPTIONS: &Exemptions = &[
    (
        "V8__push.sql",
        "released: it drops push_endpoint.secret, so that deliveries of older replicas wait for newer ones",
    ),
    ("V12__health_of_the_log.sql", "released: it drops push_endpoint.reported, with the same consequence"),
    (
        "V25__history_without_index.sql",
        "one statement of the version before used the index, the erasure of attempts; by the primary key it takes 1.25 \
         times as long (benches/store/run.sh history)",
    ),
];

/// Texts that stand in no file of the package. Written in two pieces, so that this file does not say it either.
pub(crate) const FOREIGN_TEXT: &[(&str, &str)] = &[
    (concat!("/work", "/"), "a path of the machine it was written on"),
    (concat!("index.", "crates.io"), "a registry's host"),
    (concat!("static.", "crates.io"), "a registry's host"),
    (concat!("deb.debian", ".org"), "a registry's host"),
    (concat!("replace", "-with"), "a registry's replacement"),
];

/// The one source that Cargo.lock may name.
pub(crate) const LOCK_SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// How no sentence of a comment begins: its object stands before its subject and action.
pub(crate) const COMMENT_OPENINGS: &[&str] = &["What", "Whoever", "So many", "As many"];

/// Migrations up to this version were written with the old words, and stay as they are.
pub(crate) const LAST_MIGRATION_OF_OLD_WORDS: u32 = 19;

/// How no identifier begins: limits are `MAX_…`.
pub(crate) const OLD_PREFIXES: &[&str] = &["MOST_", "LONGEST_", "LARGEST_", "HIGHEST_"];

const fn word(old: &'static [&'static str], standard: &'static str) -> Word {
    Word { old, standard, allowed: &[] }
}

/// The glossary's left-hand words. Each is one whole identifier, and is none in `src`, `tests` and `benches`; where a row
/// names a type, the names of its values and modules stand beside it if they are no plain English of the field.
pub(crate) const VOCABULARY: &[Word] = &[
    // Commands.
    word(&["Order"], "CommandEnvelope, DeliveryOrder or SortOrder"),
    word(&["Receipt", "receipt"], "CommandResult"),
    word(&["What"], "Disposition"),
    word(&["Carried"], "BatchResult"),
    word(&["carry_out"], "execute"),
    word(&["Trouble"], "BatchError"),
    word(&["Draft"], "PendingReply"),
    word(&["Wanted"], "LoadRequest"),
    word(&["Found"], "LoadedState"),
    word(&["Answer"], "IdempotencyRecord"),
    word(&["Told"], "CachedResponse"),
    word(&["recall"], "lookup"),
    word(&["REMEMBERED"], "IDEMPOTENCY_TTL"),
    // Events.
    word(&["Fact", "fact", "facts"], "NewEvent"),
    word(&["Verb", "verb", "verbs"], "EventType"),
    word(&["Wire"], "EncodedEvent"),
    word(&["moment", "moments"], "timestamp"),
    // Validation.
    word(&["Gathered", "gathered"], "ValidationErrors"),
    word(&["Loose"], "UntypedValue"),
    word(&["fit"], "validate"),
    word(&["Besides", "besides"], "RelatedChanges"),
    word(&["fold_key"], "normalize_key"),
    // Webhooks.
    Word {
        old: &["Lane", "lane"],
        standard: "DeliveryScheduler",
        allowed: &[Allowed { at: At::Files(&["src/command/"]), why: "a lane of the command writer" }],
    },
    word(&["Offer"], "EventMeta"),
    word(&["Rules"], "DeliveryPolicy"),
    word(&["Verdict", "verdict", "verdicts"], "EndpointAction"),
    word(&["Parcel", "parcel", "parcels"], "Delivery"),
    word(&["Packed", "packed"], "PlannedDelivery"),
    word(&["Packer", "packer"], "DeliveryBuilder"),
    word(&["Seed"], "the field it is"),
    word(&["Exceptions"], "RetryQueue"),
    word(&["Waiting"], "RetryEntry"),
    Word {
        old: &["rows"],
        standard: "per-record queues",
        allowed: &[
            Allowed { at: At::Files(&["src/store/", "src/command/"]), why: "the rows of a statement or of its result" },
            Allowed { at: At::Files(&["tests/", "benches/"]), why: "the rows of a result, or of a printed table" },
        ],
    },
    word(&["fronts"], "heads"),
    word(&["Open"], "PendingEvents"),
    Word {
        old: &["Item"],
        standard: "PendingEvent",
        allowed: &[Allowed {
            at: At::Tokens(&[&["type", "Item"], &["<", "Item", "="], &["::", "Item"]]),
            why: "the associated type of std's Iterator",
        }],
    },
    Word {
        old: &["fold"],
        standard: "coalesce",
        allowed: &[Allowed { at: At::Tokens(&[&[".", "fold", "("]]), why: "the method of std's Iterator" }],
    },
    word(&["replaced"], "superseded"),
    Word {
        old: &["Failing"],
        standard: "CircuitBreaker",
        allowed: &[
            Allowed {
                at: At::Files(&["src/domain/"]),
                why: "the wire's own words: the event `push.failing`, the health",
            },
            Allowed {
                at: At::Tokens(&[&["Health", "::", "Failing"], &["EventType", "::", "Failing"]]),
                why: "the wire's own words: the event `push.failing`, the health `failing`",
            },
        ],
    },
    word(&["hopeless", "is_hopeless", "HOPELESS"], "failing for too long"),
    word(&["place"], "cursor, or index, position, environment: the thing it is"),
    word(&["Placed", "placed"], "EndpointState"),
    word(&["Move", "push_order"], "CursorCommand"),
    word(&["passed"], "processed"),
    word(&["Stretch", "stretch", "stretches"], "SeqRange"),
    word(&["Saver", "saver"], "CursorFlusher"),
    word(&["Deliverer", "deliverer"], "DeliveryContext"),
    word(&["Runner"], "EndpointWorker"),
    word(&["Slots"], "ConcurrencyLimiter"),
    word(&["keeping"], "secret_storage"),
    // Quota.
    word(&["Ledger", "ledger"], "QuotaLimiter"),
    word(&["Booking", "booking", "bookings"], "Reservation"),
    word(&["lookers", "looker"], "waiters"),
    word(&["most"], "limit or max"),
    word(&["Standing", "standing"], "RateLimitStatus"),
    // HTTP.
    word(&["Writing"], "IdempotentWrite"),
    word(&["Halt"], "WriteError"),
    word(&["Said"], "ResponseBody"),
    word(&["Walks"], "PageCursorCache"),
    word(&["Bookmark", "bookmark"], "PageCursor"),
    word(&["Turn"], "PageRequest"),
    word(&["Sought", "sought"], "ProjectSelector"),
    word(&["Dummy", "dummy"], "SampleMode"),
    word(&["present"], "resolve_links, or current, given: the thing it is"),
    // Anywhere: participles as nouns.
    word(&["said"], "response"),
    word(&["told"], "reported"),
    word(&["asked"], "request"),
    word(&["found"], "result"),
];

/// Folders that other parts are built upon: each has at least one file.
pub(crate) const FOLDERS: &[(&str, &str)] = &[
    ("src/domain/endpoint/", "a push endpoint: its settings, and the commands on its cursor"),
    ("src/http/server/", "the listener, its middleware and its limits"),
    ("src/http/request/", "extraction, authentication, idempotency"),
    ("src/http/response/", "the envelope and the problems"),
    ("src/http/resources/", "one file per resource"),
    ("src/http/spec/", "the operations and what is generated from them"),
];
