/**
 * The figures of the last quarter of an hour, and what a plot makes of them. Knows nothing of
 * the page.
 */

export const KEPT = 900_000; // milliseconds
const BROKEN = 3_500; // without a sample for so long the line is interrupted

/** What each plot draws of a sample; null where there was nothing to measure. */
export const PLOTS = {
  stored: { lines: [({ stored }) => stored], unit: "a_second", least: 5 },
  delivered: { lines: [({ delivered }) => delivered], unit: "a_second", least: 5 },
  sockets: { lines: [({ sockets }) => sum(sockets)], unit: "plain", least: 5 },
  push: { lines: [({ push }) => push?.p50 ?? null, ({ push }) => push?.p99 ?? null], unit: "milliseconds", least: 5 },
  ack: { lines: [({ ack }) => ack?.p50 ?? null, ({ ack }) => ack?.p99 ?? null], unit: "milliseconds", least: 100 },
  lag: { lines: [({ lag }) => lag], unit: "plain", least: 5 },
};

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

export class Figures {
  samples = []; // {at, …}, the oldest first

  /** `at` is this browser's time: the server's clock may be another. */
  add(sample, at = Date.now()) {
    this.samples.push({ ...sample, at });
    const kept = this.samples.findIndex((each) => each.at > at - KEPT);
    if (kept > 0) this.samples.splice(0, kept);
  }

  get last() {
    return this.samples.at(-1) ?? null;
  }

  /** The points of a line within the last so many milliseconds. */
  points(read, window, now = Date.now()) {
    return this.samples.filter(({ at }) => at > now - window).map((sample) => ({ at: sample.at, value: read(sample) }));
  }

  /** The sample that was nearest to a moment. */
  nearest(moment) {
    return this.samples.reduce((best, each) => (Math.abs(each.at - moment) < Math.abs(best.at - moment) ? each : best), this.samples[0]);
  }
}

/** Mean and most of what was measured, null where nothing was. */
export function summed(points) {
  const values = points.map(({ value }) => value).filter((value) => value !== null);
  if (!values.length) return { mean: null, most: null };
  return { mean: values.reduce((total, value) => total + value, 0) / values.length, most: Math.max(...values) };
}

/** The end of an axis: 1, 2 or 5 times a power of ten, and no less than `least`. */
export function niceCeiling(value, least = 1) {
  const wanted = Math.max(value, least);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= wanted * 0.9999);
}

/** Runs of points without an interruption. */
export function runs(points) {
  const found = [];
  let before = null;
  for (const point of points) {
    if (point.value === null) {
      before = null;
      continue;
    }
    if (!before || point.at - before.at > BROKEN) found.push([]);
    found.at(-1).push(point);
    before = point;
  }
  return found;
}

/** The line through the points, as an SVG path. `box`: `{from, to}` in time, `top`, `width`, `height`. */
export function lineOf(points, box) {
  return runs(points).map((run) => `M${corners(run, box)}${run.length === 1 ? "h.01" : ""}`).join("");
}

/** What lies under the line. */
export function areaOf(points, box) {
  return runs(points)
    .map((run) => `M${x(run[0], box)} ${box.height}L${corners(run, box)}L${x(run.at(-1), box)} ${box.height}Z`)
    .join("");
}

const corners = (run, box) => run.map((point) => `${x(point, box)} ${y(point, box)}`).join("L");
const round = (number) => Math.round(number * 10) / 10;
const x = ({ at }, { from, to, width }) => round(((at - from) / (to - from)) * width);
const y = ({ value }, { top, height }) => round(height - (Math.min(value, top) / top) * (height - 1));
