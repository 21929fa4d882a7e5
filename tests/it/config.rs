//! The configuration.

use unificus::config::Config;
use unificus::metrics::Metrics;
use unificus::store::Store;

fn example() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/unificus.example.toml")).unwrap()
}

#[test]
fn the_example_holds_the_defaults_and_every_one_of_them() {
    let example = example();
    assert_eq!(Config::from_parts(&example, []).unwrap(), Config::default());
    let written: toml::Table = example.parse().unwrap();
    assert_eq!(written, toml::Table::try_from(Config::default()).unwrap());
}

#[test]
fn the_environment_goes_before_the_file() {
    let environment = [
        ("UNIFICUS_HTTP__LISTEN".to_owned(), "0.0.0.0:80".to_owned()),
        ("UNIFICUS_PUSH__ALLOW_NETWORKS".to_owned(), r#"["10.0.0.0/8"]"#.to_owned()),
        ("UNIFICUS_BASE_URL".to_owned(), "no setting".to_owned()),
    ];
    let config = Config::from_parts("[http]\nlisten = '127.0.0.1:1'\nmax_connections = 7", environment).unwrap();

    assert_eq!(config.http.listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.http.max_connections, 7);
    assert_eq!(config.push.allow_networks.len(), 1);
}

#[test]
fn the_list_of_tiers_is_the_one_that_is_written() {
    assert_eq!(Config::default().quota.tiers.names(), "free-trial, start, thrive, pinnacle");
    let file = "[quota.tiers.gold]\ntitle = 'Gold'\ncalls_per_month = 9\n\
                [quota.tiers.basic]\ntitle = 'Basic'\ncalls_per_month = 3";
    let config = Config::from_parts(file, []).unwrap();
    assert_eq!(config.quota.tiers.names(), "basic, gold", "the defaults are replaced as a whole");
    assert!(config.quota.enforced, "the section's other settings keep their defaults");

    let tiers = "{ load = { title = 'Load', calls_per_month = 1000000000000 } }";
    let environment = [("UNIFICUS_QUOTA__TIERS".to_owned(), tiers.to_owned())];
    let config = Config::from_parts(file, environment).unwrap();
    assert_eq!(config.quota.tiers.names(), "load", "and so is the file's list by the environment's");
    assert_eq!(config.quota.tiers.largest().1.calls_per_month, 1_000_000_000_000);
}

#[test]
fn unusable_settings_are_refused_by_name() {
    for (text, named) in [
        ("[http]\nlisten = 'nowhere'", "listen"),
        ("[http]\nlissten = '127.0.0.1:1'", "lissten"),
        ("[brand]\nname = ' '", "brand.name"),
        ("[brand]\ncolor = 'green'", "brand.color"),
        ("[commands]\nlanes = 65", "commands.lanes"),
        ("[brand]\nslug = 'a_b'", "brand.slug"),
        ("[secrets]\nmaster_keys = ['c2hvcnQ=']", "master_keys"),
        ("[nats]\nreplicas = 2", "nats.replicas"),
        ("[nats]\nsubject_root = 'a.>'", "nats.subject_root"),
        ("[database]\nurl = 'x'", "database.url"),
        ("[database]\nread_url = 'x'", "database.read_url"),
        ("[log]\nfilter = 'a=b=c'", "log.filter"),
        ("[quota.tiers.Gold]\ntitle = 'Gold'\ncalls_per_month = 1", "quota.tiers has \"Gold\""),
        ("[quota.tiers.gold]\ntitle = 'Gold'\ncalls_per_month = 0", "quota.tiers.gold.calls_per_month"),
        ("[quota.tiers.gold]\ntitle = 'Gold'", "calls_per_month"),
        ("[quota.tiers.gold]\ntitle = 'Gold'\ncalls_per_month = 1\ncalls_per_year = 1", "calls_per_year"),
        ("[quota]\ntiers = {}", "quota.tiers must have 1 to 100 tiers"),
        ("nonsense", "TOML"),
    ] {
        let error = format!("{:#}", Config::from_parts(text, []).unwrap_err());
        assert!(error.contains(named), "{text}: {error}");
    }
    let unknown = [("UNIFICUS_HTTP__LISSTEN".to_owned(), "1".to_owned())];
    let error = format!("{:#}", Config::from_parts("", unknown).unwrap_err());
    assert!(error.contains("UNIFICUS_HTTP__LISSTEN"), "{error}");
}

#[test]
fn no_password_is_shown_by_debug_or_in_an_error() {
    let text = "[database]\nurl = 'postgresql://unificus:hush1@db/unificus?password=hush2'\n\
                read_url = 'postgresql://unificus:hush4@standby/unificus'\n\
                [nats]\nurl = 'nats://unificus:hush3@nats:4222'";
    let config = Config::from_parts(text, []).unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("unificus:***@db") && shown.contains("unificus:***@nats:4222"), "{shown}");
    assert!(shown.contains("unificus:***@standby"), "{shown}");

    for wrong in [
        "[database]\nurl = 'postgresql://unificus:hush@db:port/unificus'",
        "[database]\nurl = 'unificus:hush@'",
        "[database]\nread_url = 'postgresql://unificus:hush@db:port/unificus'",
        "[nats]\nurl = 'nats://unificus:hush@[nats'",
        "[database]\nurl = ['postgresql://unificus:hush@db']",
        "[database]\nurl = 'postgresql://unificus:hush@db",
        "[database]\nurll = 'postgresql://unificus:hush@db'",
    ] {
        let message = match Config::from_parts(wrong, []) {
            Err(error) => format!("{error:#} {error:?}"),
            // The Postgres driver reads the query parameters of a URL.
            Ok(config) => {
                let made = Store::new(&config.database, 1, Metrics::new().unwrap());
                let error = made.err().unwrap_or_else(|| panic!("{wrong} is accepted"));
                format!("{error:?} {}", error.report())
            }
        };
        assert!(!message.contains("hush"), "{wrong}: {message}");
    }
}
