"use strict";

// Loaded before anything else in each thread of the function: takes the settings out of the
// environment, leads connections to redirected names to this machine, and lets `import` find
// what `require` finds.

const module_ = require("node:module");
const net = require("node:net");
const { pathToFileURL } = require("node:url");
const threads = require("node:worker_threads");

const VARIABLE = "_WSGATE_SHIM";

exports.settings = takeSettings();
if (exports.settings.redirect) redirect(exports.settings.redirect);
searchModulePaths();

// Worker threads start without the variable; they get the settings from the thread that made them.
function takeSettings() {
  const text = process.env[VARIABLE];
  delete process.env[VARIABLE];
  const settings = text ? JSON.parse(text) : threads.getEnvironmentData(VARIABLE);
  if (!settings) return {};
  threads.setEnvironmentData(VARIABLE, settings);
  return settings;
}

// Every connection of Node.js goes through this method: http, https, http2, fetch, tls. Only host
// and port change, and only here, so `Host`, SNI and the name that a certificate must bear stay.
function redirect({ names, host, port }) {
  const exact = new Set(names.filter((name) => !name.endsWith("*")));
  const prefixes = names.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  const isRedirected = (name) => {
    if (typeof name !== "string") return false;
    const lower = name.toLowerCase().replace(/\.$/, "");
    return exact.has(lower) || prefixes.some((prefix) => lower.startsWith(prefix));
  };
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...given) {
    // `net.connect` hands its arguments over as one array, which it made itself.
    const list = Array.isArray(given[0]) ? given[0] : given;
    if (typeof list[0] === "object" && list[0] !== null) {
      if (!list[0].path && isRedirected(list[0].host)) list[0] = { ...list[0], host, port };
    } else if (isRedirected(list[1])) {
      list[0] = port;
      list[1] = host;
    }
    return connect.apply(this, given);
  };
}

// On Lambda `import` looks into the folders of NODE_PATH too; Node.js by itself does not.
function searchModulePaths() {
  const folders = (process.env.NODE_PATH ?? "").split(":").filter(Boolean);
  if (folders.length === 0) return;
  if (typeof module_.registerHooks === "function") {
    const fallback = require("./node_resolve.cjs").fallback(folders);
    module_.registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context);
        } catch (error) {
          for (const parentURL of fallback.parents(specifier, error)) {
            try {
              return next(specifier, { ...context, parentURL });
            } catch {
              // The next folder may have it.
            }
          }
          return fallback.required(specifier, error);
        }
      },
    });
  } else if (typeof module_.register === "function") {
    module_.register("./node_resolve.mjs", pathToFileURL(__filename), { data: folders });
  }
}
