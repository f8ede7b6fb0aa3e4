import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.LongNode;
import dev.restate.common.Request;
import dev.restate.common.RequestBuilder;
import dev.restate.common.Target;
import dev.restate.sdk.CallDurableFuture;
import dev.restate.sdk.Context;
import dev.restate.sdk.DurableFuture;
import dev.restate.sdk.common.RetryPolicy;
import dev.restate.sdk.common.TerminalException;
import dev.restate.sdk.common.TimeoutException;
import dev.restate.sdk.endpoint.definition.HandlerDefinition;
import dev.restate.sdk.endpoint.definition.HandlerType;
import dev.restate.sdk.endpoint.definition.InvocationRetryPolicy.OnMaxAttempts;
import dev.restate.sdk.endpoint.definition.ServiceDefinition;
import dev.restate.sdk.endpoint.definition.ServiceType;
import dev.restate.serde.Serde;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The handlers of the plain service. */
final class Actions {
  private static final HandlerType TYPE = HandlerType.SHARED;

  private final String self;

  private Actions(String self) {
    this.self = self;
  }

  static ServiceDefinition define(String name) {
    var actions = new Actions(name);
    return ServiceDefinition.of(name, ServiceType.SERVICE, actions.handlers());
  }

  private List<HandlerDefinition<?, ?>> handlers() {
    return List.of(
        Handlers.answers("echo", TYPE, (ctx, value) -> value),
        Handlers.gives("headers", TYPE, ctx -> ctx.request().headers()),
        Handlers.answers("steps", TYPE, this::steps),
        Handlers.answers("runFailsThenSucceeds", TYPE, this::runFailsThenSucceeds),
        Handlers.gives("runGivesUp", TYPE, this::runGivesUp),
        Handlers.does("runFailsForGood", TYPE, this::runFailsForGood),
        Handlers.takes("fails", TYPE, this::fails),
        Handlers.answers("flaky", TYPE, (ctx, times) -> Effects.attempt(id(ctx), times.asInt())),
        Handlers.gives("untilFixed", TYPE, this::untilFixed)
            .configure(it -> it.invocationRetryPolicy(Handlers.retries(2, OnMaxAttempts.PAUSE))),
        Handlers.does("killedByPolicy", TYPE, this::alwaysFails)
            .configure(it -> it.invocationRetryPolicy(Handlers.retries(2, OnMaxAttempts.KILL))),
        Handlers.answers("nap", TYPE, this::nap),
        Handlers.answers("callEcho", TYPE, (ctx, value) -> onSelf(ctx, "echo", value).await()),
        Handlers.answers("callMany", TYPE, this::callMany),
        Handlers.answers("call", TYPE, this::call),
        Handlers.answers("send", TYPE, this::send),
        Handlers.gives("callThenCancel", TYPE, this::callThenCancel),
        Handlers.gives("waitAwakeable", TYPE, Actions::waitAwakeable),
        Handlers.takes("resolveAwakeable", TYPE, this::resolveAwakeable),
        Handlers.takes("rejectAwakeable", TYPE, this::rejectAwakeable),
        Handlers.answers("attachTo", TYPE, this::attachTo),
        Handlers.takes("cancelOther", TYPE, this::cancelOther),
        Handlers.gives("identity", TYPE, this::identity),
        Handlers.gives("now", TYPE, this::now),
        Handlers.gives("combine", TYPE, this::combine),
        Handlers.answers("timeout", TYPE, this::timeout),
        Handlers.does("cleanup", TYPE, this::cleanup),
        Handlers.does("outer", TYPE, this::outer));
  }

  static Object waitAwakeable(Context ctx) {
    var awakeable = ctx.awakeable(Handlers.JSON);
    Handlers.step(ctx, "awakeable " + awakeable.id());
    return awakeable.await();
  }

  private static String id(Context ctx) {
    return ctx.request().invocationId().toString();
  }

  private static RetryPolicy runRetries(int attempts) {
    return RetryPolicy.exponential(Duration.ofMillis(10), 1.5f)
        .setMaxDelay(Duration.ofMillis(100))
        .setMaxAttempts(attempts);
  }

  private static TerminalException teapot(String message) {
    return new TerminalException(418, message);
  }

  private CallDurableFuture<JsonNode> onSelf(Context ctx, String handler, JsonNode argument) {
    var target = Target.service(self, handler);
    return ctx.call(Request.of(target, Handlers.JSON, Handlers.JSON, argument));
  }

  private Object steps(Context ctx, JsonNode count) {
    var done = new ArrayList<String>();
    for (var i = 0; i < count.asInt(); i++) {
      done.add(Handlers.step(ctx, "step " + i));
    }
    return done;
  }

  private Object runFailsThenSucceeds(Context ctx, JsonNode times) {
    var id = id(ctx);
    return ctx.run(
        "unlucky", Handlers.INTEGER, runRetries(20), () -> Effects.attempt(id, times.asInt()));
  }

  private Object runGivesUp(Context ctx) {
    var id = id(ctx);
    try {
      ctx.run("hopeless", runRetries(3), () -> Effects.attempt(id, Integer.MAX_VALUE));
    } catch (TerminalException error) {
      return "gave up";
    }
    return "worked";
  }

  private void runFailsForGood(Context ctx) {
    var id = id(ctx);
    ctx.run(
        "teapot",
        () -> {
          Effects.write(id, "attempt");
          throw teapot("short and stout");
        });
  }

  private void fails(Context ctx, JsonNode failure) {
    throw new TerminalException(failure.get("code").asInt(), failure.get("message").asText());
  }

  private Object untilFixed(Context ctx) throws Exception {
    Handlers.step(ctx, "before");
    if (Effects.written(id(ctx), "fixed") == 0) {
      throw new IllegalStateException("not fixed yet");
    }
    return "fixed";
  }

  private void alwaysFails(Context ctx) {
    throw new IllegalStateException("always fails");
  }

  private Object nap(Context ctx, JsonNode milliseconds) {
    ctx.timer("nap", Handlers.ms(milliseconds)).await();
    return "rested";
  }

  private Object callMany(Context ctx, JsonNode count) {
    var calls = new ArrayList<DurableFuture<JsonNode>>();
    for (var i = 0; i < count.asInt(); i++) {
      calls.add(onSelf(ctx, "echo", IntNode.valueOf(i)));
    }
    DurableFuture.all(new ArrayList<>(calls)).await();
    return calls.stream().map(DurableFuture::await).toList();
  }

  /** An absent argument is the empty document, not null. */
  private static RequestBuilder<byte[], JsonNode> request(JsonNode wanted) throws Exception {
    var service = wanted.get("service").asText();
    var handler = wanted.get("handler").asText();
    var target =
        wanted.hasNonNull("key")
            ? Target.virtualObject(service, wanted.get("key").asText(), handler)
            : Target.service(service, handler);
    var argument = wanted.get("argument");
    var bytes = argument == null ? new byte[0] : Handlers.MAPPER.writeValueAsBytes(argument);
    return Request.of(target, Serde.RAW, Handlers.JSON, bytes);
  }

  private Object call(Context ctx, JsonNode wanted) throws Exception {
    return ctx.call(request(wanted).build()).await();
  }

  private Object send(Context ctx, JsonNode wanted) throws Exception {
    var request = request(wanted);
    if (wanted.has("idempotencyKey")) {
      request = request.idempotencyKey(wanted.get("idempotencyKey").asText());
    }
    var delay = wanted.has("delayMs") ? Handlers.ms(wanted.get("delayMs")) : null;
    return ctx.send(request.build(), delay).invocationId();
  }

  private Object callThenCancel(Context ctx) {
    var call = onSelf(ctx, "nap", LongNode.valueOf(Handlers.HOUR.toMillis()));
    call.cancel();
    try {
      call.await();
    } catch (TerminalException error) {
      return error.getCode();
    }
    return 200;
  }

  private void resolveAwakeable(Context ctx, JsonNode request) {
    ctx.awakeableHandle(request.get("id").asText()).resolve(Handlers.JSON, request.get("value"));
  }

  private void rejectAwakeable(Context ctx, JsonNode request) {
    ctx.awakeableHandle(request.get("id").asText()).reject(request.get("reason").asText());
  }

  private Object attachTo(Context ctx, JsonNode id) {
    return ctx.invocationHandle(id.asText(), Handlers.JSON).attach().await();
  }

  private void cancelOther(Context ctx, JsonNode id) {
    ctx.invocationHandle(id.asText(), Handlers.JSON).cancel();
  }

  /** What the first attempt drew is journaled; every later attempt draws again from the same seed. */
  private Object identity(Context ctx) {
    var uuid = ctx.random().nextUUID().toString();
    var drawn = Map.of("uuid", uuid, "number", ctx.random().nextDouble());
    var journaled =
        ctx.run("drawn", Handlers.JSON, () -> Handlers.MAPPER.<JsonNode>valueToTree(drawn));
    ctx.sleep(Duration.ofMillis(10));
    return Map.of("drawn", drawn, "journaled", journaled);
  }

  private Object now(Context ctx) {
    var first = ctx.run("clock", Handlers.json(Long.class), System::currentTimeMillis);
    ctx.sleep(Duration.ofMillis(10));
    return first;
  }

  private static DurableFuture<String> ok(Context ctx, String label) {
    return ctx.runAsync(label, Handlers.STRING, () -> label);
  }

  private static DurableFuture<String> bad(Context ctx, String label) {
    return ctx.runAsync(
        label,
        Handlers.STRING,
        () -> {
          throw teapot(label);
        });
  }

  private Object combine(Context ctx) {
    var settled = new ArrayList<String>();
    for (var future : List.of(ok(ctx, "fine"), bad(ctx, "broken"))) {
      settled.add(future.mapFailure(TerminalException::getMessage).await());
    }
    var racers = List.of(ctx.timer(null, Handlers.HOUR).map(nothing -> "late"), ok(ctx, "early"));
    var winner = DurableFuture.any(new ArrayList<>(racers)).await();
    var all = List.of(ok(ctx, "a"), ok(ctx, "b"), after(ctx, 5, "c"));
    DurableFuture.all(new ArrayList<>(all)).await();
    return Map.of(
        "race", racers.get(winner).await(),
        "any", firstSuccess(new ArrayList<>(List.of(bad(ctx, "first"), ok(ctx, "second")))),
        "all", all.stream().map(DurableFuture::await).toList(),
        "settled", settled);
  }

  private static DurableFuture<String> after(Context ctx, int milliseconds, String value) {
    return ctx.timer(null, Duration.ofMillis(milliseconds)).map(nothing -> value);
  }

  private static String firstSuccess(List<DurableFuture<String>> waiting) {
    while (true) {
      var completed = waiting.remove((int) DurableFuture.any(new ArrayList<>(waiting)).await());
      try {
        return completed.await();
      } catch (TerminalException error) {
        if (waiting.isEmpty()) {
          throw error;
        }
      }
    }
  }

  private Object timeout(Context ctx, JsonNode milliseconds) {
    try {
      ctx.awakeable(Handlers.JSON).await(Handlers.ms(milliseconds));
    } catch (TimeoutException error) {
      return "timed out";
    }
    return "answered";
  }

  private void cleanup(Context ctx) {
    try {
      // The cancellation may arrive before the step's own result does.
      Handlers.step(ctx, "started");
      ctx.sleep(Handlers.HOUR);
    } catch (TerminalException error) {
      Handlers.step(ctx, "cleaned up");
      throw error;
    }
  }

  private void outer(Context ctx) {
    var target = Target.service(self, "cleanup");
    var call = ctx.call(Request.of(target, Serde.VOID, Serde.VOID, null));
    try {
      Handlers.step(ctx, "callee " + call.invocationId());
      call.await();
    } catch (TerminalException error) {
      Handlers.step(ctx, "outer cleaned up");
      throw error;
    }
  }
}
