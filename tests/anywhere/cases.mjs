// What the tests ask of a Trainer on onnxruntime-node: node cases.mjs NODE_MODULES JOB. Prints JSON.
import { createRequire } from "node:module";
import { readFile, writeFile } from "node:fs/promises";
import { fitted, fromSafetensors } from "./tensors.mjs";
import { Trainer } from "./trainer.mjs";

const ort = createRequire(`${process.argv[2]}/`)("onnxruntime-node"),
  { test, folder, ...job } = JSON.parse(await readFile(process.argv[3], "utf8"));
const options = { ort, intraOpNumThreads: 1 },
  at = (name) => `${folder}/${name}`,
  bytes = async (name) => new Uint8Array(await readFile(at(name)));
const data = async (name) =>
  Object.fromEntries(
    Object.entries(fromSafetensors(await bytes(name))).map(([key, { type, dims, data }]) => [key, new ort.Tensor(type, data, dims)]),
  );
const refused = async (action) => {
  try {
    await action();
  } catch (error) {
    return error.message;
  }
  return "was accepted";
};
async function steps(trainer, batch, count) {
  const losses = [];
  while (losses.length < count) losses.push((await trainer.step(batch)).loss);
  return losses;
}

const tests = {
  async forms() {
    // each form of the same training; then what the last one predicts, evaluates and leaves
    const batch = await data("batch"),
      found = {};
    for (const source of job.sources) {
      const trainer = await Trainer.load(at(source), { ...options, seed: 5 });
      found[source] = await steps(trainer, batch, 4);
      await writeFile(at(`${source.replace("/", ".")}.trained.onnx`), await trainer.onnx());
      await writeFile(at(`${source.replace("/", ".")}.safetensors`), await trainer.save());
      const [[name, prediction]] = Object.entries(await trainer.predict({ image: batch.image }));
      found.prediction = [name, prediction.dims, Array.from(prediction.data)];
      if (source !== "model.onnx") found.evaluation = await trainer.evaluate([batch, batch]);
    }
    return found;
  },
  async resume() {
    // from its own file, its own checkpoint and from the bytes of a file, as if it had not stopped
    const batch = await data("batch"),
      trainer = await Trainer.load(at("model.onnx"), { ...options, seed: 1 });
    await steps(trainer, batch, 3);
    const [file, checkpoint] = [await trainer.onnx(), await trainer.save()],
      whole = await steps(trainer, batch, 3);
    const other = await Trainer.load(at("step"), { ...options, seed: 9 });
    await steps(other, batch, 2);
    other.restore(checkpoint);
    return { whole, file: await steps(await Trainer.load(file, options), batch, 3), checkpoint: await steps(other, batch, 3) };
  },
  async refusals() {
    const trainer = await Trainer.load(at("step"), options),
      image = new Float32Array(128),
      target = [1, 2],
      found = {};
    const cases = {
      missing: { image },
      unknown: { image, target, weight: 1 },
      size: { image: image.slice(1), target },
      rank: { image: [[1, 2]], target: [1] },
      ragged: { image: [[[[1, 2], [1]]]], target: [1] },
      number: { image, target: 3 },
    };
    for (const name in cases) found[name] = await refused(() => trainer.step(cases[name]));
    const running = trainer.step({ image, target });
    found.twice = await refused(() => trainer.step({ image, target }));
    await running;
    const fixed = await Trainer.load(at("fixed"), options);
    found.fixed = await refused(() => fixed.step({ image, target }));
    for (const name of job.files) found[name] = await refused(() => Trainer.load(at(name), options));
    found.checkpoint = await refused(async () => trainer.restore(await bytes("other.safetensors")));
    found.shapes = await refused(async () => trainer.restore(await bytes("shapes.safetensors")));
    found.evaluate = await refused(async () => (await Trainer.load(at("model.onnx"), options)).evaluate({ image, target }));
    return found;
  },
  async run() {
    // any file and batch: the losses, and the State that is left
    const trainer = await Trainer.load(at(job.source), { ...options, seed: job.seed }),
      losses = await steps(trainer, await data("batch"), job.steps);
    await writeFile(at("run.safetensors"), await trainer.save());
    return losses;
  },
  async fitting() {
    // arrays of the user's in an input's type
    const cases = [
      [
        "int64",
        ["n", 2],
        [
          [1, 2],
          [3, 4],
        ],
      ],
      ["float32", [], 2.5],
      ["int64", ["n"], new Int32Array([7, 8])],
      ["bool", [2], [true, false]],
      ["float64", ["n", 3], new Float32Array(6)],
      ["float16", ["n"], new Uint16Array([15360])],
      ["uint8", ["a", "b"], [new Uint8Array([1, 2])]],
    ];
    const plain = (v) => (typeof v === "bigint" ? Number(v) : v);
    return cases
      .map(([type, shape, given]) => fitted({ name: "x", type, shape }, given))
      .map(({ data, dims }) => [data.constructor.name, dims, Array.from(data, plain)]);
  },
};
console.log(JSON.stringify(await tests[test]()));
