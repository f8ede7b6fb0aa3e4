//! The handlers of the virtual object and of the workflow.

use crate::actions::{Answer, step};
use restate_sdk::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

pub async fn add(ctx: ObjectContext<'_>, amount: i64) -> Result<i64, HandlerError> {
    let total = ctx.get::<i64>("total").await?.unwrap_or(0) + amount;
    ctx.set("total", total);
    Ok(total)
}

/// Reads, waits and writes: lost updates would show if two ran at once on one key.
pub async fn add_slowly(ctx: ObjectContext<'_>, amount: i64) -> Result<i64, HandlerError> {
    let before = ctx.get::<i64>("total").await?.unwrap_or(0);
    step!(ctx, "slowly")?;
    ctx.sleep(Duration::from_millis(5)).await?;
    ctx.set("total", before + amount);
    Ok(before + amount)
}

pub fn sorted(mut keys: Vec<String>) -> Json<Vec<String>> {
    keys.sort();
    Json(keys)
}

pub async fn put(ctx: ObjectContext<'_>, entries: Map<String, Value>) -> Answer<Vec<String>> {
    for (key, value) in entries {
        ctx.set(&key, Json(value));
    }
    Ok(sorted(ctx.get_keys().await?))
}

pub async fn append(ctx: ObjectContext<'_>, item: Value) -> Answer<Vec<Value>> {
    let before = ctx.get::<Json<Vec<Value>>>("items").await?;
    let mut items = before.map_or_else(Vec::new, Json::into_inner);
    items.push(item);
    ctx.set("items", Json(items.clone()));
    Ok(Json(items))
}

#[derive(Serialize)]
pub struct Decision {
    key: String,
    input: Value,
    decision: Value,
}

pub async fn run(ctx: WorkflowContext<'_>, input: Value) -> Answer<Decision> {
    ctx.set("stage", "waiting".to_owned());
    step!(ctx, "run")?;
    let Json(decision) = ctx.promise::<Json<Value>>("approval").await?;
    ctx.set("stage", "decided".to_owned());
    let key = ctx.key().to_owned();
    Ok(Json(Decision {
        key,
        input,
        decision,
    }))
}
