//! Addresses of HTTP and gRPC services.

/// Reads the base URL of an HTTP API and drops slashes at its end, so that paths can be appended.
/// `None` without scheme or host, and with credentials, a query or a fragment: the first would be
/// logged, the others cut off what is appended.
pub(super) fn parse_base_url(text: &str) -> Option<String> {
    let (_, rest) = split_http_scheme(text)?;
    let authority = rest.split('/').next()?;
    if rest.contains(['@', '?', '#']) || parse_authority(authority).is_none() {
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// Reads `host:port`, `http://host:port` or `https://host:port`; the port may be absent with a
/// scheme.
pub(super) fn parse_endpoint(text: &str) -> Option<String> {
    let authority = match split_http_scheme(text) {
        Some((_, rest)) => rest.trim_end_matches('/'),
        None => text,
    };
    let (_, port) = parse_authority(authority)?;
    let has_scheme = authority.len() != text.len();
    (has_scheme || port.is_some()).then(|| text.trim_end_matches('/').to_owned())
}

/// Splits `host[:port]`, with IPv6 addresses in brackets, into host (brackets dropped) and port.
pub(super) fn parse_authority(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        let host: std::net::Ipv6Addr = host.parse().ok()?;
        return with_port(host.to_string(), tail);
    }
    let (host, tail) = text.find(':').map_or((text, ""), |colon| text.split_at(colon));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!host.is_empty() && host.chars().all(plain)).then_some(())?;
    with_port(host.to_owned(), tail)
}

fn with_port(host: String, tail: &str) -> Option<(String, Option<u16>)> {
    if tail.is_empty() {
        return Some((host, None));
    }
    let port: u16 = tail.strip_prefix(':')?.parse().ok()?;
    (port > 0).then_some((host, Some(port)))
}

fn split_http_scheme(text: &str) -> Option<(&str, &str)> {
    text.split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let read = |text| parse_base_url(text);
        assert_eq!(read("https://a.b/api/1.0/").as_deref(), Some("https://a.b/api/1.0"));
        assert_eq!(read("http://[::1]:80").as_deref(), Some("http://[::1]:80"));
        for bad in ["a.b", "ftp://a", "https://", "https://u:p@a", "https://a?x", "https://a b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        for good in ["relay:7001", "https://relay", "http://10.0.0.1:7001", "[::1]:7001"] {
            assert_eq!(parse_endpoint(good).as_deref(), Some(good));
        }
        for bad in ["relay", "relay:0", "relay:x", "u@relay:1", "https://relay/path", ":7001"] {
            assert_eq!(parse_endpoint(bad), None, "{bad}");
        }
    }
}
