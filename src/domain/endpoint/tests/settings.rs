use crate::domain::ValidationErrors;
use crate::domain::endpoint::settings::{self, BATCH, DEBOUNCE_MS, MAX_BATCH, RATE, TIMEOUT_S, WINDOW};
use crate::domain::endpoint::{
    Header, HeaderChange, HeaderValue, Mode, ModeKind, Settings, SettingsChange, header_name, header_value,
    is_reserved_header,
};

#[test]
fn a_number_keeps_its_limits() {
    for (limits, min, max) in
        [(WINDOW, 1, 256), (RATE, 1, 10_000), (BATCH, 1, 100), (DEBOUNCE_MS, 0, 60_000), (TIMEOUT_S, 1, 60)]
    {
        assert_eq!(settings::whole(Some(min), &limits), Ok(min));
        assert_eq!(settings::whole(Some(max), &limits), Ok(max));
        let refused = Err(format!("Must be a whole number from {min} to {max}."));
        assert_eq!(settings::whole(Some(max + 1), &limits), refused);
        assert_eq!(settings::whole(None, &limits), refused, "no whole number");
    }
    assert_eq!(u64::try_from(MAX_BATCH), Ok(*BATCH.end()));
    assert_eq!(Settings::defaults(1_000).window, 256, "the installation's default keeps the limit too");
}

#[test]
fn every_mode_is_the_one_of_its_name() {
    for kind in ModeKind::ALL {
        let mode = Mode::new(kind, 7, std::time::Duration::from_secs(1));
        assert_eq!((mode.kind(), ModeKind::from_name(mode.name())), (kind, Some(kind)));
    }
    assert_eq!(ModeKind::from_name("double"), None);
}

#[test]
fn a_header_has_a_name_that_is_free_and_a_value_that_http_carries() {
    assert_eq!(header_name("X-Team").as_deref(), Ok("x-team"));
    let long = "x".repeat(256);
    for name in [
        "",
        "bad name",
        "näme",
        "a:b",
        &long,
        "Host",
        "webhook-id",
        "proxy-x",
        "keep-alive",
        "content-encoding",
        "traceparent",
    ] {
        assert!(header_name(name).is_err(), "{name}");
    }
    assert!(is_reserved_header("webhook-anything") && !is_reserved_header("content-encoding"));
    assert_eq!(header_value("x-a", Some(" ~")), Ok(" ~"));
    let long = "v".repeat(1_001);
    for value in [Some("one\r\ntwo"), Some("\u{1}"), Some("é"), Some(&*long), None] {
        assert!(header_value("x-a", value).is_err(), "{value:?}");
    }
}

/// The settings after a change, and the pointers of its errors.
fn changed(before: &Settings, change: SettingsChange) -> (Settings, Vec<String>) {
    let mut errors = ValidationErrors::default();
    let settings = change.apply(before, Settings::defaults(32), "shop", &mut errors);
    (settings, errors.into_list().into_iter().map(|invalid| invalid.pointer).collect())
}

fn with_url() -> Settings {
    Settings { url: "https://example.org/".to_owned(), ..Settings::defaults(32) }
}

#[test]
fn a_change_keeps_what_it_does_not_name_and_resets_what_it_names_without_a_value() {
    let before = Settings { window: 7, rate: Some(9), exclude_own: Some("forms".to_owned()), ..with_url() };
    assert_eq!(changed(&before, SettingsChange::default()), (before.clone(), vec![]));
    let reset = SettingsChange { window: Some(None), rate: Some(None), exclude_own: Some(None), ..Default::default() };
    assert_eq!(changed(&before, reset), (with_url(), vec![]));
    let set = SettingsChange { window: Some(Some(8)), exclude_own: Some(Some(true)), ..Default::default() };
    let after = Settings { window: 8, exclude_own: Some("shop".to_owned()), ..before.clone() };
    assert_eq!(changed(&before, set), (after, vec![]));
}

#[test]
fn a_change_of_mode_keeps_the_setting_that_belongs_to_the_mode() {
    let before = Settings { mode: Mode::Batch { max: 7 }, ..with_url() };
    let again = SettingsChange { mode: Some(Some(ModeKind::Batch)), ..Default::default() };
    assert_eq!(changed(&before, again).0.mode, Mode::Batch { max: 7 });
    let smaller = SettingsChange { max_batch: Some(Some(3)), ..Default::default() };
    assert_eq!(changed(&before, smaller.clone()).0.mode, Mode::Batch { max: 3 });
    assert_eq!(changed(&with_url(), smaller).0.mode, Mode::Single, "a size alone changes no mode");
}

#[test]
fn an_endpoint_has_a_url() {
    assert_eq!(changed(&Settings::defaults(32), SettingsChange::default()).1, ["#/url"]);
    assert_eq!(changed(&with_url(), SettingsChange { url: Some(None), ..Default::default() }).1, ["#/url"]);
}

#[test]
fn a_header_without_a_value_keeps_the_stored_one_and_needs_it() {
    let stored = Header { name: "x-key".to_owned(), value: HeaderValue::Sealed(vec![1]) };
    let before = Settings { headers: vec![stored.clone()], ..with_url() };
    let keep = |name: &str| SettingsChange {
        headers: Some(Some(vec![HeaderChange { name: name.to_owned(), value: None }])),
        ..Default::default()
    };
    assert_eq!(changed(&before, keep("x-key")), (before.clone(), vec![]));
    assert_eq!(changed(&before, keep("x-other")).1, ["#/headers"]);
    assert!(keep("x-key").keeps_header_values(&before) && SettingsChange::default().keeps_header_values(&before));
    let removed = SettingsChange { headers: Some(None), ..Default::default() };
    assert!(!removed.keeps_header_values(&before));
    assert_eq!(changed(&before, removed).0.headers, []);
    let shown = format!("{:?}", HeaderChange { name: "x-key".to_owned(), value: Some("hush".to_owned()) });
    assert!(!shown.contains("hush"), "{shown}");
}
