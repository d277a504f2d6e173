// The sibling: everything the page has, but another origin. It tells its parent how it went.

import { protocols, tryHandshake } from "/attempt.js";

const name = location.hash.slice(1);
const answer = await fetch("/config");
const config = await answer.json();
const outcome = await tryHandshake(config.wsUrl, name, protocols());
document.getElementById("state").textContent = `The page of another origin: ${outcome}.`;
window.parent.postMessage({ attempt: name, outcome }, config.uiOrigin);
