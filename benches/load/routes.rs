//! Routes beside the limit server: both on the same core, in turn.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::answer::{Body, Expected};
use super::client::{Client, Outcome};
use super::limit::{Ready, Specification};
use super::options::Options;
use super::report::{Measured, Report, Side};
use super::scenario::{ROUTES, Scenario, TARGETS, Wish};
use super::site::Site;
use super::traffic::{Kind, NUMBER, Traffic};
use crate::workload::figures::median;
use crate::workload::process::{Pinned, free_port};
use crate::workload::requests::{Captured, ask};
use crate::workload::tls;

pub fn run(options: &Options, report: &mut Report) {
    let mut sites: HashMap<usize, Site> = HashMap::new();
    for scenario in ROUTES.iter().filter(|scenario| options.wants(scenario.name)) {
        let site = sites.entry(scenario.flags).or_insert_with(|| Site::start(1, scenario.flags, &[]));
        report.route(measure(scenario, site, options));
    }
}

/// One server with the client that drives it.
struct Driven<'a> {
    server: &'a Pinned,
    client: Client,
    traffic: Traffic,
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    busy: Vec<f64>,
}

impl<'a> Driven<'a> {
    fn new(server: &'a Pinned, traffic: &Traffic, connections: usize) -> Self {
        let client = Client::connect(server.address, connections);
        Driven { server, client, traffic: traffic.clone(), rates: Vec::new(), cpu_us: Vec::new(), busy: Vec::new() }
    }

    fn round(&mut self, time: Duration) {
        let before = self.server.cpu();
        let outcome = self.client.closed(&mut self.traffic, time);
        let cpu = self.server.cpu_since(before).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        self.cpu_us.push(cpu * 1e6 / outcome.answered as f64);
        self.busy.push(cpu / outcome.elapsed.as_secs_f64());
        self.rates.push(outcome.rate());
    }

    fn paced(&mut self, time: Duration) -> Outcome {
        let rate = median(self.rates.iter().copied()) / 2.0;
        self.client.paced(&mut self.traffic, time, rate)
    }

    fn side(&mut self, time: Duration) -> Side {
        let of = |values: &[f64]| median(values.iter().copied());
        let at_half_rate = self.paced(time).spread();
        Side {
            rate: of(&self.rates),
            cpu_us: of(&self.cpu_us),
            busy: of(&self.busy),
            at_half_rate,
            resident_kib: self.server.resident_kib(),
        }
    }
}

fn measure(scenario: &Scenario, site: &Site, options: &Options) -> Measured {
    let files = tempfile::tempdir().unwrap();
    let wishes = (scenario.wishes)(site);
    let captured: Vec<Captured> = wishes.iter().map(|wish| ask(site.relay.address, &filled(&wish.request))).collect();
    let traffic = traffic(&wishes, &captured, TARGETS);
    let answers = wishes.iter().zip(&captured).enumerate();
    let answers = answers.map(|(at, (wish, answer))| ready(wish, answer, &files.path().join(at.to_string()))).collect();
    let limit = start_limit(answers, files.path(), None, options.limit_on_current_thread);
    let mut relay = Driven::new(&site.relay, &traffic, scenario.connections);
    let mut limit = Driven::new(&limit, &traffic, scenario.connections);
    // Once without looking: connections, caches, what is made when first needed.
    relay.client.closed(&mut relay.traffic, options.each / 4);
    limit.client.closed(&mut limit.traffic, options.each / 4);
    for round in 0..options.rounds {
        let (first, second) = if round % 2 == 0 { (&mut relay, &mut limit) } else { (&mut limit, &mut relay) };
        first.round(options.each);
        second.round(options.each);
    }
    let pairs = |ours: &[f64], theirs: &[f64]| median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs));
    Measured {
        name: scenario.name,
        bytes: captured.iter().map(|answer| answer.body.len()).max().unwrap(),
        rate_ratio: pairs(&relay.rates, &limit.rates),
        cpu_ratio: pairs(&limit.cpu_us, &relay.cpu_us),
        relay: relay.side(options.each),
        limit: limit.side(options.each),
    }
}

/// The request with the lowest number.
pub fn filled(request: &[u8]) -> Vec<u8> {
    String::from_utf8(request.to_vec()).unwrap().replace(NUMBER, "000000").into_bytes()
}

/// Requests with numbers below `numbers`, and what they were answered once.
pub fn traffic(wishes: &[Wish], captured: &[Captured], numbers: u64) -> Traffic {
    let kind = |(wish, answer): (&Wish, &Captured)| {
        assert!(matches!(answer.status, 200 | 304), "{}: {answer:?}", String::from_utf8_lossy(&wish.request));
        let body = if wish.varies {
            let end = answer.body.len().saturating_sub(2);
            Body::Shape {
                begins: answer.body[..8.min(end)].to_vec(),
                ends: answer.body[end..].to_vec(),
                at_least: answer.body.len() * 7 / 10,
            }
        } else {
            Body::Exactly(answer.body.clone())
        };
        Kind { request: wish.request.clone(), expected: Expected { status: answer.status, body }, weight: wish.weight }
    };
    Traffic::new(wishes.iter().zip(captured).map(kind).collect(), numbers)
}

/// The answer as a limit server gives it; its body goes into a file.
pub fn ready(wish: &Wish, answer: &Captured, file: &Path) -> Ready {
    std::fs::write(file, &answer.body).unwrap();
    let text = String::from_utf8_lossy(&wish.request);
    let path = text.split(' ').nth(1).unwrap().split('?').next().unwrap();
    let (begins, ends) = path.split_once(NUMBER).unwrap_or((path, ""));
    Ready {
        post: text.starts_with("POST"),
        path_begins: begins.to_owned(),
        path_ends: ends.to_owned(),
        gzip: text.contains("Accept-Encoding"),
        conditional: text.contains("If-None-Match"),
        work: wish.work,
        status: answer.status,
        headers: answer.headers.clone(),
        body: file.display().to_string(),
    }
}

/// `certificate` is the directory of the one that [`tls`] made.
pub fn start_limit(answers: Vec<Ready>, files: &Path, certificate: Option<&Path>, current_thread: bool) -> Pinned {
    let mut answers = answers;
    // The most specific path first.
    answers.sort_by_key(|answer| std::cmp::Reverse(answer.path_begins.len()));
    let specification = Specification { port: free_port(), current_thread, tls: certificate.map(tls::files), answers };
    let file = files.join("specification.json");
    std::fs::write(&file, serde_json::to_vec(&specification).unwrap()).unwrap();
    let arguments = ["limit".to_owned(), file.display().to_string()];
    let limit = Pinned::start(&std::env::current_exe().unwrap(), &arguments, specification.port);
    limit.accepts();
    limit
}
