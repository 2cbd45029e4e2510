// Opens the device, and hands it to the parts of the page.

import { byId, fail } from './dom.js';
import { setUpCheck } from './check.js';
import { setUpMeasure } from './measure.js';
import { setUpSee } from './see.js';

const NO_WEBGPU =
  'Chrome and Edge have it since version 113, Safari since 26, Firefox since 141 on Windows and 145 on macOS. On Linux and on ' +
  'older phones it may have to be turned on in the settings of the browser.';
const BROKEN = 'The page is broken.';

// What nobody has expected: a promise of the program's never settles after a panic.
function unexpected(error) {
  const message = String(error?.message ?? error);
  console.error(message);
  // Of a panic the file without the folder that it was built in, and what is said, without the calls that led there.
  const said = message.replace(/\S*\/(?=[^/\s]+:\d+:\d+:\n)/, '').split('\n').slice(0, 2).join(' ');
  fail(BROKEN, `${said}. Reload the page to begin anew.`, { reload: true });
}
window.addEventListener('unhandledrejection', (event) => unexpected(event.reason));
window.addEventListener('error', (event) => {
  // Without an error it is a notice of the browser's, that a resize is reported later, say.
  if (event.error) unexpected(event.error);
});
byId('alert-reload').addEventListener('click', () => location.reload());

try {
  // Not at the top, where nobody could tell that it is missing.
  const { default: init, Device, on_panic, style } = await import('./pkg/wgpu_batchnorm_web.js');
  await init();
  on_panic(unexpected);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style());
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  await open(Device);
} catch (error) {
  noGpu('The page could not start.', error.message ?? error);
}

async function open(Device) {
  if (!window.isSecureContext) {
    return noGpu('WebGPU needs a secure page.', 'Open this page over https, or from localhost.');
  }
  if (!navigator.gpu) {
    return noGpu('This browser has no WebGPU.', NO_WEBGPU);
  }
  let device;
  try {
    device = await Device.open((reason) => {
      byId('device').textContent = 'No GPU any more.';
      fail('The GPU is gone.', `The browser lost it (${reason}). Reload the page to ask for it again.`, { reload: true });
    });
  } catch (error) {
    return noGpu(
      'This browser has WebGPU, but found no GPU for it.',
      `Its driver may be too old or on the browser's blocklist; chrome://gpu and about:support say why. (${error.message})`,
    );
  }
  const about = JSON.parse(device.describe());
  const names = [about.name, about.vendor, about.architecture].filter(Boolean);
  const named = [...new Set(names)].join(' · ') || 'a GPU without a name';
  const kind = about.software ? 'WebGPU in software, on the CPU' : 'WebGPU';
  const mebibytes = about.max_storage_buffer_binding_size / 2 ** 20;
  byId('device').textContent =
    `${named} (${kind}): ${about.max_compute_invocations_per_workgroup} invocations in a workgroup, ` +
    `${about.max_storage_buffers_per_shader_stage} storage buffers, bindings of ${mebibytes.toFixed(0)} MiB, ` +
    `${about.timestamps ? 'with' : 'no'} timestamps`;
  setUpCheck(device);
  setUpMeasure(device);
  setUpSee(device);
  document.documentElement.dataset.ready = 'true';
}

function noGpu(title, text) {
  byId('device').textContent = 'No GPU.';
  fail(title, text);
}
