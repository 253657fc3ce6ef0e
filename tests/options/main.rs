//! Options as an operator gives them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod accepted;
mod contract;
mod examples;
mod origin;
mod refused;
mod spelling;

use ff_relay::config::{self, Config, Errors, Fixed, Mode, Offline, Request};

fn parse(args: &[&str], surroundings: &Fixed) -> Result<Request, Errors> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    config::parse(&args, surroundings)
}

fn run(args: &[&str], surroundings: &Fixed) -> Config {
    match parse(args, surroundings).unwrap_or_else(|errors| panic!("{errors}")) {
        Request::Run(config) => *config,
        other => panic!("{other:?}"),
    }
}

fn offline(args: &[&str]) -> Config {
    run(&[&["-offline"], args].concat(), &Fixed::default())
}

fn refusal(args: &[&str], surroundings: &Fixed) -> String {
    parse(args, surroundings).unwrap_err().to_string()
}

fn source(config: &Config) -> &Offline {
    match &config.mode {
        Mode::Offline(offline) => offline,
        other => panic!("{other:?}"),
    }
}

fn variables(pairs: &[(&str, &str)]) -> Fixed {
    pairs.iter().fold(Fixed::default(), |all, (name, value)| all.with_variable(name, *value))
}
