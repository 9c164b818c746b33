//! The two files that processes share.

use linesmith_core::data_context::cache::{CacheError, CacheStore, CachedUsage, Lock, LockStore};
use linesmith_core::data_context::UsageApiResponse;
use serde::Serialize;
use serde_json::{json, Value};

use crate::request::{written, Failure, Request};

fn read<T: Serialize>(found: Result<Option<T>, CacheError>) -> Result<Value, Failure> {
    match found {
        Ok(found) => Ok(json!({"is": written(&found)?})),
        Err(why) => Ok(json!({"is": null, "failed": why.to_string()})),
    }
}

fn write(done: Result<(), CacheError>) -> Result<Value, Failure> {
    done.map_err(|why| Failure(why.to_string()))?;
    Ok(json!({"ok": true}))
}

pub fn read_cache(request: &Request) -> Result<Value, Failure> {
    read(CacheStore::new(request.path("cache_dir")?).read())
}

pub fn write_cache(request: &Request) -> Result<Value, Failure> {
    let mut entry = if request.has("code") {
        CachedUsage::with_error(request.text("code")?)
    } else {
        let body = request.bytes("body")?;
        CachedUsage::with_data(serde_json::from_slice::<UsageApiResponse>(&body)?)
    };
    if request.has("cached_at") {
        entry.cached_at = request.time("cached_at")?;
    }
    write(CacheStore::new(request.path("cache_dir")?).write(&entry))
}

pub fn read_lock(request: &Request) -> Result<Value, Failure> {
    read(LockStore::new(request.path("cache_dir")?).read())
}

pub fn write_lock(request: &Request) -> Result<Value, Failure> {
    let lock = Lock {
        blocked_until: request.number("blocked_until")?,
        error: match request.value("code") {
            Value::Null => None,
            _ => Some(request.text("code")?.to_string()),
        },
    };
    write(LockStore::new(request.path("cache_dir")?).write(&lock))
}
