// Node 20 lacks Promise.withResolvers, which the SDK calls; newer versions keep their own.
Promise.withResolvers ??= () => { let resolve, reject; const promise = new Promise((a, b) => { resolve = a; reject = b; }); return { promise, resolve, reject }; };
