// Two networks train live.

import { afterwards, alone, byId, isBroken, toggle, widthOf } from './dom.js';

/** Milliseconds from one drawing to the next: they take time from the networks. */
const DRAWN_EVERY = 150;

export function setUpSee(device) {
  const controls = ['see-run', 'see-step', 'see-reset'].map(byId);
  const [run, step, reset] = controls;
  const [status, speed] = ['see-status', 'see-speed'].map(byId);
  // Other settings and resets wait for the end of the step that is under way, and for whatever else runs.
  let [trainer, changed, resetAsked, atWork, asked] = [null, false, false, false, false];

  const apply = () => {
    trainer ??= device.trainer(settings());
    if (resetAsked) trainer.restart();
    if (changed) trainer.set(settings());
    resetAsked = changed = false;
  };
  const draw = () => {
    // Whoever trains on says how fast.
    speed.textContent = '';
    const { steps, losses, test_accuracies: accuracies } = JSON.parse(trainer.state());
    byId('see-steps').textContent = `step ${steps}`;
    losses.forEach((loss, index) => { byId(`see-loss-${index}`).textContent = steps ? said(loss) : '–'; });
    accuracies.forEach((share, index) => {
      byId(`see-accuracy-${index}`).textContent = share === null ? '–' : `${(share * 100).toFixed(1)} %`;
    });
    for (const figure of document.querySelectorAll('.charts figure')) figure.hidden = false;
    const charts = JSON.parse(trainer.charts(widthOf(byId('see-loss'))));
    for (const [name, svg] of Object.entries(charts)) byId(`see-${name}`).innerHTML = svg;
  };
  const work = async (body) => {
    atWork = true;
    status.textContent = '';
    try {
      await body();
    } catch (error) {
      speed.textContent = '';
      status.textContent = `The training stopped: ${error.message}`;
    } finally {
      atWork = false;
    }
  };
  const train = (signal, most) => work(async () => {
    apply();
    draw();
    // The networks' own count begins anew whenever they do.
    let [drawn, since] = [performance.now(), 0];
    for (let steps = 1; !signal.aborted && steps <= most; steps += 1) {
      apply();
      await trainer.step();
      const now = performance.now();
      if (now - drawn > DRAWN_EVERY) {
        draw();
        speed.textContent = `${((steps - since) / (now - drawn) * 1000).toFixed(0)} steps per second`;
        [drawn, since] = [now, steps];
        // A page that nobody looks at does not train.
        await new Promise(requestAnimationFrame);
      }
    }
    apply();
    draw();
  });
  /** Shows what was changed; whoever is at work does so too. */
  const show = () => {
    if (atWork || asked) return;
    asked = true;
    afterwards(() => {
      asked = false;
      return work(async () => { apply(); draw(); });
    });
  };

  toggle(run, 'Train', (signal) => train(signal, Infinity), { whileActive: 'Pause' });
  step.addEventListener('click', () => alone((signal) => train(signal, 1)));
  reset.addEventListener('click', () => {
    resetAsked = true;
    show();
  });
  byId('see-settings').addEventListener('input', () => {
    say();
    changed = true;
    show();
  });
  byId('see-settings').addEventListener('submit', (event) => event.preventDefault());
  // Whoever is at work draws by himself, in the width that there is then.
  new ResizeObserver(() => { if (trainer && !atWork && !isBroken()) draw(); }).observe(byId('see-loss'));
  say();
  for (const control of controls) control.disabled = false;
}

/** A loss that is no number says so. */
const said = (loss) => (loss === null ? 'not finite' : loss.toPrecision(3));

const learningRate = () => Number((10 ** byId('see-rate').valueAsNumber).toPrecision(2));
const batchSize = () => 2 ** byId('see-batch').valueAsNumber;

function settings() {
  return JSON.stringify({
    depth: byId('see-depth').valueAsNumber,
    batch_size: batchSize(),
    learning_rate: learningRate(),
    activation: byId('see-activation').value,
    arrangement: document.querySelector('input[name=arrangement]:checked').value,
  });
}

/** What the sliders mean. */
function say() {
  for (const [id, text] of [['see-rate', learningRate()], ['see-depth', byId('see-depth').value], ['see-batch', batchSize()]]) {
    byId(`${id}-out`).textContent = text;
    byId(id).setAttribute('aria-valuetext', text);
  }
}
