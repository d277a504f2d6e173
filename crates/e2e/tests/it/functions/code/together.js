// Answers once four invocations are here at the same time.
const { readdirSync, writeFileSync } = require("node:fs");

const folder = process.env.TOGETHER;

exports.handler = async (event, context) => {
  writeFileSync(`${folder}/${context.awsRequestId}`, "");
  while (readdirSync(folder).length < 4) await new Promise((done) => setTimeout(done, 5));
  return { statusCode: 200, body: "together" };
};
