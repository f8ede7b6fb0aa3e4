// A deployment on the official TypeScript SDK that runs only what its own server asks for.
//
// PORT            where to listen
// IDENTITY_KEYS   public keys of the servers it trusts, with commas between them

import http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

const signed = restate.service({
  name: "Signed",
  options: { retryPolicy: { initialInterval: 20, maxAttempts: 2, onMaxAttempts: "pause" } },
  handlers: {
    serve: async (ctx, name) => ctx.run("step", () => `${name} was here`),
  },
});

const identityKeys = process.env.IDENTITY_KEYS.split(",");
const handler = restate.createEndpointHandler({ services: [signed], identityKeys });
http2.createServer(handler).listen(Number(process.env.PORT), "127.0.0.1");
