// Passes beside a copy, shape by shape.

import { byId, cell, digits, isBroken, toggle, widthOf } from './dom.js';

/** The benchmark whose results are shown. */
let shown = null;

export function setUpMeasure(device) {
  const button = byId('measure-run');
  toggle(button, 'Measure', (signal) => measure(device, signal));
  button.disabled = false;
  new ResizeObserver(draw).observe(byId('measure-figure').parentElement);
}

async function measure(device, signal) {
  const [status, progress, rows] = ['measure-status', 'measure-progress', 'measure-rows'].map(byId);
  rows.replaceChildren();
  byId('measure-chart').replaceChildren();
  for (const part of ['measure-figure', 'measure-results']) byId(part).hidden = true;
  shown?.free();
  shown = null;
  signal.addEventListener('abort', () => { status.textContent = 'stopping …'; });
  const missed = [];
  let bench = null;
  try {
    status.textContent = 'finding out which clock to trust';
    bench = await device.bench();
    const shapes = JSON.parse(bench.shapes(byId('measure-set').value));
    progress.max = shapes.length;
    progress.value = 0;
    for (const [index, sizes] of shapes.entries()) {
      if (signal.aborted) break;
      status.textContent = sizes.join('×');
      try {
        const measured = JSON.parse(await bench.measure(Uint32Array.from(sizes), signal));
        if (!measured) break;
        byId('measure-results').hidden = false;
        rows.append(...measured.map(row));
        shown = bench;
        draw();
      } catch (error) {
        if (error.message.includes('device is lost')) throw error;
        missed.push(`${sizes.join('×')} was not measured: ${error.message}`);
      }
      progress.value = index + 1;
    }
    const notes = [`${signal.aborted ? 'Stopped' : 'Done'}. Times: ${bench.clock()}`, ...missed];
    status.textContent = notes.join('. ');
  } catch (error) {
    status.textContent = `The measurement ended early: ${error.message}`;
  } finally {
    if (bench !== shown) bench?.free();
  }
}

function row({ shape, pass, moves, time, bytes_per_second: rate, share_of_copy: share, accuracy }) {
  const line = document.createElement('tr');
  const isWrong = accuracy !== null && !accuracy.passed;
  const number = (text, isDoubtful) => cell(text, { className: isDoubtful ? 'number failed' : 'number' });
  const verdict = isWrong ? ` (${accuracy.result}) WRONG` : '';
  line.append(
    cell(shape, { kind: 'th' }),
    cell(pass),
    number(digits(time.median_ms)),
    number(digits(time.spread * 50, 0), time.spread > 0.25),
    number(digits(rate / 1e9, 1)),
    number(`${digits(share * 100, 0)} %`),
    number(digits(moves, 1)),
    number(accuracy ? `${digits(accuracy.error_over_bound)}${verdict}` : '', isWrong),
  );
  return line;
}

function draw() {
  if (!shown || isBroken()) return;
  byId('measure-figure').hidden = false;
  const chart = byId('measure-chart');
  chart.innerHTML = shown.chart(widthOf(chart));
}
