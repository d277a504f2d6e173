"use strict";

// Runs a Node.js function: loads its handler, then takes one event after the other from the
// Lambda Runtime API and answers it. Texts and types of errors are those that functions and
// their tests know from Lambda.
//
// Handlers of nodejs22.x and older may use a callback, and are answered when the event loop is
// empty; newer ones return a value or a promise.

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { Writable } = require("node:stream");
const { pathToFileURL } = require("node:url");
const { isNativeError } = require("node:util").types;

const { settings } = require("./node_preload.cjs");

const environment = { ...process.env };
const runtimeMajor = Number(/nodejs(\d+)/.exec(environment.AWS_EXECUTION_ENV)?.[1]);
const hasCallbacks = !(runtimeMajor >= 24);
const concurrency = Number(environment.AWS_LAMBDA_MAX_CONCURRENCY) || 1;

const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const MODULE_ERRORS = ["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"];
// A result above Lambda's 6 MB is an error whatever follows, so streams keep no more of it.
const STREAM_BYTES_MAX = 8 * 1024 * 1024;

class RuntimeError extends Error {
  constructor(type, message) {
    super(message);
    this.name = `Runtime.${type}`;
  }
}

// ---- errors

function describe(error) {
  try {
    const { name, message, stack } = error ?? {};
    const isLikeError = [name, message, stack].every((text) => text && typeof text === "string");
    if (isNativeError(error) || isLikeError) {
      return {
        errorType: visible(name),
        errorMessage: visible(message) + missingSdk(error),
        trace: visible(stack)?.split("\n") ?? [],
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: "handled",
      errorMessage:
        "callback called with Error argument, but there was a problem while retrieving one or " +
        "more of its message, name, and stack",
      trace: [],
    };
  }
}

function visible(text) {
  return text?.replaceAll("\x7f", "%7F");
}

// Lambda's runtime brings the AWS SDK; this machine may not have it.
function missingSdk(error) {
  const cause = error.cause ?? error;
  if (!MODULE_ERRORS.includes(cause.code)) return "";
  const part = /'(aws-sdk|@(?:aws-sdk|smithy)\/[\w.-]+)(?:\/[^']*)?'/.exec(cause.message)?.[1];
  if (!part) return "";
  const command = settings.folder
    ? `\`npm install ${part}\` in ${settings.folder}`
    : `\`npm install ${part}\` in the folder where the gateway starts, or \`npm install -g ${part}\``;
  return `\nLambda's runtime brings ${part}; on this machine run ${command}`;
}

function log(what, error) {
  const { errorType, errorMessage, trace } = describe(error);
  const stack = error?.cause ? describe(error.cause).trace : trace;
  console.error(`${what}\t${JSON.stringify({ errorType, errorMessage, stack })}`);
}

// ---- Runtime API

const API = "/2018-06-01/runtime/";
const HOST = environment.AWS_LAMBDA_RUNTIME_API;
const NEXT = `GET ${API}invocation/next HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;

// One connection. The answer to an event and the request for the next one go out in one write.
class Connection {
  #socket;
  #chunks = [];
  #length = 0;
  #needed = 0; // bytes that must be there before it is worth looking again
  #waiting = []; // what to do with the responses to come, in order

  constructor() {
    const [host, port] = environment.AWS_LAMBDA_RUNTIME_API.split(":");
    this.#socket = net.connect({ host, port: Number(port), noDelay: true });
    this.#socket.on("data", (chunk) => this.#receive(chunk));
    // Without the Runtime API there is nothing left to do.
    this.#socket.on("error", () => process.exit(1));
    this.#socket.on("close", () => process.exit(1));
  }

  next(onEvent) {
    this.#expect(onEvent);
    this.#socket.write(NEXT);
  }

  // `then` is told when the answer has arrived; with `onEvent` the next event is asked for.
  answer(path, headers, body, { then, onEvent }) {
    this.#expect(then ?? (() => {}));
    let head = `POST ${API}${path} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: `;
    head += `${Buffer.byteLength(body)}\r\n`;
    for (const name in headers) head += `${name}: ${headerValue(headers[name])}\r\n`;
    if (onEvent) this.#expect(onEvent);
    const rest = onEvent ? NEXT : "";
    if (typeof body === "string") {
      this.#socket.write(`${head}\r\n${body}${rest}`);
    } else {
      this.#socket.write(Buffer.concat([Buffer.from(`${head}\r\n`), body, Buffer.from(rest)]));
    }
  }

  // While a handler works, only its own work keeps the event loop from being empty.
  rest() {
    this.#socket.unref();
  }

  #expect(onResponse) {
    this.#socket.ref();
    this.#waiting.push(onResponse);
  }

  #receive(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    for (;;) {
      const response = this.#take();
      if (!response) return;
      this.#waiting.shift()?.(response);
    }
  }

  // A whole response, if it is there. The host always says how long a body is.
  #take() {
    if (this.#length === 0 || this.#length < this.#needed) return undefined;
    const bytes = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    const headEnd = bytes.indexOf("\r\n\r\n");
    if (headEnd < 0) return undefined;
    const [statusLine, ...lines] = bytes.latin1Slice(0, headEnd).split("\r\n");
    const headers = {};
    for (const line of lines) {
      const colon = line.indexOf(":");
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const end = headEnd + 4 + Number(headers["content-length"] ?? 0);
    if (bytes.length < end) {
      this.#needed = end;
      return undefined;
    }
    this.#needed = 0;
    this.#length = bytes.length - end;
    this.#chunks = this.#length === 0 ? [] : [bytes.subarray(end)];
    const body = bytes.utf8Slice(headEnd + 4, end);
    return { status: Number(statusLine.split(" ")[1]), headers, body };
  }
}

// Types of errors come from the function's code: they must not end the header.
function headerValue(text) {
  return String(text).replace(/[^\x20-\x7e]/g, "").slice(0, 256);
}

// ---- loading

async function loadHandler(root, name) {
  if (name.includes("..")) {
    throw new RuntimeError(
      "MalformedHandlerName",
      `'${name}' is not a valid handler name. Use absolute paths when specifying root ` +
        "directories in handler names.",
    );
  }
  const base = path.basename(name);
  const folder = name.slice(0, name.indexOf(base));
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw new RuntimeError("MalformedHandlerName", "Bad handler");
  const [, file, property] = match;
  const loaded = await loadModule(root, folder, file);
  let handler = member(loaded, property);
  if (!handler && !hasCallbacks) handler = member(loaded?.default, property);
  if (!handler) throw new RuntimeError("HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") {
    throw new RuntimeError("HandlerNotFound", `${name} is not a function`);
  }
  if (!hasCallbacks && handler.length >= 3 && !isStreaming(handler)) {
    throw new RuntimeError(
      "CallbackHandlerDeprecated",
      "ERROR: AWS Lambda has removed support for callback-based function handlers starting with " +
        "Node.js 24. You need to modify this function to use a supported handler signature to " +
        "use Node.js 24 or later. For more information see " +
        "https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.",
    );
  }
  return handler;
}

function member(value, names) {
  return names.split(".").reduce((inner, name) => inner && inner[name], value);
}

async function loadModule(root, folder, file) {
  const target = path.resolve(root, folder, file);
  try {
    for (const extension of ["", ".js", ".mjs", ".cjs"]) {
      const candidate = target + extension;
      if (!fs.existsSync(candidate)) continue;
      return await (isEsModule(candidate) ? import(pathToFileURL(candidate)) : require(candidate));
    }
    const paths = [root, path.join(root, folder)];
    return require(require.resolve(file, { paths }));
  } catch (error) {
    if (error instanceof SyntaxError) throw renamed("UserCodeSyntaxError", error);
    if (error?.code === "MODULE_NOT_FOUND") throw renamed("ImportModuleError", error);
    throw error;
  }
}

function renamed(type, cause) {
  const error = new RuntimeError(type, String(cause));
  error.stack = cause.stack; // it names the file and the line
  error.cause = cause;
  return error;
}

// Newer runtimes leave the question to `import`; older ones ask the nearest package.json.
function isEsModule(file) {
  if (file.endsWith(".mjs")) return true;
  if (!hasCallbacks) return !fs.statSync(file).isDirectory();
  if (!file.endsWith(".js")) return false;
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    if (folder.endsWith("/node_modules")) return false;
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")).type === "module";
    } catch (error) {
      if (error.code !== "ENOENT" && error.code !== "ENOTDIR") return false;
    }
    if (folder === path.dirname(folder)) return false;
  }
}

function isStreaming(handler) {
  const mark = handler[STREAMING];
  if (mark === undefined || mark === null || mark === false) return false;
  if (mark === "response") return true;
  throw new RuntimeError("MalformedStreamingHandler", "Only response streaming is supported.");
}

// ---- streams

// What `awslambda.streamifyResponse` hands to its handler. The whole response is collected: who
// invokes a function through an API waits for all of it anyway.
class ResponseStream extends Writable {
  contentType = "application/octet-stream";
  bytes = [];
  length = 0;

  setContentType(contentType) {
    this.contentType = contentType;
  }

  write(chunk, ...rest) {
    const isBytes = typeof chunk === "string" || chunk instanceof Uint8Array;
    return super.write(isBytes ? chunk : JSON.stringify(chunk), ...rest);
  }

  _write(chunk, _encoding, done) {
    this.length += chunk.length;
    if (this.length <= STREAM_BYTES_MAX) this.bytes.push(chunk);
    done();
  }
}

globalThis.awslambda = {
  ...globalThis.awslambda,
  streamifyResponse(handler) {
    handler[STREAMING] = "response";
    return handler;
  },
  HttpResponseStream: {
    from(stream, prelude) {
      stream.setContentType("application/vnd.awslambda.http-integration-response");
      stream.write(JSON.stringify(prelude));
      stream.write(new Uint8Array(8));
      return stream;
    },
  },
};

// ---- invocations

const running = new Set();
let onEmptyLoop; // what to do when nothing is left to wait for

class Invocation {
  #connection;
  #isAnswered = false;

  constructor(connection, { headers, body }) {
    this.#connection = connection;
    this.id = headers["lambda-runtime-aws-request-id"];
    this.headers = headers;
    this.body = body;
    running.add(this);
  }

  context() {
    const { headers } = this;
    const deadline = Number(headers["lambda-runtime-deadline-ms"]);
    const trace = { xRayTraceId: headers["lambda-runtime-trace-id"] };
    return {
      functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
      functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
      memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: json(headers["lambda-runtime-client-context"]),
      identity: json(headers["lambda-runtime-cognito-identity"]),
      invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
      awsRequestId: this.id,
      tenantId: headers["lambda-runtime-aws-tenant-id"],
      getRemainingTimeInMillis: () => deadline - Date.now(),
      ...(hasCallbacks ? {} : trace),
    };
  }

  succeed(result) {
    let body;
    try {
      // Of a function nothing is left; Lambda sends that word, which is no JSON.
      body = JSON.stringify(result === undefined ? null : result) ?? "undefined";
    } catch {
      const message = "Unable to stringify response body";
      return this.fail(hasCallbacks ? new Error(message) : new RuntimeError("JSONStringifyError", message));
    }
    return this.#answer("response", { "Content-Type": "application/json" }, body);
  }

  succeedWithStream(stream) {
    this.#answer("response", { "Content-Type": stream.contentType }, Buffer.concat(stream.bytes));
  }

  fail(error, exit) {
    log("Invoke Error", error);
    this.#fail(error, exit);
  }

  // For errors that were logged.
  crash(error, exit) {
    this.#fail(error, exit);
  }

  #fail(error, exit) {
    const description = describe(error);
    const headers = {
      "Content-Type": "application/vnd.aws.lambda.error+json",
      "Lambda-Runtime-Function-Error-Type": description.errorType,
    };
    this.#answer("error", headers, JSON.stringify(description), exit);
  }

  #answer(kind, headers, body, exit) {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    running.delete(this);
    onEmptyLoop = undefined;
    const invocationId = this.headers["lambda-runtime-invocation-id"];
    if (invocationId) headers["Lambda-Runtime-Invocation-Id"] = invocationId;
    const then = exit ? { then: exit } : { onEvent: (next) => invoke(this.#connection, next) };
    this.#connection.answer(`invocation/${this.id}/${kind}`, headers, body, then);
  }
}

function json(text) {
  return text ? JSON.parse(text) : undefined;
}

let handler;
let run;
let hasServed = false;

function invoke(connection, response) {
  if (response.status !== 200) process.exit(1);
  hasServed = true;
  const invocation = new Invocation(connection, response);
  if (concurrency === 1) {
    connection.rest();
    const trace = response.headers["lambda-runtime-trace-id"];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
  }
  run(invocation);
}

async function runModern(invocation) {
  try {
    invocation.succeed(await handler(JSON.parse(invocation.body), invocation.context()));
  } catch (error) {
    invocation.fail(error);
  }
}

async function runStreaming(invocation) {
  const stream = new ResponseStream();
  try {
    const pending = handler(JSON.parse(invocation.body), stream, invocation.context());
    if (typeof pending?.then !== "function") {
      throw new Error("Streaming does not support non-async handlers.");
    }
    await pending;
    if (!stream.writableFinished) {
      if (!stream.writableEnded) throw new Error("Response stream is not finished.");
      await new Promise((resolve) => stream.once("finish", resolve));
    }
    invocation.succeedWithStream(stream);
  } catch (error) {
    invocation.fail(error);
  }
}

// The first of callback, `done`, `succeed`, `fail`, the promise and an empty event loop counts.
function runWithCallback(invocation) {
  let waitsForEmptyLoop = concurrency === 1;
  let isCalled = false;
  const once = (action) => (...values) => {
    if (isCalled) return;
    isCalled = true;
    action(...values);
  };
  const done = (error, result) => {
    if (error !== undefined && error !== null) invocation.fail(error);
    else invocation.succeed(result);
  };
  const callback = once((error, result) => {
    const isError = error !== undefined && error !== null;
    if (isError || !waitsForEmptyLoop) done(error, result);
    else onEmptyLoop = () => invocation.succeed(result);
  });
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return waitsForEmptyLoop;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waitsForEmptyLoop = Boolean(value) && concurrency === 1;
    },
    done: once(done),
    succeed: once((result) => done(null, result)),
    fail: once((error) => done(error ?? "handled")),
    ...invocation.context(),
  };
  if (concurrency === 1) onEmptyLoop = () => invocation.succeed(null);
  try {
    const pending = handler(JSON.parse(invocation.body), context, callback);
    if (typeof pending?.then === "function") pending.then(context.succeed, context.fail);
  } catch (error) {
    callback(error);
  }
}

// ---- start

class UnhandledPromiseRejection extends RuntimeError {
  constructor(reason) {
    super("UnhandledPromiseRejection", reason === undefined ? "" : String(reason));
    if (isNativeError(reason)) this.cause = reason;
  }
}

// Every event that is being handled gets the error; then the process ends.
function crash(what, error, code) {
  log(what, error);
  let left = running.size;
  const leave = () => {
    left -= 1;
    if (left <= 0) process.exit(code);
  };
  if (left > 0) for (const invocation of running) invocation.crash(error, leave);
  else if (hasServed) process.exit(code);
  else reportInit(error, code);
}

function reportInit(error, code) {
  const description = describe(error);
  const headers = {
    "Content-Type": "application/vnd.aws.lambda.error+json",
    "Lambda-Runtime-Function-Error-Type": description.errorType,
  };
  const then = () => process.exit(code);
  new Connection().answer("init/error", headers, JSON.stringify(description), { then });
}

process.on("uncaughtException", (error) => crash("Uncaught Exception", error, 129));
process.on("unhandledRejection", (reason) =>
  crash("Unhandled Promise Rejection", new UnhandledPromiseRejection(reason), 128),
);
process.on("beforeExit", () => {
  const action = onEmptyLoop;
  onEmptyLoop = undefined;
  action?.();
});

async function start() {
  try {
    const loaded = await loadHandler(environment.LAMBDA_TASK_ROOT, environment._HANDLER);
    run = isStreaming(loaded) ? runStreaming : hasCallbacks ? runWithCallback : runModern;
    handler = loaded;
  } catch (error) {
    log("Init Error", error);
    reportInit(error, 129);
    return;
  }
  for (let count = 0; count < concurrency; count += 1) {
    const connection = new Connection();
    connection.next((response) => invoke(connection, response));
  }
}

start();
