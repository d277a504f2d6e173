// One handshake: shared by the page and its sibling.

/** The subprotocol that the back end answers; the second entry carries the CSRF token. */
export const SUBPROTOCOL = "wsgate.demo";

/** How long a handshake may take, in milliseconds. */
const HANDSHAKE_TIME = 15_000;

/** A name that nobody guesses. */
export function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The readable cookie's value, or null if it is absent or planted twice. */
export function csrfToken() {
  const values = document.cookie
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith("CSRF-TOKEN="))
    .map((pair) => pair.slice("CSRF-TOKEN=".length));
  return values.length === 1 && values[0] !== "" ? values[0] : null;
}

/** The protocols to offer: with the CSRF token, where there is one. */
export function protocols() {
  const token = csrfToken();
  return token === null ? [SUBPROTOCOL] : [SUBPROTOCOL, `csrf.${token}`];
}

/** The address with the attempt's name. */
export function named(url, name) {
  return `${url}?attempt=${encodeURIComponent(name)}`;
}

/** Tries a handshake and hangs up at once: "connected", "refused" or "no answer". */
export function tryHandshake(url, name, offered) {
  return new Promise((resolve) => {
    let socket;
    try {
      socket = new WebSocket(named(url, name), offered);
    } catch {
      resolve("refused");
      return;
    }
    const timer = setTimeout(() => finish("no answer"), HANDSHAKE_TIME);
    function finish(outcome) {
      clearTimeout(timer);
      resolve(outcome);
      socket.close(1000);
    }
    socket.addEventListener("open", () => finish("connected"));
    socket.addEventListener("close", () => finish("refused"));
  });
}
