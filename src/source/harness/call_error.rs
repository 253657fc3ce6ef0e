//! What can go wrong with a call to Harness, told without its URL: some
//! carry a key.

use std::error::Error as _;
use std::time::Duration;

/// A server that asks for more is asked again after this.
const MOST_ASKED_FOR: Duration = Duration::from_secs(300);

/// One failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// An answer that says no.
    #[error("upstream answered {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    /// The request never reached anybody: no connection, no TLS.
    #[error("upstream cannot be reached: {0}")]
    Unreachable(String),
    /// It broke off or took too long after the request may have been read.
    #[error("the connection to upstream broke: {0}")]
    Broken(String),
    /// An answer that cannot be used: cut short, no JSON, of a wrong shape.
    #[error("upstream's answer cannot be used: {0}")]
    Unusable(String),
}

impl CallError {
    /// From the HTTP library, without the URL.
    #[must_use]
    pub fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let text = chain(&error);
        if error.is_connect() {
            CallError::Unreachable(text)
        } else if error.is_decode() {
            CallError::Unusable(text)
        } else {
            CallError::Broken(text)
        }
    }

    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            CallError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the server said in `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            CallError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The token is not accepted (any more).
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.status() == Some(401)
    }

    /// Of an authentication: the key itself is wrong.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.status(), Some(401 | 403 | 404))
    }
}

/// The whole chain of causes: "error sending request" alone helps nobody.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// Reads `Retry-After`: seconds, or an HTTP date.
#[must_use]
pub fn retry_after(headers: &http::HeaderMap, now: std::time::SystemTime) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(asked.min(MOST_ASKED_FOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_within_reason() {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let read = |text: &str| {
            let headers = http::HeaderMap::from_iter([(http::header::RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("18446744073709551615"), Some(300));
        assert_eq!(read("Fri, 31 Dec 9999 23:59:59 GMT"), Some(300));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
    }
}
