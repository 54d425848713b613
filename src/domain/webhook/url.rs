//! A receiver's URL, and why one is not taken.

use std::fmt;
use std::net::IpAddr;

use ::url::{Host, Url};

use super::address::Reach;

/// How long a URL may be, in bytes, as it is given and as it is written out.
pub const URL_BYTES_MAX: usize = 512;
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Ends of names that are never of the internet: RFC 6761 and 6762 (with its appendix G), RFC
/// 8375, and what the clouds and Kubernetes use inside.
const INNER_ENDS: [&str; 13] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "home.arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "svc",
];

/// Why a URL cannot be a receiver's. Each sentence says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UrlFault {
    /// Empty, or longer than [`URL_BYTES_MAX`].
    #[error("a receiver's URL has 1 to 512 bytes; give a shorter one")]
    Length,
    /// A blank, a control character, a backslash, or one outside of ASCII.
    #[error(
        "write the URL in printable ASCII without blanks or backslashes: the host in punycode, the rest percent-encoded"
    )]
    Characters,
    /// It does not begin with a scheme, or cannot be read.
    #[error("give an absolute URL, as https://hooks.example.com/hongbao")]
    NotAbsolute,
    /// Not https; `http` is for loopback alone, where that is allowed at all.
    #[error("begin the URL with https://; what is delivered must not be read on its way")]
    NotHttps,
    /// A name or password before the host.
    #[error("leave out the user and password before the host; deliveries are signed instead")]
    UserInfo,
    /// A `#`.
    #[error("leave out the part from # on; it would not be sent")]
    Fragment,
    /// No host.
    #[error("put the receiver's host after https://")]
    NoHost,
    /// A host that is no DNS name.
    #[error(
        "the host is no DNS name: give letters, digits and hyphens in labels of 1 to 63, at most 253 together"
    )]
    Name,
    /// A name of somebody's inside.
    #[error(
        "the host is a name inside a network; give a name that the public DNS knows, with a dot in it"
    )]
    InnerName,
    /// An address of somebody's inside.
    #[error(
        "the host is an address inside a network, or reserved; give a name or an address of the public internet"
    )]
    InnerAddress,
    /// A port below 1024 that is not 443: mail, SSH and the like could be made to hear what we
    /// say.
    #[error("the port may be 443, or 1024 and above; let the receiver listen on one of these")]
    Port,
}

/// Where deliveries go. It has been judged, but by its text alone: what its name leads to is
/// judged at each connection.
///
/// The part behind `?` may be a secret, so `Debug` and `Display` leave it out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReceiverUrl(Url);

impl ReceiverUrl {
    /// Reads a URL. It is kept as a browser would write it: the host in small letters and
    /// without a dot at its end, an IPv4 address in whatever spelling as four decimals.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn parse(raw: &str, reach: Reach) -> Result<Self, UrlFault> {
        if raw.is_empty() || raw.len() > URL_BYTES_MAX {
            return Err(UrlFault::Length);
        }
        // The parser would drop or translate these; what is kept should be what was read.
        if !raw
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        {
            return Err(UrlFault::Characters);
        }
        let (_, rest) = raw.split_once("://").ok_or(UrlFault::NotAbsolute)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        if authority.contains('@') {
            return Err(UrlFault::UserInfo);
        }
        if authority.is_empty() {
            return Err(UrlFault::NoHost);
        }
        let mut url = Url::parse(raw).map_err(fault_of)?;
        if url.fragment().is_some() {
            return Err(UrlFault::Fragment);
        }
        without_last_dot(&mut url)?;
        let host = url.host().ok_or(UrlFault::NoHost)?;
        let loopback = reach.has_loopback() && is_loopback(&host);
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(UrlFault::NotHttps);
        }
        judge(&host, reach)?;
        let port = url.port_or_known_default().ok_or(UrlFault::Port)?;
        if port != 443 && port < 1_024 {
            return Err(UrlFault::Port);
        }
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(UrlFault::Length);
        }
        Ok(Self(url))
    }

    /// All of it, for the request and for the store.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// The same, as the HTTP client takes it.
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// For people: all but the part behind `?`, of which `?…` is left.
    #[must_use]
    pub fn shown(&self) -> String {
        let (front, query) = match self.0.as_str().split_once('?') {
            Some((front, _)) => (front, "?…"),
            None => (self.0.as_str(), ""),
        };
        format!("{front}{query}")
    }

    /// The host: a name, or an address, IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or("")
    }

    /// The address, if the host is one and no name has to be looked up.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// Whether it may be posted to from here and now. It may not when it was taken under a
    /// wider [`Reach`], or under older rules.
    #[must_use]
    pub fn is_within(&self, reach: Reach) -> bool {
        Self::parse(self.0.as_str(), reach).is_ok_and(|url| url == *self)
    }
}

impl fmt::Display for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiverUrl({})", self.shown())
    }
}

/// The parser's errors, as far as the sender can do something different about them.
fn fault_of(error: ::url::ParseError) -> UrlFault {
    use ::url::ParseError as E;
    if error == E::EmptyHost {
        UrlFault::NoHost
    } else if error == E::InvalidPort {
        UrlFault::Port
    } else if error == E::RelativeUrlWithoutBase {
        UrlFault::NotAbsolute
    } else {
        // The host: IDNA, IPv4 with a part too large, IPv6, forbidden characters.
        UrlFault::Name
    }
}

/// `example.com.` is `example.com`, for the certificate too.
fn without_last_dot(url: &mut Url) -> Result<(), UrlFault> {
    let Some(Host::Domain(name)) = url.host() else {
        return Ok(());
    };
    let Some(bare) = name.strip_suffix('.').map(str::to_owned) else {
        return Ok(());
    };
    url.set_host(Some(&bare)).map_err(fault_of)
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn judge(host: &Host<&str>, reach: Reach) -> Result<(), UrlFault> {
    let address: IpAddr = match host {
        Host::Domain("localhost") if reach.has_loopback() => return Ok(()),
        Host::Domain(name) => return judge_name(name),
        Host::Ipv4(address) => (*address).into(),
        Host::Ipv6(address) => (*address).into(),
    };
    if reach.admits(address) {
        Ok(())
    } else {
        Err(UrlFault::InnerAddress)
    }
}

fn judge_name(name: &str) -> Result<(), UrlFault> {
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
        return Err(UrlFault::Name);
    }
    let inner = INNER_ENDS.iter().any(|end| {
        name.strip_suffix(end)
            .is_some_and(|front| front.is_empty() || front.ends_with('.'))
    });
    if inner || !name.contains('.') {
        return Err(UrlFault::InnerName);
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests;
