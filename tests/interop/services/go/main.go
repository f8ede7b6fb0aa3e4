// The interop services on the official Go SDK. The contract (names, arguments, answers, side effects) is the
// same as in ../typescript/app.mjs; the tests do not know which one they talk to.
//
// PORT                where to listen
// REQUEST_RESPONSE    set: HTTP/1.1, request/response; else HTTP/2, full duplex
// PREFIX              of the service names, Go by default
// SIDE_EFFECTS_FILE   one line per side effect: invocation id, tab, label
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/server"
)

const hour = time.Hour

var effects = os.Getenv("SIDE_EFFECTS_FILE")

func milliseconds(count float64) time.Duration {
	return time.Duration(count * float64(time.Millisecond))
}

// write appends one side effect, with one write.
func write(id, label string) error {
	file, err := os.OpenFile(effects, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, "%s\t%s\n", id, label)
	return err
}

func written(id, label string) (int, error) {
	content, err := os.ReadFile(effects)
	if err != nil {
		return 0, err
	}
	count := 0
	for line := range strings.Lines(string(content)) {
		if line == id+"\t"+label+"\n" {
			count++
		}
	}
	return count, nil
}

// attempt writes one attempt and fails it when it is one of the first `failing`.
func attempt(id string, failing int) (int, error) {
	if err := write(id, "attempt"); err != nil {
		return 0, err
	}
	number, err := written(id, "attempt")
	if err == nil && number <= failing {
		err = fmt.Errorf("attempt %d fails", number)
	}
	return number, err
}

// step is a durable step whose execution the tests can count. Its error has to be the handler's: the type
// is an interface, and a nil of it must not be wrapped.
func step(ctx restate.Context, label string) (string, error) {
	id := ctx.Request().ID
	value, err := restate.Run(ctx, func(restate.RunContext) (string, error) {
		return label, write(id, label)
	}, restate.WithName(label))
	return value, plain(err)
}

// plain keeps "no error" a nil of the wider type.
func plain(err restate.TerminalError) error {
	if err == nil {
		return nil
	}
	return err
}

func serviceRetries(attempts uint, last restate.InvocationRetryPolicyOption) restate.ServiceDefinitionOption {
	return restate.WithInvocationRetryPolicy(retryOptions(attempts, last)...)
}

func handlerRetries(attempts uint, last restate.InvocationRetryPolicyOption) restate.HandlerOption {
	return restate.WithInvocationRetryPolicy(retryOptions(attempts, last)...)
}

func retryOptions(
	attempts uint, last restate.InvocationRetryPolicyOption,
) []restate.InvocationRetryPolicyOption {
	return []restate.InvocationRetryPolicyOption{
		restate.WithInitialRetryInterval(milliseconds(20)),
		restate.WithRetryIntervalFactor(1.5),
		restate.WithMaxRetryInterval(milliseconds(200)),
		restate.WithMaxRetryAttempts(attempts),
		last,
	}
}

func runOptions(name string, attempts uint) []restate.RunOption {
	return []restate.RunOption{
		restate.WithName(name),
		restate.WithInitialRetryInterval(milliseconds(10)),
		restate.WithRetryIntervalFactor(1.5),
		restate.WithMaxRetryInterval(milliseconds(100)),
		restate.WithMaxRetryAttempts(attempts),
	}
}

func teapot(message string) error {
	return restate.ToTerminalError(errors.New(message), restate.WithErrorCode(http.StatusTeapot))
}

func definitions(prefix string, options ...restate.ServiceDefinitionOption) []restate.ServiceDefinition {
	common := append(options, serviceRetries(50, restate.PauseOnMaxAttempts()))
	with := func(more ...restate.ServiceDefinitionOption) []restate.ServiceDefinitionOption {
		return append(common[:len(common):len(common)], more...)
	}
	return []restate.ServiceDefinition{
		actions(prefix, with()),
		counter(prefix+"Counter", with()),
		counter(prefix+"LazyCounter", with(restate.WithEnableLazyState(true))),
		flow(prefix+"Flow", with()),
		secret(prefix+"Secret", with(restate.WithIngressPrivate(true))),
	}
}

func serve() error {
	address := "127.0.0.1:" + os.Getenv("PORT")
	prefix := cmp.Or(os.Getenv("PREFIX"), "Go")
	quiet := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})
	endpoint := server.NewRestate().WithLogger(quiet, true)
	bind := func(found []restate.ServiceDefinition) {
		for _, definition := range found {
			endpoint.Bind(definition)
		}
	}
	if os.Getenv("REQUEST_RESPONSE") == "" {
		bind(definitions(prefix))
		bind(definitions(prefix+"Idle", restate.WithInactivityTimeout(0)))
		return endpoint.Start(context.Background(), address)
	}
	bind(definitions(prefix + "Rr"))
	handler, err := endpoint.Bidirectional(false).Handler()
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, handler)
}

func main() {
	log.Fatal(serve())
}
