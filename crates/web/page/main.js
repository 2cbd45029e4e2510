// Opens the device, and hands it to the parts of the page.

import init, { Device, style } from './pkg/wgpu_batchnorm_web.js';
import { alertReader, byId, stop } from './dom.js';
import { setUpCheck } from './check.js';
import { setUpMeasure } from './measure.js';
import { setUpSee } from './see.js';

const NO_WEBGPU =
  'Chrome and Edge have it since version 113, Safari since 26, Firefox since 141 on Windows and 145 on macOS. On Linux and on ' +
  'older phones it may have to be turned on in the settings of the browser.';

byId('alert-reload').addEventListener('click', () => location.reload());

try {
  await init();
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style());
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  await open();
} catch (error) {
  fail('The page could not start.', error);
}

async function open() {
  if (!window.isSecureContext) {
    return fail('WebGPU needs a secure page.', 'Open this page over https, or from localhost.');
  }
  if (!navigator.gpu) {
    return fail('This browser has no WebGPU.', NO_WEBGPU);
  }
  let device;
  try {
    device = await Device.open((reason) => {
      stop();
      disable();
      byId('device').textContent = 'No GPU any more.';
      alertReader('The GPU is gone.', `The browser lost it (${reason}). Reload the page to ask for it again.`, true);
    });
  } catch (error) {
    return fail(
      'This browser has WebGPU, but found no GPU for it.',
      `Its driver may be too old or on the browser's blocklist; chrome://gpu and about:support say why. (${error.message})`,
    );
  }
  const about = JSON.parse(device.describe());
  const { vendor = '', architecture = '' } = (await navigator.gpu.requestAdapter())?.info ?? {};
  const named = [...new Set([about.name, vendor, architecture].filter(Boolean))].join(' · ') || 'a GPU without a name';
  const kind = about.software ? 'WebGPU in software, on the CPU' : 'WebGPU';
  const mebibytes = about.max_storage_buffer_binding_size / 2 ** 20;
  byId('device').textContent =
    `${named} (${kind}): ${about.max_compute_invocations_per_workgroup} invocations in a workgroup, ` +
    `${about.max_storage_buffers_per_shader_stage} storage buffers, bindings of ${mebibytes.toFixed(0)} MiB, ` +
    `${about.timestamps ? 'with' : 'no'} timestamps`;
  document.documentElement.dataset.ready = 'true';
  setUpCheck(device);
  setUpMeasure(device);
  setUpSee(device);
}

function disable() {
  for (const control of document.querySelectorAll('main button')) control.disabled = true;
}

function fail(title, error) {
  byId('device').textContent = 'No GPU.';
  alertReader(title, error.message ?? error, false);
}
