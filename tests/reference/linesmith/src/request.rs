//! A command as it came in, and what can be wrong with it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use base64::{engine::general_purpose::STANDARD, Engine};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Why a command got no answer, in words.
pub struct Failure(pub String);

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Failure(error.to_string())
    }
}

/// What the crate writes of it, as a value. By way of the text: as a value itself a number of
/// single precision would show the digits of its double.
pub fn written<T: Serialize>(value: &T) -> Result<Value, Failure> {
    Ok(serde_json::from_str(&serde_json::to_string(value)?)?)
}

/// A command, or an object in one. A member that is null is none.
pub struct Request(Value);

impl Request {
    pub fn parse(line: &str) -> Result<Self, Failure> {
        Ok(Request(serde_json::from_str(line)?))
    }

    pub fn has(&self, name: &str) -> bool {
        !self.0[name].is_null()
    }

    pub fn value(&self, name: &str) -> &Value {
        &self.0[name]
    }

    pub fn object(&self, name: &str) -> Result<Request, Failure> {
        match &self.0[name] {
            object @ Value::Object(_) => Ok(Request(object.clone())),
            _ => Err(Failure(format!("{name:?} is missing or no object"))),
        }
    }

    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        self.0[name]
            .as_str()
            .ok_or_else(|| Failure(format!("{name:?} is missing or no string")))
    }

    pub fn number(&self, name: &str) -> Result<i64, Failure> {
        self.0[name]
            .as_i64()
            .ok_or_else(|| Failure(format!("{name:?} is missing or no whole number")))
    }

    /// Text, or its bytes in base64 under `<name>_b64`.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let encoded = format!("{name}_b64");
        if !self.has(&encoded) {
            return self.text(name).map(|text| text.as_bytes().to_vec());
        }
        STANDARD
            .decode(self.text(&encoded)?)
            .map_err(|error| Failure(format!("{encoded:?}: {error}")))
    }

    pub fn optional_bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        if !self.has(name) && !self.has(&format!("{name}_b64")) {
            return Ok(None);
        }
        self.bytes(name).map(Some)
    }

    pub fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        Ok(PathBuf::from(OsString::from_vec(self.bytes(name)?)))
    }

    pub fn optional_path(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        let bytes = self.optional_bytes(name)?;
        Ok(bytes.map(|bytes| PathBuf::from(OsString::from_vec(bytes))))
    }

    pub fn time(&self, name: &str) -> Result<Timestamp, Failure> {
        self.text(name)?
            .parse()
            .map_err(|error| Failure(format!("{name:?}: {error}")))
    }
}
