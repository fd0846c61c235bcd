// Trains a train-step folder, or a model.onnx with training_info, on onnxruntime-node or onnxruntime-web. No build step.
//   const trainer = await Trainer.load("digits_step");      const { loss, accuracy } = await trainer.step({ image, target });
import { patched, plain } from "./onnx.mjs";
import { inNode, mapped, open, read } from "./programs.mjs";
import { fitted, fromSafetensors, toSafetensors, zeros } from "./tensors.mjs";

export class Trainer {
  // `source`: a folder, a file, or a file's bytes. A `seed` starts anew; without one a file goes on where it stands, a folder takes 0.
  // `ort`: the onnxruntime module, if it is not to be imported by name. The rest is for sessions: { executionProviders: ["webgpu"] }.
  static async load(source, { ort, seed, ...options } = {}) {
    const trainer = new Trainer(), module = ort ?? globalThis.ort ?? await import(inNode ? "onnxruntime-node" : "onnxruntime-web");
    const ort_ = module.InferenceSession ? module : module.default, programs = await open(source), { step, next, now } = programs;
    Object.assign(trainer, { ort: ort_, options, programs, state: {} });
    const onDevice = options.executionProviders?.some((p) => (p.name ?? p) === "webgpu"); // then the State stays there
    const stays = onDevice ? { preferredOutputLocation: mapped(next, (_, name) => [name, "gpu-buffer"]) } : {};
    trainer.stepper = await trainer.#session(step, stays);
    if (now) trainer.state = await trainer.#once(now, () => ({}));
    if (seed !== undefined || !now) await trainer.reset(seed);
    return trainer;
  }
  async step(batch) { // one step of training: its loss and metrics by name
    if (this.running) throw new Error("a step is still running: await each one before the next");
    const feeds = this.#feeds(this.stepper, batch, this.state), { next } = this.programs;
    this.running = true;
    const results = await this.stepper.run(feeds).finally(() => (this.running = false));
    this.#become(mapped(next, (entry, name) => [entry, results[name]]));
    return this.#numbers(results, Object.values(next));
  }
  async evaluate(batches) { // loss and metrics over one batch or several, with the weights as they stand
    const { folder } = this.programs;
    if (!folder) throw new Error("to evaluate, load a folder of `onnxdl export --format train-step`, which holds evaluate.onnx");
    this.evaluator ??= await this.#session(await read(`${folder}evaluate.onnx`));
    const own = this.evaluator.outputNames.filter((name) => name.startsWith("next/")), state = { ...this.state };
    for (const name of own) state[name.slice(5)] = this.#zeros(state[name.slice(5)]);
    let results, total = 0, samples = 0;
    for (const batch of [batches].flat()) {
      const feeds = this.#feeds(this.evaluator, batch, state), size = feeds[Object.keys(batch)[0]].dims[0];
      results = await this.evaluator.run(feeds);
      for (const name of own) state[name.slice(5)] = results[name];
      [total, samples] = [total + Number(results.loss.data[0]) * size, samples + size];
    }
    return { ...this.#numbers(results, own), loss: total / samples };
  }
  async predict(inputs) { // the outputs by name, as Tensors
    const session = (this.predictor ??= await this.#session(await this.onnx()));
    return session.run(this.#feeds(session, inputs));
  }
  async reset(seed = 0) { // begins anew
    const feed = { seed: new this.ort.Tensor("int64", [BigInt(seed)], []) };
    const made = await this.#once(this.programs.init, ({ inputNames }) => (inputNames.includes("seed") ? feed : {}));
    this.#become(mapped(this.programs.first, (entry, name) => [entry, made[name]]));
  }
  resetMetrics() { // forgets what the metrics have summed up, as at the end of an epoch
    this.#become(mapped(this.state, (name, tensor) => [name, plain(name).startsWith("metrics.") ? this.#zeros(tensor) : tensor]));
  }
  async save() { return toSafetensors(mapped(await this.#bytes(), (name, entry) => [plain(name), entry])); } // for ox.load_checkpoint
  async onnx() { return patched(this.programs.predict, mapped(await this.#bytes(), (name, { bytes }) => [name, bytes])); } // for ox.load
  restore(checkpoint) { // takes the State that `save` or ox.save_checkpoint wrote
    const saved = fromSafetensors(checkpoint);
    this.#become(mapped(this.state, (key, { type, dims }) => {
      const name = plain(key), { data, ...found } = saved[name] ?? {}, is = `${found.type}[${found.dims}]`;
      if (!data) throw new Error(`the checkpoint lacks the State entry ${name}; is it of another model?`);
      if (is !== `${type}[${dims}]`) throw new Error(`${name} is ${is} in the checkpoint, but must be ${type}[${dims}]`);
      return [key, new this.ort.Tensor(type, data, dims)];
    }));
  }
  #session(bytes, more = {}) { return this.ort.InferenceSession.create(bytes, { ...this.options, ...more }); }
  async #once(bytes, feed) {
    const session = await this.#session(bytes);
    try { return await session.run(feed(session)); } finally { await session.release(); }
  }
  #zeros({ type, dims }) { return new this.ort.Tensor(type, zeros(type, dims), dims); }
  #numbers(results, left) { // but for those left out; scalars as numbers
    const kept = Object.entries(results).filter(([name]) => !left.includes(name));
    return Object.fromEntries(kept.map(([name, tensor]) => [plain(name), tensor.dims.length ? tensor : Number(tensor.data[0])]));
  }
  #feeds(session, batch, state = {}) { // the inputs of a session, those of the batch checked
    const free = session.inputMetadata.filter(({ name }) => !(name in state)).map((input) => ({ ...input, called: plain(input.name) }));
    const known = free.map(({ called }) => called), wrong = Object.keys(batch).find((name) => !known.includes(name));
    if (wrong) throw new Error(`there is no input ${wrong}; there are ${known.join(", ")}`);
    const made = free.map(({ name, type, shape, called }) => [name, fitted({ name: called, type, shape }, batch[called]), type]);
    const held = session.inputNames.filter((name) => name in state).map((name) => [name, state[name]]);
    return Object.fromEntries([...made.map(([name, { data, dims }, type]) => [name, new this.ort.Tensor(type, data, dims)]), ...held]);
  }
  #become(entries) {
    for (const [name, tensor] of Object.entries(entries)) {
      if (this.state[name]?.location === "gpu-buffer" && this.state[name] !== tensor) this.state[name].dispose();
      this.state[name] = tensor;
    }
    this.predictor?.release(); // it holds the weights of before
    this.predictor = undefined;
  }
  async #bytes() { // of each State entry, with its type and dims
    const got = await Promise.all(Object.values(this.state).map((tensor) => tensor.getData()));
    return Object.fromEntries(Object.entries(this.state).map(([name, { type, dims }], i) =>
      [name, { type, dims, bytes: new Uint8Array(got[i].buffer, got[i].byteOffset, got[i].byteLength) }]));
  }
}
