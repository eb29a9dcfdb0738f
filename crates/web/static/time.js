// Formats times.

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/**
 * Formats a date and time in the local time zone.
 * @param {number} epoch seconds since 1970
 */
export const dateTime = (epoch) => local.format(epoch * 1000);

/**
 * Formats a time of day.
 * @param {number} epoch seconds since 1970
 */
export const timeOfDay = (epoch) => clock.format(epoch * 1000);

/** Clock differences below this many milliseconds are ignored: the response's latency, and the resolution of its date. */
const SAME_MS = 3000;

/** By how many seconds the browser's clock is behind the server's. */
let behind = 0;

/**
 * Adjusts to the server's clock.
 * @param {string | null} date the `Date` of its response
 */
export function followClock(date) {
  const difference = Date.parse(date ?? "") - Date.now();
  if (!Number.isNaN(difference)) behind = Math.abs(difference) < SAME_MS ? 0 : Math.ceil(difference / 1000);
}

/** The server's current time, in seconds since 1970. */
export const now = () => Math.floor(Date.now() / 1000) + behind;

/**
 * Formats a remaining time as a countdown.
 * @param {number} seconds
 */
export function remaining(seconds) {
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours}:${two(minutes)}:${two(seconds % 60)}`;
  return minutes > 0 ? `${minutes}:${two(seconds % 60)}` : `${seconds} s`;
}

/**
 * Formats how long ago a time was, in one unit.
 * @param {number} epoch
 */
export function ago(epoch) {
  const seconds = now() - epoch;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/**
 * Shows a countdown to a time, updated every second.
 * @param {Element} element
 * @param {number} until epoch seconds
 * @param {() => void} [ended] called once at that time while the page is open
 * @returns {() => void} stops it
 */
export function countDown(element, until, ended) {
  const tick = () => {
    const left = until - now();
    element.textContent = left > 0 ? `${remaining(left)} left` : "expired";
    element.classList.toggle("expired", left <= 0);
    if (left > 0) return;
    clearInterval(timer);
    ended?.();
  };
  const timer = setInterval(tick, 1000);
  tick();
  return () => clearInterval(timer);
}
