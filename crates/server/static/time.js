// Moments as people read them.

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/**
 * A moment with its date, in local time.
 * @param {number} epoch seconds since 1970
 */
export const dateTime = (epoch) => local.format(epoch * 1000);

/**
 * The time of day of a moment.
 * @param {number} epoch seconds since 1970
 */
export const timeOfDay = (epoch) => clock.format(epoch * 1000);

/** Seconds since 1970, now. */
export const now = () => Math.floor(Date.now() / 1000);

/**
 * A span in words, its two largest units.
 * @param {number} seconds
 */
export function span(seconds) {
  const parts = /** @type {[number, string][]} */ ([
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ]);
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + (seconds < 86400 ? 3 : 2)).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

/**
 * How long ago, in one unit.
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
 * Shows how long is left until a moment, each second until it has passed.
 * @param {Element} element
 * @param {number} until epoch seconds
 * @param {() => void} [ended] called once when it passes while the page is open
 * @returns {() => void} stops it
 */
export function countDown(element, until, ended) {
  const tick = () => {
    const left = until - now();
    element.textContent = left > 0 ? `${span(left)} left` : `expired ${timeOfDay(until)}`;
    element.classList.toggle("expired", left <= 0);
    if (left > 0) return;
    clearInterval(timer);
    ended?.();
  };
  const timer = setInterval(tick, 1000);
  tick();
  return () => clearInterval(timer);
}
