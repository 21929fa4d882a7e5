//! The families of addresses that no delivery goes to, each with the document that sets it apart.
//!
//! Kept equal to IANA's IPv4 and IPv6 Special-Purpose Address Registries, plus what clouds answer on. Forms of
//! IPv6 that carry an IPv4 address (mapped, compatible, translated, 6to4, NAT64, Teredo) are refused as such,
//! whatever they carry: what stands behind a translator is not ours to judge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A set of addresses that is refused for one reason.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) net: IpNet,
    pub(super) name: &'static str,
    pub(super) source: &'static str,
}

/// The first family that the address belongs to; none for an ordinary public address.
pub(super) fn of(addr: IpAddr) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.net.contains(&addr))
}

const fn v4(octets: [u8; 4], prefix: u8, name: &'static str, source: &'static str) -> Family {
    let [a, b, c, d] = octets;
    Family { net: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)), name, source }
}

const fn v6(bits: u128, prefix: u8, name: &'static str, source: &'static str) -> Family {
    Family { net: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), prefix)), name, source }
}

/// Narrow families stand before the wide ones that contain them, so that the message names what it is.
#[rustfmt::skip]
pub(super) static FAMILIES: &[Family] = &[
    v4([169, 254, 169, 254], 32, "cloud metadata", "AWS, Azure, Google and others"),
    v4([169, 254, 170, 2], 32, "cloud metadata", "AWS ECS task credentials"),
    v4([100, 100, 100, 200], 32, "cloud metadata", "Alibaba Cloud"),
    v4([168, 63, 129, 16], 32, "cloud metadata", "Azure WireServer"),
    v4([192, 0, 0, 192], 32, "cloud metadata", "Oracle Cloud"),
    v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0254, 128, "cloud metadata", "AWS"),
    v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0023, 128, "cloud metadata", "AWS EKS pod identity"),
    v6(0xfd20_00ce_0000_0000_0000_0000_0000_0254, 128, "cloud metadata", "Google Cloud"),

    v4([0, 0, 0, 0], 32, "unspecified", "RFC 1122 §3.2.1.3"),
    v4([0, 0, 0, 0], 8, "this network", "RFC 791 §3.2"),
    v4([10, 0, 0, 0], 8, "private", "RFC 1918"),
    v4([100, 64, 0, 0], 10, "carrier-grade NAT", "RFC 6598"),
    v4([127, 0, 0, 0], 8, "loopback", "RFC 1122 §3.2.1.3"),
    v4([169, 254, 0, 0], 16, "link-local", "RFC 3927"),
    v4([172, 16, 0, 0], 12, "private", "RFC 1918"),
    v4([192, 0, 0, 0], 24, "IETF protocol assignment", "RFC 6890 §2.1"),
    v4([192, 0, 2, 0], 24, "documentation", "RFC 5737"),
    v4([192, 31, 196, 0], 24, "AS112 sink", "RFC 7535"),
    v4([192, 52, 193, 0], 24, "multicast tunnelling", "RFC 7450"),
    v4([192, 88, 99, 0], 24, "6to4 relay", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private", "RFC 1918"),
    v4([192, 175, 48, 0], 24, "AS112 sink", "RFC 7534"),
    v4([198, 18, 0, 0], 15, "benchmark", "RFC 2544"),
    v4([198, 51, 100, 0], 24, "documentation", "RFC 5737"),
    v4([203, 0, 113, 0], 24, "documentation", "RFC 5737"),
    v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    v4([255, 255, 255, 255], 32, "broadcast", "RFC 919 §7"),
    v4([240, 0, 0, 0], 4, "class E", "RFC 1112 §4"),

    v6(0x0000_0000_0000_0000_0000_0000_0000_0000, 128, "unspecified", "RFC 4291 §2.5.2"),
    v6(0x0000_0000_0000_0000_0000_0000_0000_0001, 128, "loopback", "RFC 4291 §2.5.3"),
    v6(0x0000_0000_0000_0000_0000_ffff_0000_0000, 96, "IPv4-mapped", "RFC 4291 §2.5.5.2"),
    v6(0x0000_0000_0000_0000_ffff_0000_0000_0000, 96, "IPv4-translated", "RFC 2765 §2.1"),
    v6(0x0000_0000_0000_0000_0000_0000_0000_0000, 96, "IPv4-compatible", "RFC 4291 §2.5.5.1"),
    v6(0x0064_ff9b_0000_0000_0000_0000_0000_0000, 96, "NAT64", "RFC 6052"),
    v6(0x0064_ff9b_0001_0000_0000_0000_0000_0000, 48, "NAT64", "RFC 8215"),
    v6(0x0100_0000_0000_0000_0000_0000_0000_0000, 64, "discard", "RFC 6666"),
    v6(0x2001_0000_0000_0000_0000_0000_0000_0000, 32, "Teredo", "RFC 4380"),
    v6(0x2001_0002_0000_0000_0000_0000_0000_0000, 48, "benchmark", "RFC 5180"),
    v6(0x2001_0010_0000_0000_0000_0000_0000_0000, 28, "ORCHID", "RFC 4843"),
    v6(0x2001_0020_0000_0000_0000_0000_0000_0000, 28, "ORCHIDv2", "RFC 7343"),
    v6(0x2001_0000_0000_0000_0000_0000_0000_0000, 23, "IETF protocol assignment", "RFC 2928"),
    v6(0x2001_0db8_0000_0000_0000_0000_0000_0000, 32, "documentation", "RFC 3849"),
    v6(0x2002_0000_0000_0000_0000_0000_0000_0000, 16, "6to4", "RFC 3056"),
    v6(0x2620_004f_8000_0000_0000_0000_0000_0000, 48, "AS112 sink", "RFC 7534"),
    v6(0x3fff_0000_0000_0000_0000_0000_0000_0000, 20, "documentation", "RFC 9637"),
    v6(0x5f00_0000_0000_0000_0000_0000_0000_0000, 16, "segment routing", "RFC 9602"),
    v6(0xfc00_0000_0000_0000_0000_0000_0000_0000, 7, "unique local", "RFC 4193"),
    v6(0xfe80_0000_0000_0000_0000_0000_0000_0000, 10, "link-local", "RFC 4291 §2.5.6"),
    v6(0xfec0_0000_0000_0000_0000_0000_0000_0000, 10, "site-local", "RFC 3879"),
    v6(0xff00_0000_0000_0000_0000_0000_0000_0000, 8, "multicast", "RFC 4291 §2.7"),

    // IANA assigns unicast addresses out of 2000::/3 alone. These three nets are the rest of IPv6, so that a
    // form invented later is refused until somebody has thought about it.
    v6(0x0000_0000_0000_0000_0000_0000_0000_0000, 3, "not global unicast", "RFC 4291 §2.4"),
    v6(0x4000_0000_0000_0000_0000_0000_0000_0000, 2, "not global unicast", "RFC 4291 §2.4"),
    v6(0x8000_0000_0000_0000_0000_0000_0000_0000, 1, "not global unicast", "RFC 4291 §2.4"),
];
