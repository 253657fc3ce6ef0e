//! Every fault a client can be told of, once: HTTP status, gRPC code and
//! reason side by side, so that the two protocols cannot drift apart.

use http::StatusCode;
use tonic::Code;

/// What went wrong, as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A request that cannot be understood: body, header, argument.
    InvalidField,
    /// An opaque page token that this relay did not make.
    InvalidPageToken,
    /// No credential came.
    CredentialsMissing,
    /// A credential came and is wrong, revoked or expired.
    CredentialsInvalid,
    /// A good credential whose role may not do this.
    RoleForbidden,
    EnvironmentNotFound,
    FlagNotFound,
    SegmentNotFound,
    /// The flag exists, and no variation can be served for this target.
    NotEvaluable,
    RouteNotFound,
    MethodNotAllowed,
    /// A body or header above its limit.
    LimitExceeded,
    TooManyStreams,
    /// What waits for slow clients leaves no room. SDKs get 500: 503 disables
    /// Python.
    Overloaded,
    /// The client took too long to send.
    RequestTimeout,
    /// The environment has not been synced yet. SDKs get 500: they take 401
    /// for ever (Go, Python, Java, .NET, Ruby, JS), and 503 disables Python.
    NeverSynced,
    /// What must outlive the process could not be written.
    PersistFailed,
    /// Nothing is known yet, and nobody is about to fetch it.
    NothingSynced,
    /// Frames of a transfer out of order, or with a gap.
    SnapshotFraming,
    /// An archive that was cut short, or is not the one that was sent.
    SnapshotCorrupt,
    /// An archive of a later format.
    SnapshotFormatUnsupported,
    /// An archive whose content cannot be served.
    SnapshotInvalid,
    /// What is served is not what the caller expected.
    DigestMismatch,
    /// One import at a time.
    ImportInProgress,
    /// The configuration belongs to upstream, a peer, Redis or a directory.
    UpstreamOwnsState,
    /// The archive whose rest was asked for is not the one that is made now.
    DigestGone,
    /// The sender of a transfer fell silent.
    ChunkTimeout,
    /// The relay is shutting down.
    Draining,
    /// A fault of the relay itself.
    Internal,
}

/// The row of a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRow {
    pub status: StatusCode,
    pub code: Code,
    /// `google.rpc.ErrorInfo.reason`, domain `ffrelay`.
    pub reason: &'static str,
}

impl Fault {
    /// All faults, for tests and documentation.
    pub const ALL: [Fault; 29] = [
        Fault::InvalidField,
        Fault::InvalidPageToken,
        Fault::CredentialsMissing,
        Fault::CredentialsInvalid,
        Fault::RoleForbidden,
        Fault::EnvironmentNotFound,
        Fault::FlagNotFound,
        Fault::SegmentNotFound,
        Fault::NotEvaluable,
        Fault::RouteNotFound,
        Fault::MethodNotAllowed,
        Fault::LimitExceeded,
        Fault::TooManyStreams,
        Fault::Overloaded,
        Fault::RequestTimeout,
        Fault::NeverSynced,
        Fault::PersistFailed,
        Fault::NothingSynced,
        Fault::SnapshotFraming,
        Fault::SnapshotCorrupt,
        Fault::SnapshotFormatUnsupported,
        Fault::SnapshotInvalid,
        Fault::DigestMismatch,
        Fault::ImportInProgress,
        Fault::UpstreamOwnsState,
        Fault::DigestGone,
        Fault::ChunkTimeout,
        Fault::Draining,
        Fault::Internal,
    ];

    /// The one table.
    #[must_use]
    pub fn row(self) -> FaultRow {
        let (status, code, reason) = match self {
            Fault::InvalidField => (StatusCode::BAD_REQUEST, Code::InvalidArgument, "INVALID_FIELD"),
            Fault::InvalidPageToken => (StatusCode::BAD_REQUEST, Code::InvalidArgument, "INVALID_PAGE_TOKEN"),
            Fault::CredentialsMissing => (StatusCode::UNAUTHORIZED, Code::Unauthenticated, "CREDENTIALS_MISSING"),
            Fault::CredentialsInvalid => (StatusCode::UNAUTHORIZED, Code::Unauthenticated, "CREDENTIALS_INVALID"),
            Fault::RoleForbidden => (StatusCode::FORBIDDEN, Code::PermissionDenied, "ROLE_FORBIDDEN"),
            Fault::EnvironmentNotFound => (StatusCode::NOT_FOUND, Code::NotFound, "ENVIRONMENT_NOT_FOUND"),
            Fault::FlagNotFound => (StatusCode::NOT_FOUND, Code::NotFound, "FLAG_NOT_FOUND"),
            Fault::SegmentNotFound => (StatusCode::NOT_FOUND, Code::NotFound, "SEGMENT_NOT_FOUND"),
            Fault::NotEvaluable => (StatusCode::NOT_FOUND, Code::NotFound, "NOT_EVALUABLE"),
            Fault::RouteNotFound => (StatusCode::NOT_FOUND, Code::Unimplemented, "ROUTE_NOT_FOUND"),
            Fault::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, "METHOD_NOT_ALLOWED"),
            Fault::LimitExceeded => (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, "LIMIT_EXCEEDED"),
            Fault::TooManyStreams => (StatusCode::SERVICE_UNAVAILABLE, Code::ResourceExhausted, "TOO_MANY_STREAMS"),
            Fault::Overloaded => (StatusCode::INTERNAL_SERVER_ERROR, Code::ResourceExhausted, "OVERLOADED"),
            Fault::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, "REQUEST_TIMEOUT"),
            Fault::NeverSynced => (StatusCode::INTERNAL_SERVER_ERROR, Code::Unavailable, "NEVER_SYNCED"),
            Fault::PersistFailed => (StatusCode::INSUFFICIENT_STORAGE, Code::ResourceExhausted, "PERSIST_FAILED"),
            Fault::NothingSynced => (StatusCode::INTERNAL_SERVER_ERROR, Code::FailedPrecondition, "NEVER_SYNCED"),
            Fault::SnapshotFraming => (StatusCode::BAD_REQUEST, Code::InvalidArgument, "SNAPSHOT_FRAMING"),
            Fault::SnapshotCorrupt => (StatusCode::UNPROCESSABLE_ENTITY, Code::DataLoss, "SNAPSHOT_CORRUPT"),
            Fault::SnapshotFormatUnsupported => {
                (StatusCode::UNPROCESSABLE_ENTITY, Code::FailedPrecondition, "SNAPSHOT_FORMAT_UNSUPPORTED")
            }
            Fault::SnapshotInvalid => (StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidArgument, "SNAPSHOT_INVALID"),
            Fault::DigestMismatch => (StatusCode::CONFLICT, Code::Aborted, "DIGEST_MISMATCH"),
            Fault::ImportInProgress => (StatusCode::CONFLICT, Code::Aborted, "IMPORT_IN_PROGRESS"),
            Fault::UpstreamOwnsState => (StatusCode::CONFLICT, Code::FailedPrecondition, "UPSTREAM_OWNS_STATE"),
            Fault::DigestGone => (StatusCode::RANGE_NOT_SATISFIABLE, Code::OutOfRange, "DIGEST_GONE"),
            Fault::ChunkTimeout => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, "CHUNK_TIMEOUT"),
            Fault::Draining => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "DRAINING"),
            Fault::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "INTERNAL"),
        };
        FaultRow { status, code, reason }
    }

    /// The JSON error of plain HTTP: `error` is the Go proxy's, Go and Java
    /// SDKs print `code` and `message`.
    #[must_use]
    pub fn json(self, message: &str) -> String {
        let code = self.row().status;
        serde_json::json!({ "error": message, "code": code.as_str(), "message": message }).to_string() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_fault_has_its_own_reason_and_no_code_is_unknown() {
        let reasons: HashSet<_> = Fault::ALL.iter().map(|fault| fault.row().reason).collect();
        // NEVER_SYNCED has two codes: while it is about to be, and while nothing is on its way.
        assert_eq!(reasons.len(), Fault::ALL.len() - 1);
        for fault in Fault::ALL {
            assert_ne!(fault.row().code, Code::Unknown, "{fault:?}");
            assert!(fault.row().status.is_client_error() || fault.row().status.is_server_error());
        }
    }
}
