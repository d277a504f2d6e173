"use strict";

// Where `import` looks when Node.js itself found nothing: the folders of NODE_PATH.

const module_ = require("node:module");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

exports.fallback = (folders) => ({
  // From where to ask again for a package: Node.js then looks into the `node_modules` beside.
  parents(specifier, error) {
    if (!isMissingPackage(specifier, error)) return [];
    const modules = folders.filter((folder) => path.basename(folder) === "node_modules");
    return modules.map((folder) => pathToFileURL(path.join(path.dirname(folder), "_")).href);
  },

  // Folders of any other name are known to `require` only.
  required(specifier, error) {
    if (isMissingPackage(specifier, error)) {
      try {
        const file = module_.createRequire(__filename).resolve(specifier);
        return { url: pathToFileURL(file).href, shortCircuit: true };
      } catch {
        // The first error tells what is missing, and from where.
      }
    }
    throw error;
  },
});

function isMissingPackage(specifier, error) {
  return error?.code === "ERR_MODULE_NOT_FOUND" && !/^[./]|^[a-z]+:/.test(specifier);
}
