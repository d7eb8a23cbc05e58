// From numbers to pixels.

/** Return a function from values to pixels, with its round ticks inside the domain. */
export function linear([low, high], [from, to], tickCount = 5) {
  const span = high - low || 1;
  const scale = (value) => from + ((value - low) / span) * (to - from);
  scale.ticks = ticks(low, high, tickCount);
  return scale;
}

/** Return round values between the two, about as many as wanted. */
export function ticks(low, high, wanted) {
  const step = roundStep((high - low || 1) / (wanted * 1.4));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Return the next of 1, 2 or 5 times a power of ten that is not below the value. */
function roundStep(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const digit = [1, 2, 5, 10].find((candidate) => candidate * power >= value * (1 - 1e-9));
  return digit * power;
}

/** Return a tick's text, with no more decimals than the ticks differ in. */
export function tickText(value, all) {
  const step = all.length > 1 ? all[1] - all[0] : 1;
  const decimals = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  return value.toFixed(decimals).replace("-", "−");
}
