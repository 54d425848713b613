//! Which addresses the service may connect to for others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not for everybody (IANA's special-purpose registry, RFC 6890),
/// each with the length of its prefix.
const V4_REFUSED: [(Ipv4Addr, u32); 16] = [
    // "This network"; 0.0.0.0 is the machine itself on Linux.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Behind a carrier's NAT; Alibaba Cloud's metadata is 100.100.100.200.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Azure's platform (WireServer) answers here to every machine inside, and to nobody else.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Link-local; the metadata of most clouds is 169.254.169.254.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // Protocol assignments; Oracle Cloud's metadata is 192.0.0.192.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // The relays of 6to4, which are no more.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and the broadcast at its end.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only part of IPv6 from which addresses are given to machines of the internet. All that
/// carries an IPv4 address of another's choice (mapped, compatible, NAT64), all that is local
/// to a link, site or network, and all that nobody has been given lies outside.
const V6_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks within it that are not for everybody.
const V6_REFUSED: [(Ipv6Addr, u32); 4] = [
    // Protocol assignments; Teredo, which carries an IPv4 address, is 2001::/32.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4, which carries an IPv4 address.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address belongs to one machine of the internet, so that a stranger may make us
/// connect to it.
///
/// An IPv6 address that carries an IPv4 address is refused whatever it carries: nobody needs
/// one to be reached. What this cannot know: that a network of the internet is the operator's
/// own inside, or turns a prefix of its own into IPv4 (NAT64 of RFC 6052 §2.2). Such a network
/// needs a rule in the firewall.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !V4_REFUSED
            .iter()
            .any(|network| v4_within(address, *network)),
        IpAddr::V6(address) => {
            v6_within(address, V6_UNICAST)
                && !V6_REFUSED
                    .iter()
                    .any(|network| v6_within(address, *network))
        }
    }
}

fn v4_within(address: Ipv4Addr, (network, prefix): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= prefix
}

fn v6_within(address: Ipv6Addr, (network, prefix): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= prefix
}

/// How far the service may reach for a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// To the internet.
    Internet,
    /// And to this machine, in plain HTTP too: for the demo and for tests.
    InternetAndLoopback,
}

impl Reach {
    /// The reach of a setting.
    #[must_use]
    pub fn of(allow_loopback: bool) -> Self {
        if allow_loopback {
            Self::InternetAndLoopback
        } else {
            Self::Internet
        }
    }

    /// Whether loopback is within.
    #[must_use]
    pub fn has_loopback(self) -> bool {
        match self {
            Self::Internet => false,
            Self::InternetAndLoopback => true,
        }
    }

    /// Whether an address is within. Loopback is 127.0.0.0/8 and ::1, never a mapped one.
    #[must_use]
    pub fn admits(self, address: IpAddr) -> bool {
        is_public(address) || (self.has_loopback() && address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A network: its first and last address, and whether what lies right before and right
    /// after it is public.
    const NETWORKS: &str = "
        0.0.0.0          0.255.255.255    -    yes
        10.0.0.0         10.255.255.255   yes  yes
        100.64.0.0       100.127.255.255  yes  yes
        127.0.0.0        127.255.255.255  yes  yes
        168.63.129.16    168.63.129.16    yes  yes
        169.254.0.0      169.254.255.255  yes  yes
        172.16.0.0       172.31.255.255   yes  yes
        192.0.0.0        192.0.0.255      yes  yes
        192.0.2.0        192.0.2.255      yes  yes
        192.88.99.0      192.88.99.255    yes  yes
        192.168.0.0      192.168.255.255  yes  yes
        198.18.0.0       198.19.255.255   yes  yes
        198.51.100.0     198.51.100.255   yes  yes
        203.0.113.0      203.0.113.255    yes  yes
        224.0.0.0        239.255.255.255  yes  no
        240.0.0.0        255.255.255.255  no   -
        ::               1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff  -    yes
        2001::           2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff   yes  yes
        2001:db8::       2001:db8:ffff:ffff:ffff:ffff:ffff:ffff   yes  yes
        2002::           2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff  yes  yes
        3fff::           3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff   yes  yes
        4000::           ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff  yes  -
    ";

    fn moved(address: IpAddr, forward: bool) -> IpAddr {
        match address {
            IpAddr::V4(v4) if forward => Ipv4Addr::from_bits(v4.to_bits() + 1).into(),
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() - 1).into(),
            IpAddr::V6(v6) if forward => Ipv6Addr::from_bits(v6.to_bits() + 1).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() - 1).into(),
        }
    }

    #[test]
    fn networks_are_refused_to_their_bounds() {
        let lines = NETWORKS
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let mut refused = 0;
        for line in lines {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let [first, last, before, after] = *cells else {
                panic!("{line}");
            };
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            assert!(!is_public(first) && !is_public(last), "{line}");
            for (edge, forward, public) in [(first, false, before), (last, true, after)] {
                if public != "-" {
                    let beyond = moved(edge, forward);
                    assert_eq!(is_public(beyond), public == "yes", "{beyond}: {line}");
                }
            }
            refused += 1;
        }
        // The two that lie outside of global unicast stand for its line.
        assert_eq!(refused, V4_REFUSED.len() + V6_REFUSED.len() + 2);
    }

    #[test]
    fn known_addresses() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "172.15.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2400:3200::1",
            "2001:4860:4860::8888",
            "2a00:1450:4001:800::200e",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inner in [
            "0.0.0.0",
            "127.0.0.1",
            "10.96.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "255.255.255.255",
            "::",
            "::1",
            "::8.8.8.8",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:0:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001:0:7f00:1::",
            "2001:2::1",
            "2001:20::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
    }

    #[test]
    fn loopback_is_let_in_by_its_flag_and_nothing_else_is() {
        let admits = |reach: Reach, address: &str| reach.admits(address.parse().unwrap());
        for loopback in ["127.0.0.1", "127.255.255.254", "::1"] {
            assert!(!admits(Reach::of(false), loopback), "{loopback}");
            assert!(admits(Reach::of(true), loopback), "{loopback}");
        }
        for inner in [
            "0.0.0.0",
            "10.0.0.1",
            "169.254.169.254",
            "::",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "64:ff9b::127.0.0.1",
        ] {
            assert!(!admits(Reach::of(true), inner), "{inner}");
        }
        assert!(admits(Reach::of(true), "8.8.8.8") && admits(Reach::of(false), "8.8.8.8"));
    }

    proptest! {
        /// However an IPv4 address is put into an IPv6 one, it is not a way around.
        #[test]
        fn what_carries_an_ipv4_address_is_refused(bits: u32, rest: u64) {
            let v4 = u128::from(bits);
            let rest = u128::from(rest);
            for carrier in [
                v4,
                0xffff_u128 << 32 | v4,
                0xffff_u128 << 48 | v4,
                0x64_ff9b_u128 << 96 | v4,
                0x64_ff9b_0001_u128 << 80 | (rest & 0xffff) << 32 | v4,
                0x2002_u128 << 112 | v4 << 80 | rest,
                0x2001_u128 << 112 | v4 << 64 | rest,
            ] {
                let address = Ipv6Addr::from_bits(carrier);
                prop_assert!(!is_public(address.into()), "{}", address);
            }
        }

        /// Only global unicast, whatever the table of exceptions says.
        #[test]
        fn only_global_unicast_is_public(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            if is_public(address.into()) {
                prop_assert_eq!(bits >> 125, 1);
                prop_assert!(!address.is_multicast() && !address.is_unique_local());
            }
        }

        /// The standard library's own, older, idea of what is inside.
        #[test]
        fn what_std_calls_inner_is_refused(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let inner = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!(inner && is_public(address.into())), "{}", address);
        }
    }
}
