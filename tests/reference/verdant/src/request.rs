//! A command as it came in, and what can be wrong with it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use base64::{engine::general_purpose::STANDARD, Engine};
use serde_json::Value;
use verdant_runtime::{CacheError, Key, StoreError};

/// Why a command got no answer, in words.
pub struct Failure(pub String);

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        Failure(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure(error.to_string())
    }
}

pub fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn text_of<'a>(value: &'a Value, name: &str) -> Result<&'a str, Failure> {
    value
        .as_str()
        .ok_or_else(|| Failure(format!("{name:?} is missing or no string")))
}

pub fn text_in<'a>(object: &'a Value, name: &str) -> Result<&'a str, Failure> {
    text_of(&object[name], name)
}

pub struct Request(Value);

impl Request {
    pub fn parse(line: &str) -> Result<Self, Failure> {
        serde_json::from_str(line)
            .map(Request)
            .map_err(|error| Failure(error.to_string()))
    }

    pub fn cache(&self) -> &str {
        self.0["cache"].as_str().unwrap_or_default()
    }

    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        text_in(&self.0, name)
    }

    pub fn number(&self, name: &str) -> Result<u64, Failure> {
        self.0[name]
            .as_u64()
            .ok_or_else(|| Failure(format!("{name:?} is missing or no whole number")))
    }

    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, Failure> {
        STANDARD
            .decode(self.text(name)?)
            .map_err(|error| Failure(format!("{name:?}: {error}")))
    }

    /// A path as text, or its bytes under `<name>_b64`.
    pub fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        let bytes = format!("{name}_b64");
        if self.0[&bytes].is_string() {
            return Ok(PathBuf::from(OsString::from_vec(self.bytes(&bytes)?)));
        }
        self.text(name).map(PathBuf::from)
    }

    pub fn key(&self) -> Result<Key, Failure> {
        self.text("key").map(|key| Key(key.to_string()))
    }

    pub fn object(&self, name: &str) -> Option<&Value> {
        Some(&self.0[name]).filter(|value| value.is_object())
    }

    /// The list, empty where there is none.
    pub fn list(&self, name: &str) -> Result<&[Value], Failure> {
        match &self.0[name] {
            Value::Null => Ok(&[]),
            Value::Array(values) => Ok(values),
            _ => Err(Failure(format!("{name:?} is no list"))),
        }
    }
}
