//! Reflection: each role sees what it may call, and the descriptors of
//! nothing else.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{Request, Response};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_reflection::server::{Builder, Error};
use tower::Service;

use super::access::Caller;
use super::boundary::role_of_service;
use crate::config::Role;

/// Every file of the contract, and those of health and reflection.
pub(super) const ENCODED: [&[u8]; 4] = [
    crate::proto::DESCRIPTORS,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// One reflection service for each role.
#[derive(Clone, Debug)]
pub struct ByRole<S> {
    inspect: S,
    sync: S,
    admin: S,
}

impl<S> ByRole<S> {
    /// Makes the services out of what each role may see.
    ///
    /// # Errors
    /// The descriptors cannot be read.
    pub fn new(make: impl Fn(Builder<'static>) -> Result<S, Error>) -> Result<Self, Error> {
        let service = |role| {
            let builder = Builder::configure().include_reflection_service(false);
            make(builder.register_file_descriptor_set(seen_by(role)?))
        };
        Ok(ByRole { inspect: service(Role::Inspect)?, sync: service(Role::Sync)?, admin: service(Role::Admin)? })
    }
}

impl<S: NamedService> NamedService for ByRole<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for ByRole<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Generated services always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.extensions().get::<Caller>().map(|caller| caller.role) {
            Some(Role::Admin) => self.admin.call(request),
            Some(Role::Sync) => self.sync.call(request),
            Some(Role::Inspect) | None => self.inspect.call(request),
        }
    }
}

/// The files whose services a role may call, with those that they import.
fn seen_by(role: Role) -> Result<FileDescriptorSet, Error> {
    let mut files: HashMap<String, FileDescriptorProto> = HashMap::new();
    for encoded in ENCODED {
        for mut file in FileDescriptorSet::decode(encoded)?.file {
            let package = file.package().to_owned();
            file.service.retain(|service| {
                role_of_service(&format!("{package}.{}", service.name())).is_none_or(|needed| needed <= role)
            });
            files.entry(file.name().to_owned()).or_insert(file);
        }
    }
    let mut seen: HashSet<String> = HashSet::new();
    let mut next: Vec<String> =
        files.values().filter(|file| !file.service.is_empty()).map(|file| file.name().to_owned()).collect();
    while let Some(name) = next.pop() {
        if let Some(file) = files.get(&name).filter(|_| seen.insert(name)) {
            next.extend(file.dependency.iter().cloned());
        }
    }
    let mut file: Vec<_> = files.into_values().filter(|file| seen.contains(file.name())).collect();
    file.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    Ok(FileDescriptorSet { file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(role: Role) -> Vec<String> {
        seen_by(role).unwrap().file.iter().map(|file| file.name().to_owned()).collect()
    }

    #[test]
    fn a_role_sees_the_files_of_its_services() {
        let inspect = names(Role::Inspect);
        assert!(inspect.contains(&"ffrelay/inspect/v1/inspect.proto".to_owned()), "{inspect:?}");
        assert!(inspect.contains(&"google/protobuf/timestamp.proto".to_owned()), "{inspect:?}");
        assert!(!inspect.iter().any(|name| name.contains("snapshot") || name.contains("admin")), "{inspect:?}");
        let sync = names(Role::Sync);
        assert!(sync.iter().any(|name| name.contains("snapshot")) && !sync.iter().any(|name| name.contains("admin")));
        assert!(names(Role::Admin).iter().any(|name| name.contains("admin")));
    }
}
