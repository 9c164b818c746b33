//! One resolve of the cascade, with the sources that a command describes.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use linesmith_core::data_context::cache::{CacheStore, LockStore};
use linesmith_core::data_context::cascade::{resolve_usage, UsageCascadeConfig};
use linesmith_core::data_context::credentials::resolve_credentials_with;
use linesmith_core::data_context::fetcher::{HttpResponse, UreqTransport, UsageTransport};
use linesmith_core::data_context::jsonl::aggregate_jsonl;
use linesmith_core::data_context::{
    CredentialError, Credentials, JsonlAggregate, JsonlError, UsageData, UsageError,
};
use serde_json::{json, Value};

use crate::parse::credentials_in_file;
use crate::places::Places;
use crate::request::{written, Failure, Request};
use crate::windows;

type Found<T, E> = Result<T, E>;

/// The crate's own over the network, or an answer that the command holds.
enum Answers {
    Network(UreqTransport),
    Given {
        status: u16,
        body: Vec<u8>,
        retry_after: Option<String>,
    },
    Failed(io::ErrorKind),
}

struct Transport {
    answers: Answers,
    calls: Cell<u64>,
    asked: RefCell<Value>,
}

impl UsageTransport for Transport {
    fn get(&self, url: &str, token: &str, timeout: Duration) -> io::Result<HttpResponse> {
        self.calls.set(self.calls.get() + 1);
        let timeout_ms = timeout.as_millis() as u64;
        self.asked
            .replace(json!({"url": url, "token": token, "timeout_ms": timeout_ms}));
        match &self.answers {
            Answers::Network(transport) => transport.get(url, token, timeout),
            Answers::Given {
                status,
                body,
                retry_after,
            } => Ok(HttpResponse {
                status: *status,
                body: body.clone(),
                retry_after: retry_after.clone(),
            }),
            Answers::Failed(kind) => Err(io::Error::from(*kind)),
        }
    }
}

/// And the base URL, if it names one.
fn transport(request: &Request) -> Result<(Transport, Option<String>), Failure> {
    let answers = if request.has("url") {
        Answers::Network(UreqTransport::new())
    } else if request.has("error") {
        match request.text("error")? {
            "timeout" => Answers::Failed(io::ErrorKind::TimedOut),
            "network" => Answers::Failed(io::ErrorKind::ConnectionRefused),
            other => return Err(Failure(format!("no such transport error: {other:?}"))),
        }
    } else {
        let retry_after = match request.value("retry_after") {
            Value::Null => None,
            _ => Some(request.text("retry_after")?.to_string()),
        };
        Answers::Given {
            status: u16::try_from(request.number("status")?)
                .map_err(|_| Failure("\"status\" is no HTTP status".to_string()))?,
            body: request.bytes("body")?,
            retry_after,
        }
    };
    let base = match request.value("url") {
        Value::Null => None,
        _ => Some(request.text("url")?.to_string()),
    };
    let transport = Transport {
        answers,
        calls: Cell::new(0),
        asked: RefCell::new(Value::Null),
    };
    Ok((transport, base))
}

fn credential_error(code: &str) -> Result<CredentialError, Failure> {
    let path = || "given".into();
    Ok(match code {
        "NoCredentials" => CredentialError::NoCredentials,
        "SubprocessFailed" => CredentialError::SubprocessFailed(io::Error::other("given")),
        "IoError" => CredentialError::IoError {
            path: path(),
            cause: io::Error::other("given"),
        },
        "ParseError" => CredentialError::ParseError {
            path: path(),
            cause: serde_json::from_str::<Value>("given").unwrap_err(),
        },
        "MissingField" => CredentialError::MissingField { path: path() },
        "EmptyToken" => CredentialError::EmptyToken { path: path() },
        other => return Err(Failure(format!("no such credential error: {other:?}"))),
    })
}

fn credentials(request: &Request) -> Result<Found<Credentials, CredentialError>, Failure> {
    if request.has("error") {
        return Ok(Err(credential_error(request.text("error")?)?));
    }
    if request.has("token") {
        let file = json!({"claudeAiOauth": {"accessToken": request.text("token")?}});
        return credentials_in_file(file.to_string().as_bytes());
    }
    let places = Places::of(request)?;
    Ok(resolve_credentials_with(&places.for_credentials()))
}

/// Nothing to aggregate, or what lies in the places that the command names.
fn transcripts(request: &Request) -> Result<Option<Places>, Failure> {
    match request.value("jsonl") {
        Value::Null => Ok(None),
        Value::String(none) if none == "none" => Ok(None),
        _ => Places::of(&request.object("jsonl")?).map(Some),
    }
}

fn aggregated(places: Option<&Places>) -> Found<JsonlAggregate, JsonlError> {
    match places {
        Some(places) => {
            places.enter();
            aggregate_jsonl()
        }
        None => Err(JsonlError::NoEntries),
    }
}

fn configuration(
    request: &Request,
    base_url: Option<String>,
) -> Result<UsageCascadeConfig, Failure> {
    let mut config = UsageCascadeConfig::default();
    if let Some(base_url) = base_url {
        config.api_base_url = base_url;
    }
    if request.has("base_url") {
        config.api_base_url = request.text("base_url")?.to_string();
    }
    if request.has("timeout_ms") {
        config.timeout = Duration::from_millis(request.number("timeout_ms")? as u64);
    }
    if request.has("cache_duration_s") {
        config.cache_duration = Duration::from_secs(request.number("cache_duration_s")? as u64);
    }
    Ok(config)
}

fn result(usage: Result<UsageData, UsageError>) -> Result<Value, Failure> {
    let endpoint = match usage {
        Ok(UsageData::Endpoint(endpoint)) => endpoint,
        Ok(UsageData::Jsonl(usage)) => return windows::of_usage(&usage),
        Ok(_) => return Err(Failure("usage from a source unknown here".to_string())),
        Err(UsageError::RateLimited { retry_after }) => {
            let seconds = retry_after.map(|time| time.as_secs());
            return Ok(json!({"error": "RateLimited", "retry_after_s": seconds}));
        }
        Err(why) => return Ok(json!({"error": why.code()})),
    };
    Ok(json!({
        "source": "endpoint",
        "five_hour": written(&endpoint.five_hour)?,
        "seven_day": written(&endpoint.seven_day)?,
        "seven_day_opus": written(&endpoint.seven_day_opus)?,
        "seven_day_sonnet": written(&endpoint.seven_day_sonnet)?,
        "seven_day_oauth_apps": written(&endpoint.seven_day_oauth_apps)?,
        "extra_usage": written(&endpoint.extra_usage)?,
        "limits": written(&endpoint.limits)?,
        "unknown_buckets": written(&endpoint.unknown_buckets)?,
    }))
}

pub fn resolve(request: &Request) -> Result<Value, Failure> {
    let root = request.optional_path("cache_dir")?;
    let (transport, base_url) = transport(&request.object("transport")?)?;
    let config = configuration(request, base_url)?;
    let transcripts = transcripts(request)?;
    let now = match request.value("now") {
        Value::Null => None,
        _ => Some(request.time("now")?),
    };
    // Read when the cascade asks; a failure that is none of the crate's is kept for afterwards.
    let given = request.object("credentials")?;
    let failed = RefCell::new(None);
    let credential_calls = Cell::new(0_u64);
    let jsonl_calls = Cell::new(0_u64);
    let usage = resolve_usage(
        root.clone().map(CacheStore::new).as_ref(),
        root.map(LockStore::new).as_ref(),
        &transport,
        &|| {
            credential_calls.set(credential_calls.get() + 1);
            Arc::new(credentials(&given).unwrap_or_else(|failure| {
                failed.replace(Some(failure));
                Err(CredentialError::NoCredentials)
            }))
        },
        &|| {
            jsonl_calls.set(jsonl_calls.get() + 1);
            aggregated(transcripts.as_ref())
        },
        &|| now.unwrap_or_else(Timestamp::now),
        &config,
    );
    if let Some(failure) = failed.into_inner() {
        return Err(failure);
    }
    Ok(json!({
        "result": result(usage)?,
        "calls": {
            "credentials": credential_calls.get(),
            "jsonl": jsonl_calls.get(),
            "transport": transport.calls.get(),
        },
        "asked": transport.asked.into_inner(),
    }))
}
