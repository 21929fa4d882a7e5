use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::families::{self, FAMILIES};
use super::*;

fn strict() -> AddressPolicy {
    AddressPolicy::default()
}

fn allowing(nets: &[&str]) -> AddressPolicy {
    let allow = nets.iter().map(|net| net.parse().expect("a net")).collect();
    AddressPolicy { allow_http: true, allow }
}

fn addr(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn family_of(text: &str) -> Option<&'static str> {
    match strict().check_addr(addr(text)) {
        Ok(()) => None,
        Err(Refused::Address { family, .. }) => Some(family),
        Err(Refused::Url(why)) => panic!("an address is not refused as a URL: {why}"),
    }
}

/// First and last address of each family, as far as a narrower one does not take them.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    ("169.254.169.254", "cloud metadata"), ("169.254.170.2", "cloud metadata"),
    ("100.100.100.200", "cloud metadata"), ("168.63.129.16", "cloud metadata"),
    ("192.0.0.192", "cloud metadata"), ("fd00:ec2::254", "cloud metadata"),
    ("fd00:ec2::23", "cloud metadata"), ("fd20:ce::254", "cloud metadata"),
    ("0.0.0.0", "unspecified"), ("0.0.0.1", "this network"), ("0.255.255.255", "this network"),
    ("10.0.0.0", "private"), ("10.255.255.255", "private"),
    ("172.16.0.0", "private"), ("172.31.255.255", "private"),
    ("192.168.0.0", "private"), ("192.168.255.255", "private"),
    ("100.64.0.0", "carrier-grade NAT"), ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"), ("127.255.255.255", "loopback"), ("::1", "loopback"),
    ("169.254.0.0", "link-local"), ("169.254.255.255", "link-local"),
    ("fe80::", "link-local"), ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
    ("192.0.0.0", "IETF protocol assignment"), ("192.0.0.255", "IETF protocol assignment"),
    ("2001:1::1", "IETF protocol assignment"), ("2001:1ff:ffff::", "IETF protocol assignment"),
    ("192.0.2.0", "documentation"), ("198.51.100.255", "documentation"), ("203.0.113.1", "documentation"),
    ("2001:db8::", "documentation"), ("2001:db8:ffff::", "documentation"),
    ("3fff::", "documentation"), ("3fff:fff:ffff::", "documentation"),
    ("192.31.196.1", "AS112 sink"), ("192.175.48.1", "AS112 sink"), ("2620:4f:8000::1", "AS112 sink"),
    ("192.52.193.1", "multicast tunnelling"), ("192.88.99.1", "6to4 relay"),
    ("198.18.0.0", "benchmark"), ("198.19.255.255", "benchmark"), ("2001:2::1", "benchmark"),
    ("224.0.0.0", "multicast"), ("239.255.255.255", "multicast"), ("ff02::1", "multicast"), ("ff0e::1", "multicast"),
    ("255.255.255.255", "broadcast"), ("240.0.0.0", "class E"), ("255.255.255.254", "class E"),
    ("::", "unspecified"), ("::ffff:127.0.0.1", "IPv4-mapped"), ("::ffff:8.8.8.8", "IPv4-mapped"),
    ("::ffff:0:127.0.0.1", "IPv4-translated"), ("::ffff:0:8.8.8.8", "IPv4-translated"),
    ("::127.0.0.1", "IPv4-compatible"), ("::8.8.8.8", "IPv4-compatible"),
    ("64:ff9b::10.0.0.1", "NAT64"), ("64:ff9b::8.8.8.8", "NAT64"), ("64:ff9b:1::1", "NAT64"),
    ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64"), ("100::", "discard"), ("100::ffff:ffff:ffff:ffff", "discard"),
    ("2001::", "Teredo"), ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
    ("2001:10::", "ORCHID"), ("2001:1f:ffff::", "ORCHID"), ("2001:20::", "ORCHIDv2"), ("2001:2f:ffff::", "ORCHIDv2"),
    ("2002:7f00:1::", "6to4"), ("2002:808:808::1", "6to4"), ("5f00::1", "segment routing"),
    ("fc00::", "unique local"), ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local"),
    ("fec0::", "site-local"), ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
    ("64:ff9b:2::1", "not global unicast"), ("100:0:0:1::1", "not global unicast"), ("1fff::", "not global unicast"),
    ("4000::", "not global unicast"), ("7fff::1", "not global unicast"), ("8000::1", "not global unicast"),
    ("fe00::1", "not global unicast"),
];

/// Neighbours just outside of the families, and ordinary hosts.
#[rustfmt::skip]
const PERMITTED: &[&str] = &[
    "1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0",
    "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "168.63.129.15",
    "2000::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1", "2003::1", "2606:4700:4700::1111", "2a00:1450:4001::1",
    "3ffe:ffff::1", "3fff:1000::1",
];

#[test]
fn every_family_of_address_is_refused_by_its_name() {
    for (text, family) in REFUSED {
        assert_eq!(family_of(text), Some(*family), "{text}");
    }
}

#[test]
fn no_family_is_without_a_case() {
    for (at, family) in FAMILIES.iter().enumerate() {
        let met =
            REFUSED.iter().any(|(text, _)| families::of(addr(text)).is_some_and(|other| std::ptr::eq(other, family)));
        assert!(met, "row {at}, {} {} ({}), has no case", family.net, family.name, family.source);
        assert_eq!(family.net, family.net.trunc(), "row {at} is written with bits beyond its prefix");
    }
}

#[test]
fn ordinary_addresses_are_permitted() {
    for text in PERMITTED {
        assert_eq!(family_of(text), None, "{text}");
    }
}

#[test]
fn the_operators_nets_lift_the_refusal_for_themselves_alone() {
    let policy = allowing(&["10.1.0.0/16", "::1/128"]);
    assert_eq!(policy.check_addr(addr("10.1.2.3")), Ok(()));
    assert_eq!(policy.check_addr(addr("::1")), Ok(()));
    assert!(policy.check_addr(addr("10.2.0.1")).is_err());
    assert!(policy.check_addr(addr("127.0.0.1")).is_err());
}

#[test]
fn an_allowed_v4_net_opens_no_v6_form_of_it() {
    let policy = allowing(&["0.0.0.0/0"]);
    assert_eq!(policy.check_addr(addr("127.0.0.1")), Ok(()));
    for text in
        ["::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "2001::1"]
    {
        assert!(policy.check_addr(addr(text)).is_err(), "{text}");
    }
    assert_eq!(allowing(&["::ffff:127.0.0.0/104"]).check_addr(addr("::ffff:127.0.0.1")), Ok(()));
}

#[test]
fn an_address_in_the_url_is_checked_at_once_in_every_spelling() {
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.0.0x0.1",
        "%31%32%37.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[64:ff9b::7f00:1]",
        "0",
        "0.0.0.0",
        "169.254.169.254",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
    ] {
        let refused = strict().check_url(&format!("https://{host}:8443/hook"));
        assert!(matches!(refused, Err(Refused::Address { .. })), "{host}: {refused:?}");
    }
}

#[test]
fn a_url_is_refused_for_what_it_is() {
    for (text, why) in [
        ("", "it is not an absolute URL"),
        ("/hook", "it is not an absolute URL"),
        ("https://", "it is not an absolute URL"),
        ("https://exa mple.com/", "it is not an absolute URL"),
        ("https://[fe80::1%25eth0]/", "it is not an absolute URL"),
        ("ftp://example.com/", "only http and https are spoken"),
        ("file:///etc/passwd", "only http and https are spoken"),
        ("unix:/run/docker.sock", "only http and https are spoken"),
        ("https://user@example.com/", "it holds credentials"),
        ("https://:secret@example.com/", "it holds credentials"),
        ("https://example.com@127.0.0.1/", "it holds credentials"),
        ("https://example.com/#part", "it has a fragment"),
        ("https://example.com/#", "it has a fragment"),
        ("http://example.com/", "only https is permitted"),
    ] {
        assert_eq!(strict().check_url(text), Err(Refused::Url(why)), "{text}");
    }
}

#[test]
fn a_permitted_url_is_kept_in_its_normal_form() {
    for (policy, text, kept) in [
        (strict(), "https://Example.COM:443/a b?q=ü", "https://example.com/a%20b?q=%C3%BC"),
        (strict(), "https://bücher.example/", "https://xn--bcher-kva.example/"),
        (strict(), "https://8.8.8.8:8443", "https://8.8.8.8:8443/"),
        (strict(), "https:\\\\example.com\\hook", "https://example.com/hook"),
        (allowing(&[]), "http://example.com/", "http://example.com/"),
        (allowing(&["127.0.0.0/8"]), "http://0x7f.1:80/hook", "http://127.0.0.1/hook"),
    ] {
        let url = policy.check_url(text).expect(text);
        assert_eq!((url.as_str(), url.uri().to_string().as_str()), (kept, kept), "{text}");
    }
}

#[test]
fn a_stored_url_is_held_to_the_policy_of_the_day() {
    let stored = EndpointUrl::parse("http://10.0.0.1/hook").expect("a URL");
    assert_eq!(allowing(&["10.0.0.0/8"]).check_endpoint(&stored), Ok(()));
    assert!(matches!(allowing(&[]).check_endpoint(&stored), Err(Refused::Address { family: "private", .. })));
    assert_eq!(strict().check_endpoint(&stored), Err(Refused::Url("only https is permitted")));
}

#[test]
fn the_message_names_the_family_and_no_address() {
    let message = strict().check_addr(addr("10.20.30.40")).expect_err("private").to_string();
    assert_eq!(message, "the host's address is refused: private (RFC 1918)");
}

proptest! {
    /// The standard library knows some of the v4 families by itself: no address that it names passes.
    #[test]
    fn nothing_passes_that_the_standard_library_calls_special(
        first in prop::sample::select(vec![0_u8, 10, 127, 169, 172, 192, 198, 203, 224, 239, 255]),
        second: u8,
        rest: u16,
    ) {
        let [third, fourth] = rest.to_be_bytes();
        let v4 = Ipv4Addr::new(first, second, third, fourth);
        let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
            || v4.is_documentation() || v4.is_multicast() || v4.is_unspecified();
        prop_assert!(!special || strict().check_addr(v4.into()).is_err(), "{}", v4);
    }

    #[test]
    fn no_v6_address_passes_but_global_unicast(bits: u128) {
        let passes = strict().check_addr(Ipv6Addr::from_bits(bits).into()).is_ok();
        prop_assert!(!passes || bits >> 125 == 1);
    }

    /// Whatever v4 address it carries, a v6 form of it is refused.
    #[test]
    fn no_v6_form_carries_a_v4_address_through(bits: u32) {
        let v4 = u128::from(bits);
        for form in [v4, 0xffff << 32 | v4, 0xffff << 48 | v4, 0x0064_ff9b << 96 | v4, 0x2002 << 112 | v4 << 80] {
            prop_assert!(allowing(&["0.0.0.0/0"]).check_addr(Ipv6Addr::from_bits(form).into()).is_err());
        }
    }

    /// A text is read into a URL or refused, and what it is read into reads as itself.
    #[test]
    fn reading_is_total_and_stable(text in "\\PC{0,40}|https?://\\PC{0,30}") {
        if let Ok(url) = EndpointUrl::parse(&text) {
            prop_assert_eq!(EndpointUrl::parse(url.as_str()), Ok(url));
        }
    }
}
