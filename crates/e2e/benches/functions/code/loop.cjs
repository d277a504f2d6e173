"use strict";

// The same handler in a bare request loop: an event comes as the body of a request, its result
// leaves as the body of the response. Prints its address once it listens.

const http = require("node:http");
const { handler } = require("./echo.js");

const server = http.createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => (text += chunk));
  request.on("end", async () => {
    const result = JSON.stringify(await handler(JSON.parse(text), {}));
    const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(result) };
    response.writeHead(200, headers).end(result);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
