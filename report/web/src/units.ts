// Numbers for people. Bytes are IEC, three digits at most, so that columns of them line up.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(value: number): string {
  let size = Math.abs(value);
  let unit = 0;
  // 1023.6 KiB would print as "1024 KiB".
  while (size >= 1023.5 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${value < 0 ? "−" : ""}${size.toFixed(digits)} ${UNITS[unit]}`;
}

export const signed = (value: number) => (value > 0 ? `+${bytes(value)}` : bytes(value));
/** An estimate and its standard error; `error` is absent where nothing was estimated. */
export const estimate = (value: number, error: number | undefined) => (error ? `${bytes(value)} ± ${bytes(error)}` : bytes(value));
export const perHour = (value: number) => `${signed(Math.abs(value) < 0.5 ? 0 : value)}/h`;
const grouped = new Intl.NumberFormat("en-US");
export const count = (value: number) => grouped.format(value);

/** A share of 1 as percent; what is not nothing never reads as nothing. */
export function percent(share: number): string {
  const value = share * 100;
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 0.1) return value > 0 ? "<0.1\u00a0%" : ">−0.1\u00a0%";
  if (value < 100 && value > 99.9) return ">99.9\u00a0%";
  return `${value.toFixed(Math.abs(value) >= 99.95 ? 0 : 1).replace("-", "−")}\u00a0%`;
}

/** A length of time in its two largest units. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds > 0 && seconds < 1) return `${count(Math.max(1, Math.round(seconds * 1000)))} ms`;
  if (seconds < 10 && seconds % 1 > 0.05) return `${seconds.toFixed(1)} s`;
  const steps: [number, string][] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  let rest = Math.round(seconds);
  if (rest >= 3600) rest = Math.round(rest / 60) * 60;
  if (rest >= 86400) rest = Math.round(rest / 3600) * 3600;
  const parts: string[] = [];
  for (const [step, unit] of steps) {
    const whole = Math.floor(rest / step);
    if (whole || (step === 1 && !parts.length)) parts.push(`${whole > 9999 ? count(whole) : whole} ${unit}`);
    rest -= whole * step;
  }
  return parts.slice(0, 2).join(" ");
}

/** A length of time that is no more certain than that. */
export const rough = (seconds: number) => duration(seconds >= 600 ? Math.round(seconds / 60) * 60 : seconds);

/** Bytes on an axis, where the steps are round. */
export const tick = (value: number) => bytes(value).replace(/\.0+ /, " ");

/** A moment of the recording: minutes and seconds since its start. */
export function elapsed(seconds: number): string {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A wall-clock time in the reader's own zone, with the zone named. */
export function wallClock(unixMs: number, withDate: boolean, withZone = true): string {
  return new Intl.DateTimeFormat("en-GB", {
    ...(withDate ? { day: "numeric", month: "short", year: "numeric" } : {}),
    hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(withZone ? { timeZoneName: "short" } : {}),
  }).format(unixMs);
}
