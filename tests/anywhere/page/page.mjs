// Trains digits.onnx in the tab on digits.bin and on what is drawn; all numerics are the file's, run by onnxruntime-web.
import { Trainer } from "./trainer.mjs";
import { accuracyChart, lossChart, Pad, showBars, showDigit } from "./pictures.mjs";

const CDN = "https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist",
  HELD_OUT = 359,
  SHOWN = 32,
  SLICE = 40; // SLICE: ms between pauses
const $ = (id) => document.getElementById(id),
  pause = () => new Promise((done) => setTimeout(done));
let trainer,
  training = [],
  held = [],
  running = false,
  epoch = 0,
  losses = [],
  accuracies = [];

const say = (text, isError = false) => {
  $("status").textContent = text;
  $("status").className = isError ? "error" : "";
};
const guarded =
  (action) =>
  async (...given) => {
    try {
      await action(...given);
    } catch (error) {
      running = false;
      say(error.message, true);
    }
  };

async function runtime(backend) {
  const bundle = backend === "webgpu" ? "ort.webgpu.bundle.min.mjs" : "ort.wasm.bundle.min.mjs";
  const ort = await import(`/ort/${bundle}`).catch(() => import(`${CDN}/${bundle}`));
  ort.env.wasm.numThreads = 1; // steps this small gain nothing from more
  return ort;
}

async function open(source, seed) {
  // a model, and its numbers from the start
  const backend = $("backend").value,
    ort = await runtime(backend);
  trainer = await Trainer.load(source, { ort, seed, executionProviders: [backend] });
  forget();
  await judge();
  say("ready");
}

function forget() {
  [epoch, losses, accuracies] = [0, [], []];
  for (const id of ["loss", "accuracy", "speed"]) $(id).textContent = "–";
  $("epoch").textContent = $("step").textContent = 0;
  lossChart($("losses"), losses);
  accuracyChart($("accuracies"), accuracies);
}

const images = (samples) => Float32Array.from(samples.flatMap(({ pixels }) => Array.from(pixels, (p) => p / 16)));
async function probabilities(samples) {
  const [{ data }] = Object.values(await trainer.predict({ image: images(samples) }));
  return samples.map((_, i) => Array.from(data.subarray(10 * i, 10 * i + 10)));
}
const best = (p) => p.indexOf(Math.max(...p));

async function judge(trained) {
  // the held-out digits, and the drawing, as the network sees them now
  const found = (await probabilities(held)).map(best),
    share = held.filter(({ digit }, i) => found[i] === digit).length / held.length;
  $("held").textContent = `${(100 * share).toFixed(1)} %`;
  if (trained !== undefined) accuracyChart($("accuracies"), (accuracies = [...accuracies, { trained, held: share }]));
  held.slice(0, SHOWN).forEach(({ pixels, digit }, i) => showDigit($("samples"), i, pixels, found[i], digit));
  await look();
}
async function look() {
  if (!pad.isEmpty && trainer) showBars($("bars"), (await probabilities([{ pixels: pad.pixels }]))[0]);
}

const shuffled = (array) => {
  // Fisher and Yates
  const mixed = [...array];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
};

async function train() {
  while (running) {
    const order = shuffled(training),
      size = Number($("batch").value);
    let results,
      began = performance.now(),
      steps = 0,
      last = began;
    trainer.resetMetrics();
    for (let at = 0; at + size <= order.length && running; at += size) {
      const batch = order.slice(at, at + size);
      results = await trainer.step({ image: images(batch), target: batch.map(({ digit }) => digit) });
      losses.push(results.loss);
      steps += 1;
      if (performance.now() - last > SLICE) {
        $("step").textContent = losses.length;
        $("loss").textContent = results.loss.toFixed(3);
        $("accuracy").textContent = `${(100 * results.accuracy).toFixed(1)} %`;
        $("speed").textContent = Math.round((1000 * steps) / (performance.now() - began));
        lossChart($("losses"), losses);
        await pause();
        last = performance.now();
      }
    }
    if (running) $("epoch").textContent = ++epoch;
    $("step").textContent = losses.length;
    await judge(running ? results.accuracy : undefined);
    await pause();
  }
  say("paused");
}

const toggle = guarded(async () => {
  if (running) {
    running = false;
    say("stopping ...");
    return;
  }
  running = true;
  $("train").textContent = "Pause";
  for (const id of ["anew", "model", "checkpoint", "backend"]) $(id).disabled = true;
  say("training ...");
  await train().finally(() => {
    $("train").textContent = "Train";
    for (const id of ["anew", "model", "checkpoint", "backend"]) $(id).disabled = false;
  });
});

function download(bytes, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([bytes])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function load() {
  const bytes = new Uint8Array(await (await fetch("digits.bin")).arrayBuffer());
  const samples = Array.from({ length: bytes.length / 65 }, (_, i) => ({
    pixels: bytes.subarray(65 * i, 65 * i + 64),
    digit: bytes[65 * i + 64],
  }));
  [training, held] = [samples.slice(0, -HELD_OUT), samples.slice(-HELD_OUT)];
  if (!navigator.gpu) $("backend").options[1].disabled = true;
  await open("digits.onnx");
  for (const id of ["train", "anew", "model", "checkpoint"]) $(id).disabled = false;
}

const pad = new Pad(
  $("pad"),
  $("seen"),
  guarded(async () => {
    $("add").disabled = pad.isEmpty;
    if (!running) await look();
  }),
);
for (let d = 0; d < 10; d++) $("label").add(new Option(d));
showBars($("bars"), new Array(10).fill(0));
$("train").onclick = toggle;
$("anew").onclick = guarded(async () => {
  await trainer.reset(Math.floor(Math.random() * 2 ** 31));
  forget();
  await judge();
  say("a new network");
});
$("clear").onclick = () => {
  pad.clear();
  $("add").disabled = true;
  showBars($("bars"), new Array(10).fill(0));
};
$("add").onclick = () => {
  training.push({ pixels: pad.pixels, digit: Number($("label").value) });
  say(`${training.length} digits to train on`);
  $("clear").click();
};
$("backend").onchange = guarded(async () => {
  const file = await trainer.onnx();
  say("loading ...");
  await open(file);
});
$("model").onclick = guarded(async () => download(await trainer.onnx(), "digits.onnx"));
$("checkpoint").onclick = guarded(async () => download(await trainer.save(), "digits.safetensors"));
$("open").onchange = guarded(async ({ target }) => {
  const [file] = target.files,
    bytes = new Uint8Array(await file.arrayBuffer());
  if (running) throw new Error("pause the training first");
  if (file.name.endsWith(".safetensors")) {
    trainer.restore(bytes);
    await judge();
  } else await open(bytes);
  say(`goes on from ${file.name}`);
});
guarded(load)();
