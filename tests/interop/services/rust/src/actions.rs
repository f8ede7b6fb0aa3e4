//! The handlers of the plain service. `$prefix` is in the names of services, which the SDK wants as literals.

use crate::effects::{attempt, write};
use restate_sdk::context::RequestTarget;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

pub const HOUR: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
pub struct Failure {
    message: String,
    code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    service: String,
    key: Option<String>,
    handler: String,
    #[serde(default, deserialize_with = "present")]
    argument: Option<Value>,
    delay_ms: Option<u64>,
    idempotency_key: Option<String>,
}

/// A null that is there is an argument; one that is absent is none.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Target {
    fn at(&self) -> RequestTarget {
        match &self.key {
            Some(key) => RequestTarget::object(&self.service, key, &self.handler),
            None => RequestTarget::service(&self.service, &self.handler),
        }
    }

    fn argument(&mut self) -> Option<Json<Value>> {
        self.argument.take().map(Json)
    }
}

#[derive(Deserialize)]
pub struct Completion {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub value: Value,
    #[serde(default)]
    pub reason: String,
}

#[derive(Serialize, Deserialize, Clone)]
pub struct Drawn {
    uuid: String,
    number: f64,
}

#[derive(Serialize)]
pub struct Identity {
    drawn: Drawn,
    journaled: Drawn,
}

#[derive(Serialize)]
pub struct Combined {
    race: String,
    any: String,
    all: Vec<String>,
    settled: Vec<String>,
}

pub type Answer<T> = Result<Json<T>, HandlerError>;

/// A durable step whose execution the tests can count. A macro, since a generic function of any context would
/// hide from the compiler that its future may move between threads.
macro_rules! step {
    ($ctx:expr, $label:expr) => {{
        let label: String = $label.into();
        let (id, named) = ($ctx.invocation_id().to_owned(), label.clone());
        let body = move || async move {
            crate::effects::write(&id, &label)?;
            Ok(label)
        };
        $ctx.run(body).name(named).await
    }};
}
pub(crate) use step;

macro_rules! wait_awakeable {
    ($ctx:expr) => {{
        let (awakeable, value) = $ctx.awakeable::<Json<Value>>();
        crate::actions::step!($ctx, format!("awakeable {awakeable}"))?;
        Ok(value.await?)
    }};
}
pub(crate) use wait_awakeable;

fn run_retries(attempts: u32) -> RunRetryPolicy {
    RunRetryPolicy::new()
        .initial_delay(Duration::from_millis(10))
        .exponentiation_factor(1.5)
        .max_delay(Duration::from_millis(100))
        .max_attempts(attempts)
}

fn teapot(message: &str) -> TerminalError {
    TerminalError::new_with_code(418, message)
}

pub fn headers(ctx: &Context<'_>) -> HashMap<String, String> {
    let all = ctx.headers().iter();
    all.map(|(name, value)| (name.to_string(), value.clone()))
        .collect()
}

pub async fn steps(ctx: Context<'_>, count: u32) -> Answer<Vec<String>> {
    let mut done = vec![];
    for i in 0..count {
        done.push(step!(ctx, format!("step {i}"))?);
    }
    Ok(Json(done))
}

pub async fn run_fails_then_succeeds(ctx: Context<'_>, times: u32) -> Result<u32, HandlerError> {
    let id = ctx.invocation_id().to_owned();
    let body = move || async move { Ok(attempt(&id, times)?) };
    Ok(ctx
        .run(body)
        .name("unlucky")
        .retry_policy(run_retries(20))
        .await?)
}

pub async fn run_gives_up(ctx: Context<'_>) -> Result<String, HandlerError> {
    let id = ctx.invocation_id().to_owned();
    let body = move || async move { Ok(attempt(&id, u32::MAX)?) };
    let outcome = ctx
        .run(body)
        .name("hopeless")
        .retry_policy(run_retries(3))
        .await;
    Ok(if outcome.is_err() {
        "gave up"
    } else {
        "worked"
    }
    .to_owned())
}

pub async fn run_fails_for_good(ctx: Context<'_>) -> Result<(), HandlerError> {
    let id = ctx.invocation_id().to_owned();
    let body = move || async move {
        write(&id, "attempt")?;
        Err::<(), HandlerError>(teapot("short and stout").into())
    };
    Ok(ctx.run(body).name("teapot").await?)
}

pub fn fails(failure: Failure) -> Result<(), HandlerError> {
    Err(TerminalError::new_with_code(failure.code, failure.message).into())
}

pub async fn until_fixed(ctx: Context<'_>) -> Result<String, HandlerError> {
    step!(ctx, "before")?;
    if crate::effects::written(ctx.invocation_id(), "fixed")? == 0 {
        return Err("not fixed yet".into());
    }
    Ok("fixed".to_owned())
}

pub async fn nap(ctx: Context<'_>, milliseconds: u64) -> Result<String, HandlerError> {
    ctx.sleep(Duration::from_millis(milliseconds)).await?;
    Ok("rested".to_owned())
}

pub async fn call_echo(ctx: Context<'_>, service: &str, value: Json<Value>) -> Answer<Value> {
    Ok(ctx
        .request(RequestTarget::service(service, "echo"), value)
        .call()
        .await?)
}

pub async fn call_many(ctx: Context<'_>, service: &str, count: u32) -> Answer<Vec<u32>> {
    let echo = |i| {
        ctx.request::<u32, u32>(RequestTarget::service(service, "echo"), i)
            .call()
    };
    let calls: Vec<_> = (0..count).map(echo).collect();
    let mut answers = vec![];
    for call in calls {
        answers.push(call.await?);
    }
    Ok(Json(answers))
}

pub async fn call(ctx: Context<'_>, mut target: Target) -> Answer<Value> {
    Ok(ctx.request(target.at(), target.argument()).call().await?)
}

pub async fn send(ctx: Context<'_>, mut target: Target) -> Result<String, HandlerError> {
    let mut request = ctx.request::<_, ()>(target.at(), target.argument());
    if let Some(key) = &target.idempotency_key {
        request = request.idempotency_key(key);
    }
    let sent = match target.delay_ms {
        Some(delay) => request.send_after(Duration::from_millis(delay)),
        None => request.send(),
    };
    Ok(sent.await?.invocation_id().to_owned())
}

pub async fn call_then_cancel(ctx: Context<'_>, service: &str) -> Result<u16, HandlerError> {
    let target = RequestTarget::service(service, "nap");
    let call = ctx
        .request::<u64, String>(target, HOUR.as_millis() as u64)
        .call();
    call.invocation_handle().await?.cancel();
    Ok(call.await.err().map_or(200, |error| error.code()))
}

pub async fn wait_signal(ctx: Context<'_>, name: String) -> Answer<Value> {
    step!(ctx, "waiting")?;
    Ok(ctx.signal::<Json<Value>>(&name).await?)
}

/// What the first attempt drew is journaled; every later attempt draws again from the same seed.
pub async fn identity(mut ctx: Context<'_>) -> Answer<Identity> {
    let uuid = ctx.rand_uuid().to_string();
    let drawn = Drawn {
        uuid,
        number: ctx.rand().random(),
    };
    let first = drawn.clone();
    let Json(journaled) = ctx
        .run(move || async move { Ok(Json(first)) })
        .name("drawn")
        .await?;
    ctx.sleep(Duration::from_millis(10)).await?;
    Ok(Json(Identity { drawn, journaled }))
}

pub async fn now(ctx: Context<'_>) -> Result<u64, HandlerError> {
    let clock = || async { Ok(std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64) };
    let first = ctx.run(clock).name("clock").await?;
    ctx.sleep(Duration::from_millis(10)).await?;
    Ok(first)
}

fn failure(message: &str) -> Value {
    serde_json::json!({"message": message, "code": 418})
}

/// The SDK selects among timers, calls, awakeables and the like, not among runs, so calls stand in for them.
pub async fn combine(ctx: Context<'_>, service: &str) -> Answer<Combined> {
    let ok = |label: &str| {
        let target = RequestTarget::service(service, "echo");
        ctx.request::<String, String>(target, label.to_owned())
            .call()
    };
    let bad = |label: &str| {
        let target = RequestTarget::service(service, "fails");
        ctx.request::<Json<Value>, String>(target, Json(failure(label)))
            .call()
    };

    let (fine, broken) = (ok("fine"), bad("broken"));
    let text = |outcome: Result<String, TerminalError>| {
        outcome.unwrap_or_else(|error| error.message().to_owned())
    };
    let settled = vec![text(fine.await), text(broken.await)];

    let race = restate_sdk::select! {
        late = ctx.sleep(HOUR) => late.map(|()| "late".to_owned())?,
        early = ok("early") => early?
    };

    let mut any = String::new();
    let mut waiting = DurableFuturesUnordered::new();
    for (handler, argument) in [("fails", failure("first")), ("echo", Value::from("second"))] {
        let target = RequestTarget::service(service, handler);
        waiting.push(
            ctx.request::<Json<Value>, String>(target, Json(argument))
                .call(),
        );
    }
    while let Some((_, outcome)) = waiting.next().await? {
        if let Ok(value) = outcome {
            any = value;
            break;
        }
    }

    let (a, b, c) = (ok("a"), ok("b"), ctx.sleep(Duration::from_millis(5)));
    let all = vec![a.await?, b.await?, c.await.map(|()| "c".to_owned())?];
    Ok(Json(Combined {
        race,
        any,
        all,
        settled,
    }))
}

pub async fn timeout(ctx: Context<'_>, milliseconds: u64) -> Result<String, HandlerError> {
    let (_, never) = ctx.awakeable::<String>();
    let outcome = restate_sdk::select! {
        answered = never => answered.map(|_| "answered")?,
        expired = ctx.sleep(Duration::from_millis(milliseconds)) => expired.map(|()| "timed out")?
    };
    Ok(outcome.to_owned())
}

pub async fn cleanup(ctx: Context<'_>) -> Result<(), HandlerError> {
    let started = step!(ctx, "started");
    // The cancellation may arrive before the step's own result does.
    let outcome = match started {
        Ok(_) => ctx.sleep(HOUR).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        step!(ctx, "cleaned up")?;
    }
    Ok(outcome?)
}

pub async fn outer(ctx: Context<'_>, service: &str) -> Result<(), HandlerError> {
    let call = ctx
        .request::<(), ()>(RequestTarget::service(service, "cleanup"), ())
        .call();
    let callee = call.invocation_handle().await?.invocation_id().to_owned();
    let outcome = match step!(ctx, format!("callee {callee}")) {
        Ok(_) => call.await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        step!(ctx, "outer cleaned up")?;
    }
    Ok(outcome?)
}
