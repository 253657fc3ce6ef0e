//! Addresses of Redis servers.

use super::address::parse_authority;
use super::secret::Secret;

/// One server of `redis-address`: `host:port`, or a `redis://` or `rediss://` URL.
#[derive(Debug, Clone)]
pub struct RedisAddress {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Port; 6379 when the address names none.
    pub port: u16,
    /// Whether the scheme asks for TLS (`rediss`).
    pub tls: bool,
    /// User in the URL, percent-decoded.
    pub username: Option<String>,
    /// Password in the URL, percent-decoded.
    pub password: Option<Secret>,
    /// Database in the URL's path.
    pub database: Option<u32>,
}

impl RedisAddress {
    /// Reads one address; `None` if it has another scheme, no host, or a path that is no number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (tls, rest) = match text.split_once("://") {
            None => return Self::from_parts(false, None, text, None),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("redis") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rediss") => (true, rest),
            Some(_) => return None,
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let database = if path.is_empty() { None } else { Some(path.parse().ok()?) };
        Self::from_parts(tls, user, authority, database)
    }

    fn from_parts(tls: bool, user: Option<&str>, authority: &str, database: Option<u32>) -> Option<Self> {
        let (host, port) = parse_authority(authority)?;
        let (username, password) = user.map_or((None, None), |user| match user.split_once(':') {
            Some((name, password)) => (Some(name), Some(password)),
            None => (Some(user), None),
        });
        let decode = |part: Option<&str>| match part.filter(|text| !text.is_empty()) {
            Some(text) => percent_decode(text).map(Some),
            None => Some(None),
        };
        Some(Self {
            host,
            port: port.unwrap_or(6379),
            tls,
            username: decode(username)?,
            password: decode(password)?.map(Secret::new),
            database,
        })
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_urls() {
        let plain = RedisAddress::parse("redis:6380").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.tls), ("redis", 6380, false));
        let url = RedisAddress::parse("rediss://me:p%40ss@[::1]/3").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.tls), ("::1", 6379, true));
        assert_eq!(url.username.as_deref(), Some("me"));
        assert_eq!(url.password.as_ref().map(Secret::expose), Some("p@ss"));
        assert_eq!(url.database, Some(3));
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn refused() {
        for bad in ["", "http://redis", "redis://", "redis://a/x", "redis:99999", "redis://%zz@a"] {
            assert!(RedisAddress::parse(bad).is_none(), "{bad}");
        }
    }
}
