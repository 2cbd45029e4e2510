// The page in headless Chromium, on a WebGPU adapter in software. PAGE is its address, CHROMIUM the browser, and
// SCREENSHOTS a folder for pictures, if wanted.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const { PAGE, CHROMIUM, SCREENSHOTS } = process.env;
const ARGUMENTS = [
  '--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-quic', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader',
];
const DESKTOP = { width: 1200, height: 900 };
const PHONE = { width: 390, height: 844 };
/** The least that the page promises. */
const STEPS_PER_SECOND = 10;
const MINUTES = 60_000;

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: ARGUMENTS, timeout: MINUTES });
  if (SCREENSHOTS) mkdirSync(SCREENSHOTS, { recursive: true });
});
after(() => browser?.close());

/** Opens the page; `script` runs in it before anything else. */
async function open({ viewport = DESKTOP, colorScheme = 'light', script } = {}) {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(2 * MINUTES);
  const [errors, foreign] = [[], []];
  page.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()); });
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('request', (request) => { if (!request.url().startsWith(PAGE)) foreign.push(request.url()); });
  if (script) await page.addInitScript(script);
  await page.goto(PAGE);
  return { page, context, errors, foreign };
}

async function opened(options) {
  const all = await open(options);
  await all.page.waitForSelector('html[data-ready]');
  return all;
}

/** Nothing but the page's own files was asked for, and the console has no error. */
async function close({ context, errors, foreign }) {
  assert.deepEqual(errors, []);
  assert.deepEqual(foreign.filter((url) => !url.startsWith('data:')), []);
  await context.close();
}

async function picture(page, name, options = {}) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, ...options });
}

/** Keeps the devices of the page where a test finds them. */
function keepDevices() {
  const { requestDevice } = GPUAdapter.prototype;
  window.devices = [];
  GPUAdapter.prototype.requestDevice = async function request(...all) {
    const device = await requestDevice.apply(this, all);
    window.devices.push(device);
    return device;
  };
}

test('every case passes', { timeout: 20 * MINUTES }, async () => {
  const all = await opened();
  const { page } = all;
  await page.click('#check-run');
  await page.waitForFunction(() => /passed,|early/.test(document.querySelector('#check-status').textContent), null, {
    timeout: 18 * MINUTES,
  });
  const cases = await page.evaluate(async () => (await fetch('cases/index.json')).json());
  assert.equal(cases.length, 71);
  assert.equal(await page.textContent('#check-status'), `${cases.length} passed, 0 failed, 0 skipped`);
  assert.equal(await page.locator('#check-rows tr').count(), cases.length);
  assert.equal(await page.locator('#check-rows td.passed').count(), cases.length);
  const ratios = await page.locator('#check-rows tr td:nth-child(3)').allTextContents();
  assert.ok(ratios.every((ratio) => Number(ratio) >= 0 && Number(ratio) <= 1), ratios.join(' '));
  await picture(page, 'check');
  await close(all);
});

test('a case that fails is shown', { timeout: 5 * MINUTES }, async () => {
  const all = await open({ script: keepDevices });
  const { page } = all;
  await page.waitForSelector('html[data-ready]');
  // One value of what is expected is another one, and one file is damaged.
  await page.route('**/cases/index.json', (route) => route.fulfill({ json: ['nc_train.safetensors', 'damaged.safetensors'] }));
  await page.route('**/cases/nc_train.safetensors.gz', async (route) => {
    const { gunzipSync, gzipSync } = await import('node:zlib');
    const bytes = gunzipSync(await (await route.fetch()).body());
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
    const [first] = header['expect.y'].data_offsets;
    bytes.fill(0x3f, 8 + Number(bytes.readBigUInt64LE(0)) + first, 8 + Number(bytes.readBigUInt64LE(0)) + first + 8);
    await route.fulfill({ body: gzipSync(bytes) });
  });
  await page.route('**/cases/damaged.safetensors.gz', async (route) => {
    const { gzipSync } = await import('node:zlib');
    await route.fulfill({ body: gzipSync(Buffer.from('no case')) });
  });
  await page.click('#check-run');
  await page.waitForFunction(() => /passed,/.test(document.querySelector('#check-status').textContent));
  assert.equal(await page.textContent('#check-status'), '0 passed, 2 failed, 0 skipped');
  assert.match(await page.textContent('#check-rows tr:first-child'), /failed.*y/);
  await close(all);
});

test('passes are measured beside a copy', { timeout: 10 * MINUTES }, async () => {
  const all = await opened();
  const { page } = all;
  await page.click('#measure-run');
  await page.waitForFunction(() => /^(Done|The)/.test(document.querySelector('#measure-status').textContent), null, {
    timeout: 9 * MINUTES,
  });
  assert.match(await page.textContent('#measure-status'), /^Done\. Times: (timestamp|from submission)/);
  const rows = await page.locator('#measure-rows tr').evaluateAll((lines) => lines.map((line) => [...line.cells].map((c) => c.textContent)));
  assert.equal(rows.length, 9);
  for (const [, pass, ms, , rate, , moves, error] of rows) {
    assert.ok(Number(ms) > 0 && Number(rate) > 0 && Number(moves) > 0, `${pass} ${ms} ${rate} ${moves}`);
    if (pass !== 'copy') assert.ok(Number(error) > 0 && Number(error) <= 1, `${pass}: ${error}`);
  }
  assert.ok(await page.locator('#measure-chart svg rect').count() >= 6);
  await page.locator('#measure').scrollIntoViewIfNeeded();
  await picture(page, 'measure', { fullPage: true });
  await close(all);
});

test('two networks train while everything is changed', { timeout: 10 * MINUTES }, async () => {
  const all = await opened();
  const { page } = all;
  const step = async () => Number((await page.textContent('#see-steps')).split(' ')[1]);
  const reaches = (count) => page.waitForFunction((least) => Number(document.querySelector('#see-steps').textContent.split(' ')[1]) >= least, count);
  await page.click('#see-step');
  await reaches(1);
  assert.equal(await step(), 1);
  await page.click('#see-run');
  await reaches(60);
  const [began, first] = [Date.now(), await step()];
  await page.waitForTimeout(6_000);
  const speed = ((await step()) - first) / ((Date.now() - began) / 1000);
  console.log(`${speed.toFixed(1)} steps per second`);
  assert.ok(speed >= STEPS_PER_SECOND, `${speed} steps per second`);
  const accuracy = parseFloat(await page.textContent('#see-right-0'));
  assert.ok(accuracy > 80, `${accuracy} % of the held-out digits`);
  await picture(page, 'see', { fullPage: true });
  // With a keyboard alone.
  for (const [id, key] of [['see-rate', 'ArrowLeft'], ['see-batch', 'ArrowLeft'], ['see-activation', 't']]) {
    await page.focus(`#${id}`);
    await page.keyboard.press(key);
    await reaches((await step()) + 2);
  }
  await page.focus('input[value=normalization_first]');
  await page.keyboard.press('ArrowDown');
  await reaches((await step()) + 2);
  assert.equal(await page.inputValue('#see-activation'), 'tanh');
  // Another depth begins anew.
  const before = await step();
  await page.focus('#see-depth');
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction((steps) => Number(document.querySelector('#see-steps').textContent.split(' ')[1]) < steps, before);
  await reaches(2);
  assert.equal(await page.locator('#see-histograms polygon').count(), 14);
  assert.equal(await page.locator('#see-gradients circle').count(), 16);
  assert.equal(await page.locator('#see-loss polyline').count() >= 2, true);
  await page.click('#see-run');
  await page.waitForFunction(() => document.querySelector('#see-run').textContent === 'Train');
  const paused = await step();
  await page.waitForTimeout(1_000);
  assert.equal(await step(), paused);
  await page.click('#see-reset');
  await page.waitForFunction(() => document.querySelector('#see-steps').textContent === 'step 0');
  assert.equal(await page.textContent('#see-status').then((text) => /stopped/.test(text)), false);
  await close(all);
});

test('what begins ends what runs', { timeout: 5 * MINUTES }, async () => {
  const all = await opened();
  const { page } = all;
  await page.click('#see-run');
  await page.waitForFunction(() => document.querySelector('#see-steps').textContent !== 'step 0');
  await page.click('#check-run');
  await page.waitForFunction(() => document.querySelector('#see-run').textContent === 'Train');
  await page.waitForSelector('#check-rows tr');
  await page.click('#check-run');
  await page.waitForFunction(() => /^Stopped: /.test(document.querySelector('#check-status').textContent));
  await close(all);
});

test('a device that is lost says so', { timeout: 5 * MINUTES }, async () => {
  const all = await opened({ script: keepDevices });
  const { page } = all;
  await page.click('#see-run');
  await page.waitForFunction(() => document.querySelector('#see-steps').textContent !== 'step 0');
  await page.evaluate(() => window.devices.forEach((device) => device.destroy()));
  await page.waitForSelector('#alert:not([hidden])');
  assert.match(await page.textContent('#alert'), /The GPU is gone.*Reload/s);
  assert.ok(await page.isVisible('#alert-reload'));
  await page.waitForFunction(() => [...document.querySelectorAll('main button')].every((button) => button.disabled));
  await picture(page, 'lost');
  await page.click('#alert-reload');
  await page.waitForSelector('html[data-ready]');
  assert.ok(await page.isHidden('#alert'));
  await close(all);
});

for (const [name, script, expected] of [
  ['a browser without WebGPU', () => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }), /has no WebGPU/],
  ['a browser without an adapter', () => { GPU.prototype.requestAdapter = async () => null; }, /found no GPU/],
]) {
  test(`${name} says so`, { timeout: 2 * MINUTES }, async () => {
    const all = await open({ script });
    const { page } = all;
    await page.waitForSelector('#alert:not([hidden])');
    assert.match(await page.textContent('#alert'), expected);
    assert.ok(await page.isDisabled('#check-run'));
    await picture(page, name.replaceAll(' ', '-'));
    await close(all);
  });
}

test('it fits a phone, in the dark', { timeout: 10 * MINUTES }, async () => {
  const all = await opened({ viewport: PHONE, colorScheme: 'dark' });
  const { page } = all;
  await page.click('#measure-run');
  await page.waitForFunction(() => /^(Done|The)/.test(document.querySelector('#measure-status').textContent), null, {
    timeout: 9 * MINUTES,
  });
  await page.click('#see-run');
  await page.waitForFunction(() => Number(document.querySelector('#see-steps').textContent.split(' ')[1]) > 40);
  await page.click('#see-run');
  await page.waitForFunction(() => document.querySelector('#see-run').textContent === 'Train');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= PHONE.width, `the page is ${wide} pixels wide`);
  const [ink, paper] = await page.evaluate(() => ['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name]));
  const brightness = (color) => color.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  assert.ok(brightness(ink) > 500 && brightness(paper) < 150, `${ink} on ${paper}`);
  await picture(page, 'phone-dark', { fullPage: true });
  await close(all);
});

test('everything that has a function has a name', { timeout: 2 * MINUTES }, async () => {
  const all = await opened();
  const { page } = all;
  for (const control of await page.locator('button, select, input, progress, [role=region]').all()) {
    const name = await control.evaluate((element) => element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? (element.getAttribute('aria-labelledby') ? 'named' : element.textContent));
    assert.ok(name.trim(), await control.evaluate((element) => element.outerHTML));
  }
  assert.ok(readFileSync(new URL('../page/index.html', import.meta.url), 'utf8').includes('<html lang="en">'));
  await close(all);
});
