// Every oracle case, one after the other.

import { byId, cell, digits, toggle } from './dom.js';

export function setUpCheck(device) {
  const button = byId('check-run');
  toggle(button, 'Check all cases', (signal) => check(device, signal));
  button.disabled = false;
}

async function check(device, signal) {
  const [status, verdicts, progress, rows] = ['check-status', 'check-verdicts', 'check-progress', 'check-rows'].map(byId);
  const tally = { passed: 0, failed: 0, skipped: 0, computed: 0 };
  rows.replaceChildren();
  verdicts.textContent = '';
  byId('check-results').hidden = false;
  try {
    const files = await (await loaded('cases/index.json')).json();
    progress.max = files.length;
    progress.value = 0;
    // The next file is on its way while the device computes.
    let next = ahead(files[0]);
    for (const [index, file] of files.entries()) {
      if (signal.aborted) break;
      status.textContent = `${index + 1} of ${files.length}: ${file}`;
      const bytes = await next;
      if (index + 1 < files.length) next = ahead(files[index + 1]);
      const report = JSON.parse(await device.check(file, bytes));
      tally[report.verdict] += 1;
      if (report.verdict === 'failed') verdicts.textContent = `${report.case} failed`;
      rows.append(row(report));
      progress.value = index + 1;
    }
    verdicts.textContent = `${signal.aborted ? 'Stopped: ' : ''}${said(tally)}`;
  } catch (error) {
    verdicts.textContent = `The check ended early: ${error.message}`;
  } finally {
    status.textContent = '';
  }
}

function said({ passed, failed, skipped, computed }) {
  const expected = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  return computed ? `${expected}, ${computed} computed with nothing to compare with` : expected;
}

async function loaded(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response;
}

/** A case that nobody waits for yet. If the check ends before, nobody needs to know that it did not come. */
function ahead(file) {
  const bytes = fetched(file);
  bytes.catch(() => {});
  return bytes;
}

/** A case, which lies compressed in the page's folder. */
async function fetched(file) {
  const bytes = new Uint8Array(await (await loaded(`cases/${file}.gz`)).arrayBuffer());
  // Some servers take the ending for an encoding of theirs, and the browser has decoded the file then.
  const isCompressed = [0x1f, 0x8b, 0x08].every((byte, index) => bytes[index] === byte);
  if (!isCompressed) return bytes;
  const whole = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')));
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
