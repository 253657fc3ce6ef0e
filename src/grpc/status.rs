//! From the one error table to `tonic::Status` with `google.rpc` details.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::fault::Fault;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "ffrelay";

/// What a fault is about, as `google.rpc` details say it.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    Nothing,
    /// A request field.
    Field(&'a str),
    /// A thing by its type and name.
    Resource {
        kind: &'a str,
        name: &'a str,
    },
}

/// A refusal before any service has seen the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub fault: Fault,
    /// What happened, to what, and what to do.
    pub message: String,
}

impl Refused {
    #[must_use]
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Refused { fault, message: message.into() }
    }

    #[must_use]
    pub fn status(&self) -> Status {
        status(self.fault, &self.message, About::Nothing)
    }
}

/// The status of a fault.
#[must_use]
pub fn status(fault: Fault, message: &str, about: About<'_>) -> Status {
    let row = fault.row();
    let mut details = ErrorDetails::new();
    details.set_error_info(row.reason, DOMAIN, std::collections::HashMap::new());
    match about {
        About::Nothing => {}
        About::Field(field) => {
            details.add_bad_request_violation(field, message);
        }
        About::Resource { kind, name } => {
            details.set_resource_info(kind, name, "", message);
        }
    }
    if row.code == Code::FailedPrecondition {
        let subject = if let About::Resource { name, .. } = about { name } else { "relay" };
        details.add_precondition_failure_violation(row.reason, subject, message);
    }
    if matches!(fault, Fault::Draining | Fault::NeverSynced | Fault::TooManyStreams | Fault::ImportInProgress) {
        details.set_retry_info(Some(std::time::Duration::from_secs(1)));
    }
    Status::with_error_details(row.code, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_carry_reason_field_and_resource() {
        let status = status(Fault::EnvironmentNotFound, "no", About::Resource { kind: "environment", name: "e" });
        let details = status.get_error_details();
        assert_eq!(status.code(), tonic::Code::NotFound);
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("ENVIRONMENT_NOT_FOUND", "ffrelay"));
        assert_eq!(details.resource_info().unwrap().resource_name, "e");
        let nothing = super::status(Fault::NothingSynced, "no", About::Resource { kind: "environment", name: "e" });
        let details = nothing.get_error_details();
        let violation = &details.precondition_failure().unwrap().violations[0];
        assert_eq!((violation.r#type.as_str(), violation.subject.as_str()), ("NEVER_SYNCED", "e"));
        let bad = super::status(Fault::InvalidField, "bad", About::Field("page_size"));
        assert_eq!(bad.get_error_details().bad_request().unwrap().field_violations[0].field, "page_size");
    }
}
