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
  },
});

const server = http2.createServer(restate.createEndpointHandler({ services: [bench] }));
server.listen(Number(process.env.PORT), "127.0.0.1");
