//! Why a command did not do what was asked, as a message and an exit code.

use std::error::Error;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::print::clean;
use crate::config::EXIT_USAGE;

/// Exit codes of all commands.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done, or what was asked for is so
  1   not so, or failed
  2   the relay cannot be reached
  3   refused: no good credential, or one of too low a role
  64  the command line is wrong";

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Refused(String),
    #[error("{message}")]
    Failed {
        message: String,
        /// Of the error table, where the relay gave one.
        reason: String,
    },
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed { .. } => 1,
            Failure::Unreachable(_) => 2,
            Failure::Refused(_) => 3,
            Failure::Usage(_) => EXIT_USAGE,
        }
    }

    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Failure::Failed { message: message.into(), reason: String::new() }
    }

    /// Whether the relay gave this reason.
    #[must_use]
    pub fn has_reason(&self, wanted: &str) -> bool {
        matches!(self, Failure::Failed { reason, .. } if reason == wanted)
    }

    /// What a relay at `address` answered.
    #[must_use]
    pub fn of(status: &Status, address: &str) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        if reason.is_empty() && (status.source().is_some() || status.code() == Code::Unavailable) {
            return Failure::unreachable(address, &deepest(status.source(), status.message()));
        }
        let said = clean(status.message());
        let wait = details.retry_info().and_then(|info| info.retry_delay).map(|delay| delay.as_secs().max(1));
        let message = match advice(&reason) {
            _ if reason.is_empty() => format!(
                "{address} answered {:?}: {said}; check that this is the gRPC port of a relay (grpc-address), and not its \
                 SDK port",
                status.code()
            ),
            "" => format!("{said} ({reason})"),
            LATER => format!("{said} ({reason}); try again in {} s", wait.unwrap_or(1)),
            advice => format!("{said} ({reason}); {advice}"),
        };
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Failure::Refused(message),
            _ => Failure::Failed { message, reason },
        }
    }

    #[must_use]
    pub fn unreachable(address: &str, why: &str) -> Self {
        Failure::Unreachable(format!(
            "{address} cannot be reached: {}; check that --address is its gRPC port (grpc-address) and that it runs",
            clean(why)
        ))
    }
}

/// The error behind all others says most.
#[must_use]
pub fn deepest(mut error: Option<&(dyn Error + 'static)>, otherwise: &str) -> String {
    let mut text = otherwise.to_owned();
    while let Some(inner) = error {
        text = inner.to_string();
        error = inner.source();
    }
    text
}

/// The relay may say when.
const LATER: &str = "later";

fn advice(reason: &str) -> &'static str {
    match reason {
        "CREDENTIALS_MISSING" => "give a token with --token-file, or a certificate with --tls-cert and --tls-key",
        "CREDENTIALS_INVALID" => "look at the file given with --token-file",
        "ROLE_FORBIDDEN" => "use a token of a higher role",
        "ENVIRONMENT_NOT_FOUND" => "`ff-relay inspect environments` lists them",
        "FLAG_NOT_FOUND" => "`ff-relay inspect flags` lists them",
        "SEGMENT_NOT_FOUND" => "`ff-relay inspect segments` lists them",
        "NEVER_SYNCED" => "`ff-relay status` says how far it is",
        "TOO_MANY_STREAMS" | "IMPORT_IN_PROGRESS" | "DRAINING" => LATER,
        "DIGEST_MISMATCH" => "somebody changed it meanwhile: look again, then decide",
        "UPSTREAM_OWNS_STATE" => "--override-upstream pauses its source until `ff-relay resync`",
        "METHOD_NOT_ALLOWED" => "this relay cannot do it; its release may be older than this program",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn codes_follow_from_whose_fault_it_is() {
        let refused = |code, reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "ffrelay", std::collections::HashMap::new());
            Failure::of(&Status::with_error_details(code, "no\x1b", details), "there")
        };
        for (code, reason, exit) in [
            (Code::Unauthenticated, "CREDENTIALS_MISSING", 3),
            (Code::PermissionDenied, "ROLE_FORBIDDEN", 3),
            (Code::NotFound, "FLAG_NOT_FOUND", 1),
            (Code::Unavailable, "DRAINING", 1),
        ] {
            let failure = refused(code, reason);
            assert_eq!(failure.exit_code(), exit, "{reason}");
            assert!(failure.to_string().starts_with(&format!("no\\u{{1b}} ({reason}); ")), "{failure}");
        }
        let mut later = ErrorDetails::with_error_info("TOO_MANY_STREAMS", "ffrelay", std::collections::HashMap::new());
        later.set_retry_info(Some(std::time::Duration::from_secs(7)));
        let later = Failure::of(&Status::with_error_details(Code::ResourceExhausted, "four run", later), "there");
        assert_eq!(later.to_string(), "four run (TOO_MANY_STREAMS); try again in 7 s");
        assert_eq!(Failure::of(&Status::unavailable("x"), "there").exit_code(), 2);
        assert!(Failure::of(&Status::internal("x"), "there").to_string().contains("SDK port"));
    }
}
