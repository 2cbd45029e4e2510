// What the parts of the page share.

export const byId = (id) => document.getElementById(id);

/** A cell of a table, its text set as text. */
export function cell(text, { kind = 'td', className = '' } = {}) {
  const element = document.createElement(kind);
  element.textContent = text;
  element.className = className;
  if (kind === 'th') element.scope = 'row';
  return element;
}

/** A number with so many decimals, but no more than three digits in all; JSON has no infinite ones. */
export function digits(number, decimals = 3) {
  if (number === null || number === undefined) return '∞';
  const size = Math.abs(number);
  return number.toFixed(size < 1 ? decimals : Math.min(decimals, Math.max(0, 2 - Math.floor(Math.log10(size)))));
}

/** The width that a chart has room for. */
export const widthOf = (element) => Math.round(element.clientWidth || element.parentElement.clientWidth);

let broken = false;
/** Whether the page can do nothing any more: then nothing of the program's may be called. */
export const isBroken = () => broken;

/** The message that a reader must not miss, once the page can do nothing any more: the first one is the cause. */
export function fail(title, text, { reload = false } = {}) {
  broken = true;
  stop();
  for (const control of document.querySelectorAll('main :is(button, input, select)')) control.disabled = true;
  if (!byId('alert').hidden) return;
  byId('alert-title').textContent = title;
  byId('alert-text').textContent = text;
  byId('alert-reload').hidden = !reload;
  byId('alert').hidden = false;
}

// The GPU does one thing at a time, or measurements would say nothing: what begins ends what runs.
let running = null;

/** Runs `body` when everything else has ended, unless the page is broken; it is handed a signal that aborts when something
 * else begins. */
export async function alone(body) {
  while (running) {
    running.controller.abort();
    await running.done;
  }
  if (broken) return undefined;
  const controller = new AbortController();
  let end;
  const mine = { controller, done: new Promise((resolve) => { end = resolve; }) };
  running = mine;
  try {
    return await body(controller.signal);
  } finally {
    running = null;
    end();
  }
}

/** The same, but waits until what runs has ended by itself. */
export async function afterwards(body) {
  while (running) await running.done;
  return alone(body);
}

/** Ends what runs. */
export function stop() {
  running?.controller.abort();
}

/** A button that begins something alone, and ends it while it runs; what goes wrong is the body's to tell. */
export function toggle(button, label, body, { whileActive = 'Stop' } = {}) {
  let [active, cancelled] = [false, false];
  button.addEventListener('click', async () => {
    if (active) {
      // It may not have begun yet.
      cancelled = true;
      return stop();
    }
    [active, cancelled] = [true, false];
    button.textContent = whileActive;
    try {
      await alone((signal) => (cancelled ? undefined : body(signal)));
    } finally {
      active = false;
      button.textContent = label;
    }
  });
}
