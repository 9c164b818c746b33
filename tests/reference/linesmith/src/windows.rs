//! Tokens that transcripts speak of.

use linesmith_core::data_context::jsonl::aggregate_jsonl;
use linesmith_core::data_context::{JsonlUsage, TokenCounts};
use serde_json::{json, Map, Value};

use crate::places::Places;
use crate::request::{Failure, Request};

fn tokens(counts: &TokenCounts) -> Value {
    json!({
        "input": counts.input(),
        "output": counts.output(),
        "cache_creation": counts.cache_creation(),
        "cache_read": counts.cache_read(),
    })
}

pub fn aggregate(request: &Request) -> Result<Value, Failure> {
    Places::of(request)?.enter();
    Ok(match aggregate_jsonl() {
        Ok(found) => json!({"is": {
            "five_hour": found.five_hour.as_ref().map(|block| json!({
                "start": block.start.to_string(),
                "last_activity": block.actual_last_activity.to_string(),
                "tokens": tokens(&block.token_counts),
                "models": block.models,
                "usage_limit_reset": block.usage_limit_reset.map(|time| time.to_string()),
            })),
            "seven_day": {
                "window_start": found.seven_day.window_start.to_string(),
                "tokens": tokens(&found.seven_day.token_counts),
            },
            "files": found.source_paths.len(),
        }}),
        Err(why) => json!({"is": null, "code": why.code(), "message": why.to_string()}),
    })
}

/// What follows `name: ` in a derived `Debug`, up to the end of the member.
fn member<'a>(printed: &'a str, name: &str) -> Result<&'a str, Failure> {
    printed
        .split_once(&format!("{name}: "))
        .and_then(|(_, rest)| rest.split([',', ' ', '}']).next())
        .ok_or_else(|| Failure(format!("no {name:?} in {printed:?}")))
}

fn tokens_in(printed: &str) -> Result<Value, Failure> {
    let mut counts = Map::new();
    for name in ["input", "output", "cache_creation", "cache_read"] {
        let count = member(printed, name)?;
        let count: u64 = count
            .parse()
            .map_err(|_| Failure(format!("{name:?} of {printed:?} is no number")))?;
        counts.insert(name.to_string(), count.into());
    }
    Ok(counts.into())
}

/// Its members are the crate's own: what they are is only to be had by printing them.
pub fn of_usage(usage: &JsonlUsage) -> Result<Value, Failure> {
    let printed = format!("{usage:?}");
    let (five_hour, seven_day) = printed
        .split_once(", seven_day: ")
        .ok_or_else(|| Failure(format!("no seven days in {printed:?}")))?;
    let five_hour = if five_hour.ends_with("five_hour: None") {
        Value::Null
    } else {
        json!({"start": member(five_hour, "start")?, "tokens": tokens_in(five_hour)?})
    };
    Ok(json!({
        "source": "jsonl",
        "five_hour": five_hour,
        "seven_day": {"tokens": tokens_in(seven_day)?},
    }))
}
