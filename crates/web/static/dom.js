// Creates and finds elements. Strings are always text, and never become markup.

/** @typedef {Node | string | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Creates an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean>} [attributes] `true` sets an empty attribute, `false` sets none
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Creates an SVG element.
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
 * Returns the element with an ID, which must exist.
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
 * Replaces the content of an element.
 * @param {Element} element
 * @param {...Child} children
 */
export function show(element, ...children) {
  element.replaceChildren(...present(children));
}

/**
 * Announces a message to screen readers.
 * @param {string} words
 */
export function announce(words) {
  byId("announcer").textContent = words;
}

/**
 * Focuses an element that is not an input, and scrolls it into view.
 * @param {HTMLElement} element
 * @param {"nearest" | "start"} [where] `start` if the following content should be visible, too
 */
export function focusOn(element, where = "nearest") {
  if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
  element.focus({ preventScroll: true });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: where, behavior: still ? "auto" : "smooth" });
}

/**
 * Shows an error next to a field, or removes it if `words` is empty.
 * @param {HTMLInputElement | HTMLSelectElement} field its error is in `#ID-error`
 * @param {string} words a sentence, or a predicate that follows the field's label
 */
export function fieldError(field, words) {
  const subject = /^[a-z]/.test(words) ? `${field.labels?.[0]?.textContent ?? ""} ` : "";
  byId(`${field.id}-error`).textContent = words ? `✗ ${subject}${words}` : "";
  if (words) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

/** The pending work of each place. @type {WeakMap<HTMLElement, Promise<void>>} */
const turns = new WeakMap();

/**
 * Runs work sequentially for all buttons whose results share a place.
 * @param {HTMLElement} place where the results are shown
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
 * Runs one task at a time for a button. Further clicks do nothing until it is done. The button keeps the focus.
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
 * Creates a button that copies a text and confirms it.
 * @param {string} what what is copied, for screen readers
 * @param {() => string} text
 * @returns {HTMLButtonElement}
 */
export function copyButton(what, text) {
  const made = el("button", { type: "button", class: "copy", "aria-label": `Copy ${what}` }, "Copy");
  made.addEventListener("click", () => copy(made, text()));
  return made;
}

/**
 * Copies a text, and shows "Copied" on the button for two seconds.
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
    return false; // plain http, or permission denied
  }
}
