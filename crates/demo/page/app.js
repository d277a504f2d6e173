// The page: log in, connect, chat, log out, and four ways to be refused.
// Whatever another user wrote is set as text, never as markup.

import { csrfToken, named, protocols, randomName, SUBPROTOCOL, tryHandshake } from "/attempt.js";

/** Entries that the conversation keeps. */
const LOG_MAX = 500;

/** How often a quiet connection shows a sign of life, in milliseconds: it is closed after ten minutes. */
const PING_EVERY = 4 * 60_000;

/** How often and how long apart (in milliseconds) a refusal is asked for: it may be noted a moment later. */
const LOOKUPS = 20;
const LOOKUP_PAUSE = 150;

/** How long the sibling may take, in milliseconds. */
const SIBLING_TIME = 20_000;

const element = (id) => document.getElementById(id);
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** Tells the other tabs that the login changed, and who left without the gateway's knowledge. */
const siblings = new BroadcastChannel("session");

let config = await ask("/config");
/** The user of this browser's cookies, or null. */
let user = null;
let socket = null;
/** The principal as whom this tab is connected, as the back end tells it. */
let connectedAs = null;
let pings = 0;
let busy = false;

// --- the back end

async function ask(path, body) {
  const request = body === undefined ? {} : {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(path, request);
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Error(value.error ?? `the back end answered ${answer.status}`);
  }
  return value;
}

async function refreshSession() {
  const session = await ask("/session");
  user = session.user;
  element("user").textContent = session.name ?? "nobody";
  element("user").dataset.user = user ?? "";
  enable();
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = text === "";
}

function enable() {
  const isOpen = socket !== null && socket.readyState === WebSocket.OPEN;
  const isIdle = socket === null;
  element("logout").disabled = user === null;
  element("connect").disabled = user === null || !isIdle;
  element("disconnect").disabled = isIdle;
  for (const id of ["join", "leave", "say"]) {
    element(id).disabled = !isOpen;
  }
  for (const id of ["refuse-csrf", "refuse-origin", "refuse-expired", "refuse-execute-api"]) {
    element(id).disabled = user === null || busy;
  }
}

// --- 1. log in and out

async function logIn(id) {
  notice("");
  await ask("/login", { user: id });
  await refreshSession();
  siblings.postMessage({ left: null });
  if (user === null || csrfToken() === null) {
    const isTls = location.protocol === "https:";
    notice(isTls
      ? "The browser did not keep the cookies. Does it block them for this host?"
      : "This browser refuses Secure cookies over plain HTTP, even on localhost. Start with --tls.");
  }
}

async function logOut() {
  notice("");
  const leaver = user;
  let isTold = true;
  try {
    await ask("/logout", {});
  } catch (error) {
    isTold = false;
    notice(error.message);
  }
  await refreshSession();
  siblings.postMessage({ left: isTold ? null : leaver });
  // The gateway closes every socket of who logged out. A tab hangs up by itself if the gateway may
  // not know, and this one also if it is connected as somebody else, since another tab logged in
  // meanwhile.
  if (!isTold || connectedAs !== leaver) {
    hangUp("logged out");
  }
}

function hangUp(reason) {
  socket?.close(1000, reason);
}

// --- 2. connect

function status(state, text) {
  element("status").dataset.state = state;
  element("status").textContent = text;
}

function connect() {
  const name = randomName();
  const opening = new WebSocket(named(config.wsUrl, name), protocols());
  let wasOpen = false;
  socket = opening;
  status("connecting", "connecting");
  enable();
  opening.addEventListener("open", () => {
    wasOpen = true;
    status("open", "connected");
    pings = setInterval(() => send({ action: "ping" }), PING_EVERY);
    enable();
    send({ action: "who" });
  });
  opening.addEventListener("message", (event) => receive(event.data));
  opening.addEventListener("close", async (event) => {
    clearInterval(pings);
    socket = null;
    connectedAs = null;
    showRoom(null, []);
    element("verdict").textContent = "nothing yet";
    enable();
    if (wasOpen) {
      const reason = event.reason === "" ? "" : ` ${event.reason}`;
      status("closed", `closed: ${event.code}${reason}`);
      log("note", null, `connection closed: ${event.code}${reason}`);
    } else {
      status("refused", "refused");
      const why = await reasonOf(name);
      if (socket === null) {
        status("refused", `refused: ${why.text}`);
      }
    }
  });
}

function send(message) {
  if (socket !== null && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify(message));
  }
}

// --- 3. chat

function receive(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    log("error", null, text);
    return;
  }
  const from = message.from?.name ?? "";
  switch (message.type) {
    case "who":
      showVerdict(message.you);
      showRoom(message.room, message.members);
      break;
    case "joined":
      showRoom(message.room, message.members);
      log("note", null, `you are in ${message.room}`);
      break;
    case "left":
      showRoom(null, []);
      log("note", null, `you left ${message.room}`);
      break;
    case "arrived":
    case "departed":
      log("note", null, `${from} ${message.type === "arrived" ? "joined" : "left"} ${message.room}`);
      send({ action: "who" });
      break;
    case "said":
      log("said", from, String(message.text));
      break;
    case "pong":
      break;
    case "error":
      log("error", null, String(message.reason));
      break;
    default:
      // The gateway's own errors come in the same stream: {"message": …, "connectionId": …}.
      log("error", null, String(message.message ?? text));
  }
}

function showVerdict(you) {
  connectedAs = you?.principal ?? null;
  if (connectedAs === null) {
    return;
  }
  status("open", `connected as ${you.name}`);
  element("verdict").textContent =
    `principal ${you.principal}, role ${you.role}, token from ${you.tokenSource}, CSRF ${you.csrf}`;
}

function showRoom(room, members) {
  element("current-room").textContent = room ?? "none";
  element("current-room").dataset.room = room ?? "";
  element("members").textContent =
    members.length === 0 ? "" : ` with ${members.map((member) => member.name).join(", ")}`;
}

function log(kind, from, text) {
  const list = element("log");
  const entry = document.createElement("p");
  entry.dataset.kind = kind;
  if (from !== null) {
    const author = document.createElement("span");
    author.className = "from";
    author.textContent = from;
    entry.append(author);
  }
  entry.append(document.createTextNode(text));
  list.append(entry);
  while (LOG_MAX < list.childElementCount) {
    list.firstElementChild.remove();
  }
  list.scrollTop = list.scrollHeight;
}

// --- 4. be refused

/** Why the gateway refused the attempt, as far as the back end can find out. */
async function reasonOf(name) {
  for (let lookup = 0; lookup < LOOKUPS; lookup += 1) {
    let found;
    try {
      found = await ask(`/attempts/${name}`);
    } catch (error) {
      return { code: "", text: `the reason is unknown, ${error.message}` };
    }
    if (found.found) {
      const rule = found.rule ? ` (${found.rule})` : "";
      return { code: found.code, text: `${found.status} ${found.code}${rule}` };
    }
    await pause(LOOKUP_PAUSE);
  }
  return { code: "", text: "the gateway noted no reason; does it run?" };
}

function show(result, outcome, code, text) {
  const output = element(`result-${result}`);
  output.dataset.outcome = outcome;
  output.dataset.code = code;
  output.textContent = text;
}

/** Runs one attempt and shows how it ended: whatever it was, not what was expected. */
async function attempt(result, run) {
  busy = true;
  enable();
  show(result, "pending", "", "trying");
  const name = randomName();
  try {
    const outcome = await run(name);
    if (outcome === "refused") {
      const why = await reasonOf(name);
      show(result, "refused", why.code, `refused: ${why.text}`);
    } else {
      show(result, outcome === "connected" ? "connected" : "unknown", "", outcome);
    }
  } catch (error) {
    show(result, "unknown", "", error.message);
  } finally {
    busy = false;
    enable();
  }
}

function fromSibling(name) {
  return new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.title = "A page of a sibling origin";
    frame.src = `${config.otherOrigin}/sibling#${name}`;
    const timer = setTimeout(() => finish("no answer"), SIBLING_TIME);
    function finish(outcome) {
      clearTimeout(timer);
      window.removeEventListener("message", hear);
      resolve(outcome);
    }
    function hear(event) {
      const isSibling = event.origin === config.otherOrigin && event.source === frame.contentWindow;
      if (isSibling && event.data?.attempt === name) {
        finish(String(event.data.outcome));
      }
    }
    window.addEventListener("message", hear);
    element("sibling").replaceChildren(frame);
  });
}

async function withExpiredToken(name) {
  const before = user;
  await ask("/expired", {});
  try {
    return await tryHandshake(config.wsUrl, name, protocols());
  } finally {
    await ask("/login", { user: before });
    await refreshSession();
    siblings.postMessage({ left: null });
  }
}

async function onExecuteApi(name) {
  if (config.executeApiUrl === null) {
    config = await ask("/config");
  }
  if (config.executeApiUrl === null) {
    throw new Error("connect once: the back end learns the API's address from the first connection");
  }
  return tryHandshake(config.executeApiUrl, name, protocols());
}

// --- what happens when

function on(id, event, action) {
  element(id).addEventListener(event, (happened) => {
    happened.preventDefault();
    Promise.resolve(action()).catch((error) => notice(error.message));
  });
}

on("login-ada", "click", () => logIn("ada"));
on("login-grace", "click", () => logIn("grace"));
on("logout", "click", logOut);
on("connect", "click", connect);
on("disconnect", "click", () => hangUp("bye"));
on("join-form", "submit", () => send({ action: "join", room: element("room").value }));
on("leave", "click", () => send({ action: "leave" }));
on("say-form", "submit", () => {
  send({ action: "say", text: element("text").value });
  element("text").value = "";
  element("text").focus();
});
on("refuse-csrf", "click", () =>
  attempt("csrf", (name) => tryHandshake(config.wsUrl, name, [SUBPROTOCOL])));
on("refuse-origin", "click", () => attempt("origin", fromSibling));
on("refuse-expired", "click", () => attempt("expired", withExpiredToken));
on("refuse-execute-api", "click", () => attempt("execute-api", onExecuteApi));

siblings.addEventListener("message", (event) => {
  if (event.data.left !== null && event.data.left === connectedAs) {
    hangUp("logged out");
  }
  refreshSession().catch((error) => notice(error.message));
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !busy) {
    refreshSession().catch((error) => notice(error.message));
  }
});

await refreshSession();
document.documentElement.dataset.ready = "true";
