// Tells the moment and the values under the pointer of a chart. The charts say all of it without.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function edges(chart) {
  const told = {};
  for (const [name, value] of Object.entries(chart.dataset)) {
    told[name] = name === "unit" ? value : Number(value);
  }
  return told;
}

function places(path) {
  if (!path.places) {
    path.places = [...path.getAttribute("d").matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map(
      (found) => [Number(found[1]), Number(found[2])],
    );
  }
  return path.places;
}

function nearest(points, x) {
  let low = 0;
  let high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle + 1;
    else high = middle;
  }
  return low && x - points[low - 1][0] < points[low][0] - x ? points[low - 1] : points[low];
}

function moment(seconds, step) {
  const whole = Math.round(seconds / step) * step;
  const zone = document.documentElement.dataset.zone;
  return new Date(whole * 1000).toLocaleString("sv-SE", {
    timeZone: zone, dateStyle: "short", timeStyle: "short",
  });
}

function written(value, unit) {
  if (unit === "%") return `${(100 * value).toFixed(1)} %`;
  return `${Number(value.toPrecision(3))}${unit ? ` ${unit}` : ""}`;
}

function clear(chart) {
  chart.querySelector(".hover-line")?.remove();
  chart.parentElement.querySelector(".hover-words")?.remove();
}

function tell(chart, event) {
  clear(chart);
  const told = edges(chart);
  const box = chart.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
  const paths = [...chart.querySelectorAll("path.course")];
  if (!paths.length || x < told.left || x > told.right) return;
  const at = nearest(places(paths[0]), x)[0];
  const share = (at - told.left) / (told.right - told.left);
  const words = [moment(told.first + share * (told.last - told.first), told.step)];
  for (const path of paths) {
    const y = nearest(places(path), at)[1];
    const up = (told.bottom - y) / (told.bottom - told.top);
    const value = written(told.low + up * (told.high - told.low), told.unit);
    words.push(paths.length > 1 ? `${path.dataset.name} ${value}` : value);
  }
  const line = document.createElementNS(SVG, "line");
  line.setAttribute("class", "hover-line");
  for (const [name, value] of [["x1", at], ["x2", at], ["y1", told.top], ["y2", told.bottom]]) {
    line.setAttribute(name, value);
  }
  chart.append(line);
  const label = document.createElement("div");
  label.className = "hover-words";
  label.textContent = words.join("   ");
  chart.parentElement.append(label);
  const room = box.width - label.offsetWidth;
  label.style.left = `${Math.max(0, Math.min(room, (at / 640) * box.width + 8))}px`;
}

document.addEventListener("pointermove", (event) => {
  const chart = event.target.closest?.("svg.timeline");
  for (const other of document.querySelectorAll("svg.timeline:has(.hover-line)")) {
    if (other !== chart) clear(other);
  }
  if (chart) tell(chart, event);
});
