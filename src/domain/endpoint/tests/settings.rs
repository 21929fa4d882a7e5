use crate::domain::endpoint::settings::{self, BATCH, DEBOUNCE_MS, MAX_BATCH, RATE, TIMEOUT_S, WINDOW};
use crate::domain::endpoint::{Mode, Settings, header_name, header_value, is_reserved_header};

#[test]
fn a_number_keeps_its_limits() {
    for (limits, least, most) in
        [(WINDOW, 1, 256), (RATE, 1, 10_000), (BATCH, 1, 100), (DEBOUNCE_MS, 0, 60_000), (TIMEOUT_S, 1, 60)]
    {
        assert_eq!(settings::whole(Some(least), &limits), Ok(least));
        assert_eq!(settings::whole(Some(most), &limits), Ok(most));
        let refused = Err(format!("Must be a whole number from {least} to {most}."));
        assert_eq!(settings::whole(Some(most + 1), &limits), refused);
        assert_eq!(settings::whole(None, &limits), refused, "no whole number");
    }
    assert_eq!(u64::try_from(MAX_BATCH), Ok(*BATCH.end()));
    assert_eq!(Settings::defaults(1_000).window, 256, "the installation's default keeps the limit too");
}

#[test]
fn every_mode_is_the_one_of_its_name() {
    for name in Mode::NAMES {
        let mode = Mode::of_name(name, 7, std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(mode.name(), name);
    }
    assert_eq!(Mode::of_name("double", 7, std::time::Duration::ZERO), None);
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
