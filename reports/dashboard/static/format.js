// Numbers as the reports print them (reports/formatting.py): true minus signs, "not measured" for null.

export const NOT_MEASURED = "not measured";

export const known = (value) => value !== null && value !== undefined;

/** Return the number to so many decimals, without a sign if it rounds to 0. */
export function decimal(value, digits = 1) {
  if (!known(value)) return NOT_MEASURED;
  const text = value.toFixed(digits);
  return text.replace("-", Number(text) === 0 ? "" : "−");
}

/** Return the number with its sign; without one if it rounds to 0. */
export function signed(value, digits = 1) {
  const text = decimal(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** Return the number to so many significant digits, never with an exponent. */
export function significant(value, digits = 3) {
  if (!known(value)) return NOT_MEASURED;
  if (value === 0) return "0";
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return decimal(value, Math.min(decimals, 6));
}

/** Return whole numbers with their thousands apart. */
export function count(value) {
  return known(value) ? Math.round(value).toLocaleString("en") : NOT_MEASURED;
}

/** Return a speedup: 1.42×. */
export function times(value) {
  return known(value) ? `${decimal(value, value < 9.995 ? 2 : 1)}×` : NOT_MEASURED;
}

/** Return the ends of an interval: 1.38 to 1.47; null without them. */
export function ends(value, print) {
  return known(value) && known(value.low) && known(value.high) ? `${print(value.low)} to ${print(value.high)}` : null;
}

/** Return how many decimals an interval supports: half its width is at least one and a half units of the last one. */
function supportedDigits({ estimate, low, high }) {
  const half = (high - low) / 2;
  const least = estimate >= 9.95 ? 0 : 1;
  if (half <= 0) return Math.max(least, 2);
  return Math.min(3, Math.max(least, Math.ceil(-Math.log10(half / 1.5) - 1e-9)));
}

const hasEnds = (estimate) => known(estimate.low) && known(estimate.high);

/** Return a speedup without its interval, rounded to what that supports. */
export function rounded(estimate) {
  return hasEnds(estimate) ? `${decimal(estimate.estimate, supportedDigits(estimate))}×` : times(estimate.estimate);
}

/** Return where a speedup lies: its 95 % interval, or the range that was seen; null with one value. */
export function spread(estimate) {
  const between = ends(estimate, (end) => decimal(end, supportedDigits(estimate)));
  return between === null || estimate.kind === "interval" ? between : `range ${between}`;
}

/** Return a speedup and its spread in one line. */
export function speedup(estimate) {
  if (!known(estimate)) return NOT_MEASURED;
  const between = spread(estimate);
  return between === null ? rounded(estimate) : `${rounded(estimate)} (${between})`;
}

/** Return the text, ended with a full stop if it has no end of its own. */
export const fullStop = (text) => (/[.…!?]$/.test(text) ? text : `${text}.`);

/** Return a share as percent. */
export function percent(share) {
  if (!known(share)) return NOT_MEASURED;
  const value = 100 * share;
  if (value > 0 && value < 0.05) return "<0.1 %";
  return `${decimal(value, Math.abs(value) >= 9.95 || value === 0 ? 0 : 1)} %`;
}

export function seconds(value) {
  return known(value) ? `${decimal(value, timeDigits(value))} s` : NOT_MEASURED;
}

export function milliseconds(value) {
  return known(value) ? `${decimal(value, timeDigits(value))} ms` : NOT_MEASURED;
}

/** Return milliseconds that were added or saved. */
export function change(value) {
  return `${signed(value, timeDigits(value))} ms`;
}

/** Return the decimals that leave three digits. */
const timeDigits = (value) => (Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2);

export function gib(value) {
  return known(value) ? `${significant(value)} GiB` : NOT_MEASURED;
}

export function joules(value) {
  if (!known(value)) return NOT_MEASURED;
  return value >= 10000 ? `${significant(value / 1000)} kJ` : `${significant(value)} J`;
}
