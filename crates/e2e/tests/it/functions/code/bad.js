// Misbehaves as a message says.
const { spawn } = require("node:child_process");

const ok = { statusCode: 200, body: "ok" };

const acts = {
  echo: () => ok,
  raise: () => {
    throw new Error("no such room");
  },
  string: () => {
    throw "only a string";
  },
  list: () => [1, 2, 3],
  huge: () => ({ statusCode: 200, body: "x".repeat(6.1 * 1024 * 1024) }),
  never: () => new Promise((done) => setTimeout(done, 1e9)),
  exit: () => process.exit(7),
  kill: () => process.kill(process.pid, "SIGKILL"),
  fork: ({ mark }) => {
    spawn("sleep", [mark], { stdio: "inherit" });
    process.exit(0);
  },
  print: ({ bytes }) => {
    const line = `${"p".repeat(999)}\n`;
    for (let printed = 0; printed < bytes; printed += line.length) process.stdout.write(line);
    return ok;
  },
  colour: () => {
    process.stderr.write("\x1b[31mred\x1b[0m \x07 one\rtwo\n");
    process.stdout.write(Buffer.from([0xff, 0xfe, 0x21, 0x0a]));
    return ok;
  },
  later: () => {
    Promise.reject(new Error("nobody waited"));
    return new Promise((done) => setTimeout(() => done(ok), 1e9));
  },
};

exports.handler = async ({ body }) => {
  const message = JSON.parse(body);
  return acts[message.act](message);
};
