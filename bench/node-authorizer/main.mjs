// Asks Lambda's Runtime API for events, as little as there is to it: AWS's own client takes longer.

import { Agent, request } from "node:http";
import { handler } from "./authorizer.mjs";

const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const asked = request(`${base}/${path}`, { method, agent }, async (response) => {
      let text = "";
      for await (const part of response.setEncoding("utf8")) text += part;
      resolve({ id: response.headers["lambda-runtime-aws-request-id"], text });
    });
    asked.on("error", reject).end(body);
  });
}

for (;;) {
  const { id, text } = await ask("GET", "next");
  try {
    await ask("POST", `${id}/response`, JSON.stringify(handler(JSON.parse(text))));
  } catch (error) {
    await ask("POST", `${id}/error`, JSON.stringify({ errorMessage: error.message }));
  }
}
