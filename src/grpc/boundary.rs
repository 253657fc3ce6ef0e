//! The permission boundary: decides for every call, before any service sees
//! it, and whether there is such a service at all.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::access::{Access, Caller};
use super::peer::Peer;
use super::status::Refused;
use super::{audit, plain};
use crate::config::Role;
use crate::proto::inspect::v1::inspect_service_server::SERVICE_NAME as INSPECT;
use crate::proto::snapshot::v1::snapshot_service_server::SERVICE_NAME as SNAPSHOT;
use crate::proto::usage::v1::usage_service_server::SERVICE_NAME as USAGE;

/// The role a service needs; `None` for everybody. What is not known needs
/// the highest.
#[must_use]
pub fn role_of_service(service: &str) -> Option<Role> {
    match service {
        "grpc.health.v1.Health" => None,
        "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" | INSPECT => {
            Some(Role::Inspect)
        }
        SNAPSHOT | USAGE => Some(Role::Sync),
        _ => Some(Role::Admin),
    }
}

fn needed_role(path: &str) -> Option<Role> {
    if plain::is_plain(path) {
        return Some(Role::Sync);
    }
    role_of_service(path.trim_start_matches('/').split('/').next().unwrap_or_default())
}

/// See [`AccessService`].
#[derive(Clone, Debug)]
pub struct AccessLayer {
    pub access: Arc<Access>,
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AccessService { inner, access: Arc::clone(&self.access) }
    }
}

/// Lets calls through with their [`Caller`] among their extensions.
#[derive(Clone, Debug)]
pub struct AccessService<S> {
    inner: S,
    access: Arc<Access>,
}

impl<S> Service<Request<Body>> for AccessService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if plain::is_foreign(&request) {
            return Box::pin(async { Ok(plain::refusal(&plain::foreign())) });
        }
        let path = request.uri().path();
        let decided = match needed_role(path) {
            None => Ok(None),
            Some(needed) => self.decide(&request, needed).map(Some),
        };
        match decided {
            Ok(caller) => {
                request.extensions_mut().extend(caller.map(extension).unwrap_or_default());
                Box::pin(self.inner.call(request))
            }
            Err(refused) => {
                let plain = plain::is_plain(path);
                let answer = if plain { plain::refusal(&refused) } else { refused.status().into_http() };
                Box::pin(async move { Ok(answer) })
            }
        }
    }
}

fn extension(caller: Caller) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(caller);
    extensions
}

impl<S> AccessService<S> {
    fn decide(&self, request: &Request<Body>, needed: Role) -> Result<Caller, Refused> {
        let caller = self.access.caller(
            request.headers(),
            request.uri().authority().map(http::uri::Authority::as_str),
            request.extensions().get::<Peer>(),
        );
        let decided = caller.clone().and_then(|caller| Access::permit(&caller, needed).map(|()| caller));
        if let Err(refused) = &decided {
            audit::refused(request, caller.as_ref().ok(), &refused.message);
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_needs_the_highest_role() {
        assert_eq!(needed_role("/grpc.health.v1.Health/Check"), None);
        assert_eq!(needed_role("/ffrelay.inspect.v1.InspectService/GetFlag"), Some(Role::Inspect));
        assert_eq!(needed_role("/relay/latest-all"), Some(Role::Sync));
        for unknown in ["/", "", "/relay", "/x.Y/Z", "//ffrelay.inspect.v2.InspectService/GetFlag"] {
            assert_eq!(needed_role(unknown), Some(Role::Admin), "{unknown}");
        }
    }
}
