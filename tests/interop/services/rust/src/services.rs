//! One set of services per name prefix. The SDK wants names as literals, so a macro writes each set.

use crate::actions::{self, Completion, Failure, Target};
use crate::{effects, keyed};
use restate_sdk::endpoint::Builder;
use restate_sdk::prelude::*;
use serde_json::{Map, Value};
use std::time::Duration;

fn retries(attempts: u64) -> HandlerOptions {
    HandlerOptions::new()
        .retry_policy_initial_interval(Duration::from_millis(20))
        .retry_policy_exponentiation_factor(1.5)
        .retry_policy_max_interval(Duration::from_millis(200))
        .retry_policy_max_attempts(attempts)
}

fn common(inactivity: Option<Duration>) -> ServiceOptions {
    let options = ServiceOptions::new()
        .retry_policy_initial_interval(Duration::from_millis(20))
        .retry_policy_exponentiation_factor(1.5)
        .retry_policy_max_interval(Duration::from_millis(200))
        .retry_policy_max_attempts(50)
        .retry_policy_pause_on_max_attempts();
    match inactivity {
        Some(timeout) => options.inactivity_timeout(timeout),
        None => options,
    }
}

macro_rules! counter {
    ($type:ident, $name:literal) => {
        struct $type;

        #[object(name = $name)]
        impl $type {
            #[handler]
            async fn add(&self, ctx: ObjectContext<'_>, amount: i64) -> Result<i64, HandlerError> {
                keyed::add(ctx, amount).await
            }

            #[handler(name = "addSlowly")]
            async fn add_slowly(
                &self,
                ctx: ObjectContext<'_>,
                amount: i64,
            ) -> Result<i64, HandlerError> {
                keyed::add_slowly(ctx, amount).await
            }

            #[handler]
            async fn get(
                &self,
                ctx: SharedObjectContext<'_>,
            ) -> Result<Json<Option<i64>>, HandlerError> {
                Ok(Json(ctx.get::<i64>("total").await?))
            }

            #[handler]
            async fn keys(
                &self,
                ctx: SharedObjectContext<'_>,
            ) -> Result<Json<Vec<String>>, HandlerError> {
                Ok(keyed::sorted(ctx.get_keys().await?))
            }

            #[handler]
            async fn put(
                &self,
                ctx: ObjectContext<'_>,
                entries: Json<Map<String, Value>>,
            ) -> Result<Json<Vec<String>>, HandlerError> {
                keyed::put(ctx, entries.into_inner()).await
            }

            #[handler]
            async fn clear(&self, ctx: ObjectContext<'_>, key: String) -> Result<(), HandlerError> {
                ctx.clear(&key);
                Ok(())
            }

            #[handler(name = "clearAll")]
            async fn clear_all(&self, ctx: ObjectContext<'_>) -> Result<(), HandlerError> {
                ctx.clear_all();
                Ok(())
            }

            #[handler]
            async fn append(
                &self,
                ctx: ObjectContext<'_>,
                item: Json<Value>,
            ) -> Result<Json<Vec<Value>>, HandlerError> {
                keyed::append(ctx, item.into_inner()).await
            }

            #[handler]
            async fn hold(&self, ctx: ObjectContext<'_>) -> Result<Json<Value>, HandlerError> {
                actions::wait_awakeable!(ctx)
            }
        }
    };
}

macro_rules! services {
    ($module:ident, $actions:literal, $counter:literal, $lazy:literal, $flow:literal, $secret:literal) => {
        pub mod $module {
            use super::*;

            struct Actions;

            #[service(name = $actions)]
            impl Actions {
                #[handler]
                async fn echo(
                    &self,
                    _ctx: Context<'_>,
                    value: Json<Value>,
                ) -> Result<Json<Value>, HandlerError> {
                    Ok(value)
                }

                #[handler]
                async fn headers(
                    &self,
                    ctx: Context<'_>,
                ) -> Result<Json<std::collections::HashMap<String, String>>, HandlerError> {
                    Ok(Json(actions::headers(&ctx)))
                }

                #[handler]
                async fn steps(
                    &self,
                    ctx: Context<'_>,
                    count: u32,
                ) -> Result<Json<Vec<String>>, HandlerError> {
                    actions::steps(ctx, count).await
                }

                #[handler(name = "runFailsThenSucceeds")]
                async fn run_fails_then_succeeds(
                    &self,
                    ctx: Context<'_>,
                    times: u32,
                ) -> Result<u32, HandlerError> {
                    actions::run_fails_then_succeeds(ctx, times).await
                }

                #[handler(name = "runGivesUp")]
                async fn run_gives_up(&self, ctx: Context<'_>) -> Result<String, HandlerError> {
                    actions::run_gives_up(ctx).await
                }

                #[handler(name = "runFailsForGood")]
                async fn run_fails_for_good(&self, ctx: Context<'_>) -> Result<(), HandlerError> {
                    actions::run_fails_for_good(ctx).await
                }

                #[handler]
                async fn fails(
                    &self,
                    _ctx: Context<'_>,
                    failure: Json<Failure>,
                ) -> Result<(), HandlerError> {
                    actions::fails(failure.into_inner())
                }

                #[handler]
                async fn flaky(&self, ctx: Context<'_>, times: u32) -> Result<u32, HandlerError> {
                    Ok(effects::attempt(ctx.invocation_id(), times)?)
                }

                #[handler(name = "untilFixed")]
                async fn until_fixed(&self, ctx: Context<'_>) -> Result<String, HandlerError> {
                    actions::until_fixed(ctx).await
                }

                #[handler(name = "killedByPolicy")]
                async fn killed_by_policy(&self, _ctx: Context<'_>) -> Result<(), HandlerError> {
                    Err("always fails".into())
                }

                #[handler]
                async fn nap(
                    &self,
                    ctx: Context<'_>,
                    milliseconds: u64,
                ) -> Result<String, HandlerError> {
                    actions::nap(ctx, milliseconds).await
                }

                #[handler(name = "callEcho")]
                async fn call_echo(
                    &self,
                    ctx: Context<'_>,
                    value: Json<Value>,
                ) -> Result<Json<Value>, HandlerError> {
                    actions::call_echo(ctx, $actions, value).await
                }

                #[handler(name = "callMany")]
                async fn call_many(
                    &self,
                    ctx: Context<'_>,
                    count: u32,
                ) -> Result<Json<Vec<u32>>, HandlerError> {
                    actions::call_many(ctx, $actions, count).await
                }

                #[handler]
                async fn call(
                    &self,
                    ctx: Context<'_>,
                    target: Json<Target>,
                ) -> Result<Json<Value>, HandlerError> {
                    actions::call(ctx, target.into_inner()).await
                }

                #[handler]
                async fn send(
                    &self,
                    ctx: Context<'_>,
                    target: Json<Target>,
                ) -> Result<String, HandlerError> {
                    actions::send(ctx, target.into_inner()).await
                }

                #[handler(name = "callThenCancel")]
                async fn call_then_cancel(&self, ctx: Context<'_>) -> Result<u16, HandlerError> {
                    actions::call_then_cancel(ctx, $actions).await
                }

                #[handler(name = "waitAwakeable")]
                async fn wait_awakeable(
                    &self,
                    ctx: Context<'_>,
                ) -> Result<Json<Value>, HandlerError> {
                    actions::wait_awakeable!(ctx)
                }

                #[handler(name = "resolveAwakeable")]
                async fn resolve_awakeable(
                    &self,
                    ctx: Context<'_>,
                    with: Json<Completion>,
                ) -> Result<(), HandlerError> {
                    let with = with.into_inner();
                    ctx.resolve_awakeable(&with.id, Json(with.value));
                    Ok(())
                }

                #[handler(name = "rejectAwakeable")]
                async fn reject_awakeable(
                    &self,
                    ctx: Context<'_>,
                    with: Json<Completion>,
                ) -> Result<(), HandlerError> {
                    let with = with.into_inner();
                    ctx.reject_awakeable(&with.id, TerminalError::new(with.reason));
                    Ok(())
                }

                #[handler(name = "waitSignal")]
                async fn wait_signal(
                    &self,
                    ctx: Context<'_>,
                    name: String,
                ) -> Result<Json<Value>, HandlerError> {
                    actions::wait_signal(ctx, name).await
                }

                #[handler(name = "resolveSignal")]
                async fn resolve_signal(
                    &self,
                    ctx: Context<'_>,
                    with: Json<Completion>,
                ) -> Result<(), HandlerError> {
                    let with = with.into_inner();
                    ctx.invocation_handle(with.id)
                        .signal(with.name)
                        .resolve(Json(with.value));
                    Ok(())
                }

                #[handler(name = "rejectSignal")]
                async fn reject_signal(
                    &self,
                    ctx: Context<'_>,
                    with: Json<Completion>,
                ) -> Result<(), HandlerError> {
                    let with = with.into_inner();
                    let reason = TerminalError::new(with.reason);
                    ctx.invocation_handle(with.id)
                        .signal(with.name)
                        .reject(reason);
                    Ok(())
                }

                #[handler(name = "attachTo")]
                async fn attach_to(
                    &self,
                    ctx: Context<'_>,
                    id: String,
                ) -> Result<Json<Value>, HandlerError> {
                    Ok(ctx.invocation_handle(id).attach::<Json<Value>>().await?)
                }

                #[handler(name = "cancelOther")]
                async fn cancel_other(
                    &self,
                    ctx: Context<'_>,
                    id: String,
                ) -> Result<(), HandlerError> {
                    ctx.invocation_handle(id).cancel();
                    Ok(())
                }

                #[handler]
                async fn identity(
                    &self,
                    ctx: Context<'_>,
                ) -> Result<Json<actions::Identity>, HandlerError> {
                    actions::identity(ctx).await
                }

                #[handler]
                async fn now(&self, ctx: Context<'_>) -> Result<u64, HandlerError> {
                    actions::now(ctx).await
                }

                #[handler]
                async fn combine(
                    &self,
                    ctx: Context<'_>,
                ) -> Result<Json<actions::Combined>, HandlerError> {
                    actions::combine(ctx, $actions).await
                }

                #[handler]
                async fn timeout(
                    &self,
                    ctx: Context<'_>,
                    milliseconds: u64,
                ) -> Result<String, HandlerError> {
                    actions::timeout(ctx, milliseconds).await
                }

                #[handler]
                async fn cleanup(&self, ctx: Context<'_>) -> Result<(), HandlerError> {
                    actions::cleanup(ctx).await
                }

                #[handler]
                async fn outer(&self, ctx: Context<'_>) -> Result<(), HandlerError> {
                    actions::outer(ctx, $actions).await
                }
            }

            counter!(Counter, $counter);
            counter!(LazyCounter, $lazy);

            struct Flow;

            #[workflow(name = $flow)]
            impl Flow {
                #[handler]
                async fn run(
                    &self,
                    ctx: WorkflowContext<'_>,
                    input: Json<Value>,
                ) -> Result<Json<keyed::Decision>, HandlerError> {
                    keyed::run(ctx, input.into_inner()).await
                }

                #[handler]
                async fn approve(
                    &self,
                    ctx: SharedWorkflowContext<'_>,
                    value: Json<Value>,
                ) -> Result<(), HandlerError> {
                    ctx.resolve_promise("approval", value);
                    Ok(())
                }

                #[handler]
                async fn reject(
                    &self,
                    ctx: SharedWorkflowContext<'_>,
                    reason: String,
                ) -> Result<(), HandlerError> {
                    ctx.reject_promise("approval", TerminalError::new(reason));
                    Ok(())
                }

                #[handler]
                async fn peek(
                    &self,
                    ctx: SharedWorkflowContext<'_>,
                ) -> Result<Json<Option<Value>>, HandlerError> {
                    let peeked = ctx.peek_promise::<Json<Value>>("approval").await?;
                    Ok(Json(peeked.map(Json::into_inner)))
                }

                #[handler]
                async fn stage(
                    &self,
                    ctx: SharedWorkflowContext<'_>,
                ) -> Result<Json<Option<String>>, HandlerError> {
                    Ok(Json(ctx.get::<String>("stage").await?))
                }
            }

            struct Secret;

            #[service(name = $secret)]
            impl Secret {
                #[handler]
                async fn tell(&self, _ctx: Context<'_>) -> Result<String, HandlerError> {
                    Ok("told".to_owned())
                }
            }

            pub fn bind(endpoint: Builder, inactivity: Option<Duration>) -> Builder {
                let options = || common(inactivity);
                let actions = options()
                    .handler(
                        "untilFixed",
                        retries(2).retry_policy_pause_on_max_attempts(),
                    )
                    .handler(
                        "killedByPolicy",
                        retries(2).retry_policy_kill_on_max_attempts(),
                    );
                endpoint
                    .bind(Actions.into_service_definition().options(actions))
                    .bind(Counter.into_service_definition().options(options()))
                    .bind(
                        LazyCounter
                            .into_service_definition()
                            .options(options().enable_lazy_state(true)),
                    )
                    .bind(Flow.into_service_definition().options(options()))
                    .bind(
                        Secret
                            .into_service_definition()
                            .options(options().ingress_private(true)),
                    )
            }
        }
    };
}

services!(
    streaming,
    "RsActions",
    "RsCounter",
    "RsLazyCounter",
    "RsFlow",
    "RsSecret"
);
services!(
    idle,
    "RsIdleActions",
    "RsIdleCounter",
    "RsIdleLazyCounter",
    "RsIdleFlow",
    "RsIdleSecret"
);
services!(
    exchange,
    "RsRrActions",
    "RsRrCounter",
    "RsRrLazyCounter",
    "RsRrFlow",
    "RsRrSecret"
);
