// Trains on recorded batches: node parity.mjs NODE_MODULES JOB, where JOB lists { source, batches, losses, state, model }, files all.
import { fromSafetensors } from "./tensors.mjs";
import { Trainer } from "./trainer.mjs";

// The losses of training on batches, stacked arrays by input name; the State that it ends with, as a checkpoint, and where it lies; the trained model.
export async function train(source, stacked, options) {
  const trainer = await Trainer.load(source, options),
    losses = [];
  const inputs = Object.entries(fromSafetensors(stacked)),
    steps = inputs[0][1].dims[0];
  for (let k = 0; k < steps; k++) {
    const batch = inputs.map(([name, { type, dims, data }]) => [
      name,
      new options.ort.Tensor(type, data.subarray((data.length / steps) * k, (data.length / steps) * (k + 1)), dims.slice(1)),
    ]);
    losses.push((await trainer.step(Object.fromEntries(batch))).loss);
  }
  const places = [...new Set(Object.values(trainer.state).map(({ location }) => location))];
  return { losses, places, state: await trainer.save(), model: await trainer.onnx() };
}

if (globalThis.process?.argv?.[1]?.endsWith("parity.mjs")) {
  const { createRequire } = await import("node:module"),
    { readFile, writeFile } = await import("node:fs/promises");
  const ort = createRequire(`${process.argv[2]}/`)("onnxruntime-node"),
    jobs = JSON.parse(await readFile(process.argv[3], "utf8"));
  for (const { source, batches, losses, state, model } of jobs) {
    const trained = await train(source, new Uint8Array(await readFile(batches)), { ort, seed: 0, intraOpNumThreads: 1 });
    await writeFile(losses, JSON.stringify(trained.losses));
    await writeFile(state, trained.state);
    if (model) await writeFile(model, trained.model);
  }
}
