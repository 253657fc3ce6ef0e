//! Draws how cost grows, from the JSON of the load and stream harnesses.
//!
//! `cargo bench --bench plot -- FILE… [--out DIRECTORY]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may fail"
)]

mod chart;
mod rows;

use std::path::{Path, PathBuf};

use chart::Chart;
use rows::Rows;

fn main() {
    let (mut files, mut out) = (Vec::new(), PathBuf::from("docs/performance"));
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--out" => out = arguments.next().expect("--out needs a directory").into(),
            file => files.push(file.to_owned()),
        }
    }
    if files.is_empty() {
        println!("cargo bench --bench plot -- FILE… [--out DIRECTORY]");
        return;
    }
    let rows = Rows::read(&files);
    std::fs::create_dir_all(&out).unwrap();
    flags(&rows, &out);
    environments(&rows, &out);
    targets(&rows, &out);
    streams(&rows, &out);
}

fn write(chart: &Chart, out: &Path, name: &str) {
    let file = out.join(name);
    match chart.svg() {
        None => println!("{name}: the files say nothing of it"),
        Some(svg) => {
            std::fs::write(&file, svg).unwrap();
            println!("{}", file.display());
        }
    }
}

fn flags(rows: &Rows, out: &Path) {
    let of = |field| rows.series(|row| row["scenario"] == "growth" && row["by"] == "flags", field);
    let chart = Chart::new("Processor time of a request, by flags of the environment", "flags", "µs")
        .line("list, gzip", of("list_us"))
        .line("one flag", of("flag_us"))
        .line("all evaluations", of("evaluations_us"));
    write(&chart, out, "flags.svg");
}

fn environments(rows: &Rows, out: &Path) {
    let of = |field| rows.series(|row| row["scenario"] == "growth" && row["by"] == "environments", field);
    let mib = of("resident_kib").into_iter().map(|(x, kib)| (x, kib / 1024.0)).collect();
    let chart = Chart::new("By environments of 30 flags", "environments", "ms, µs, MiB")
        .line("start to ready, ms", of("ready_ms"))
        .line("one flag, µs", of("flag_us"))
        .line("resident, MiB", mib);
    write(&chart, out, "environments.svg");
}

fn targets(rows: &Rows, out: &Path) {
    let of = |field| rows.series(|row| row["scenario"] == "growth" && row["by"] == "targets", field);
    let mib = of("resident_kib").into_iter().map(|(x, kib)| (x, kib / 1024.0)).collect();
    let chart = Chart::new("By targets that have authenticated", "targets", "µs, MiB")
        .line("one evaluation, µs", of("evaluation_us"))
        .line("resident, MiB", mib);
    write(&chart, out, "targets.svg");
}

fn streams(rows: &Rows, out: &Path) {
    let of = |kind: &str, field| {
        rows.series(|row| row["scenario"] == "streams" && row["kind"] == kind && row.get("stuck").is_none(), field)
    };
    let chart = Chart::new("One change to the last of many streams", "open streams", "ms")
        .line("server-side, plain", of("plain", "last_ms"))
        .line("server-side, TLS", of("tls", "last_ms"))
        .line("client-side, each its own target", of("clients", "last_ms"));
    write(&chart, out, "streams.svg");
}
