//! What a stream inside an HTTP/2 connection costs: it cannot leave hyper.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Response, Version};

use crate::workload::data;
use crate::workload::requests::bearer_by_tls;

/// Connections with one stream each.
const ALONE: usize = 1000;
/// Connections with as many streams as one may have.
const SHARED: usize = 10;
const STREAMS_OF_ONE: usize = 100;

/// Memory (KiB) of a connection with one stream, and of each further stream.
pub fn measure(address: SocketAddr, resident_kib: impl Fn() -> u64) -> [f64; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bearer = bearer_by_tls(address, &data::sdk_key(0));
    runtime.block_on(async {
        // What the first ones of a process take is not theirs.
        let mut held = open(address, &bearer, 200, 1).await;
        let mut add = async |connections, streams| {
            let before = settle(&resident_kib).await;
            held.extend(open(address, &bearer, connections, streams).await);
            settle(&resident_kib).await.saturating_sub(before)
        };
        let alone = share(add(ALONE, 1).await, ALONE);
        let together = share(add(SHARED, STREAMS_OF_ONE).await, SHARED);
        [alone, share_of((together - alone).max(0.0), STREAMS_OF_ONE - 1)]
    })
}

async fn open(address: SocketAddr, bearer: &str, connections: usize, streams: usize) -> Vec<(Client, Vec<Response>)> {
    let mut all = Vec::new();
    for _ in 0..connections {
        let client = Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        let mut responses = Vec::new();
        for _ in 0..streams {
            let request = client.get(format!("https://{address}/stream?cluster=1"));
            let request = request.header("API-Key", data::sdk_key(0)).header("Authorization", bearer);
            let mut response = request.header("Accept", "text/event-stream").send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
            assert_eq!(response.chunk().await.unwrap().as_deref(), Some(&b":\n\n"[..]));
            responses.push(response);
        }
        all.push((client, responses));
    }
    all
}

async fn settle(resident_kib: &impl Fn() -> u64) -> u64 {
    tokio::time::sleep(Duration::from_secs(3)).await;
    resident_kib()
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn share(kib: u64, of: usize) -> f64 {
    share_of(kib as f64, of)
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn share_of(kib: f64, of: usize) -> f64 {
    kib / of as f64
}
