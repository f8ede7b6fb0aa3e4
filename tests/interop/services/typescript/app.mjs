// The interop services on the official TypeScript SDK. The contract (names, arguments, answers, side
// effects) is the same as in ../python/app.py; the tests do not know which one they talk to.
//
// PORT                where to listen
// REQUEST_RESPONSE    set: HTTP/1.1, request/response; else HTTP/2, full duplex
// PREFIX              of the service names, Ts by default
// MAX_STREAMS         concurrent streams to allow per connection, HTTP/2 only
// SIDE_EFFECTS_FILE   one line per side effect: invocation id, tab, label

import { appendFileSync, readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

const { RestatePromise, TerminalError } = restate;
const HOUR_MS = 3_600_000;
const SERVICE_RETRIES = { initialInterval: 20, exponentiationFactor: 1.5, maxInterval: 200 };
const RUN_RETRIES = { initialRetryInterval: 10, retryIntervalFactor: 1.5, maxRetryInterval: 100 };

function write(id, label) {
  appendFileSync(process.env.SIDE_EFFECTS_FILE, `${id}\t${label}\n`);
}

function written(id, label) {
  const line = `${id}\t${label}`;
  return readFileSync(process.env.SIDE_EFFECTS_FILE, "utf8").split("\n").filter((l) => l === line).length;
}

/** A durable step whose execution the tests can count. */
function step(ctx, label, value = label) {
  const { id } = ctx.request();
  return ctx.run(label, () => {
    write(id, label);
    return value;
  });
}

function refuse(message, errorCode, metadata) {
  throw new TerminalError(message, { errorCode, metadata });
}

function actions(prefix, options) {
  const self = (ctx, method, parameter) =>
    ctx.genericCall({
      service: `${prefix}Actions`,
      method,
      parameter,
      inputSerde: restate.serde.json,
      outputSerde: restate.serde.json,
    });

  return restate.service({
    name: `${prefix}Actions`,
    options,
    handlers: {
      echo: async (_ctx, value) => value,

      headers: async (ctx) => Object.fromEntries(ctx.request().headers),

      steps: async (ctx, count) => {
        const done = [];
        for (let i = 0; i < count; i++) done.push(await step(ctx, `step ${i}`));
        return done;
      },

      runFailsThenSucceeds: async (ctx, times) => {
        const { id } = ctx.request();
        return await ctx.run(
          "unlucky",
          () => {
            write(id, "attempt");
            const attempt = written(id, "attempt");
            if (attempt <= times) throw new Error(`attempt ${attempt} fails`);
            return attempt;
          },
          { ...RUN_RETRIES, maxRetryAttempts: 20 },
        );
      },

      runGivesUp: async (ctx) => {
        const { id } = ctx.request();
        try {
          await ctx.run(
            "hopeless",
            () => {
              write(id, "attempt");
              throw new Error("never works");
            },
            { ...RUN_RETRIES, maxRetryAttempts: 3 },
          );
        } catch (error) {
          if (!(error instanceof TerminalError)) throw error;
          return "gave up";
        }
      },

      runFailsForGood: async (ctx) => {
        const { id } = ctx.request();
        await ctx.run("teapot", () => {
          write(id, "attempt");
          refuse("short and stout", 418);
        });
      },

      fails: async (_ctx, { message, code, metadata }) => refuse(message, code, metadata),

      flaky: async (ctx, times) => {
        const { id } = ctx.request();
        write(id, "attempt");
        const attempt = written(id, "attempt");
        if (attempt <= times) throw new Error(`attempt ${attempt} fails`);
        return attempt;
      },

      retryAfter: async (ctx, delayMs) => {
        const { id } = ctx.request();
        write(id, "attempt");
        if (written(id, "attempt") === 1) {
          throw new restate.RetryableError("later", { retryAfter: { milliseconds: delayMs } });
        }
        return "recovered";
      },

      untilFixed: restate.handlers.handler(
        { retryPolicy: { ...SERVICE_RETRIES, maxAttempts: 2, onMaxAttempts: "pause" } },
        async (ctx) => {
          const { id } = ctx.request();
          await step(ctx, "before");
          if (written(id, "fixed") === 0) throw new Error("not fixed yet");
          return "fixed";
        },
      ),

      killedByPolicy: restate.handlers.handler(
        { retryPolicy: { ...SERVICE_RETRIES, maxAttempts: 2, onMaxAttempts: "kill" } },
        async () => {
          throw new Error("always fails");
        },
      ),

      nap: async (ctx, ms) => {
        await ctx.sleep(ms, "nap");
        return "rested";
      },

      callEcho: async (ctx, value) => await self(ctx, "echo", value),

      callMany: async (ctx, count) => {
        const calls = [];
        for (let i = 0; i < count; i++) calls.push(self(ctx, "echo", i));
        return await RestatePromise.all(calls);
      },

      call: async (ctx, { service, key, handler, argument }) =>
        await ctx.genericCall({
          service,
          key,
          method: handler,
          parameter: argument,
          inputSerde: argument === undefined ? restate.serde.empty : restate.serde.json,
          outputSerde: restate.serde.json,
        }),

      send: async (ctx, { service, key, handler, argument, delayMs, idempotencyKey }) =>
        await ctx.genericSend({
          service,
          key,
          method: handler,
          parameter: argument,
          inputSerde: argument === undefined ? restate.serde.empty : restate.serde.json,
          delay: delayMs,
          idempotencyKey,
        }).invocationId,

      callThenCancel: async (ctx) => {
        const call = self(ctx, "nap", HOUR_MS);
        ctx.cancel(await call.invocationId);
        try {
          return await call;
        } catch (error) {
          if (!(error instanceof TerminalError)) throw error;
          return error.code;
        }
      },

      waitAwakeable: async (ctx) => {
        const { id, promise } = ctx.awakeable();
        await step(ctx, `awakeable ${id}`);
        return await promise;
      },

      resolveAwakeable: async (ctx, { id, value }) => ctx.resolveAwakeable(id, value),

      rejectAwakeable: async (ctx, { id, reason }) => ctx.rejectAwakeable(id, reason),

      waitSignal: async (ctx, name) => {
        await step(ctx, "waiting");
        return await ctx.signal(name);
      },

      resolveSignal: async (ctx, { id, name, value }) => ctx.invocation(id).signal(name).resolve(value),

      rejectSignal: async (ctx, { id, name, reason }) => ctx.invocation(id).signal(name).reject(reason),

      attachTo: async (ctx, id) => await ctx.attach(id, restate.serde.json),

      cancelOther: async (ctx, id) => ctx.cancel(id),

      // What the first attempt drew is journaled; every later attempt draws again from the same seed.
      identity: async (ctx) => {
        const drawn = { uuid: ctx.rand.uuidv4(), number: ctx.rand.random() };
        const journaled = await ctx.run("drawn", () => drawn);
        await ctx.sleep(10);
        return { drawn, journaled };
      },

      now: async (ctx) => {
        const first = await ctx.date.now();
        await ctx.sleep(10);
        return first;
      },

      combine: async (ctx) => {
        const ok = (label) => ctx.run(label, () => label);
        const bad = (label) => ctx.run(label, () => refuse(label, 418));
        const settled = await RestatePromise.allSettled([ok("fine"), bad("broken")]);
        return {
          race: await RestatePromise.race([ctx.sleep(HOUR_MS).map(() => "late"), ok("early")]),
          any: await RestatePromise.any([bad("first"), ok("second")]),
          all: await RestatePromise.all([ok("a"), ok("b"), ctx.sleep(5).map(() => "c")]),
          settled: settled.map((s) => (s.status === "fulfilled" ? s.value : s.reason.message)),
        };
      },

      timeout: async (ctx, ms) => {
        try {
          await ctx.awakeable().promise.orTimeout(ms);
        } catch (error) {
          if (!(error instanceof restate.TimeoutError)) throw error;
          return "timed out";
        }
      },

      cleanup: async (ctx) => {
        await step(ctx, "started");
        try {
          await ctx.sleep(HOUR_MS);
        } catch (error) {
          if (!(error instanceof TerminalError)) throw error;
          await step(ctx, "cleaned up");
          throw error;
        }
      },

      outer: async (ctx) => {
        const call = self(ctx, "cleanup");
        await step(ctx, `callee ${await call.invocationId}`);
        try {
          await call;
        } catch (error) {
          if (!(error instanceof TerminalError)) throw error;
          await step(ctx, "outer cleaned up");
          throw error;
        }
      },
    },
  });
}

function counter(name, options) {
  return restate.object({
    name,
    options,
    handlers: {
      add: async (ctx, amount) => {
        const total = ((await ctx.get("total")) ?? 0) + amount;
        ctx.set("total", total);
        return total;
      },

      // Reads, waits and writes: lost updates would show if two ran at once on one key.
      addSlowly: async (ctx, amount) => {
        const before = (await ctx.get("total")) ?? 0;
        await step(ctx, "slowly");
        await ctx.sleep(5);
        ctx.set("total", before + amount);
        return before + amount;
      },

      get: restate.handlers.object.shared(async (ctx) => await ctx.get("total")),

      keys: restate.handlers.object.shared(async (ctx) => (await ctx.stateKeys()).sort()),

      put: async (ctx, entries) => {
        for (const [key, value] of Object.entries(entries)) ctx.set(key, value);
        return (await ctx.stateKeys()).sort();
      },

      clear: async (ctx, key) => {
        ctx.clear(key);
      },

      clearAll: async (ctx) => {
        ctx.clearAll();
      },

      append: async (ctx, item) => {
        const items = [...((await ctx.get("items")) ?? []), item];
        ctx.set("items", items);
        return items;
      },

      hold: async (ctx) => {
        const { id, promise } = ctx.awakeable();
        await step(ctx, `awakeable ${id}`);
        return await promise;
      },
    },
  });
}

function flow(name, options) {
  return restate.workflow({
    name,
    options,
    handlers: {
      run: async (ctx, input) => {
        ctx.set("stage", "waiting");
        await step(ctx, "run");
        const decision = await ctx.promise("approval");
        ctx.set("stage", "decided");
        return { key: ctx.key, input, decision };
      },
      approve: async (ctx, value) => await ctx.promise("approval").resolve(value),
      reject: async (ctx, reason) => await ctx.promise("approval").reject(reason),
      peek: async (ctx) => (await ctx.promise("approval").peek()) ?? null,
      stage: async (ctx) => await ctx.get("stage"),
    },
  });
}

function secret(name, options) {
  return restate.service({
    name,
    options: { ...options, ingressPrivate: true },
    handlers: { tell: async () => "told" },
  });
}

function definitions(prefix, options = {}) {
  const common = { retryPolicy: { ...SERVICE_RETRIES, maxAttempts: 50 }, ...options };
  return [
    actions(prefix, common),
    counter(`${prefix}Counter`, common),
    counter(`${prefix}LazyCounter`, { ...common, enableLazyState: true }),
    flow(`${prefix}Flow`, common),
    secret(`${prefix}Secret`, common),
  ];
}

const port = Number(process.env.PORT);
const prefix = process.env.PREFIX ?? "Ts";
if (process.env.REQUEST_RESPONSE) {
  const services = definitions(`${prefix}Rr`);
  http.createServer(restate.createEndpointHandler({ services, bidirectional: false })).listen(port, "127.0.0.1");
} else {
  const services = [...definitions(prefix), ...definitions(`${prefix}Idle`, { inactivityTimeout: 0 })];
  const settings = process.env.MAX_STREAMS ? { maxConcurrentStreams: Number(process.env.MAX_STREAMS) } : {};
  http2.createServer({ settings }, restate.createEndpointHandler({ services })).listen(port, "127.0.0.1");
}
