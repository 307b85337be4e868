// Owns the table of live events: it shows what the stream brings and never asks for anything else.
// Pausing keeps the table as it is and counts what comes; nothing is lost meanwhile but what the table would drop too.
const MOST_ROWS = 500;
const APPLICATION = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const panel = document.getElementById("live");
const words = panel.dataset;
const rows = document.getElementById("rows");
const state = document.getElementById("state");
const pause = document.getElementById("pause");
const count = document.getElementById("count");
const empty = document.getElementById("empty");
const older = document.getElementById("older");

let paused = false;
let cut = false;
let arrived = 0;
let waiting = [];
let drawing = false;

const fromThePast = !new URL(words.stream, location.href).searchParams.has("after");
if (fromThePast) {
  rows.replaceChildren();
  older.hidden = true;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// The roles are written out because a table that is not laid out as one, as on a phone, loses them.
function cell(row, className, ...content) {
  const made = element("td", className);
  made.setAttribute("role", "cell");
  made.append(...content);
  row.append(made);
}

function rowOf(event) {
  const row = element("tr", event.broken ? "broken" : "");
  row.dataset.id = event.id;
  row.setAttribute("role", "row");
  const at = event.time ?? event.recorded_at;
  const time = element("time", "", at.slice(0, 19).replace("T", " "));
  time.dateTime = at;
  cell(row, "when", time);

  const details = element("details");
  const summary = element("summary");
  summary.append(element("span", "name", event.type.split(".")[1] ?? (event.type || words.unknown)));
  if (event.broken) summary.append(" ", document.getElementById("broken").content.cloneNode(true));
  const body = element("pre");
  // A closed row's content is written when somebody opens it: most never are.
  details.addEventListener("toggle", () => {
    if (details.open && !body.textContent) body.textContent = event.broken ?? JSON.stringify(event.event, null, 2);
  });
  details.append(summary, body);
  cell(row, "what", details);

  const link = element("a", "", event.key);
  link.href = (APPLICATION.test(event.key) ? "/applications/" : "/?from=beginning&key=") + encodeURIComponent(event.key);
  cell(row, "key mono", ...(event.key ? [link] : []));
  const place = [`${event.topic}[${event.partition}]@${event.offset}`];
  if (event.sequence) place.push(" ", element("span", "quiet", `#${event.sequence}`));
  cell(row, "place mono", ...place);
  return row;
}

function draw() {
  drawing = false;
  if (!paused && waiting.length) {
    const fresh = waiting.map(rowOf).reverse();
    waiting = [];
    arrived = 0;
    rows.prepend(...fresh);
    while (rows.children.length > MOST_ROWS) {
      rows.lastElementChild.remove();
      cut = true;
    }
  }
  // What was dropped here begins after the last row that is left.
  if (cut && rows.lastElementChild?.dataset.id) {
    older.href = words.older + rows.lastElementChild.dataset.id;
    older.hidden = false;
  }
  empty.hidden = rows.children.length > 0;
  pause.textContent = paused ? `${words.resume}${arrived ? ` (+${arrived} ${words.new})` : ""}` : words.pause;
  count.textContent = `${rows.children.length} ${words.shown}${cut ? ` (${words.cut})` : ""}`;
}

function soon() {
  if (!drawing) {
    drawing = true;
    // One drawing for a burst; a hidden tab draws nothing until it is looked at, so no animation frame here.
    setTimeout(draw, 50);
  }
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  state.textContent = paused ? words.paused : words.live;
  draw();
});

const stream = new EventSource(words.stream);
stream.addEventListener("open", () => {
  pause.hidden = false;
  if (!paused) state.textContent = words.live;
});
stream.addEventListener("message", (message) => {
  waiting.push(JSON.parse(message.data));
  arrived += 1;
  if (waiting.length > MOST_ROWS) {
    waiting.shift();
    cut = true;
  }
  soon();
});
stream.addEventListener("error", async () => {
  if (stream.readyState === EventSource.CONNECTING) {
    state.textContent = words.lost;
    return;
  }
  const answer = await fetch("/", { method: "GET", credentials: "same-origin" }).catch(() => null);
  state.textContent = answer && answer.status === 401 ? words.signedOut : words.ended;
});

state.textContent = words.connecting;
draw();
