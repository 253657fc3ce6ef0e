//! What can become of a command, and in which words.

use redis::{ErrorKind, RedisError};

/// Why a command brought no answer. No text holds a password or a proxy key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody answered, or the answer was to come again later: try again
    /// after a pause.
    #[error("Redis is away: {reason}")]
    Away {
        reason: String,
        /// The command may have been executed all the same.
        uncertain: bool,
    },
    /// The server answers and does not do it; the text says what to change.
    #[error("Redis refuses: {0}")]
    Refused(String),
    /// An answer of an unexpected kind. An error of the server begins with
    /// its code: `WRONGTYPE …`, `BUSYGROUP …`, `NOGROUP …`.
    #[error("Redis answers unexpectedly: {0}")]
    Wrong(String),
}

impl Failure {
    /// Away, and the command has certainly not been executed.
    pub(super) fn away(reason: impl Into<String>) -> Self {
        Failure::Away { reason: reason.into(), uncertain: false }
    }

    /// Nothing came back in time.
    pub(super) fn silent(uncertain: bool) -> Self {
        Failure::Away { reason: "it does not answer in time".to_owned(), uncertain }
    }
}

/// A failure, and what it says about the connection.
#[derive(Debug)]
pub(super) struct Verdict {
    pub failure: Failure,
    /// What use is left in it.
    pub left: Use,
}

/// What a connection is good for after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Good,
    /// It works and leads to a server that may not be the right one any
    /// more, or that should be told who we are again.
    Stale,
    Broken,
}

impl Verdict {
    fn of(failure: Failure, left: Use) -> Self {
        Verdict { failure, left }
    }
}

/// The verdict on a command that was sent. `secrets` are cut out of texts.
pub(super) fn judge(error: &RedisError, secrets: &[String]) -> Verdict {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => of_server(error, secrets),
        ErrorKind::AuthenticationFailed => Verdict::of(Failure::Refused(PASSWORD.to_owned()), Use::Broken),
        ErrorKind::Parse => Verdict::of(Failure::Wrong("the answer cannot be read".to_owned()), Use::Broken),
        ErrorKind::ClusterConnectionNotFound => {
            let reason = "no server of the cluster can be reached for this key".to_owned();
            Verdict::of(Failure::Away { reason, uncertain: true }, Use::Broken)
        }
        _ => of_connection(error, secrets),
    }
}

fn of_connection(error: &RedisError, secrets: &[String]) -> Verdict {
    let text = clean(&error.to_string(), secrets);
    if text.contains("invalid peer certificate") {
        let advice =
            format!("its certificate is not trusted ({text}); add its CA to ca-bundle, and use the name in it");
        return Verdict::of(Failure::Refused(advice), Use::Broken);
    }
    let reason = if error.is_timeout() { "it does not answer in time".to_owned() } else { text };
    Verdict::of(Failure::Away { reason, uncertain: true }, Use::Broken)
}

const IN_CLUSTER: &str = "it is a part of a Redis Cluster; list several of its servers in redis-address";
const PASSWORD: &str = "the user name or password is wrong; check redis-username and redis-password";

fn of_server(error: &RedisError, secrets: &[String]) -> Verdict {
    let detail = error.detail().unwrap_or_default();
    let code = error.code().unwrap_or("ERR");
    // Before Redis 7 a script's error hides the one of its command.
    let code = if detail.contains("Error running script") { inner_code(detail).unwrap_or(code) } else { code };
    let said = clean(&format!("{code} {detail}"), secrets);
    let refused = |advice: &str, left| Verdict::of(Failure::Refused(format!("{advice} ({said})")), left);
    match code {
        "LOADING" | "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" | "BUSY" | "NOREPLICAS" => {
            Verdict::of(Failure::away(said), Use::Good)
        }
        // Demoted; where there is another master, connecting anew finds it.
        "READONLY" | "UNBLOCKED" => Verdict::of(Failure::away(said), Use::Stale),
        "MOVED" | "ASK" => refused(IN_CLUSTER, Use::Good),
        "WRONGPASS" => Verdict::of(Failure::Refused(PASSWORD.to_owned()), Use::Stale),
        "NOAUTH" => refused("it wants a password; give redis-password", Use::Stale),
        "NOPERM" => refused("the user lacks a permission; extend its ACL", Use::Good),
        "OOM" => refused("its memory is full; raise maxmemory or let it evict less important keys", Use::Good),
        "MISCONF" => refused("it cannot write to its disk and takes no writes; look at its log", Use::Good),
        "DENIED" => {
            refused("it takes only local connections; set a password there, and redis-password here", Use::Stale)
        }
        _ => plain_error(detail, &said),
    }
}

/// Errors that have no code of their own.
fn plain_error(detail: &str, said: &str) -> Verdict {
    let refused = |advice: &str, left| Verdict::of(Failure::Refused(format!("{advice} ({said})")), left);
    if detail.contains("max number of clients") {
        refused("it has too many connections; raise maxclients", Use::Broken)
    } else if detail.contains("without any password configured") {
        refused("it knows no password; drop redis-password, or set one there", Use::Stale)
    } else if detail.contains("DB index") || detail.contains("SELECT is not allowed") {
        refused("it has no such database; check redis-db", Use::Stale)
    } else if detail.contains("cluster support disabled") {
        refused(
            "it is no Redis Cluster; give one address, or redis-sentinel-master where these are sentinels",
            Use::Stale,
        )
    } else if detail.starts_with("unknown command") {
        refused("it does not know a command; it is too old, or the command was renamed", Use::Good)
    } else {
        Verdict::of(Failure::Wrong(said.to_owned()), Use::Good)
    }
}

fn inner_code(detail: &str) -> Option<&'static str> {
    const CODES: [&str; 6] = ["READONLY", "OOM", "MISCONF", "NOPERM", "NOREPLICAS", "WRONGTYPE"];
    CODES.into_iter().find(|code| detail.contains(&format!(" {code} ")) || detail.contains(&format!("-{code} ")))
}

/// An error's text without passwords, proxy keys and arguments of commands.
fn clean(text: &str, secrets: &[String]) -> String {
    // What follows are the first arguments: they may be anything.
    let text = text.split(", with args beginning with").next().unwrap_or(text);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    let mut cleaned = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("key-") {
        let Some((_, behind)) = after.split_once("-inventory") else { break };
        cleaned.push_str(before);
        cleaned.push_str("key-***-inventory");
        rest = behind;
    }
    cleaned.push_str(rest);
    cleaned.chars().take(LONGEST).collect()
}

/// In characters.
const LONGEST: usize = 400;

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn verdict(answer: &str) -> Verdict {
        let value: Value = parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        judge(&value.extract_error().unwrap_err(), &["s3cret".to_owned()])
    }

    #[test]
    fn kinds_of_answers() {
        for (answer, left) in [
            ("LOADING Redis is loading the dataset in memory", Use::Good),
            ("READONLY You can't write against a read only replica.", Use::Stale),
            ("CLUSTERDOWN Hash slot not served", Use::Good),
            ("BUSY Redis is busy running a script.", Use::Good),
        ] {
            let verdict = verdict(answer);
            assert!(matches!(verdict.failure, Failure::Away { uncertain: false, .. }), "{answer}: {verdict:?}");
            assert_eq!(verdict.left, left, "{answer}");
        }
        for answer in [
            "WRONGPASS invalid username-password pair",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed",
            "MISCONF Errors writing to the AOF file",
            "ERR max number of clients reached",
            "ERR DB index is out of range",
            "MOVED 12 10.0.0.1:6379",
        ] {
            let verdict = verdict(answer);
            assert!(matches!(verdict.failure, Failure::Refused(_)), "{answer}: {verdict:?}");
        }
        let Failure::Wrong(text) = verdict("BUSYGROUP Consumer Group name already exists").failure else { panic!() };
        assert!(text.starts_with("BUSYGROUP "), "{text}");
    }

    #[test]
    fn texts_hold_no_secrets() {
        let text =
            verdict("ERR key-8d0a-e1-inventory holds s3cret and key-x-inventory, a key-word").failure.to_string();
        assert!(text.contains("key-***-inventory holds *** and key-***-inventory, a key-word"), "{text}");
        let text = verdict("ERR unknown command 'X', with args beginning with: 'private'").failure.to_string();
        assert!(!text.contains("private"), "{text}");
    }
}
