//! TLS of the gRPC port: client certificates with roles, files that change,
//! and clients that do not get through the handshake.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Status};

use crate::support::configuration::golden;
use crate::support::grpc::{TOKENS, call, reason, runtime};
use crate::support::relay::TestRelay;

const INSPECT: &str = "/ffrelay.inspect.v1.InspectService/GetServerInfo";
const ADMIN: &str = "/ffrelay.admin.v1.AdminService/SetLogLevel";

/// Signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, names: &[SanType], until_year: i32) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names.to_vec();
        params.not_after = date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Pair { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    fn client(&self, name: &str) -> Pair {
        self.sign(&[dns(name)], 4000)
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn put(place: &Path, file: &str, text: &str) {
    let new = place.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, place.join(file)).unwrap();
}

fn put_server(place: &Path, authority: &Authority) {
    let pair = authority.sign(&[dns("localhost")], 4000);
    put(place, "cert.pem", &pair.cert);
    put(place, "key.pem", &pair.key);
}

fn start(place: &Path, clients: &Authority, more: &[&str]) -> TestRelay {
    put(place, "ca.pem", &clients.pem);
    let file = |option: &str, name: &str| format!("--{option}={}", place.join(name).display());
    let files = [file("grpc-tls-cert", "cert.pem"), file("grpc-tls-key", "key.pem"), file("grpc-client-ca", "ca.pem")];
    let mut options = vec!["--grpc-client-roles=ops.example=admin,spiffe://example/ci=inspect"];
    options.extend(files.iter().map(String::as_str));
    options.extend(more);
    TestRelay::offline(&golden(), &options)
}

async fn connect(
    relay: &TestRelay,
    server: &Authority,
    pair: Option<&Pair>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&server.pem)).domain_name("localhost");
    if let Some(pair) = pair {
        tls = tls.identity(Identity::from_pem(&pair.cert, &pair.key));
    }
    let address = format!("https://{}", relay.grpc.unwrap());
    Channel::from_shared(address).unwrap().tls_config(tls).unwrap().connect().await
}

/// One call on a connection of its own; no answer from the relay at all is
/// `None`.
async fn ask(
    relay: &TestRelay,
    server: &Authority,
    pair: Option<&Pair>,
    (method, token): (&str, &str),
) -> Option<Result<(), Status>> {
    let channel = connect(relay, server, pair).await.ok()?;
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.ok()?;
    let answer = call(&channel, method, token).await;
    let cut = answer.as_ref().is_err_and(|status| reason(status).is_empty());
    (!cut).then_some(answer)
}

#[test]
fn names_in_certificates_have_roles() {
    let place = tempfile::tempdir().unwrap();
    let (server, clients) = (Authority::new(), Authority::new());
    put_server(place.path(), &server);
    let relay = start(place.path(), &clients, &[]);
    runtime().block_on(async {
        let asked = async |pair: Option<&Pair>, method: &str| match ask(&relay, &server, pair, (method, "")).await {
            None => "cut".to_owned(),
            Some(Ok(())) => "let through".to_owned(),
            Some(Err(status)) => reason(&status),
        };
        let ops = clients.client("ops.example");
        assert_eq!(asked(Some(&ops), INSPECT).await, "let through");
        assert_eq!(asked(Some(&ops), ADMIN).await, "INVALID_FIELD", "the service itself answers");
        let ci = clients.sign(&[dns("x.example"), SanType::URI("spiffe://example/ci".try_into().unwrap())], 4000);
        assert_eq!(asked(Some(&ci), INSPECT).await, "let through");
        assert_eq!(asked(Some(&ci), ADMIN).await, "ROLE_FORBIDDEN");
        assert_eq!(asked(Some(&clients.client("nobody.example")), INSPECT).await, "CREDENTIALS_INVALID");
        assert_eq!(asked(None, INSPECT).await, "CREDENTIALS_MISSING", "loopback means nothing here");
        assert_eq!(asked(Some(&clients.sign(&[dns("ops.example")], 2001)), INSPECT).await, "cut", "expired");
        assert_eq!(asked(Some(&Authority::new().client("ops.example")), INSPECT).await, "cut", "of another CA");
    });
}

#[test]
fn tokens_are_good_beside_certificates() {
    let place = tempfile::tempdir().unwrap();
    let (server, clients) = (Authority::new(), Authority::new());
    put_server(place.path(), &server);
    let relay = start(place.path(), &clients, &TOKENS);
    runtime().block_on(async {
        let good = ask(&relay, &server, None, (INSPECT, "inspect-token")).await.unwrap();
        assert!(good.is_ok());
        let ops = clients.client("ops.example");
        let wrong = ask(&relay, &server, Some(&ops), (INSPECT, "no-token")).await.unwrap().unwrap_err();
        assert_eq!((wrong.code(), reason(&wrong).as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    });
}

#[test]
fn certificate_and_client_ca_are_read_again() {
    let place = tempfile::tempdir().unwrap();
    let (server, clients) = (Authority::new(), Authority::new());
    put_server(place.path(), &server);
    let relay = start(place.path(), &clients, &[]);
    let (new_server, new_clients) = (Authority::new(), Authority::new());
    let (old, new) = (clients.client("ops.example"), new_clients.client("ops.example"));
    runtime().block_on(async {
        assert!(ask(&relay, &server, Some(&old), (INSPECT, "")).await.is_some());
        assert!(ask(&relay, &server, Some(&new), (INSPECT, "")).await.is_none());
        put_server(place.path(), &new_server);
        put(place.path(), "ca.pem", &new_clients.pem);
        let limit = tokio::time::Instant::now() + Duration::from_secs(60);
        while ask(&relay, &new_server, Some(&new), (INSPECT, "")).await.is_none() {
            assert!(tokio::time::Instant::now() < limit, "the new files are not taken");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(ask(&relay, &new_server, Some(&old), (INSPECT, "")).await.is_none(), "the CA before is good no more");
        // Rubbish changes nothing.
        put(place.path(), "ca.pem", "rubbish");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(ask(&relay, &new_server, Some(&new), (INSPECT, "")).await.is_some());
    });
}

#[test]
fn silent_and_broken_handshakes_hold_nobody_up() {
    let place = tempfile::tempdir().unwrap();
    let (server, clients) = (Authority::new(), Authority::new());
    put_server(place.path(), &server);
    let relay = start(place.path(), &clients, &TOKENS);
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(relay.grpc.unwrap()).unwrap()).collect();
    let mut plain = TcpStream::connect(relay.grpc.unwrap()).unwrap();
    std::io::Write::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    runtime().block_on(async {
        let asked = ask(&relay, &server, None, (INSPECT, "inspect-token"));
        assert!(tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap().unwrap().is_ok());
    });
    drop(silent);
}

#[test]
fn plain_downloads_come_over_http_1_and_2() {
    let place = tempfile::tempdir().unwrap();
    let (server, clients) = (Authority::new(), Authority::new());
    put_server(place.path(), &server);
    let relay = start(place.path(), &clients, &TOKENS);
    let root = reqwest::Certificate::from_pem(server.pem.as_bytes()).unwrap();
    let builder = || {
        let client = reqwest::Client::builder().tls_certs_only([root.clone()]).no_proxy();
        client.resolve("localhost", relay.grpc.unwrap())
    };
    runtime().block_on(async {
        for (client, version) in [(builder().http1_only(), http::Version::HTTP_11), (builder(), http::Version::HTTP_2)]
        {
            let url = format!("https://localhost:{}/relay/no-such", relay.grpc.unwrap().port());
            let client = client.build().unwrap();
            let refused = client.get(&url).send().await.unwrap();
            assert_eq!((refused.version(), refused.status().as_u16()), (version, 401));
            let unknown = client.get(&url).header("authorization", "sync-token").send().await.unwrap();
            assert_eq!((unknown.version(), unknown.status().as_u16()), (version, 404));
        }
    });
}

#[test]
fn files_that_are_no_certificates_are_refused_at_start() {
    let place = tempfile::tempdir().unwrap();
    put_server(place.path(), &Authority::new());
    std::fs::write(place.path().join("ca.pem"), "rubbish").unwrap();
    let file = |option: &str, name: &str| format!("--{option}={}", place.path().join(name).display());
    let options = [
        file("grpc-tls-cert", "cert.pem"),
        file("grpc-tls-key", "key.pem"),
        file("grpc-client-ca", "ca.pem"),
        "--grpc-client-roles=ops.example=admin".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let Err(error) = TestRelay::try_offline(&golden(), &options) else { panic!("it started") };
    assert!(error.to_string().contains("ca.pem"), "{error}");
    assert_eq!(error.exit_code(), 64);
}
