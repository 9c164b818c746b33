//! What the crate reads out of texts.

use std::fs;

use jiff::Timestamp;
use linesmith_core::data_context::credentials::{
    resolve_credentials_with, CredentialSource, FileCascadeEnv,
};
use linesmith_core::data_context::{CredentialError, Credentials, UsageApiResponse};
use serde_json::{json, Value};

use crate::places::Places;
use crate::request::{written, Failure, Request};

pub fn usage(request: &Request) -> Result<Value, Failure> {
    match serde_json::from_slice::<UsageApiResponse>(&request.bytes("body")?) {
        Ok(response) => Ok(json!({"is": written(&response)?})),
        Err(why) => Ok(json!({"is": null, "message": why.to_string()})),
    }
}

pub fn timestamp(request: &Request) -> Result<Value, Failure> {
    Ok(match request.text("text")?.parse::<Timestamp>() {
        Ok(time) => {
            let nanoseconds = time.as_nanosecond();
            json!({"is": {
                "seconds": nanoseconds.div_euclid(1_000_000_000) as i64,
                "nanos": nanoseconds.rem_euclid(1_000_000_000) as i64,
                "printed": time.to_string(),
            }})
        }
        Err(why) => json!({"is": null, "message": why.to_string()}),
    })
}

fn place(source: &CredentialSource) -> &'static str {
    match source {
        CredentialSource::EnvDir { .. } => "config_dir",
        CredentialSource::XdgConfig { .. } => "xdg_config_home",
        CredentialSource::ClaudeLegacy { .. } => "home",
        _ => "keychain",
    }
}

fn found(found: Result<Credentials, CredentialError>) -> Value {
    match found {
        Ok(credentials) => json!({"is": {
            "token": credentials.token(),
            "scopes": credentials.scopes(),
            "place": place(credentials.source()),
        }}),
        Err(why) => json!({"is": null, "code": why.code(), "message": why.to_string()}),
    }
}

pub fn credentials(request: &Request) -> Result<Value, Failure> {
    let places = Places::of(request)?;
    Ok(found(resolve_credentials_with(&places.for_credentials())))
}

/// Of a file with these contents: the crate reads them from nowhere else.
pub fn credentials_text(request: &Request) -> Result<Value, Failure> {
    Ok(found(credentials_in_file(&request.bytes("body")?)?))
}

pub fn credentials_in_file(
    contents: &[u8],
) -> Result<Result<Credentials, CredentialError>, Failure> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join(".credentials.json"), contents)?;
    let places = FileCascadeEnv::new(Some(directory.path().into()), None, None);
    Ok(resolve_credentials_with(&places))
}
