// The official TypeScript ingress client against a server: each line of output is one answer, as JSON.
// Arguments: ingress URL, service prefix, a key nobody used.

import * as clients from "@restatedev/restate-sdk-clients";

const [, , url, prefix, key] = process.argv;
const ingress = clients.connect({ url });
const print = (value) => console.log(JSON.stringify(value));

const actions = ingress.serviceClient({ name: `${prefix}Actions` });
print(await actions.echo({ hello: "client" }));

const counter = ingress.objectClient({ name: `${prefix}Counter` }, key);
print(await counter.add(2, clients.rpc.opts({ idempotencyKey: `${key}-once` })));
print(await counter.add(2, clients.rpc.opts({ idempotencyKey: `${key}-once` })));

const sent = await ingress
  .objectSendClient({ name: `${prefix}Counter` }, key)
  .add(3, clients.rpc.sendOpts({ idempotencyKey: `${key}-sent`, delay: { milliseconds: 50 } }));
print(sent.status);
print(await ingress.result(sent));

const flow = ingress.workflowClient({ name: `${prefix}Flow` }, key);
const submitted = await flow.workflowSubmit("order");
print(submitted.status);
print((await flow.workflowOutput()).ready);
await flow.approve("yes");
print(await flow.workflowAttach());
print((await flow.workflowOutput()).ready);

try {
  await actions.fails({ message: "refused", code: 422 });
} catch (error) {
  print({ status: error.status, text: JSON.parse(error.responseText).message });
}
