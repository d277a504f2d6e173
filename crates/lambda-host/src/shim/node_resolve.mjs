// The same as the hook in `node_preload.cjs`, for versions of Node.js that run hooks in a thread.

import { createRequire } from "node:module";

const { fallback: make } = createRequire(import.meta.url)("./node_resolve.cjs");
let fallback;

export function initialize(folders) {
  fallback = make(folders);
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    for (const parentURL of fallback.parents(specifier, error)) {
      try {
        return await next(specifier, { ...context, parentURL });
      } catch {
        // The next folder may have it.
      }
    }
    return fallback.required(specifier, error);
  }
}
