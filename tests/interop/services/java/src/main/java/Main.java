import dev.restate.sdk.endpoint.Endpoint;
import dev.restate.sdk.endpoint.definition.HandlerType;
import dev.restate.sdk.endpoint.definition.InvocationRetryPolicy.OnMaxAttempts;
import dev.restate.sdk.endpoint.definition.ServiceDefinition;
import dev.restate.sdk.endpoint.definition.ServiceDefinition.Configurator;
import dev.restate.sdk.endpoint.definition.ServiceType;
import dev.restate.sdk.http.vertx.HttpEndpointRequestHandler;
import dev.restate.sdk.http.vertx.RestateHttpServer;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;

/**
 * The interop services on the official Java SDK. The contract (names, arguments, answers, side effects) is
 * the same as in ../typescript/app.mjs; the tests do not know which one they talk to.
 *
 * <pre>
 * PORT                where to listen
 * REQUEST_RESPONSE    set: HTTP/1.1, request/response; else HTTP/2, full duplex
 * PREFIX              of the service names, Jv by default
 * SIDE_EFFECTS_FILE   one line per side effect: invocation id, tab, label
 * </pre>
 */
final class Main {
  private Main() {}

  private static ServiceDefinition secret(String name) {
    return ServiceDefinition.of(
        name,
        ServiceType.SERVICE,
        List.of(Handlers.gives("tell", HandlerType.SHARED, ctx -> "told")));
  }

  private static void bind(
      Endpoint.Builder endpoint, String prefix, Consumer<Configurator> options) {
    Consumer<Configurator> common =
        options.andThen(it -> it.invocationRetryPolicy(Handlers.retries(50, OnMaxAttempts.PAUSE)));
    endpoint
        .bind(Actions.define(prefix + "Actions").configure(common))
        .bind(Keyed.counter(prefix + "Counter").configure(common))
        .bind(
            Keyed.counter(prefix + "LazyCounter")
                .configure(common.andThen(it -> it.enableLazyState(true))))
        .bind(Keyed.flow(prefix + "Flow").configure(common))
        .bind(secret(prefix + "Secret").configure(common.andThen(it -> it.ingressPrivate(true))));
  }

  public static void main(String[] arguments) {
    var port = Integer.parseInt(System.getenv("PORT"));
    var prefix = System.getenv().getOrDefault("PREFIX", "Jv");
    var requestResponse = !System.getenv().getOrDefault("REQUEST_RESPONSE", "").isEmpty();
    var endpoint = Endpoint.builder();
    if (requestResponse) {
      bind(endpoint, prefix + "Rr", it -> {});
    } else {
      bind(endpoint, prefix, it -> {});
      bind(endpoint, prefix + "Idle", it -> it.inactivityTimeout(Duration.ZERO));
    }
    var handler = HttpEndpointRequestHandler.fromEndpoint(endpoint.build(), requestResponse);
    RestateHttpServer.fromHandler(handler).listen(port, "127.0.0.1");
  }
}
