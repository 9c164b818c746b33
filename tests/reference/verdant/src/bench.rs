//! Operations timed inside the process, so that neither pipe nor JSON is in the figures; and a way
//! to make a store large.

use std::fs;
use std::time::Instant;

use serde_json::{json, Value};
use verdant_runtime::{hash_file, FileRoot, Key, LookupOutcome};

use crate::request::{Failure, Request};
use crate::Opened;

/// Entries `first` to `first + count`: the key of number i is that of `fill|i`, its only root is
/// the file number i % `files` of the folder `fill` in the workspace, made where it is missing.
pub fn fill(opened: &Opened, request: &Request) -> Result<Value, Failure> {
    let (first, count) = (request.number("first")?, request.number("count")?);
    let files = request.number("files")?;
    let payload = vec![b'p'; request.number("payload_bytes")? as usize];
    fs::create_dir_all(opened.workspace.join("fill"))?;
    let mut hashes = Vec::new();
    for file in 0..files {
        let path = opened.workspace.join(format!("fill/{file}.txt"));
        if !path.exists() {
            fs::write(&path, format!("file {file}\n"))?;
        }
        hashes.push(hash_file(&path)?);
    }
    for number in first..first + count {
        let file = number % files;
        let root = FileRoot {
            path: format!("fill/{file}.txt").into(),
            expected_hash: hashes[file as usize].clone(),
        };
        let key = Key::from_bytes(format!("fill|{number}").as_bytes());
        opened.cache.persist(&key, &payload, "read", vec![root])?;
    }
    Ok(json!({"ok": true}))
}

/// The operation named by `what`, `times` over.
pub fn measure(opened: &mut Opened, request: &Request) -> Result<Value, Failure> {
    let what = request.text("what")?;
    let times = request.number("times")?.max(1);
    let mut took = Vec::new();
    let mut last = Value::Null;
    for _ in 0..times {
        let (nanoseconds, answer) = once(opened, request, what)?;
        took.push(nanoseconds);
        last = answer;
    }
    took.sort_unstable();
    let median = took[took.len() / 2];
    Ok(json!({"min_ns": took[0], "median_ns": median, "times": times, "last": last}))
}

fn once(opened: &mut Opened, request: &Request, what: &str) -> Result<(u64, Value), Failure> {
    Ok(match what {
        "revalidate" => {
            let key = request.key()?;
            let start = Instant::now();
            let found = opened.cache.lookup_revalidate(&key)?;
            let took = nanoseconds(start);
            match found {
                LookupOutcome::Hit(payload) => (took, json!(payload.bytes.len())),
                other => return Err(Failure(format!("no hit but {other:?}"))),
            }
        }
        "persist" => {
            let payload = request.bytes("payload_b64")?;
            let key = request.key()?;
            let start = Instant::now();
            opened.cache.persist(&key, &payload, "read", Vec::new())?;
            (nanoseconds(start), Value::Null)
        }
        "open" => {
            let start = Instant::now();
            let again = Opened::new(opened.store.clone(), opened.workspace.clone())?;
            let took = nanoseconds(start);
            *opened = again;
            (took, json!(opened.cache.entry_count()))
        }
        "invalidate_path" => {
            let path = request.path("path")?;
            let start = Instant::now();
            let dropped = opened.cache.invalidate_path(&path);
            (nanoseconds(start), json!(dropped))
        }
        "hash" => {
            let path = request.path("path")?;
            let start = Instant::now();
            let hash = hash_file(&path)?;
            (nanoseconds(start), json!(hash))
        }
        other => return Err(Failure(format!("cannot time {other:?}"))),
    })
}

fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
