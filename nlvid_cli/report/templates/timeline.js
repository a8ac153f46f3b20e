"use strict";
// The page of a timeline: nlvid_cli/report/timeline/page.py makes it, timeline.html.j2 lays it out.
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];

const video = byId("video"), time = byId("time"), marker = byId("marker"), axis = byId("axis");
const first = Number(time.dataset.start), last = Number(time.dataset.end);
const segments = all("#segments button").map((row, number) => ({
  row, bar: all("#track rect")[number], label: row.dataset.label, name: row.querySelector(".name").textContent,
  start: Number(row.dataset.start), end: Number(row.dataset.end),
}));
const chips = all("#labels button[data-label]"), curves = all(".curves polyline");
const chosen = new Set(); // labels; none: all
let clock = first; // seconds from the first frame; where there is no player, too
let origin = 0; // where the first frame is on the player's own clock
let moved = false; // whether the player may show another frame
let wanted = null; // where to go once the player is ready
let stretch = null; // the segment after which to pause
let current = null; // names that are on now

// Times

const playable = () => video.hasAttribute("src") && !video.error;

function clockText(seconds, digits) {
  const whole = digits ? 10 ** digits : 1, rounded = Math.round(seconds * whole) / whole;
  const hours = Math.floor(rounded / 3600), minutes = Math.floor(rounded / 60) % 60;
  const rest = (rounded % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function place(seconds) {
  return `${Math.min(Math.max((seconds - first) / (last - first || 1), 0), 1) * 100}%`;
}

function drawAxis() {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400];
  const room = Math.max(Math.floor(time.clientWidth / 90), 1);
  const step = steps.find((one) => (last - first) / one <= room) || last - first;
  axis.replaceChildren();
  for (let number = Math.ceil(first / step); number * step <= last; number += 1) {
    const text = document.createElement("span");
    text.textContent = clockText(number * step, step < 1 ? 1 : 0);
    text.style.left = place(number * step);
    if (time.clientWidth * (last - number * step) / (last - first) < 30) text.className = "end";
    axis.append(text);
  }
}

// Player

function seek(seconds) {
  clock = Math.min(Math.max(seconds, first), last);
  if (playable() && video.readyState) {
    moved = true;
    video.currentTime = clock + origin;
  } else wanted = clock;
  show();
}

function playSegment(segment) {
  stretch = segment;
  seek(segment.start);
  if (playable()) video.play().catch(() => {});
}

function show() {
  const seconds = playable() && wanted === null ? Math.max(video.currentTime - origin, 0) : clock;
  clock = seconds;
  if (stretch && !video.paused && seconds >= stretch.end) {
    video.pause();
    stretch = null;
  }
  marker.style.left = place(seconds);
  const on = segments.filter((segment) => segment.start <= seconds && seconds < segment.end);
  const names = on.map((segment) => segment.name).join(", ");
  const text = `${clockText(seconds, 2)}  ${names}`;
  time.setAttribute("aria-valuenow", seconds.toFixed(2));
  time.setAttribute("aria-valuetext", text);
  byId("now").textContent = text;
  const key = on.map((segment) => segments.indexOf(segment)).join();
  if (key === current) return;
  current = key;
  for (const segment of segments) segment.row.toggleAttribute("aria-current", on.includes(segment));
  follow(on.find((segment) => !segment.row.parentElement.hidden));
}

function follow(segment) {
  const list = byId("segments");
  if (!segment || list.contains(document.activeElement)) return;
  const row = segment.row.getBoundingClientRect(), box = list.getBoundingClientRect();
  if (row.top < box.top) list.scrollTop += row.top - box.top;
  if (row.bottom > box.bottom) list.scrollTop += row.bottom - box.bottom; // moves the list, never the page
}

function showWhilePlaying() {
  show();
  if (!video.paused && !video.ended) requestAnimationFrame(showWhilePlaying);
}

function problem() {
  video.hidden = !playable();
  byId("problem").hidden = false;
}

video.addEventListener("play", () => {
  moved = true;
  showWhilePlaying();
});
video.addEventListener("timeupdate", show); // also where no frames are drawn, such as in a tab behind another
video.addEventListener("seeked", show);
video.addEventListener("seeking", () => {
  const at = video.currentTime - origin;
  if (stretch && (at < stretch.start - 0.05 || at >= stretch.end)) stretch = null; // the reader went elsewhere
});
video.addEventListener("error", problem);
video.addEventListener("loadedmetadata", () => {
  if (!video.videoWidth) problem(); // it plays the sound only
  origin = video.currentTime; // not 0 in a part that was cut out of a longer file, for example
  moved = false;
  video.requestVideoFrameCallback?.((now, frame) => {
    if (!moved) origin = frame.mediaTime; // nor where the sound begins before the picture
    show();
  });
  const place = wanted;
  wanted = null;
  if (place === null) show();
  else seek(place);
});
byId("file").addEventListener("change", (event) => {
  if (!event.target.files.length) return;
  byId("problem").hidden = true;
  video.hidden = false;
  wanted = clock;
  video.src = URL.createObjectURL(event.target.files[0]);
});

// Track

function timeAt(event) {
  const box = time.getBoundingClientRect();
  return first + (event.clientX - box.left) / box.width * (last - first);
}

time.addEventListener("click", (event) => {
  const segment = segments.find((one) => one.bar === event.target);
  if (segment) playSegment(segment);
  else seek(timeAt(event));
});

time.addEventListener("keydown", (event) => {
  const shown = segments.filter((segment) => !segment.row.parentElement.hidden);
  const before = shown.filter((segment) => segment.start < clock - 0.5).at(-1);
  const after = shown.find((segment) => segment.start > clock + 0.01);
  const actions = {
    ArrowLeft: () => seek(clock - 1), ArrowDown: () => seek(clock - 1),
    ArrowRight: () => seek(clock + 1), ArrowUp: () => seek(clock + 1),
    Home: () => seek(first), End: () => seek(last),
    PageUp: () => before && seek(before.start), PageDown: () => after && seek(after.start),
    " ": () => playable() && (video.paused ? video.play().catch(() => {}) : video.pause()),
  };
  if (!actions[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  actions[event.key]();
});

// List

for (const segment of segments) segment.row.addEventListener("click", () => playSegment(segment));

byId("segments").addEventListener("keydown", (event) => {
  const shown = segments.filter((segment) => !segment.row.parentElement.hidden).map((segment) => segment.row);
  const at = shown.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
  if (next === undefined || !shown[next]) return;
  event.preventDefault();
  shown[next].focus();
});

// Labels

function filter() {
  const isOn = (label) => !chosen.size || chosen.has(label);
  for (const { row, bar, label } of segments) {
    row.parentElement.hidden = !isOn(label);
    bar.classList.toggle("off", !isOn(label));
  }
  for (const line of curves) {
    line.toggleAttribute("hidden", chosen.size ? !chosen.has(line.dataset.label) : !("first" in line.dataset));
  }
  for (const chip of chips) chip.setAttribute("aria-pressed", chosen.has(chip.dataset.label));
  byId("all").setAttribute("aria-pressed", !chosen.size);
  const shown = segments.filter(({ label }) => isOn(label)).length;
  const words = { 0: "no segment", 1: "1 segment" }[segments.length] || `${segments.length} segments`;
  byId("count").textContent = shown === segments.length ? words : `${shown} of ${words}`;
}

for (const chip of chips) {
  chip.addEventListener("click", () => {
    const label = chip.dataset.label;
    if (!chosen.delete(label)) chosen.add(label);
    filter();
  });
}
byId("all").addEventListener("click", () => {
  chosen.clear();
  filter();
});
byId("find")?.addEventListener("input", (event) => {
  const text = event.target.value.trim().toLowerCase();
  for (const chip of chips) chip.hidden = !chip.textContent.toLowerCase().includes(text);
});

new ResizeObserver(drawAxis).observe(time);
filter();
show();
if (video.hasAttribute("src")) video.load(); // again: its first events may have come before this script
