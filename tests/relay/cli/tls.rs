//! A relay with TLS, and clients that show a certificate.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

use super::{Shell, TOKENS};
use crate::support::configuration::golden;
use crate::support::relay::TestRelay;

/// Writes `<name>.pem` and `<name>.key` of a certificate for that name.
fn certificate(place: &Shell, issuer: &Issuer<'_, KeyPair>, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    std::fs::write(place.path(&format!("{name}.pem")), params.signed_by(&key, issuer).unwrap().pem()).unwrap();
    std::fs::write(place.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn the_certificate_is_checked_and_one_of_its_own_gives_a_role() {
    let place = Shell::at("127.0.0.1:1".parse().unwrap(), "sync-token");
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(place.path("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    certificate(&place, &issuer, "localhost");
    certificate(&place, &issuer, "operator");
    let file = |option: &str, name: &str| format!("--{option}={}", place.path(name).display());
    let options = [
        file("grpc-tls-cert", "localhost.pem"),
        file("grpc-tls-key", "localhost.key"),
        file("grpc-client-ca", "ca.pem"),
        "--grpc-client-roles=operator=admin".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).chain(TOKENS).collect();
    let relay = TestRelay::offline(&golden(), &options);
    let port = relay.grpc.unwrap().port();
    let run = |address: &str, words: &[&str]| {
        place.run(&[words, &["--address", &address.replace("PORT", &port.to_string())]].concat())
    };
    assert!(run("localhost:PORT", &["status", "--tls-ca", "ca.pem"]).good().starts_with("https://localhost"));
    run("https://127.0.0.1:PORT", &["status", "--tls-ca", "ca.pem", "--tls-server-name", "localhost"]).good();
    // The system does not know this CA, and the name is another one.
    for (address, words) in [
        ("https://localhost:PORT", &["status"][..]),
        ("127.0.0.1:PORT", &["status", "--tls-ca", "ca.pem"]),
        ("http://localhost:PORT", &["status"]),
    ] {
        let ran = run(address, words);
        assert!(ran.code == 2 && ran.err.contains("cannot be reached"), "{ran:?}");
    }
    std::fs::remove_file(place.path("token")).unwrap();
    let operator = ["--tls-ca", "ca.pem", "--tls-cert", "operator.pem", "--tls-key", "operator.key"];
    let level = |more: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_ff-relay"));
        command.env_remove("FF_RELAY_TOKEN_FILE").args(["set-log-level", "info"]).args(more);
        command.args(["--address", &format!("localhost:{port}")]).output().unwrap().status.code()
    };
    assert_eq!((level(&operator), level(&operator[..2])), (Some(0), Some(3)));
}
