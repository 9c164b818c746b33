//! Operations timed inside the process, so that neither pipe nor JSON is in the figures.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use linesmith_core::data_context::cache::{CacheStore, LockStore};
use linesmith_core::data_context::cascade::{resolve_usage, UsageCascadeConfig};
use linesmith_core::data_context::fetcher::{HttpResponse, UsageTransport};
use linesmith_core::data_context::jsonl::aggregate_jsonl;
use linesmith_core::data_context::{CredentialError, JsonlError};
use serde_json::{json, Value};

use crate::places::Places;
use crate::request::{Failure, Request};

struct Nobody;

impl UsageTransport for Nobody {
    fn get(&self, _: &str, _: &str, _: Duration) -> io::Result<HttpResponse> {
        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}

/// One resolve over a cache that is fresh.
pub fn fresh(request: &Request) -> Result<Value, Failure> {
    let root = request.path("cache_dir")?;
    let cache = CacheStore::new(root.clone());
    let lock = LockStore::new(root);
    let config = UsageCascadeConfig::default();
    let mut took = Vec::new();
    for _ in 0..request.number("iterations")?.max(1) {
        let start = Instant::now();
        let usage = resolve_usage(
            Some(&cache),
            Some(&lock),
            &Nobody,
            &|| Arc::new(Err(CredentialError::NoCredentials)),
            &|| Err(JsonlError::NoEntries),
            &Timestamp::now,
            &config,
        );
        took.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
        if let Err(why) = usage {
            return Err(Failure(format!("the cache is not fresh: {why}")));
        }
    }
    took.sort_unstable();
    Ok(json!({"min_ns": took[0], "median_ns": took[took.len() / 2]}))
}

/// Everything in the transcripts, each time anew: the crate keeps nothing.
pub fn aggregate(request: &Request) -> Result<Value, Failure> {
    Places::of(request)?.enter();
    let mut seconds = Vec::new();
    for _ in 0..request.number("iterations")?.max(1) {
        let start = Instant::now();
        let found = aggregate_jsonl();
        seconds.push(start.elapsed().as_secs_f64());
        found.map_err(|why| Failure(why.to_string()))?;
    }
    Ok(json!({"seconds": seconds}))
}
