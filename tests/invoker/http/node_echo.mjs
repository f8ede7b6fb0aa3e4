// Echoes request bodies as they arrive: over HTTP/2 with prior knowledge, or HTTP/1.1.
// node node_echo.mjs PORT h2|h1 MAX_CONCURRENT_STREAMS
import http from "node:http";
import http2 from "node:http2";

const [port, kind, streams] = process.argv.slice(2);
const echo = (request, response) => {
  response.writeHead(200, { "content-type": "text/plain" });
  response.flushHeaders?.();
  request.pipe(response);
};
const server =
  kind === "h2"
    ? http2.createServer({ settings: { maxConcurrentStreams: Number(streams) } }, echo)
    : http.createServer(echo);
server.listen(Number(port), "127.0.0.1");
