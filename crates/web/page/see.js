// Two networks train live.

import { alone, byId, stop, widthOf } from './dom.js';

/** Milliseconds from one drawing to the next: they take time from the networks. */
const DRAWN_EVERY = 150;

export function setUpSee(device) {
  const controls = ['see-run', 'see-step', 'see-reset'].map(byId);
  const [run, step, reset] = controls;
  const status = byId('see-status');
  // Other settings and resets wait for the end of the step that is under way.
  let [trainer, changed, reset_asked, training] = [null, false, false, false];

  const apply = () => {
    trainer ??= device.trainer(settings());
    if (reset_asked) trainer.restart();
    if (changed) trainer.set(settings());
    reset_asked = changed = false;
  };
  const draw = () => {
    const { steps, losses, accuracies } = JSON.parse(trainer.state());
    byId('see-steps').textContent = `step ${steps}`;
    losses.forEach((loss, index) => { byId(`see-loss-${index}`).textContent = steps ? said(loss) : '–'; });
    accuracies.forEach((share, index) => {
      byId(`see-right-${index}`).textContent = share === null ? '–' : `${(share * 100).toFixed(1)} %`;
    });
    for (const figure of document.querySelectorAll('.charts figure')) figure.hidden = false;
    const charts = JSON.parse(trainer.charts(widthOf(byId('see-loss'))));
    for (const [name, svg] of Object.entries(charts)) byId(`see-${name}`).innerHTML = svg;
    return steps;
  };
  const guarded = async (body) => {
    try {
      await body();
    } catch (error) {
      status.textContent = `The training stopped: ${error.message}`;
    }
  };
  const train = (signal, most) => guarded(async () => {
    apply();
    let [drawn, since] = [performance.now(), draw()];
    for (let steps = 0; !signal.aborted && steps < most; steps += 1) {
      apply();
      await trainer.step();
      const now = performance.now();
      if (now - drawn > DRAWN_EVERY) {
        const steps_now = draw();
        status.textContent = `${((steps_now - since) / (now - drawn) * 1000).toFixed(0)} steps per second`;
        [drawn, since] = [now, steps_now];
        // A page that nobody looks at does not train.
        await new Promise(requestAnimationFrame);
      }
    }
    apply();
    draw();
  });

  run.addEventListener('click', async () => {
    if (training) return stop();
    training = true;
    run.textContent = 'Pause';
    await alone((signal) => train(signal, Infinity));
    training = false;
    run.textContent = 'Train';
  });
  step.addEventListener('click', () => alone((signal) => train(signal, 1)));
  reset.addEventListener('click', () => {
    reset_asked = true;
    if (!training) alone(() => guarded(async () => { apply(); draw(); }));
  });
  byId('see-settings').addEventListener('input', () => {
    say();
    changed = true;
    if (!training) alone(() => guarded(async () => { apply(); draw(); }));
  });
  byId('see-settings').addEventListener('submit', (event) => event.preventDefault());
  new ResizeObserver(() => { if (trainer && !training) guarded(async () => draw()); }).observe(byId('see-loss'));
  say();
  for (const control of controls) control.disabled = false;
}

/** A loss that is no number says so. */
const said = (loss) => (loss === null ? 'not finite' : loss.toPrecision(3));

const rate = () => Number((10 ** byId('see-rate').valueAsNumber).toPrecision(2));
const batch = () => 2 ** byId('see-batch').valueAsNumber;

function settings() {
  return JSON.stringify({
    depth: byId('see-depth').valueAsNumber,
    batch: batch(),
    learning_rate: rate(),
    activation: byId('see-activation').value,
    arrangement: document.querySelector('input[name=arrangement]:checked').value,
  });
}

/** What the sliders mean. */
function say() {
  for (const [id, text] of [['see-rate', rate()], ['see-depth', byId('see-depth').value], ['see-batch', batch()]]) {
    byId(`${id}-out`).textContent = text;
    byId(id).setAttribute('aria-valuetext', text);
  }
}
