//! The yardstick: hyper with nothing around it, which answers with ready
//! bytes. It verifies the token of each request, or makes one, as a server
//! must that remembers no token.

use std::convert::Infallible;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::workload::process::SECRET;

/// What a limit server is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Specification {
    pub port: u16,
    pub current_thread: bool,
    /// Files of a certificate and its key.
    pub tls: Option<(String, String)>,
    pub answers: Vec<Ready>,
}

/// One answer, and the requests that get it. A server with only one answer
/// gives it to every request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    pub post: bool,
    pub path_begins: String,
    pub path_ends: String,
    pub gzip: bool,
    pub conditional: bool,
    pub work: Work,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The file with its body.
    pub body: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    None,
    /// Verify the token and read its claims.
    Verify,
    /// Read the credentials and sign the claims of the token in the body.
    Sign,
}

struct Prepared {
    ready: Ready,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// What is signed.
    claims: String,
}

struct Limit {
    key: hmac::Key,
    answers: Vec<Prepared>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    environment: &'a str,
    api_key: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    api_key: &'a str,
    #[serde(borrow)]
    #[expect(dead_code, reason = "it is read, like every member")]
    target: Option<&'a RawValue>,
}

/// Runs until it is killed.
pub fn serve(file: &str) {
    let specification: Specification = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut builder = if specification.current_thread {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let limit = Arc::new(Limit {
        key: hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()),
        answers: specification.answers.into_iter().map(prepare).collect(),
    });
    let acceptor = specification.tls.map(|(certificate, key)| acceptor(&certificate, &key));
    builder.enable_all().build().unwrap().block_on(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", specification.port)).await.unwrap();
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let (limit, acceptor) = (Arc::clone(&limit), acceptor.clone());
            tokio::spawn(async move {
                match acceptor {
                    None => connection(tcp, limit).await,
                    Some(acceptor) => {
                        // Whoever only looks whether it listens shakes no hands.
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            connection(tls, limit).await;
                        }
                    }
                }
            });
        }
    });
}

async fn connection(socket: impl AsyncRead + AsyncWrite + Unpin, limit: Arc<Limit>) {
    let service = service_fn(|request| {
        let limit = Arc::clone(&limit);
        async move { Ok::<_, Infallible>(limit.answer(request).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificates = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_single_cert(certificates, key).unwrap()))
}

fn prepare(ready: Ready) -> Prepared {
    let body = Bytes::from(std::fs::read(&ready.body).unwrap());
    let header = |(name, value): &(String, String)| (name.parse().unwrap(), value.parse().unwrap());
    let claims = match ready.work {
        Work::Sign => {
            let token = std::str::from_utf8(&body).unwrap().split('"').nth(3).unwrap();
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            String::from_utf8(payload).unwrap()
        }
        _ => String::new(),
    };
    Prepared { headers: ready.headers.iter().map(header).collect(), ready, body, claims }
}

impl Prepared {
    fn is_for(&self, request: &Request<Incoming>) -> bool {
        self.ready.post == (request.method() == Method::POST)
            && self.ready.gzip == request.headers().contains_key(ACCEPT_ENCODING)
            && self.ready.conditional == request.headers().contains_key(IF_NONE_MATCH)
            && request.uri().path().starts_with(&self.ready.path_begins)
            && request.uri().path().ends_with(&self.ready.path_ends)
    }
}

impl Limit {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let prepared = match self.answers.as_slice() {
            [only] => only,
            several => several.iter().find(|answer| answer.is_for(&request)).unwrap(),
        };
        let mut body = prepared.body.clone();
        if prepared.ready.work == Work::Verify {
            self.verify(request.headers().get(AUTHORIZATION).unwrap());
        }
        if prepared.ready.post {
            let read = request.into_body().collect().await.unwrap().to_bytes();
            if prepared.ready.work == Work::Sign {
                body = self.sign(&read, &prepared.claims);
            }
        }
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = prepared.ready.status.try_into().unwrap();
        for (name, value) in &prepared.headers {
            answer.headers_mut().append(name, value.clone());
        }
        answer
    }

    fn verify(&self, authorization: &HeaderValue) {
        let token = authorization.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        hmac::verify(&self.key, signed.as_bytes(), &signature).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: Claims<'_> = serde_json::from_slice(&payload).unwrap();
        assert!(!claims.environment.is_empty() && !claims.api_key.is_empty());
    }

    fn sign(&self, credentials: &[u8], claims: &str) -> Bytes {
        let credentials: Credentials<'_> = serde_json::from_slice(credentials).unwrap();
        std::hint::black_box(digest::digest(&digest::SHA256, credentials.api_key.as_bytes()));
        let mut token = String::with_capacity(1024);
        token.push_str("{\"authToken\":\"");
        let from = token.len();
        token.push_str("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.");
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = hmac::sign(&self.key, &token.as_bytes()[from..]);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token.push_str("\"}\n");
        token.into()
    }
}
