//! The figures of one kind of streams.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::crowd::{Crowd, Seen};
use super::http2;
use super::options::{Kind, Options};
use crate::workload::data;
use crate::workload::figures::{Spread, median, millis};
use crate::workload::online::Online;
use crate::workload::requests::{bearer, bearer_by_tls};
use crate::workload::tls;

const FLAGS: usize = 1000;
/// Streams that connect at the same time, where it is not the question.
const TOGETHER: usize = 64;
/// Streams of the burst.
const BURST: usize = 5000;

pub struct Measurement<'a> {
    kind: Kind,
    options: &'a Options,
    rows: &'a mut Vec<Value>,
    online: Online,
    crowd: Crowd,
    tls: Option<Arc<ClientConfig>>,
    turned: usize,
    _certificate: TempDir,
}

impl<'a> Measurement<'a> {
    pub fn start(kind: Kind, options: &'a Options, rows: &'a mut Vec<Value>) -> Self {
        let certificate = tempfile::tempdir().unwrap();
        let with_tls = matches!(kind, Kind::Tls | Kind::Http2);
        let arguments = if with_tls { tls::certificate(certificate.path()) } else { Vec::new() };
        let online = Online::start(FLAGS, &arguments);
        let tls = with_tls.then(tls::client);
        Measurement { kind, options, rows, online, crowd: Crowd::new(), tls, turned: 0, _certificate: certificate }
    }

    /// More and more streams.
    pub fn steps(&mut self) {
        let mut first: Option<(usize, u64)> = None;
        for count in self.options.streams.clone() {
            let (took, opened) = self.grow(count, TOGETHER);
            let resident = self.settle();
            let (base, base_kib) = *first.get_or_insert((count, resident));
            let each = each_kib((base, base_kib), (count, resident));
            let mut row = self.row(count);
            row["connects_per_s"] = json!(per_second(opened, took));
            row["resident_kib"] = json!(resident);
            row["kib_per_stream"] = json!(each);
            println!(
                "{:<8} {count:>6} streams: {:.0} connects/s, {:.1} MiB resident{}",
                self.kind.name(),
                per_second(opened, took),
                mib(resident),
                each.map_or_else(String::new, |each| format!(", {each:.2} KiB a stream above {base}"))
            );
            self.changes(&mut row, "");
            self.idle(&mut row);
            self.rows.push(row);
        }
        self.with_stuck_readers();
    }

    /// All at once, above a thousand.
    pub fn burst(&mut self) {
        self.grow(1000, TOGETHER);
        let before = self.settle();
        let (took, opened) = self.grow(1000 + BURST, BURST);
        let after = self.settle();
        let each = each_kib((1000, before), (1000 + BURST, after));
        println!(
            "{:<8} {BURST} streams at once: {:.0} connects/s, {:.2} KiB a stream",
            self.kind.name(),
            per_second(opened, took),
            each.unwrap_or_default()
        );
        let mut row = self.row(BURST);
        row["connects_per_s"] = json!(per_second(opened, took));
        row["kib_per_stream"] = json!(each);
        self.rows.push(row);
    }

    /// Inside HTTP/2 connections.
    pub fn http2(&mut self) {
        let relay = &self.online.relay;
        let [alone, further] = http2::measure(relay.address, || relay.resident_kib());
        println!(
            "{:<8} {alone:.1} KiB a connection with one stream, {further:.1} KiB each further stream of it",
            self.kind.name()
        );
        let mut row = self.row(1);
        row["kib_per_connection"] = json!(alone);
        row["kib_per_stream"] = json!(further);
        self.rows.push(row);
    }

    fn row(&self, count: usize) -> Value {
        json!({"scenario": "streams", "kind": self.kind.name(), "count": count})
    }

    fn grow(&mut self, count: usize, together: usize) -> (Duration, usize) {
        let address = self.online.relay.address;
        let opened = count - self.crowd.len();
        // A token of now: an older one would be told of what changed since.
        let bearer = match self.tls {
            None => bearer(address, &data::sdk_key(0), None),
            Some(_) => bearer_by_tls(address, &data::sdk_key(0)),
        };
        let clients = self.kind == Kind::Clients;
        let request = move |number: usize| request(&bearer, clients.then_some(number));
        (self.crowd.grow(count, together, address, &request, self.tls.as_ref()), opened)
    }

    /// Memory once nothing happens any more.
    fn settle(&mut self) -> u64 {
        self.crowd.listen(Duration::from_secs(3));
        self.online.relay.resident_kib()
    }

    /// One change after the other; each is heard by all before the next.
    fn changes(&mut self, row: &mut Value, named: &str) {
        self.crowd.seen = Seen::default();
        let (mut spreads, mut firsts, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.options.changes {
            let before = self.online.relay.cpu();
            let changed = Instant::now();
            // Plain flags: nothing depends on them.
            let (name, version) = self.online.turn(16 * (self.turned % 60));
            self.turned += 1;
            let times = self.crowd.hear(&format!("\"identifier\":\"{name}\",\"version\":{version}"), changed);
            cpu.push(millis(self.online.relay.cpu_since(before)));
            firsts.push(millis(*times.iter().min().unwrap()));
            spreads.push(Spread::of(times));
            self.crowd.listen(Duration::from_millis(300));
        }
        let of = |get: fn(&Spread) -> f64| median(spreads.iter().map(get));
        let (first, p50, p99, last) = (median(firsts), of(|it| it.p50), of(|it| it.p99), of(|it| it.max));
        let cpu = median(cpu);
        println!(
            "{:<8}        {named}a change reaches the first after {first:.1} ms, median {p50:.1}, p99 {p99:.1}, last {last:.1}; {cpu:.1} ms CPU",
            ""
        );
        row["first_ms"] = json!(first);
        row["median_ms"] = json!(p50);
        row["p99_ms"] = json!(p99);
        row["last_ms"] = json!(last);
        row["change_cpu_ms"] = json!(cpu);
        if self.kind == Kind::Clients {
            let Seen { events, with_evaluations } = self.crowd.seen;
            let needed = events - with_evaluations;
            println!(
                "{:<8}        {events} events, {with_evaluations} with evaluations: {needed} requests follow, {events} would otherwise",
                ""
            );
            row["events"] = json!(events);
            row["with_evaluations"] = json!(with_evaluations);
            row["requests_needed"] = json!(needed);
        }
    }

    /// Nothing but heartbeats.
    fn idle(&mut self, row: &mut Value) {
        let before = self.online.relay.cpu();
        self.crowd.listen(self.options.idle);
        let share = self.online.relay.cpu_since(before).as_secs_f64() / self.options.idle.as_secs_f64() * 100.0;
        println!("{:<8}        idle: {share:.2} % of a core", "");
        row["idle_percent"] = json!(share);
    }

    /// One in a hundred takes nothing; many changes fill what it has room
    /// for, then the others are looked at.
    fn with_stuck_readers(&mut self) {
        let stuck = self.crowd.len() / 100;
        self.crowd.stick(stuck);
        for turn in 0..200 {
            self.online.turn(16 * (turn % 60));
            self.crowd.listen(Duration::from_millis(10));
        }
        self.crowd.listen(Duration::from_secs(2));
        let mut row = self.row(self.crowd.len());
        row["stuck"] = json!(stuck);
        self.changes(&mut row, &format!("{stuck} readers stuck: "));
        self.rows.push(row);
    }
}

/// What opens a stream; client-side SDKs have numbers.
fn request(bearer: &str, client: Option<usize>) -> Vec<u8> {
    let of_client = client.map_or_else(
        || "Harness-SDK-Info: Go 0.1.25 Server\r\n".to_owned(),
        |number| {
            let mut target = data::target();
            target["identifier"] = json!(format!("user_{number}"));
            let target = STANDARD.encode(target.to_string());
            format!("Harness-SDK-Info: Javascript 1.32.0 Client\r\nHarness-Target: {target}\r\n")
        },
    );
    let key = data::sdk_key(0);
    format!(
        "GET /stream?cluster=1 HTTP/1.1\r\nHost: ff-relay:7000\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n\
         API-Key: {key}\r\nAuthorization: {bearer}\r\n{of_client}\r\n"
    )
    .into_bytes()
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn each_kib(before: (usize, u64), after: (usize, u64)) -> Option<f64> {
    (after.0 > before.0).then(|| after.1.saturating_sub(before.1) as f64 / (after.0 - before.0) as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
