//! The reference of the usage cascade, asked in lines of JSON: one command a line on standard
//! input, one answer a line on standard output. `tests/reference/README.md` lists the commands.
//!
//! Its clock is the machine's. `resolve` can be given another for what the cascade itself compares
//! with; reading the files, aggregating transcripts and dates in headers keep to the machine's.

mod bench;
mod files;
mod parse;
mod places;
mod request;
mod resolve;
mod windows;

use std::io::{BufRead, Write};

use serde_json::{json, Value};

use crate::request::{Failure, Request};

fn answer(request: &Request) -> Result<Value, Failure> {
    match request.text("op")? {
        "resolve" => resolve::resolve(request),
        "read_cache" => files::read_cache(request),
        "write_cache" => files::write_cache(request),
        "read_lock" => files::read_lock(request),
        "write_lock" => files::write_lock(request),
        "aggregate" => windows::aggregate(request),
        "credentials" => parse::credentials(request),
        "parse_credentials" => parse::credentials_text(request),
        "parse_timestamp" => parse::timestamp(request),
        "parse_usage" => parse::usage(request),
        "bench_fresh" => bench::fresh(request),
        "bench_aggregate" => bench::aggregate(request),
        other => Err(Failure(format!("no such command: {other:?}"))),
    }
}

fn main() -> std::io::Result<()> {
    // The crate asks them for a way to the endpoint, which in a test is on this machine.
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"] {
        std::env::remove_var(name);
        std::env::remove_var(name.to_lowercase());
    }
    let level = std::env::var(linesmith_core::logging::ENV_VAR).ok();
    linesmith_core::logging::apply(level.as_deref(), &mut std::io::stderr());

    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = Request::parse(&line?)
            .and_then(|request| answer(&request))
            .unwrap_or_else(|failure| json!({"error": failure.0}));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
