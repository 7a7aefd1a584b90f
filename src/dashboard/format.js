// Numbers and times for people.

const UNITS = ["", "k", "M", "G", "T"];

/** A number of three digits or so: 12.3k. */
export const short = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 && Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return `${Number(value.toFixed(digits))}${UNITS[unit]}`;
};

/** All digits, in groups. */
export const whole = (value) => (value === null || value === undefined ? "–" : Number(value).toLocaleString("en"));

/** Octets: 12.3 kB. */
export const octets = (value) => (value === null || value === undefined ? "–" : `${short(value).replace(/([kMGT]?)$/, " $1B")}`);

/** A time in seconds, as people say it: 1.2 ms. */
export const time = (seconds) => {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds === 0) return "0";
  if (seconds < 0.000_999_5) return `${short(seconds * 1e6)} µs`;
  if (seconds < 0.999_5) return `${short(seconds * 1e3)} ms`;
  return `${short(seconds)} s`;
};

/** How long something has been there: 3 d 4 h, in so many units. */
export const age = (seconds, units = 2) => {
  if (seconds === null || seconds === undefined) return "–";
  const parts = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + units).map(([unit, size], at) => {
    const count = Math.floor(at === 0 ? seconds / size : (seconds % parts[first][1]) / size);
    return at > 0 && count === 0 ? "" : `${count} ${unit}`;
  }).join(" ").trim();
};

/** A moment, in seconds since 1970: the time, and the day if it is another one. */
export const moment = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  const date = new Date(seconds * 1000);
  const clock = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString() ? clock : `${date.toISOString().slice(0, 10)} ${clock}`;
};

/** Characters that are not seen, or change how others are seen: with those that turn the direction of writing a text reads as another one. */
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** A text with such characters written out: \u202e. */
export const seen = (text) => text.replace(UNSEEN, (letter) =>
  letter.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""));

/** A value as one line of JSON, cut if it is long. */
export const line = (value, most = 400) => {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length > most ? `${text.slice(0, most)} …` : text;
};
