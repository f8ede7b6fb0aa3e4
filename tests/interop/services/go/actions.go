package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	restate "github.com/restatedev/sdk-go"
)

// Json travels as it came: the empty document is no argument at all.
type Json = json.RawMessage

type Failure struct {
	Message  string            `json:"message"`
	Code     uint16            `json:"code"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

type Target struct {
	Service        string  `json:"service"`
	Key            *string `json:"key,omitempty"`
	Handler        string  `json:"handler"`
	Argument       *Json   `json:"argument,omitempty"`
	DelayMs        float64 `json:"delayMs,omitempty"`
	IdempotencyKey string  `json:"idempotencyKey,omitempty"`
}

// argument is what to send: nothing, not null, when there is none.
func (target Target) argument() any {
	if target.Argument == nil {
		return restate.Void{}
	}
	return *target.Argument
}

type Completion struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Value  Json   `json:"value,omitempty"`
	Reason string `json:"reason,omitempty"`
}

type Drawn struct {
	UUID   string  `json:"uuid"`
	Number float64 `json:"number"`
}

type Identity struct {
	Drawn     Drawn `json:"drawn"`
	Journaled Drawn `json:"journaled"`
}

type Combined struct {
	Race    string   `json:"race"`
	Any     string   `json:"any"`
	All     []string `json:"all"`
	Settled []string `json:"settled"`
}

func actions(prefix string, options []restate.ServiceDefinitionOption) restate.ServiceDefinition {
	self := prefix + "Actions"
	onMax2 := func(last restate.InvocationRetryPolicyOption) restate.HandlerOption {
		return handlerRetries(2, last)
	}
	return restate.NewService(self, options...).
		Handler("echo", restate.NewServiceHandler(echo)).
		Handler("headers", restate.NewServiceHandler(headers)).
		Handler("steps", restate.NewServiceHandler(steps)).
		Handler("runFailsThenSucceeds", restate.NewServiceHandler(runFailsThenSucceeds)).
		Handler("runGivesUp", restate.NewServiceHandler(runGivesUp)).
		Handler("runFailsForGood", restate.NewServiceHandler(runFailsForGood)).
		Handler("fails", restate.NewServiceHandler(fails)).
		Handler("flaky", restate.NewServiceHandler(flaky)).
		Handler("untilFixed", restate.NewServiceHandler(untilFixed, onMax2(restate.PauseOnMaxAttempts()))).
		Handler("killedByPolicy", restate.NewServiceHandler(killedByPolicy, onMax2(restate.KillOnMaxAttempts()))).
		Handler("nap", restate.NewServiceHandler(nap)).
		Handler("callEcho", restate.NewServiceHandler(callEcho(self))).
		Handler("callMany", restate.NewServiceHandler(callMany(self))).
		Handler("call", restate.NewServiceHandler(call)).
		Handler("send", restate.NewServiceHandler(send)).
		Handler("callThenCancel", restate.NewServiceHandler(callThenCancel(self))).
		Handler("waitAwakeable", restate.NewServiceHandler(waitAwakeable[restate.Context])).
		Handler("resolveAwakeable", restate.NewServiceHandler(resolveAwakeable)).
		Handler("rejectAwakeable", restate.NewServiceHandler(rejectAwakeable)).
		Handler("waitSignal", restate.NewServiceHandler(waitSignal)).
		Handler("resolveSignal", restate.NewServiceHandler(resolveSignal)).
		Handler("rejectSignal", restate.NewServiceHandler(rejectSignal)).
		Handler("attachTo", restate.NewServiceHandler(attachTo)).
		Handler("cancelOther", restate.NewServiceHandler(cancelOther)).
		Handler("identity", restate.NewServiceHandler(identity)).
		Handler("now", restate.NewServiceHandler(now)).
		Handler("combine", restate.NewServiceHandler(combine)).
		Handler("timeout", restate.NewServiceHandler(timeout)).
		Handler("cleanup", restate.NewServiceHandler(cleanup)).
		Handler("outer", restate.NewServiceHandler(outer(self)))
}

func echo(_ restate.Context, value Json) (Json, error) { return value, nil }

func headers(ctx restate.Context, _ restate.Void) (map[string]string, error) {
	return ctx.Request().Headers.ToMap(), nil
}

func steps(ctx restate.Context, count int) ([]string, error) {
	done := []string{}
	for i := range count {
		value, err := step(ctx, "step "+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		done = append(done, value)
	}
	return done, nil
}

func runFailsThenSucceeds(ctx restate.Context, times int) (int, error) {
	id := ctx.Request().ID
	value, err := restate.Run(ctx, func(restate.RunContext) (int, error) {
		return attempt(id, times)
	}, runOptions("unlucky", 20)...)
	return value, plain(err)
}

func runGivesUp(ctx restate.Context, _ restate.Void) (string, error) {
	id := ctx.Request().ID
	err := restate.RunVoid(ctx, func(restate.RunContext) error {
		if err := write(id, "attempt"); err != nil {
			return err
		}
		return errors.New("never works")
	}, runOptions("hopeless", 3)...)
	if err != nil {
		return "gave up", nil
	}
	return "worked", nil
}

func runFailsForGood(ctx restate.Context, _ restate.Void) (restate.Void, error) {
	id := ctx.Request().ID
	err := restate.RunVoid(ctx, func(restate.RunContext) error {
		if err := write(id, "attempt"); err != nil {
			return err
		}
		return teapot("short and stout")
	}, restate.WithName("teapot"))
	return restate.Void{}, plain(err)
}

func fails(_ restate.Context, failure Failure) (restate.Void, error) {
	return restate.Void{}, restate.ToTerminalError(
		errors.New(failure.Message),
		restate.WithErrorCode(restate.Code(failure.Code)),
		restate.WithMetadataMap(failure.Metadata),
	)
}

func flaky(ctx restate.Context, times int) (int, error) {
	return attempt(ctx.Request().ID, times)
}

func untilFixed(ctx restate.Context, _ restate.Void) (string, error) {
	if _, err := step(ctx, "before"); err != nil {
		return "", err
	}
	if fixes, err := written(ctx.Request().ID, "fixed"); err != nil || fixes == 0 {
		return "", errors.Join(err, errors.New("not fixed yet"))
	}
	return "fixed", nil
}

func killedByPolicy(restate.Context, restate.Void) (restate.Void, error) {
	return restate.Void{}, errors.New("always fails")
}

func nap(ctx restate.Context, ms float64) (string, error) {
	return "rested", plain(restate.Sleep(ctx, milliseconds(ms), restate.WithName("nap")))
}

func callEcho(self string) restate.ServiceHandlerFn[Json, Json] {
	return func(ctx restate.Context, value Json) (Json, error) {
		answer, err := restate.Service[Json](ctx, self, "echo").Request(value)
		return answer, plain(err)
	}
}

func callMany(self string) restate.ServiceHandlerFn[int, []int] {
	return func(ctx restate.Context, count int) ([]int, error) {
		calls := []restate.ResponseFuture[int]{}
		for i := range count {
			calls = append(calls, restate.Service[int](ctx, self, "echo").RequestFuture(i))
		}
		answers := []int{}
		for _, future := range calls {
			answer, err := future.Response()
			if err != nil {
				return nil, err
			}
			answers = append(answers, answer)
		}
		return answers, nil
	}
}

func call(ctx restate.Context, target Target) (Json, error) {
	client := restate.Service[Json](ctx, target.Service, target.Handler)
	if target.Key != nil {
		client = restate.Object[Json](ctx, target.Service, *target.Key, target.Handler)
	}
	answer, err := client.Request(target.argument())
	return answer, plain(err)
}

func send(ctx restate.Context, target Target) (string, error) {
	client := restate.ServiceSend(ctx, target.Service, target.Handler)
	if target.Key != nil {
		client = restate.ObjectSend(ctx, target.Service, *target.Key, target.Handler)
	}
	options := []restate.SendOption{}
	if target.DelayMs != 0 {
		options = append(options, restate.WithDelay(milliseconds(target.DelayMs)))
	}
	if target.IdempotencyKey != "" {
		options = append(options, restate.WithIdempotencyKey(target.IdempotencyKey))
	}
	return client.Send(target.argument(), options...).GetInvocationId(), nil
}

func callThenCancel(self string) restate.ServiceHandlerFn[restate.Void, uint16] {
	return func(ctx restate.Context, _ restate.Void) (uint16, error) {
		future := restate.Service[string](ctx, self, "nap").RequestFuture(hour.Milliseconds())
		restate.CancelInvocation(ctx, future.GetInvocationId())
		if _, err := future.Response(); err != nil {
			return uint16(err.Code()), nil
		}
		return http.StatusOK, nil
	}
}

func waitAwakeable[C restate.Context](ctx C, _ restate.Void) (Json, error) {
	awakeable := restate.Awakeable[Json](ctx)
	if _, err := step(ctx, "awakeable "+awakeable.Id()); err != nil {
		return nil, err
	}
	value, err := awakeable.Result()
	return value, plain(err)
}

func resolveAwakeable(ctx restate.Context, request Completion) (restate.Void, error) {
	restate.ResolveAwakeable(ctx, request.ID, request.Value)
	return restate.Void{}, nil
}

func rejectAwakeable(ctx restate.Context, request Completion) (restate.Void, error) {
	restate.RejectAwakeable(ctx, request.ID, errors.New(request.Reason))
	return restate.Void{}, nil
}

func waitSignal(ctx restate.Context, name string) (Json, error) {
	if _, err := step(ctx, "waiting"); err != nil {
		return nil, err
	}
	value, err := restate.Signal[Json](ctx, name).Result()
	return value, plain(err)
}

func resolveSignal(ctx restate.Context, request Completion) (restate.Void, error) {
	restate.ResolveSignal(ctx, request.ID, request.Name, request.Value)
	return restate.Void{}, nil
}

func rejectSignal(ctx restate.Context, request Completion) (restate.Void, error) {
	restate.RejectSignal(ctx, request.ID, request.Name, errors.New(request.Reason))
	return restate.Void{}, nil
}

func attachTo(ctx restate.Context, id string) (Json, error) {
	value, err := restate.AttachInvocation[Json](ctx, id).Response()
	return value, plain(err)
}

func cancelOther(ctx restate.Context, id string) (restate.Void, error) {
	restate.CancelInvocation(ctx, id)
	return restate.Void{}, nil
}

// identity journals what the first attempt drew; every later attempt draws again from the same seed.
func identity(ctx restate.Context, _ restate.Void) (Identity, error) {
	drawn := Drawn{UUID: restate.UUID(ctx).String(), Number: restate.Rand(ctx).Float64()}
	journaled, err := restate.Run(ctx, func(restate.RunContext) (Drawn, error) {
		return drawn, nil
	}, restate.WithName("drawn"))
	if err != nil {
		return Identity{}, err
	}
	return Identity{drawn, journaled}, plain(restate.Sleep(ctx, milliseconds(10)))
}

func now(ctx restate.Context, _ restate.Void) (int64, error) {
	first, err := restate.Run(ctx, func(restate.RunContext) (int64, error) {
		return time.Now().UnixMilli(), nil
	}, restate.WithName("clock"))
	if err != nil {
		return 0, err
	}
	return first, plain(restate.Sleep(ctx, milliseconds(10)))
}

func ok(ctx restate.Context, label string) restate.RunAsyncFuture[string] {
	return restate.RunAsync(ctx, func(restate.RunContext) (string, error) {
		return label, nil
	}, restate.WithName(label))
}

func bad(ctx restate.Context, label string) restate.RunAsyncFuture[string] {
	return restate.RunAsync(ctx, func(restate.RunContext) (string, error) {
		return "", teapot(label)
	}, restate.WithName(label))
}

func combine(ctx restate.Context, _ restate.Void) (Combined, error) {
	combined := Combined{}

	fine, broken := ok(ctx, "fine"), bad(ctx, "broken")
	for _, future := range []restate.RunAsyncFuture[string]{fine, broken} {
		value, err := future.Result()
		if err != nil {
			value = err.Message()
		}
		combined.Settled = append(combined.Settled, value)
	}

	late, early := restate.After(ctx, hour), ok(ctx, "early")
	first, err := restate.WaitFirst(ctx, late, early)
	if err != nil {
		return combined, err
	}
	combined.Race = "late"
	if first == restate.Future(early) {
		if combined.Race, err = early.Result(); err != nil {
			return combined, err
		}
	}

	failing, working := bad(ctx, "first"), ok(ctx, "second")
	for future, err := range restate.Wait(ctx, failing, working) {
		if err != nil {
			return combined, err
		}
		if value, err := future.(restate.RunAsyncFuture[string]).Result(); err == nil {
			combined.Any = value
			break
		}
	}

	a, b, c := ok(ctx, "a"), ok(ctx, "b"), restate.After(ctx, milliseconds(5))
	for _, future := range []restate.RunAsyncFuture[string]{a, b} {
		value, err := future.Result()
		if err != nil {
			return combined, err
		}
		combined.All = append(combined.All, value)
	}
	combined.All = append(combined.All, "c")
	return combined, plain(c.Done())
}

func timeout(ctx restate.Context, ms float64) (string, error) {
	never, expired := restate.Awakeable[Json](ctx), restate.After(ctx, milliseconds(ms))
	first, err := restate.WaitFirst(ctx, never, expired)
	if err != nil {
		return "", err
	}
	if first == restate.Future(expired) {
		return "timed out", plain(expired.Done())
	}
	return "answered", nil
}

func cleanup(ctx restate.Context, _ restate.Void) (restate.Void, error) {
	// The cancellation may arrive before the step's own result does.
	_, err := step(ctx, "started")
	if err == nil {
		err = plain(restate.Sleep(ctx, hour))
	}
	if err != nil {
		if _, failed := step(ctx, "cleaned up"); failed != nil {
			return restate.Void{}, failed
		}
	}
	return restate.Void{}, err
}

func outer(self string) restate.ServiceHandlerFn[restate.Void, restate.Void] {
	return func(ctx restate.Context, _ restate.Void) (restate.Void, error) {
		future := restate.Service[restate.Void](ctx, self, "cleanup").RequestFuture(restate.Void{})
		_, err := step(ctx, "callee "+future.GetInvocationId())
		if err == nil {
			_, ended := future.Response()
			err = plain(ended)
		}
		if err != nil {
			if _, failed := step(ctx, "outer cleaned up"); failed != nil {
				return restate.Void{}, failed
			}
		}
		return restate.Void{}, err
	}
}
