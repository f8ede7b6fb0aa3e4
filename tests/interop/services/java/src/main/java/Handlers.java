import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.restate.common.function.ThrowingBiFunction;
import dev.restate.sdk.Context;
import dev.restate.sdk.HandlerRunner;
import dev.restate.sdk.endpoint.definition.HandlerDefinition;
import dev.restate.sdk.endpoint.definition.HandlerType;
import dev.restate.sdk.endpoint.definition.InvocationRetryPolicy;
import dev.restate.sdk.endpoint.definition.InvocationRetryPolicy.OnMaxAttempts;
import dev.restate.serde.Serde;
import dev.restate.serde.SerdeFactory;
import dev.restate.serde.TypeRef;
import java.time.Duration;

/** How handlers are declared here: by hand, with JSON trees, so that no annotation processor is needed. */
final class Handlers {
  static final Duration HOUR = Duration.ofHours(1);

  static final ObjectMapper MAPPER = new ObjectMapper();

  /** Any document as it came. */
  static final Serde<JsonNode> JSON =
      Serde.using("application/json", MAPPER::writeValueAsBytes, MAPPER::readTree);

  static final Serde<String> STRING = json(String.class);
  static final Serde<Integer> INTEGER = json(Integer.class);

  private static final SerdeFactory FACTORY =
      new SerdeFactory() {
        @Override
        public <T> Serde<T> create(TypeRef<T> type) {
          throw new UnsupportedOperationException("name a serde for " + type.getType());
        }

        @Override
        public <T> Serde<T> create(Class<T> type) {
          return json(type);
        }
      };

  private Handlers() {}

  static <T> Serde<T> json(Class<T> type) {
    return Serde.using(
        "application/json", MAPPER::writeValueAsBytes, bytes -> MAPPER.readValue(bytes, type));
  }

  /** A handler of an argument that answers a value. */
  static <C extends Context> HandlerDefinition<?, ?> answers(
      String name, HandlerType type, ThrowingBiFunction<C, JsonNode, Object> body) {
    return define(name, type, JSON, JSON, (C ctx, JsonNode input) -> tree(body.apply(ctx, input)));
  }

  /** A handler without an argument that answers a value. */
  static <C extends Context> HandlerDefinition<?, ?> gives(
      String name, HandlerType type, Giver<C> body) {
    return define(name, type, Serde.VOID, JSON, (C ctx, Void nothing) -> tree(body.give(ctx)));
  }

  /** A handler of an argument that answers nothing. */
  static <C extends Context> HandlerDefinition<?, ?> takes(
      String name, HandlerType type, Taker<C> body) {
    return define(
        name,
        type,
        JSON,
        Serde.VOID,
        (C ctx, JsonNode input) -> {
          body.take(ctx, input);
          return null;
        });
  }

  /** A handler without an argument that answers nothing. */
  static <C extends Context> HandlerDefinition<?, ?> does(
      String name, HandlerType type, Doer<C> body) {
    return define(
        name,
        type,
        Serde.VOID,
        Serde.VOID,
        (C ctx, Void nothing) -> {
          body.act(ctx);
          return null;
        });
  }

  /** A durable step whose execution the tests can count. */
  static String step(Context ctx, String label) {
    var id = ctx.request().invocationId().toString();
    return ctx.run(
        label,
        STRING,
        () -> {
          Effects.write(id, label);
          return label;
        });
  }

  static Duration ms(JsonNode milliseconds) {
    return Duration.ofMillis(milliseconds.asLong());
  }

  static InvocationRetryPolicy retries(int attempts, OnMaxAttempts then) {
    return InvocationRetryPolicy.builder()
        .initialInterval(Duration.ofMillis(20))
        .exponentiationFactor(1.5)
        .maxInterval(Duration.ofMillis(200))
        .maxAttempts(attempts)
        .onMaxAttempts(then)
        .build();
  }

  private static JsonNode tree(Object value) {
    return MAPPER.valueToTree(value);
  }

  private static <C extends Context, I, O> HandlerDefinition<I, O> define(
      String name, HandlerType type, Serde<I> in, Serde<O> out, ThrowingBiFunction<C, I, O> body) {
    return HandlerDefinition.of(name, type, in, out, HandlerRunner.of(body, FACTORY, null));
  }

  interface Giver<C> {
    Object give(C ctx) throws Exception;
  }

  interface Taker<C> {
    void take(C ctx, JsonNode input) throws Exception;
  }

  interface Doer<C> {
    void act(C ctx) throws Exception;
  }
}
