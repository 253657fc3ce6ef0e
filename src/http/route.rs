//! From method, path and query to what is asked for.

use std::borrow::Cow;

use http::Method;

use crate::telemetry::requests::RouteLabel;

/// Everything the SDK port answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    Authenticate,
    Flags { environment: Cow<'a, str> },
    Flag { environment: Cow<'a, str>, identifier: Cow<'a, str> },
    Segments { environment: Cow<'a, str> },
    Segment { environment: Cow<'a, str>, identifier: Cow<'a, str> },
    Evaluations { environment: Cow<'a, str>, target: Cow<'a, str> },
    Evaluation { environment: Cow<'a, str>, target: Cow<'a, str>, flag: Cow<'a, str> },
    Stream,
    PostMetrics { environment: Cow<'a, str> },
    Prometheus,
    Health,
    Ready,
    Live,
}

/// What a request line stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    Route(Route<'a>),
    /// The path is known, with these methods.
    WrongMethod(&'static str),
    Unknown,
}

const READ: &str = "OPTIONS, GET, HEAD";
const WRITE: &str = "OPTIONS, POST";

/// Reads a request line. Double and trailing slashes are folded: a base URL
/// may end in `/`.
#[must_use]
pub fn parse<'a>(method: &Method, path: &'a str) -> Parsed<'a> {
    // No known path has more than seven parts.
    let mut parts = [""; 8];
    let mut count = 0;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        match parts.get_mut(count) {
            Some(slot) => *slot = part,
            None => return Parsed::Unknown,
        }
        count += 1;
    }
    let parts = parts.get(..count).unwrap_or_default();
    let (route, allowed) = match *parts {
        ["client", "auth"] => (Route::Authenticate, WRITE),
        ["client", "env", environment, "feature-configs"] => (Route::Flags { environment: decode(environment) }, READ),
        ["client", "env", environment, "feature-configs", identifier] => {
            (Route::Flag { environment: decode(environment), identifier: decode(identifier) }, READ)
        }
        ["client", "env", environment, "target-segments"] => {
            (Route::Segments { environment: decode(environment) }, READ)
        }
        ["client", "env", environment, "target-segments", identifier] => {
            (Route::Segment { environment: decode(environment), identifier: decode(identifier) }, READ)
        }
        ["client", "env", environment, "target", target, "evaluations"] => {
            (Route::Evaluations { environment: decode(environment), target: decode(target) }, READ)
        }
        ["client", "env", environment, "target", target, "evaluations", flag] => {
            (Route::Evaluation { environment: decode(environment), target: decode(target), flag: decode(flag) }, READ)
        }
        ["stream"] => (Route::Stream, READ),
        ["metrics", environment] => (Route::PostMetrics { environment: decode(environment) }, WRITE),
        ["metrics"] => (Route::Prometheus, READ),
        ["health"] => (Route::Health, READ),
        ["readyz"] => (Route::Ready, READ),
        ["livez"] => (Route::Live, READ),
        _ => return Parsed::Unknown,
    };
    let reads = method == Method::GET || method == Method::HEAD;
    if (allowed == READ && reads) || (allowed == WRITE && method == Method::POST) {
        Parsed::Route(route)
    } else {
        Parsed::WrongMethod(allowed)
    }
}

impl Route<'_> {
    /// How the route is counted.
    #[must_use]
    pub fn label(&self) -> RouteLabel {
        match self {
            Route::Authenticate => RouteLabel::Authenticate,
            Route::Flags { .. } => RouteLabel::Flags,
            Route::Flag { .. } => RouteLabel::Flag,
            Route::Segments { .. } => RouteLabel::Segments,
            Route::Segment { .. } => RouteLabel::Segment,
            Route::Evaluations { .. } => RouteLabel::Evaluations,
            Route::Evaluation { .. } => RouteLabel::Evaluation,
            Route::Stream => RouteLabel::Stream,
            Route::PostMetrics { .. } => RouteLabel::Metrics,
            Route::Prometheus | Route::Health | Route::Ready | Route::Live => RouteLabel::Operations,
        }
    }
}

/// Resolves percent escapes; one that is none stays as it is, and bytes that
/// are no UTF-8 become U+FFFD.
#[must_use]
pub fn decode(part: &str) -> Cow<'_, str> {
    if !part.contains('%') {
        return Cow::Borrowed(part);
    }
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, hex(after.first()), hex(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high * 16 + low);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the query asks for `rules=v2`. `;` counts as `&`: some SDK builds
/// its query so.
#[must_use]
pub fn asks_for_rules_v2(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split(['&', ';']).any(|pair| pair == "rules=v2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_folded_and_decoded() {
        let flag = |environment: &'static str, identifier: &'static str| {
            Parsed::Route(Route::Flag { environment: environment.into(), identifier: identifier.into() })
        };
        for (path, parsed) in [
            ("/client/env/e/feature-configs/f", flag("e", "f")),
            ("//client//env/e/feature-configs/f/", flag("e", "f")),
            ("/client/env/e/feature-configs/a%2Fb%20%zz%c3%a9", flag("e", "a/b %zzé")),
            ("/client/env/e/feature-configs/", Parsed::Route(Route::Flags { environment: "e".into() })),
            ("/metrics", Parsed::Route(Route::Prometheus)),
            ("/metrics/e", Parsed::WrongMethod(WRITE)),
            ("/client/auth", Parsed::WrongMethod(WRITE)),
            ("/", Parsed::Unknown),
            ("/a/b/c/d/e/f/g/h/i/j", Parsed::Unknown),
            ("/client/env/e/other", Parsed::Unknown),
        ] {
            assert_eq!(parse(&Method::GET, path), parsed, "{path}");
        }
        assert_eq!(parse(&Method::DELETE, "/health"), Parsed::WrongMethod(READ));
        assert_eq!(parse(&Method::HEAD, "/livez"), Parsed::Route(Route::Live));
    }

    #[test]
    fn the_query_may_use_semicolons() {
        assert!(asks_for_rules_v2(Some("cluster=1;rules=v2")));
        assert!(asks_for_rules_v2(Some("rules=v2&stream=*")));
        assert!(!asks_for_rules_v2(Some("rules=v3")) && !asks_for_rules_v2(None));
    }
}
