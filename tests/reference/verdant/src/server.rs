//! The reference's cache server, on threads of this program until it ends.

use std::sync::Arc;
use std::thread;

use serde_json::{json, Value};
use verdant_server::auth::PreSharedToken;
use verdant_server::server::{RequestLogger, Server};
use verdant_server::storage::FileBackend;

use crate::request::{text_in, Failure, Request};

pub fn serve(request: &Request) -> Result<Value, Failure> {
    let users = request
        .list("users")?
        .iter()
        .map(|user| {
            let token = text_in(user, "token")?.to_string();
            Ok((token, text_in(user, "user")?.to_string()))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let backend = FileBackend::open(request.path("store")?)?;
    for user in request.list("users")? {
        if let Some(quota) = user["quota"].as_u64() {
            backend.set_quota(text_in(user, "user")?, quota);
        }
    }
    let server = Server::bind_with_logger(
        "127.0.0.1:0",
        Arc::new(PreSharedToken::from_pairs(users)),
        Arc::new(backend),
        Arc::new(RequestLogger::disabled()),
    )
    .map_err(|error| Failure(error.to_string()))?;
    let url = format!("http://{}", server.addr());
    thread::spawn(move || server.serve_forever());
    Ok(json!({"is": url}))
}
