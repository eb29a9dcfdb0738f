// Building and finding elements. Text is always text: no markup is ever made from a string.

/** @typedef {Node | string | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean>} [attributes] `true` sets an empty one, `false` none
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * A new SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const texts = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]));
  return fill(/** @type {SVGElement} */ (document.createElementNS(SVG, tag)), texts, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, string | boolean>} attributes
 * @param {Child[]} children
 * @returns {E}
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function present(children) {
  return /** @type {(Node | string)[]} */ (children.filter((child) => child !== null && child !== undefined && child !== false));
}

/**
 * The element of an id, which the page is known to have.
 * @template {Element} [E=HTMLElement]
 * @param {string} id
 * @returns {E}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`#${id} is missing`);
  return /** @type {E} */ (/** @type {unknown} */ (found));
}

/** @param {string} id @returns {HTMLInputElement} */
export const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** @param {string} id @returns {HTMLButtonElement} */
export const button = (id) => /** @type {HTMLButtonElement} */ (byId(id));

/** @param {string} id @returns {HTMLSelectElement} */
export const select = (id) => /** @type {HTMLSelectElement} */ (byId(id));

/**
 * Replaces what an element holds.
 * @param {Element} element
 * @param {...Child} children
 */
export function show(element, ...children) {
  element.replaceChildren(...present(children));
}

/**
 * Says something to who does not see the page.
 * @param {string} words
 */
export function announce(words) {
  byId("announcer").textContent = words;
}

/**
 * Puts the focus on an element that is not for typing, and brings it into view.
 * @param {HTMLElement} element
 * @param {"nearest" | "start"} [where] `start` where what follows is to be seen too
 */
export function focusOn(element, where = "nearest") {
  if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
  element.focus({ preventScroll: true });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: where, behavior: still ? "auto" : "smooth" });
}

/**
 * Shows the error of a field beside it, or takes it away where `words` is empty.
 * @param {HTMLInputElement | HTMLSelectElement} field its error stands in `#ID-error`
 * @param {string} words a sentence, or the rest of one that begins with the field's name
 */
export function fieldError(field, words) {
  const subject = /^[a-z]/.test(words) ? `${field.labels?.[0]?.textContent ?? ""} ` : "";
  byId(`${field.id}-error`).textContent = words ? `✗ ${subject}${words}` : "";
  if (words) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

/** What is under way or waits at a place. @type {WeakMap<HTMLElement, Promise<void>>} */
const turns = new WeakMap();

/**
 * Does one thing after the other for all buttons whose answers share a place.
 * @param {HTMLElement} place where the answers stand
 * @param {HTMLElement} control the button, or a form
 * @param {() => Promise<void>} work
 */
export function inTurn(place, control, work) {
  return once(control, () => {
    const turn = (turns.get(place) ?? Promise.resolve()).then(work);
    turns.set(
      place,
      turn.catch(() => {}),
    );
    return turn;
  });
}

/**
 * Does one thing at a time for a button: clicks on it until that is done do nothing. The button keeps the focus.
 * @param {HTMLElement} control the button, or a form
 * @param {() => Promise<void>} work
 */
export async function once(control, work) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    control.removeAttribute("aria-busy");
  }
}

/**
 * A button that copies a text and says so.
 * @param {string} what what is copied, for who does not see what it stands beside
 * @param {() => string} text
 * @returns {HTMLButtonElement}
 */
export function copyButton(what, text) {
  const made = el("button", { type: "button", class: "copy", "aria-label": `Copy ${what}` }, "Copy");
  made.addEventListener("click", () => copy(made, text()));
  return made;
}

/**
 * Copies, and lets the button say "Copied" for two seconds.
 * @param {HTMLButtonElement} made
 * @param {string} text
 */
export async function copy(made, text) {
  const label = (made.getAttribute("aria-label") ?? "Copy").replace(/^(Copy|Copied|Not copied)/, "");
  const say = (/** @type {string} */ word) => {
    made.textContent = word;
    made.setAttribute("aria-label", `${word}${label}`);
    made.classList.toggle("done", word === "Copied");
  };
  const done = await write(text);
  say(done ? "Copied" : "Not copied");
  announce(done ? "Copied" : "The browser does not allow copying here. Select the text instead.");
  setTimeout(() => say("Copy"), 2000);
}

/**
 * @param {string} text
 * @returns {Promise<boolean>}
 */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // a page over plain http, or a browser that asks and was told no
  }
}
