// Arrays of the user's in a session's types, and .safetensors checkpoints.

const HALF = globalThis.Float16Array ?? Uint16Array; // where JavaScript has no float16 yet, its bits
const KINDS = {
  float32: ["F32", Float32Array],
  float64: ["F64", Float64Array],
  float16: ["F16", HALF],
  bool: ["BOOL", Uint8Array],
  int64: ["I64", BigInt64Array],
  uint64: ["U64", BigUint64Array],
  int32: ["I32", Int32Array],
  uint32: ["U32", Uint32Array],
  int16: ["I16", Int16Array],
  uint16: ["U16", Uint16Array],
  int8: ["I8", Int8Array],
  uint8: ["U8", Uint8Array],
};
const sizeOf = (dims) => dims.reduce((size, d) => size * d, 1);
const isOpen = (d) => typeof d !== "number";

export const zeros = (type, dims) => new KINDS[type][1](sizeOf(dims));

// The data and dims for an input, of a Tensor, a typed array, whose one open dimension is computed, a number, or nested arrays.
export function fitted({ name, type, shape }, given) {
  const wanted = `${type}[${shape.join(", ")}]`,
    Kind = KINDS[type]?.[1];
  if (!Kind) throw new Error(`${name}: tensors of ${type} are not supported`);
  if (given === undefined || given === null) throw new Error(`${name} is missing; it must be ${wanted}`);
  let dims = given.dims,
    data = given.dims ? given.data : given;
  if (!dims && ArrayBuffer.isView(data)) {
    if (shape.filter(isOpen).length > 1) throw new Error(`${name} is ${wanted}: several dimensions are open, so give a Tensor`);
    dims = shape.map((d) => (isOpen(d) ? data.length / sizeOf(shape.filter((other) => !isOpen(other))) : d));
  } else if (!dims)
    for (let level = ((dims = []), given); Array.isArray(level) || ArrayBuffer.isView(level); level = level[0]) dims.push(level.length);
  if (!(data instanceof Kind)) {
    const numbers = ArrayBuffer.isView(data) ? [...data] : [data].flat(Infinity).flatMap((v) => (ArrayBuffer.isView(v) ? [...v] : v));
    if (type === "float16" && Kind === Uint16Array)
      throw new Error(`${name}: there is no Float16Array here; give the bits in a Uint16Array`);
    data = Kind.from(numbers, type.endsWith("int64") ? BigInt : Number);
  }
  const fits = dims.length === shape.length && dims.every((d, i) => Number.isInteger(d) && (isOpen(shape[i]) || d === shape[i]));
  if (!fits || data.length !== sizeOf(dims))
    throw new Error(`${name} has ${data.length} numbers and the shape [${dims.join(", ")}]; it must be ${wanted}`);
  return { data, dims };
}

export function toSafetensors(tensors) {
  const header = {},
    parts = Object.values(tensors).map(({ bytes }) => bytes);
  let at = 0;
  for (const [name, { type, dims, bytes }] of Object.entries(tensors))
    header[name] = { dtype: KINDS[type][0], shape: [...dims], data_offsets: [at, (at += bytes.length)] };
  const json = new TextEncoder().encode(JSON.stringify(header)),
    start = 8 + json.length + (-json.length & 7);
  const file = new Uint8Array(start + at).fill(32, 8, start);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(json, 8);
  parts.reduce((to, part) => (file.set(part, to), to + part.length), start);
  return file;
}

export function fromSafetensors(file) {
  // name -> { type, dims, data }
  const start = 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (!(start <= file.length)) throw new Error("no .safetensors file, or it is cut short");
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const type = Object.keys(KINDS).find((key) => KINDS[key][0] === dtype);
        if (!type) throw new Error(`${name}: tensors of ${dtype} are not supported`);
        return [name, { type, dims: shape, data: new KINDS[type][1](file.slice(start + from, start + to).buffer) }];
      },
    ),
  );
}
