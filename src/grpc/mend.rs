//! Errors of the library itself, said as the table says them: never UNKNOWN,
//! and with a reason.

use http::HeaderMap;
use tonic::{Code, Status};

use super::status::{About, status};
use crate::fault::Fault;

/// Mends the status of an answer that ended with its headers.
pub fn mend_headers(headers: &mut HeaderMap) {
    mend(headers, Fault::InvalidField);
}

/// Mends the status of an answer that began well.
pub fn mend_trailers(trailers: &mut HeaderMap) {
    mend(trailers, Fault::Internal);
}

/// `internal` is what INTERNAL without a reason means here: before any
/// answer, the library could not read the request.
fn mend(headers: &mut HeaderMap, internal: Fault) {
    let Some(said) = Status::from_header_map(headers) else {
        return;
    };
    if said.code() == Code::Ok || !said.details().is_empty() {
        return;
    }
    let (fault, message) = match said.code() {
        Code::Unknown => (Fault::Internal, said.message().to_owned()),
        Code::Internal => (internal, said.message().to_owned()),
        // What the library calls a message above its limit.
        Code::OutOfRange | Code::ResourceExhausted => (Fault::LimitExceeded, said.message().to_owned()),
        Code::Unimplemented if said.message().is_empty() => {
            (Fault::RouteNotFound, "there is no such method here; reflection lists those there are".to_owned())
        }
        Code::Unimplemented => (Fault::MethodNotAllowed, said.message().to_owned()),
        // Health and reflection say what they mean without a reason.
        _ => return,
    };
    let mended = status(fault, &message, About::Nothing);
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        headers.remove(name);
    }
    // What cannot be written as headers would be a message with a NUL.
    let _ = mended.add_header(headers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt as _;

    fn mended(said: &Status, mend: impl FnOnce(&mut HeaderMap)) -> (Code, Option<String>) {
        let mut headers = HeaderMap::new();
        said.add_header(&mut headers).unwrap();
        mend(&mut headers);
        let said = Status::from_header_map(&headers).unwrap();
        (said.code(), said.get_error_details().error_info().map(|info| info.reason.clone()))
    }

    #[test]
    fn the_librarys_errors_get_their_reasons() {
        let reason = |reason: &str| Some(reason.to_owned());
        let large = Status::out_of_range("Error, decoded message length too large");
        assert_eq!(mended(&large, mend_headers), (Code::ResourceExhausted, reason("LIMIT_EXCEEDED")));
        let unread = Status::internal("failed to decode Protobuf message");
        assert_eq!(mended(&unread, mend_headers), (Code::InvalidArgument, reason("INVALID_FIELD")));
        assert_eq!(mended(&unread, mend_trailers), (Code::Internal, reason("INTERNAL")));
        assert_eq!(mended(&Status::unknown("?"), mend_headers), (Code::Internal, reason("INTERNAL")));
        let unknown = Status::unimplemented("");
        assert_eq!(mended(&unknown, mend_headers), (Code::Unimplemented, reason("ROUTE_NOT_FOUND")));
        let ours = status(Fault::DigestGone, "gone", About::Nothing);
        assert_eq!(mended(&ours, mend_headers), (Code::OutOfRange, reason("DIGEST_GONE")));
        assert_eq!(mended(&Status::ok(""), mend_headers), (Code::Ok, None));
    }
}
