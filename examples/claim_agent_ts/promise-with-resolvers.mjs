// The official SDK uses Promise.withResolvers, which Node has from version 22 on. Node 20 gets it from here.
Promise.withResolvers ??= function () { let resolve, reject; return { promise: new this((a, b) => ((resolve = a), (reject = b))), resolve, reject }; };
