// The programs of a train-step folder, or of the training_info in a file, wherever they lie: { step, init, predict, next, first, keys }.
import { flatten, metadata, outputs, plain } from "./onnx.mjs";

const PROTOCOL = "1";
export const inNode = Boolean(globalThis.process?.versions?.node);
export const mapped = (object, change) => Object.fromEntries(Object.entries(object).map(([name, value]) => change(name, value)));

export async function read(path) {
  if (inNode && !/^https?:/.test(path)) return new Uint8Array(await (await import("node:fs/promises")).readFile(path));
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`cannot read ${path}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

export async function open(source) {
  const file = typeof source !== "string" ? source : source.endsWith(".onnx") ? await read(source) : undefined;
  const inside = file && metadata(file)["onnxdl.kind"] !== "train-step";
  const programs = inside
    ? { ...flatten(file), predict: file }
    : await inFolder(file ? source.replace(/[^/]*$/, "") : source.replace(/\/*$/, "/"));
  const { keys, next } = programs,
    entries = Object.keys(next).map(plain),
    protocol = keys["onnxdl.protocol"] ?? PROTOCOL;
  if (protocol !== PROTOCOL) throw new Error(`the file follows protocol ${protocol}, but this host knows ${PROTOCOL}: take a newer one`);
  const lost = (keys["onnxdl.state"] ?? "").split("\n").find((name) => name && !entries.includes(name));
  if (lost) throw new Error(`the State entry ${lost} is listed in the metadata, but the step does not update it`);
  if (!entries.length) throw new Error("this is no train step: it gives no next/X for a State entry X");
  return programs;
}

async function inFolder(folder) {
  const [step, init, predict] = await Promise.all(["train_step", "init", "predict"].map((name) => read(`${folder}${name}.onnx`)));
  const names = outputs(step)
    .filter((name) => name.startsWith("next/"))
    .map((name) => name.slice(5));
  const next = Object.fromEntries(names.map((name) => [name, `next/${name}`]));
  return { folder, step, init, predict, keys: metadata(step), next, first: mapped(next, (name) => [name, name]) };
}
