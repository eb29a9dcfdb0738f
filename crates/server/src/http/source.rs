//! The origin of a request, as far as one user or machine controls it: an IPv4 address, or the /64 of an IPv6 address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// Returns the network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
        }
    }

    /// Returns the site of an address, the /24 of an IPv4 or the /48 of an IPv6 address. One party may control all of
    /// it.
    pub(crate) fn site(self) -> Self {
        match self.0 {
            IpAddr::V4(address) => Self(Ipv4Addr::from_bits(address.to_bits() >> 8 << 8).into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).into()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network() {
        let source = |text: &str| Source::of(text.parse().expect("an address")).to_string();
        assert_eq!(source("192.0.2.1"), "192.0.2.1");
        assert_eq!(source("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        let site = |text: &str| Source::of(text.parse().expect("an address")).site().to_string();
        assert_eq!((site("192.0.2.1"), site("2001:db8:1:2::3")), ("192.0.2.0".to_owned(), "2001:db8:1::".to_owned()));
    }
}
