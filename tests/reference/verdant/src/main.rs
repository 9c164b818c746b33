//! The reference of the tool cache, asked in lines of JSON: one command a line on standard input,
//! one answer a line on standard output. `tests/reference/README.md` lists the commands.
//!
//! Caches have names, so that one program can hold a long-lived and a fresh one at the same time.

mod bench;
mod request;
mod server;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use serde_json::{json, Value};
use verdant_runtime::{
    current_root_fingerprint, fingerprint_dir, fingerprint_file, hash_max_bytes, stat_fingerprint,
    tool_result_key, CacheError, FileRoot, FileStore, Key, LiveCache, LookupOutcome, RemoteStore,
    RemoteStoreConfig, StoreError,
};

use crate::request::{encoded, Failure, Request};

/// An open cache, and what is needed to open it again.
pub struct Opened {
    pub cache: LiveCache,
    pub store: PathBuf,
    pub workspace: PathBuf,
}

impl Opened {
    pub fn new(store: PathBuf, workspace: PathBuf) -> Result<Self, Failure> {
        let opened = FileStore::open(&store)?;
        Ok(Self {
            cache: LiveCache::with_workspace(opened, &workspace),
            store,
            workspace,
        })
    }

    /// Over a cache server instead of a directory; `bench` and `fill` do not work on it.
    pub fn over_server(url: &str, token: &str, promote: bool, workspace: PathBuf) -> Self {
        let mut settings = RemoteStoreConfig::new(url, token);
        settings.auto_promote_shared = promote;
        Self {
            cache: LiveCache::with_workspace(RemoteStore::new(settings), &workspace),
            store: PathBuf::new(),
            workspace,
        }
    }
}

#[derive(Default)]
struct Caches(HashMap<String, Opened>);

impl Caches {
    fn get(&mut self, request: &Request) -> Result<&mut Opened, Failure> {
        let name = request.cache();
        self.0
            .get_mut(name)
            .ok_or_else(|| Failure(format!("no cache {name:?} is open")))
    }

    fn open(&mut self, request: &Request) -> Result<Value, Failure> {
        let name = request.cache().to_string();
        self.0.remove(&name);
        let workspace = request.path("workspace")?;
        let opened = match request.object("server") {
            Some(server) => Opened::over_server(
                request::text_in(server, "url")?,
                request::text_in(server, "token")?,
                server["promote"] == true,
                workspace,
            ),
            None => Opened::new(request.path("store")?, workspace)?,
        };
        self.0.insert(name, opened);
        Ok(json!({"ok": true}))
    }
}

fn outcome(found: Result<LookupOutcome, CacheError>) -> Value {
    match found {
        Ok(LookupOutcome::Hit(payload)) => json!({
            "is": "hit",
            "payload_b64": encoded(&payload.bytes),
            "kind": payload.meta.tool_kind,
            "roots": payload.meta.file_roots.iter()
                .map(|root| json!({"path": root.path, "expected_hash": root.expected_hash}))
                .collect::<Vec<_>>(),
            "upstreams": payload.meta.upstream_keys,
        }),
        Ok(LookupOutcome::Miss) => json!({"is": "miss"}),
        Ok(LookupOutcome::Invalidated) => json!({"is": "invalidated"}),
        Err(CacheError::Store(StoreError::Integrity { .. })) => json!({"is": "integrity_error"}),
        Err(CacheError::Store(StoreError::Meta(_))) => json!({"is": "meta_error"}),
        Err(error) => json!({"is": "error", "message": error.to_string()}),
    }
}

fn persist(cache: &LiveCache, request: &Request) -> Result<Value, Failure> {
    let roots = request
        .list("roots")?
        .iter()
        .map(|root| {
            Ok(FileRoot {
                path: PathBuf::from(request::text_in(root, "path")?),
                expected_hash: request::text_in(root, "expected_hash")?.to_string(),
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let upstreams = request
        .list("upstreams")?
        .iter()
        .map(|key| Ok(Key(request::text_of(key, "upstreams")?.to_string())))
        .collect::<Result<Vec<_>, Failure>>()?;
    let payload = request.bytes("payload_b64")?;
    cache.persist_with_upstreams(
        &request.key()?,
        &payload,
        request.text("kind")?,
        roots,
        upstreams,
    )?;
    Ok(json!({"ok": true}))
}

/// The fingerprint in the form asked for; nothing where there is none to be had.
fn fingerprint(path: &Path, form: &str) -> Result<Value, Failure> {
    let found = match form {
        "content" => current_root_fingerprint(path, ""),
        "directory" => fingerprint_dir(path),
        "stat" => stat_fingerprint(path),
        "content_or_stat" => fingerprint_file(path, hash_max_bytes()),
        other => return Err(Failure(format!("no such form: {other:?}"))),
    };
    Ok(match found {
        Ok(fingerprint) => json!({"is": fingerprint}),
        Err(error) => json!({"is": null, "message": error.to_string()}),
    })
}

fn answer(caches: &mut Caches, request: &Request) -> Result<Value, Failure> {
    match request.text("op")? {
        "open" => return caches.open(request),
        "close" => return Ok(json!({"ok": caches.0.remove(request.cache()).is_some()})),
        "serve" => return server::serve(request),
        "key" => return Ok(json!({"is": Key::from_bytes(&request.bytes("input_b64")?).0})),
        "tool_result_key" => {
            return Ok(json!({"is": tool_result_key(&request.bytes("input_b64")?).0}))
        }
        "fingerprint" => return fingerprint(&request.path("path")?, request.text("form")?),
        _ => {}
    }
    let opened = caches.get(request)?;
    let cache = &opened.cache;
    Ok(match request.text("op")? {
        "persist" => persist(cache, request)?,
        "lookup" => outcome(cache.lookup(&request.key()?)),
        "lookup_revalidate" => outcome(cache.lookup_revalidate(&request.key()?)),
        "contains" => json!({"is": cache.contains(&request.key()?)}),
        "mark_dirty" => {
            cache.mark_dirty(&request.key()?);
            json!({"ok": true})
        }
        "invalidate_upstream" => json!({"is": cache.invalidate_upstream(&request.key()?)}),
        "invalidate_path" => json!({"is": cache.invalidate_path(&request.path("path")?)}),
        "entry_count" => json!({"is": cache.entry_count()}),
        "known_kinds" => json!({"is": cache.known_kinds()}),
        "total_bytes" => json!({"is": cache.store().total_bytes()?}),
        "evict_to_cap" => json!({"is": cache.store().evict_to_cap(request.number("cap")?)?}),
        "fill" => bench::fill(opened, request)?,
        "bench" => bench::measure(opened, request)?,
        other => return Err(Failure(format!("no such command: {other:?}"))),
    })
}

fn main() -> std::io::Result<()> {
    let mut caches = Caches::default();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = Request::parse(&line?)
            .and_then(|request| answer(&mut caches, &request))
            .unwrap_or_else(|failure| json!({"error": failure.0}));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
