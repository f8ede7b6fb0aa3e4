// The benchmark's handlers on the official TypeScript SDK, over HTTP/2 and full duplex.
// PORT: where to listen.

import http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

const bench = restate.service({
  name: "TsBench",
  handlers: {
    trivial: async (_ctx, name) => `hello ${name}`,
    tenSteps: async (ctx, name) => {
      let done = 0;
      for (let i = 0; i < 10; i++) done += await ctx.run(`step ${i}`, () => 1);
      return `${name}: ${done}`;
    },
    chain: async (ctx, depth) => (depth <= 1 ? 1 : 1 + (await ctx.serviceClient(bench).chain(depth - 1))),
    fanOut: async (ctx, width) => {
      const calls = Array.from({ length: width }, () => ctx.serviceClient(bench).trivial("bob"));
      return (await restate.RestatePromise.all(calls)).length;
    },
    echo: async (_ctx, payload) => payload,
  },
});

const counter = restate.object({
  name: "TsBenchCounter",
  handlers: {
    add: async (ctx, amount) => {
      const now = ((await ctx.get("count")) ?? 0) + amount;
      ctx.set("count", now);
      return now;
    },
  },
});

// Suspends at every wait.
const idle = restate.service({
  name: "TsBenchIdle",
  handlers: {
    sleep: async (ctx, ms) => {
      await ctx.sleep(ms);
      return "slept";
    },
    awakeable: async (ctx, _name) => {
      const { id, promise } = ctx.awakeable();
      ctx.serviceSendClient(idle).resolve(id);
      return await promise;
    },
    resolve: async (ctx, id) => ctx.resolveAwakeable(id, "done"),
  },
  options: { inactivityTimeout: 0 },
});

const server = http2.createServer(restate.createEndpointHandler({ services: [bench, counter, idle] }));
server.listen(Number(process.env.PORT), "127.0.0.1");
