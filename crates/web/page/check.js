// Every oracle case, one after the other.

import { byId, cell, digits, toggle } from './dom.js';

export function setUpCheck(device) {
  const button = byId('check-run');
  toggle(button, 'Check all cases', (signal) => check(device, signal));
  button.disabled = false;
}

async function check(device, signal) {
  const [status, progress, rows] = ['check-status', 'check-progress', 'check-rows'].map(byId);
  const tally = { passed: 0, failed: 0, skipped: 0 };
  rows.replaceChildren();
  byId('check-results').hidden = false;
  try {
    const files = await (await loaded('cases/index.json')).json();
    progress.max = files.length;
    progress.value = 0;
    // The next file is on its way while the device computes.
    let next = fetched(files[0]);
    for (const [index, file] of files.entries()) {
      if (signal.aborted) break;
      status.textContent = `${index + 1} of ${files.length}: ${file}`;
      const bytes = await next;
      if (index + 1 < files.length) next = fetched(files[index + 1]);
      const report = JSON.parse(await device.check(file, bytes));
      tally[report.verdict === 'computed' ? 'passed' : report.verdict] += 1;
      rows.append(row(report));
      progress.value = index + 1;
    }
    const ended = signal.aborted ? 'Stopped: ' : '';
    status.textContent = `${ended}${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`;
  } catch (error) {
    status.textContent = `The check ended early: ${error.message}`;
  }
}

async function loaded(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response;
}

/** A case, which lies compressed in the page's folder. */
async function fetched(file) {
  const { body } = await loaded(`cases/${file}.gz`);
  const whole = new Response(body.pipeThrough(new DecompressionStream('gzip')));
  return new Uint8Array(await whole.arrayBuffer());
}

function row({ case: name, verdict, worst, worst_against_torch: torch, reason, details = [] }) {
  const line = document.createElement('tr');
  const ratio = (found) => (found ? digits(found.ratio) : '');
  line.append(cell(name, { kind: 'th' }), cell(verdict, { className: verdict }));
  if (reason || verdict === 'failed') {
    const why = cell([reason, ...details].filter(Boolean).join('; '), { className: 'reason' });
    why.colSpan = 3;
    line.append(why);
  } else {
    line.append(
      cell(ratio(worst), { className: 'number' }),
      cell(worst?.tensor ?? ''),
      cell(ratio(torch), { className: 'number' }),
    );
  }
  return line;
}
