package main

import (
	"sort"

	restate "github.com/restatedev/sdk-go"
)

func counter(name string, options []restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return restate.NewObject(name, options...).
		Handler("add", restate.NewObjectHandler(add)).
		Handler("addSlowly", restate.NewObjectHandler(addSlowly)).
		Handler("get", restate.NewObjectSharedHandler(total)).
		Handler("keys", restate.NewObjectSharedHandler(keys[restate.ObjectSharedContext])).
		Handler("put", restate.NewObjectHandler(put)).
		Handler("clear", restate.NewObjectHandler(clearOne)).
		Handler("clearAll", restate.NewObjectHandler(clearAll)).
		Handler("append", restate.NewObjectHandler(appendItem)).
		Handler("hold", restate.NewObjectHandler(waitAwakeable[restate.ObjectContext]))
}

func add(ctx restate.ObjectContext, amount int) (int, error) {
	before, err := restate.Get[int](ctx, "total")
	if err != nil {
		return 0, err
	}
	restate.Set(ctx, "total", before+amount)
	return before + amount, nil
}

// addSlowly reads, waits and writes: lost updates would show if two ran at once on one key.
func addSlowly(ctx restate.ObjectContext, amount int) (int, error) {
	before, err := restate.Get[int](ctx, "total")
	if err != nil {
		return 0, err
	}
	if _, err := step(ctx, "slowly"); err != nil {
		return 0, err
	}
	if err := restate.Sleep(ctx, milliseconds(5)); err != nil {
		return 0, err
	}
	restate.Set(ctx, "total", before+amount)
	return before + amount, nil
}

func total(ctx restate.ObjectSharedContext, _ restate.Void) (*int, error) {
	value, err := restate.Get[*int](ctx, "total")
	return value, plain(err)
}

func keys[C restate.ObjectSharedContext](ctx C, _ restate.Void) ([]string, error) {
	found, err := restate.Keys(ctx)
	if err != nil {
		return nil, err
	}
	sort.Strings(found)
	return append([]string{}, found...), nil
}

func put(ctx restate.ObjectContext, entries map[string]Json) ([]string, error) {
	// The order of a map differs from attempt to attempt, and the journal would notice.
	names := []string{}
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		restate.Set(ctx, name, entries[name])
	}
	return keys(ctx, restate.Void{})
}

func clearOne(ctx restate.ObjectContext, key string) (restate.Void, error) {
	restate.Clear(ctx, key)
	return restate.Void{}, nil
}

func clearAll(ctx restate.ObjectContext, _ restate.Void) (restate.Void, error) {
	restate.ClearAll(ctx)
	return restate.Void{}, nil
}

func appendItem(ctx restate.ObjectContext, item Json) ([]Json, error) {
	items, err := restate.Get[[]Json](ctx, "items")
	if err != nil {
		return nil, err
	}
	items = append(items, item)
	restate.Set(ctx, "items", items)
	return items, nil
}

type Decision struct {
	Key      string `json:"key"`
	Input    Json   `json:"input"`
	Decision Json   `json:"decision"`
}

func flow(name string, options []restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return restate.NewWorkflow(name, options...).
		Handler("run", restate.NewWorkflowHandler(run)).
		Handler("approve", restate.NewWorkflowSharedHandler(approve)).
		Handler("reject", restate.NewWorkflowSharedHandler(reject)).
		Handler("peek", restate.NewWorkflowSharedHandler(peek)).
		Handler("stage", restate.NewWorkflowSharedHandler(stage))
}

func run(ctx restate.WorkflowContext, input Json) (Decision, error) {
	restate.Set(ctx, "stage", "waiting")
	if _, err := step(ctx, "run"); err != nil {
		return Decision{}, err
	}
	decision, err := restate.Promise[Json](ctx, "approval").Result()
	if err != nil {
		return Decision{}, err
	}
	restate.Set(ctx, "stage", "decided")
	return Decision{restate.Key(ctx), input, decision}, nil
}

func approve(ctx restate.WorkflowSharedContext, value Json) (restate.Void, error) {
	return restate.Void{}, plain(restate.Promise[Json](ctx, "approval").Resolve(value))
}

func reject(ctx restate.WorkflowSharedContext, reason string) (restate.Void, error) {
	failure := restate.TerminalErrorf("%s", reason)
	return restate.Void{}, plain(restate.Promise[Json](ctx, "approval").Reject(failure))
}

func peek(ctx restate.WorkflowSharedContext, _ restate.Void) (*Json, error) {
	value, err := restate.Promise[*Json](ctx, "approval").Peek()
	return value, plain(err)
}

func stage(ctx restate.WorkflowSharedContext, _ restate.Void) (*string, error) {
	value, err := restate.Get[*string](ctx, "stage")
	return value, plain(err)
}

func secret(name string, options []restate.ServiceDefinitionOption) restate.ServiceDefinition {
	return restate.NewService(name, options...).
		Handler("tell", restate.NewServiceHandler(func(restate.Context, restate.Void) (string, error) {
			return "told", nil
		}))
}
