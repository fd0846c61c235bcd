// .onnx files as the protobuf messages they are: what a training_info holds, made runnable; other weights put in.

const text = (bytes) => new TextDecoder().decode(bytes), bytesOf = (string) => new TextEncoder().encode(string);
const GRAPH = 7, METADATA = 14, TRAINING = 20; // fields of a ModelProto
const NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12, VALUE_INFO = 13; // of a GraphProto
export const plain = (name) => name.replace(/^(training\/)+/, ""); // without what kept a name apart from the inference graph's

function* fields(bytes) { // each field of a message: its number, its value (bytes, or a BigInt), all its bytes
  let at = 0;
  const varint = () => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (!(byte > 127)) return value;
    }
  };
  while (at < bytes.length) {
    const start = at, tag = Number(varint()), kind = tag & 7;
    const length = kind === 2 ? Number(varint()) : kind === 1 ? 8 : 4;
    const value = kind === 0 ? varint() : bytes.subarray(at, at += length);
    if (at > bytes.length || ![0, 1, 2, 5].includes(kind)) throw new Error("not an ONNX file, or it is damaged or cut short");
    yield [tag >>> 3, value, bytes.subarray(start, at)];
  }
}
const all = (message, number) => [...fields(message)].filter(([n]) => n === number).map(([, value]) => value);
const named = (message, number = 1) => text(all(message, number)[0] ?? new Uint8Array()); // a name, of a tensor its field 8
const pairs = (messages) => Object.fromEntries(messages.map((entry) => [named(entry), named(entry, 2)])); // StringStringEntryProtos

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}
function varint(value) {
  const bytes = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0)), rest > 127n; rest >>= 7n);
  return bytes;
}
const number = (n, value) => joined([varint(n << 3), varint(value)]);
const field = (n, ...parts) => { const body = joined(parts); return joined([varint((n << 3) | 2), varint(body.length), body]); };
const changed = (message, change) => joined([...fields(message)].map(([n, value, whole]) => change(n, value) ?? whole));
const nothing = new Uint8Array();

function declared(tensor, as = named(tensor, 8)) { // the ValueInfoProto of an initializer
  const dims = all(tensor, 1).flatMap((d) => typeof d === "bigint" ? [d] : packed(d)).map((d) => field(1, number(1, d)));
  return joined([field(1, bytesOf(as)), field(2, field(1, number(1, all(tensor, 2)[0]), field(2, ...dims)))]);
}
function packed(bytes) {
  const shifted = joined([...bytes].map((byte, i) => i && bytes[i - 1] > 127 ? [byte] : [8, byte]));
  return [...fields(shifted)].map(([, value]) => value);
}
function read(node) { // the names that a node reads, those in its bodies too
  const bodies = all(node, 5).flatMap((attribute) => [...all(attribute, 6), ...all(attribute, 11)]);
  const inner = bodies.flatMap((body) => [...all(body, NODE).flatMap(read), ...all(body, OUTPUT).map((value) => named(value))]);
  return [...all(node, 1).map(text), ...inner];
}
function needed(nodes, wanted) { // those of the nodes, in order, that what is wanted needs
  const names = new Set(wanted), kept = [];
  for (const node of nodes.reverse()) {
    if (!all(node, 2).some((output) => names.has(text(output)))) continue;
    kept.push(node);
    for (const name of read(node)) names.add(name);
  }
  return kept.reverse();
}

export const metadata = (model) => pairs(all(model, METADATA));
export const outputs = (model) => all(all(model, GRAPH)[0] ?? nothing, OUTPUT).map((value) => named(value));

// The programs in a file with training_info: the step, the first State from a seed, the State as the file has it; and how they are tied.
export function flatten(model) {
  const training = all(model, TRAINING), graph = all(model, GRAPH)[0];
  if (!graph) throw new Error("not an ONNX file: it holds no graph");
  if (training.length !== 1) throw new Error(metadata(model)["onnxdl.protocol"] === undefined
    ? "the file holds no training information; write it with model.save in Python"
    : "a tool that rewrote the file dropped its training information; take the file from before, or save it again");
  const [initialization] = all(training[0], 1), [algorithm] = all(training[0], 2);
  const first = pairs(all(training[0], 3)), next = pairs(all(training[0], 4));
  const rest = changed(model, (n) => [GRAPH, METADATA, TRAINING].includes(n) ? nothing : undefined);
  const like = (...parts) => joined([rest, field(GRAPH, ...parts)]);
  const tensors = [...all(graph, INITIALIZER), ...all(algorithm, INITIALIZER)], isState = (tensor) => named(tensor, 8) in next;
  const state = tensors.filter(isState), held = new Set(state.map((tensor) => named(tensor, 8)));
  for (const key in next) if (!held.has(key)) throw new Error(`update_binding names ${key}, which is no initializer of the file`);
  if (tensors.some((tensor) => all(tensor, 14)[0] === 1n)) // data_location: EXTERNAL
    throw new Error("the file keeps weights in another one beside it, which this host does not read: save it as one file, or export the folder");
  const dropped = (n, value) => n === NODE || (n === INITIALIZER && isState(value)) ? nothing : undefined;
  const nodes = needed([...all(graph, NODE), ...all(algorithm, NODE)], all(algorithm, OUTPUT).map((value) => named(value)));
  const outer = changed(graph, (n, value) => n === OUTPUT || n === VALUE_INFO ? nothing : dropped(n, value));
  const step = like(outer, changed(algorithm, dropped),
    ...nodes.map((node) => field(NODE, node)), ...state.map((tensor) => field(INPUT, declared(tensor))));
  const seed = (n, value) => n === INITIALIZER && named(value, 8) === "seed" ? field(INPUT, declared(value)) : undefined;
  const init = initialization && like(changed(initialization, seed)), keys = { ...metadata(model), ...pairs(all(algorithm, 16)) };
  return { step, next, first, init, keys,
    now: like(field(2, bytesOf("state")), ...state.flatMap((tensor) => [field(INITIALIZER, tensor), field(OUTPUT, declared(tensor))])) };
}

// A model whose initializers, in its graph and its training algorithm, have the values that are given by name, as bytes.
export function patched(model, values) {
  const tensor = (bytes, raw) => joined([changed(bytes, (n) => [1, 2, 8].includes(n) ? undefined : nothing), field(9, raw)]);
  const held = (bytes) => (named(bytes, 8) in values ? field(INITIALIZER, tensor(bytes, values[named(bytes, 8)])) : undefined);
  const graph = (bytes) => changed(bytes, (n, value) => n === INITIALIZER ? held(value) : undefined);
  const training = (bytes) => changed(bytes, (n, value) => n === 2 ? field(n, graph(value)) : undefined);
  return changed(model, (n, value) => n === GRAPH ? field(n, graph(value)) : n === TRAINING ? field(n, training(value)) : undefined);
}
