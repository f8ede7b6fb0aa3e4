import com.fasterxml.jackson.databind.JsonNode;
import dev.restate.sdk.ObjectContext;
import dev.restate.sdk.SharedObjectContext;
import dev.restate.sdk.SharedWorkflowContext;
import dev.restate.sdk.WorkflowContext;
import dev.restate.sdk.common.DurablePromiseKey;
import dev.restate.sdk.common.StateKey;
import dev.restate.sdk.endpoint.definition.HandlerType;
import dev.restate.sdk.endpoint.definition.ServiceDefinition;
import dev.restate.sdk.endpoint.definition.ServiceType;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** The handlers of the virtual object and of the workflow. */
final class Keyed {
  private static final StateKey<Integer> TOTAL = StateKey.of("total", Handlers.INTEGER);
  private static final StateKey<JsonNode> ITEMS = StateKey.of("items", Handlers.JSON);
  private static final StateKey<String> STAGE = StateKey.of("stage", Handlers.STRING);
  private static final DurablePromiseKey<JsonNode> APPROVAL =
      DurablePromiseKey.of("approval", Handlers.JSON);

  private Keyed() {}

  static ServiceDefinition counter(String name) {
    return ServiceDefinition.of(
        name,
        ServiceType.VIRTUAL_OBJECT,
        List.of(
            Handlers.answers("add", HandlerType.EXCLUSIVE, Keyed::add),
            Handlers.answers("addSlowly", HandlerType.EXCLUSIVE, Keyed::addSlowly),
            Handlers.gives("get", HandlerType.SHARED, Keyed::total),
            Handlers.gives("keys", HandlerType.SHARED, Keyed::keys),
            Handlers.answers("put", HandlerType.EXCLUSIVE, Keyed::put),
            Handlers.takes("clear", HandlerType.EXCLUSIVE, Keyed::clear),
            Handlers.does("clearAll", HandlerType.EXCLUSIVE, ObjectContext::clearAll),
            Handlers.answers("append", HandlerType.EXCLUSIVE, Keyed::append),
            Handlers.gives("hold", HandlerType.EXCLUSIVE, Actions::waitAwakeable)));
  }

  static ServiceDefinition flow(String name) {
    return ServiceDefinition.of(
        name,
        ServiceType.WORKFLOW,
        List.of(
            Handlers.answers("run", HandlerType.WORKFLOW, Keyed::run),
            Handlers.takes("approve", HandlerType.SHARED, Keyed::approve),
            Handlers.takes("reject", HandlerType.SHARED, Keyed::reject),
            Handlers.gives("peek", HandlerType.SHARED, Keyed::peek),
            Handlers.gives("stage", HandlerType.SHARED, Keyed::stage)));
  }

  private static Object add(ObjectContext ctx, JsonNode amount) {
    var total = ctx.get(TOTAL).orElse(0) + amount.asInt();
    ctx.set(TOTAL, total);
    return total;
  }

  /** Reads, waits and writes: lost updates would show if two ran at once on one key. */
  private static Object addSlowly(ObjectContext ctx, JsonNode amount) {
    var before = ctx.get(TOTAL).orElse(0);
    Handlers.step(ctx, "slowly");
    ctx.sleep(Duration.ofMillis(5));
    ctx.set(TOTAL, before + amount.asInt());
    return before + amount.asInt();
  }

  private static Object total(SharedObjectContext ctx) {
    return ctx.get(TOTAL).orElse(null);
  }

  private static Object keys(SharedObjectContext ctx) {
    return ctx.stateKeys().stream().sorted().toList();
  }

  private static Object put(ObjectContext ctx, JsonNode entries) {
    entries
        .fields()
        .forEachRemaining(e -> ctx.set(StateKey.of(e.getKey(), Handlers.JSON), e.getValue()));
    return keys(ctx);
  }

  private static void clear(ObjectContext ctx, JsonNode key) {
    ctx.clear(StateKey.of(key.asText(), Handlers.JSON));
  }

  private static Object append(ObjectContext ctx, JsonNode item) {
    var items = Handlers.MAPPER.createArrayNode();
    ctx.get(ITEMS).ifPresent(before -> before.forEach(items::add));
    items.add(item);
    ctx.set(ITEMS, items);
    return items;
  }

  private static Object run(WorkflowContext ctx, JsonNode input) {
    ctx.set(STAGE, "waiting");
    Handlers.step(ctx, "run");
    var decision = ctx.promise(APPROVAL).future().await();
    ctx.set(STAGE, "decided");
    return Map.of("key", ctx.key(), "input", input, "decision", decision);
  }

  private static void approve(SharedWorkflowContext ctx, JsonNode value) {
    ctx.promiseHandle(APPROVAL).resolve(value);
  }

  private static void reject(SharedWorkflowContext ctx, JsonNode reason) {
    ctx.promiseHandle(APPROVAL).reject(reason.asText());
  }

  private static Object peek(SharedWorkflowContext ctx) {
    var peeked = ctx.promise(APPROVAL).peek();
    return peeked.isReady() ? peeked.getValue() : null;
  }

  private static Object stage(SharedWorkflowContext ctx) {
    return ctx.get(STAGE).orElse(null);
  }
}
