//! The link between relays over TLS: a private CA, a client certificate with
//! a role, and who is not let in.

use std::path::Path;

use ff_relay::proto::inspect::v1::PeerRole;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

use crate::following::{data_dir, is_ready, peers, revisions};
use crate::sending::ADMIN;
use crate::support::configuration::Configuration;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

/// `ca.pem`, `server.pem`, `client.pem` and their keys.
fn certificates(place: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(place.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (file, name) in [("server", "localhost"), ("client", "edge.example")] {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        std::fs::write(place.join(format!("{file}.pem")), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        std::fs::write(place.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn a_follower_with_a_certificate_is_let_in_and_one_without_is_not() {
    let place = tempfile::tempdir().unwrap();
    certificates(place.path());
    let file = |option: &str, name: &str| format!("--{option}={}", place.path().join(name).display());
    let configuration = Configuration::golden();
    let server =
        [file("grpc-tls-cert", "server.pem"), file("grpc-tls-key", "server.key"), file("grpc-client-ca", "ca.pem")];
    let mut options = vec!["--grpc-client-roles=edge.example=sync", "--auth-secret=x", ADMIN];
    options.extend(server.iter().map(String::as_str));
    let head = TestRelay::offline(configuration.path(), &options);
    let address = format!("--peer-address=https://localhost:{}", head.grpc.unwrap().port());
    let start = |more: &[&str]| {
        let mut all = vec![address.as_str(), "--auth-secret=x", ADMIN];
        all.extend(more);
        TestRelay::start(&all).unwrap()
    };
    let trusting = file("ca-bundle", "ca.pem");
    let client = [file("peer-tls-cert", "client.pem"), file("peer-tls-key", "client.key")];
    let stored = tempfile::tempdir().unwrap();
    let good = start(&[&trusting, &client[0], &client[1], &data_dir(stored.path())]);
    wait_for("readiness", || is_ready(&good).then_some(()));
    assert_eq!(revisions(&good).len(), 2);
    let error_of = |relay: &TestRelay| {
        wait_for("a reason", || {
            let leader = peers(relay).into_iter().find(|peer| peer.role() == PeerRole::Leader);
            leader.and_then(|leader| leader.error)
        })
    };
    let nameless = start(&[&trusting]);
    assert!(error_of(&nameless).contains("no credential"), "{}", error_of(&nameless));
    let distrustful = start(&[&client[0], &client[1]]);
    assert!(error_of(&distrustful).contains("certificate"), "{}", error_of(&distrustful));
    assert!(!is_ready(&nameless) && !is_ready(&distrustful));
}
