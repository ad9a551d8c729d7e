"use strict";
// Draws the timeline of processes from the JSON that the page holds. Text only ever gets in as textContent.
(function () {
  const source = document.getElementById("timeline-data");
  const place = document.getElementById("timeline");
  if (!source || !place) { return; }
  const data = JSON.parse(source.textContent);
  if (!data.lanes.length) { return; }

  const SVG = "http://www.w3.org/2000/svg";
  const LANE = 22, AXIS = 24, BAR = 14, NEAR = 3, LEAST_SPAN = 1e-7, ENDS = 118;
  const whole = Math.max(data.duration, 1e-6);
  let from = 0, to = whole, width = 0, pending = false;

  function make(name, attributes, parent, text) {
    const element = document.createElementNS(SVG, name);
    for (const key of Object.keys(attributes)) { element.setAttribute(key, String(attributes[key])); }
    if (text !== undefined) { element.textContent = text; }
    if (parent) { parent.appendChild(element); }
    return element;
  }
  function html(name, className, parent, text) {
    const element = document.createElement(name);
    if (className) { element.className = className; }
    if (text !== undefined) { element.textContent = text; }
    parent.appendChild(element);
    return element;
  }
  function seconds(value) {
    const size = Math.abs(value);
    if (size >= 60) { return Math.floor(value / 60) + " min " + (value % 60).toFixed(1) + " s"; }
    if (size >= 1) { return value.toFixed(3) + " s"; }
    return size >= 1e-3 ? (value * 1e3).toFixed(3) + " ms" : (value * 1e6).toFixed(0) + " µs";
  }
  function tickLabel(value, step) {
    const unit = whole >= 2 ? [1, " s"] : whole >= 2e-3 ? [1e3, " ms"] : [1e6, " µs"];
    const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step * unit[0]) - 1e-9)));
    return (value * unit[0]).toFixed(digits) + unit[1];
  }
  function step(span, room) {
    const raw = span / Math.max(2, Math.floor(room / 110));
    const power = Math.pow(10, Math.floor(Math.log10(raw)));
    for (const factor of [1, 2, 5, 10]) { if (factor * power >= raw) { return factor * power; } }
    return raw;
  }

  const controls = html("div", "controls", place);
  const chart = html("div", "chart", place);
  const axis = make("svg", { height: AXIS, "aria-hidden": "true" });
  chart.appendChild(axis);
  const lanes = html("div", "lanes", chart);
  const svg = make("svg", {
    id: "lanes", height: data.lanes.length * LANE + 4, tabindex: "0", role: "group",
    "aria-label": "Timeline of " + data.lanes.length + " processes and threads; plus and minus zoom, arrows move"
  });
  lanes.appendChild(svg);
  const tip = html("div", "tip", document.body);
  tip.hidden = true;
  tip.setAttribute("role", "status");

  function button(text, label, action) {
    const element = html("button", "", controls, text);
    element.type = "button";
    element.setAttribute("aria-label", label);
    element.addEventListener("click", action);
  }
  button("+", "zoom in", function () { zoom(0.5, 0.5); });
  button("−", "zoom out", function () { zoom(2, 0.5); });
  button("all", "show the whole run", function () { view(0, whole); });
  const shown = html("span", "soft", controls);

  const legend = html("ul", "legend soft", place);
  for (const entry of data.legend) {
    const item = html("li", "", legend);
    const swatch = make("svg", { viewBox: "0 0 14 12", "aria-hidden": "true" });
    item.appendChild(swatch);
    const isMark = entry[0] === "error" || entry[0] === "signal";
    make("rect", { class: entry[0], x: isMark ? 5 : 0, width: isMark ? 3 : 14, height: 12 }, swatch);
    swatch.setAttribute("class", "chart");
    item.appendChild(document.createTextNode(entry[1]));
  }

  function labels() { return Math.min(260, Math.max(110, width * 0.24)); }
  function x(time) { return labels() + (time - from) / (to - from) * room(); }
  function room() { return width - labels() - ENDS - 8; }

  function drawAxis() {
    axis.replaceChildren();
    const every = step(to - from, room());
    for (let time = Math.ceil(from / every) * every; time <= to + every * 1e-6; time += every) {
      const group = make("g", { class: "tick" }, axis);
      make("line", { x1: x(time), x2: x(time), y1: AXIS - 6, y2: AXIS }, group);
      make("text", { x: x(time), y: AXIS - 9, "text-anchor": "middle" }, group, tickLabel(time, every));
    }
  }

  function describe(lane) {
    const id = lane.pid === lane.tid ? "pid " + lane.pid : "thread " + lane.tid + " of pid " + lane.pid;
    const parts = [lane.name + " (" + id + ")", "from " + seconds(lane.start) + " for " + seconds(lane.end - lane.start)];
    if (lane.exit) { parts.push(lane.exit); }
    if (lane.calls) { parts.push(lane.calls + " calls, " + lane.errors + " failed"); }
    return parts.join("\n");
  }

  function drawLane(lane, row) {
    const top = row * LANE + 2, left = labels();
    const group = make("g", { class: "lane", role: "img", "aria-label": describe(lane).replace(/\n/g, ", ") }, svg);
    if (row % 2) { make("rect", { class: "stripe", x: 0, y: top - 1, width: width, height: LANE }, group); }
    const right = width - ENDS, begin = Math.max(left, x(lane.start)), end = Math.min(right, x(lane.end));
    if (end >= left && begin <= right) {
      const bar = make("rect", {
        class: "bar " + lane.state, x: begin, y: top + 3, width: Math.max(1.5, end - begin), height: BAR, rx: 2
      }, group);
      bar.dataset.tip = describe(lane);
      drawMarks(lane, group, top);
    }
    if (lane.exit && lane.state !== "thread") {
      make("text", { class: "outside", x: width - ENDS + 4, y: top + 14 }, group, lane.exit);
    }
    drawLabel(lane, group, top, left);
  }

  function drawMarks(lane, group, top) {
    let last = null, edge = -1;
    for (const mark of lane.marks) {
      const at = x(mark[0]);
      if (at < labels() || at > width - ENDS) { continue; }
      if (last !== null && at - edge < NEAR && last.kind === mark[3]) {
        last.count += mark[1];
        last.element.dataset.tip = tipOf(last);
        continue;
      }
      edge = at;
      last = { time: mark[0], count: mark[1], text: mark[2], kind: mark[3] };
      last.element = make("rect", { class: "mark " + mark[3], x: at - 1, y: top + 1, width: 2.5, height: BAR + 4 }, group);
      last.element.dataset.tip = tipOf(last);
    }
  }
  function tipOf(mark) {
    return seconds(mark.time) + "  " + mark.text + (mark.count > 1 ? "\nand " + (mark.count - 1) + " more here" : "");
  }

  function drawLabel(lane, group, top, left) {
    make("rect", { class: "stripe", x: 0, y: top - 1, width: left - 6, height: LANE }, group);
    const isNarrow = left < 150;
    const indent = 8 + (isNarrow ? 5 : 10) * Math.min(lane.depth, isNarrow ? 6 : 8);
    const room = Math.max(2, Math.floor((left - indent - (isNarrow ? 14 : 62)) / 6.6));
    const name = lane.name.length > room ? lane.name.slice(0, room - 1) + "…" : lane.name;
    const label = make("text", { class: lane.blamed ? "blamed" : "name", x: indent, y: top + 14 }, group, name);
    label.dataset.tip = describe(lane);
    if (!isNarrow) {
      make("text", { class: "pid", x: left - 12, y: top + 14, "text-anchor": "end" }, group, String(lane.tid));
    }
  }

  function draw() {
    pending = false;
    width = lanes.clientWidth || 900;
    for (const each of [axis, svg]) { each.setAttribute("viewBox", "0 0 " + width + " " + each.getAttribute("height")); }
    drawAxis();
    svg.replaceChildren();
    data.lanes.forEach(drawLane);
    shown.textContent = from === 0 && to === whole ? seconds(whole) + " in all" : seconds(from) + " to " + seconds(to);
    place.dataset.drawn = String(data.lanes.length);
  }
  function redraw() { if (!pending) { pending = true; requestAnimationFrame(draw); } }
  function view(begin, end) {
    const span = Math.min(whole, Math.max(LEAST_SPAN, end - begin));
    from = Math.max(0, Math.min(begin, whole - span));
    to = from + span;
    redraw();
  }
  function zoom(factor, where) {
    const span = (to - from) * factor, center = from + (to - from) * where;
    view(center - span * where, center + span * (1 - where));
  }

  svg.addEventListener("wheel", function (event) {
    if (!event.ctrlKey && !event.shiftKey) { return; }
    event.preventDefault();
    const box = svg.getBoundingClientRect();
    const where = (event.clientX - box.left - labels()) / room();
    zoom(event.deltaY + event.deltaX < 0 ? 0.8 : 1.25, Math.max(0, Math.min(1, where)));
  }, { passive: false });
  svg.addEventListener("keydown", function (event) {
    const span = to - from;
    const moves = { ArrowLeft: -0.1, ArrowRight: 0.1 };
    if (event.key === "+" || event.key === "=") { zoom(0.5, 0.5); }
    else if (event.key === "-") { zoom(2, 0.5); }
    else if (event.key === "0") { view(0, whole); }
    else if (moves[event.key]) { view(from + moves[event.key] * span, to + moves[event.key] * span); }
    else { return; }
    event.preventDefault();
  });
  let grabbed = null;
  svg.addEventListener("pointerdown", function (event) { grabbed = { x: event.clientX, from: from, to: to }; });
  window.addEventListener("pointerup", function () { grabbed = null; });
  svg.addEventListener("pointermove", function (event) {
    if (grabbed) {
      const moved = (grabbed.x - event.clientX) / room() * (grabbed.to - grabbed.from);
      view(grabbed.from + moved, grabbed.to + moved);
      return;
    }
    const text = event.target.dataset && event.target.dataset.tip;
    tip.hidden = !text;
    if (text) {
      tip.textContent = text;
      tip.style.left = Math.max(4, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8)) + "px";
      tip.style.top = Math.min(event.clientY + 16, window.innerHeight - tip.offsetHeight - 8) + "px";
    }
  });
  svg.addEventListener("pointerleave", function () { tip.hidden = true; });
  window.addEventListener("resize", redraw);

  const table = document.getElementById("process-table");
  if (table) { table.open = false; }
  draw();
})();
