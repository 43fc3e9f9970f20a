/**
 * A frozen recurrent model of bitgate in WebAssembly, for browsers, workers and Node. No dependencies.
 *
 * The integers are those of the interpreter in Python and of the C program. Everything about the model comes out of the
 * .wasm file, so that this file is the same for all models.
 */

const ALIGNMENT = 16;
const PAGE_BYTES = 65536;
const READOUT_OFFSET = 4; // of the pointer to the readout in bg_model, with pointers of 32 bits

/** Bytes of a file or address; Node's fetch does not read files. */
async function read(source) {
  const isWeb = /^(https?|blob|data):/.test(String(source));
  if (!isWeb && globalThis.process?.versions?.node) {
    const { readFile } = await import(/* webpackIgnore: true */ "node:fs/promises");
    return readFile(/^file:/.test(String(source)) ? new URL(source) : source);
  }
  const response = await fetch(source);
  if (!response.ok) {
    throw new Error(`${source}: ${response.status} ${response.statusText}`);
  }
  return response.arrayBuffer();
}

async function compile(source) {
  if (source instanceof WebAssembly.Module) {
    return source;
  }
  const isBinary = source instanceof ArrayBuffer || ArrayBuffer.isView(source);
  return WebAssembly.compile(isBinary ? source : await read(source));
}

/** The module with SIMD if the export made one and this engine runs it, else the other. */
async function compileBest() {
  try {
    return await compile(new URL("./model-simd.wasm", import.meta.url));
  } catch {
    return compile(new URL("./model.wasm", import.meta.url));
  }
}

/** What the model tells of itself, in the custom section that the export writes. */
function describe(module) {
  const [section] = WebAssembly.Module.customSections(module, "bitgate");
  if (section === undefined) {
    throw new TypeError("not a model of bitgate: the module has no section 'bitgate'");
  }
  return JSON.parse(new TextDecoder().decode(section));
}

/** The instance and its memory: one working state, which every stream lends its own for the time of a call. */
class Engine {
  #exports;
  #state;
  #scratch;
  #codes;
  #features;
  #params;

  constructor(instance, info) {
    const { memory, model_params: params, __heap_base: start } = instance.exports;
    this.#exports = instance.exports;
    this.#params = params.value;
    let end = start.value;
    const reserve = (bytes) => {
      const at = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
      end = at + bytes;
      return at;
    };
    const state = reserve(2 * info.stateSize);
    this.#scratch = reserve(2 * info.scratchSize);
    const codes = reserve(2 * info.inputSize);
    const features = reserve(4 * info.inputSize);
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) {
      memory.grow(Math.ceil(missing / PAGE_BYTES)); // before any view is made: it detaches the buffer
    }
    this.#state = new Int16Array(memory.buffer, state, info.stateSize);
    this.#codes = new Int16Array(memory.buffer, codes, info.inputSize);
    this.#features = new Float32Array(memory.buffer, features, info.inputSize);
    this.readout = new DataView(memory.buffer).getUint32(this.#params + READOUT_OFFSET, true);
    this.bits = info.stateBits;
  }

  /** Runs steps from the state in values and leaves the new one there; put fills the codes of step t. */
  run(values, steps, put) {
    this.#state.set(values);
    for (let t = 0; t < steps; ++t) {
      put(t);
      this.#exports.bg_model_step(
        this.#params,
        this.#state.byteOffset,
        this.#scratch,
        this.#codes.byteOffset,
      );
    }
    values.set(this.#state);
  }

  putCodes(x, t) {
    const size = this.#codes.length;
    for (let k = 0; k < size; ++k) {
      this.#codes[k] = x[t * size + k];
    }
  }

  putFeatures(x, t) {
    const size = this.#codes.length;
    for (let k = 0; k < size; ++k) {
      this.#features[k] = x[t * size + k];
    }
    const { bg_quantize: quantize, model_input_mean: mean, model_input_gain: gain } = this.#exports;
    const [from, to] = [this.#features.byteOffset, this.#codes.byteOffset];
    quantize(mean.value, gain.value, size, this.bits, from, to);
  }

  logits(values, output, out) {
    this.#state.set(values);
    const h = this.#state.byteOffset + 2 * output;
    for (let k = 0; k < out.length; ++k) {
      out[k] = this.#exports.bg_readout_logit(this.readout, k, h);
    }
    return out;
  }
}

/** One stream of data with a state of its own; made by Model.stream. */
class Stream {
  #engine;
  #model;
  #values;
  #outputAt; // where the hidden state of the last layer begins

  constructor(engine, model, stateSize, outputAt) {
    this.#engine = engine;
    this.#model = model;
    this.#values = new Int16Array(stateSize);
    this.#outputAt = outputAt;
  }

  step(features) {
    this.#requireSteps(features, 1);
    return this.run(features);
  }

  run(features) {
    const steps = this.#requireSteps(features);
    this.#engine.run(this.#values, steps, (t) => this.#engine.putFeatures(features, t));
    return this;
  }

  stepCodes(codes) {
    this.#requireSteps(codes, 1);
    return this.runCodes(codes);
  }

  runCodes(codes) {
    const steps = this.#requireSteps(codes);
    const limit = this.#model.codeLimit;
    for (let k = 0; k < codes.length; ++k) {
      if (!Number.isInteger(codes[k]) || Math.abs(codes[k]) > limit) {
        throw new RangeError(`code ${codes[k]} at ${k}: expected an integer from ${-limit} to ${limit}`);
      }
    }
    this.#engine.run(this.#values, steps, (t) => this.#engine.putCodes(codes, t));
    return this;
  }

  reset() {
    this.#values.fill(0);
    return this;
  }

  logits() {
    if (this.#model.classes === 0) {
      throw new TypeError("the model has no classes: use output()");
    }
    return this.#engine.logits(this.#values, this.#outputAt, new Int32Array(this.#model.classes));
  }

  predict() {
    const logits = this.logits();
    return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
  }

  output() {
    const start = this.#outputAt;
    return this.#values.slice(start, start + (this.#model.layers.at(-1) ?? this.#model.inputSize));
  }

  get state() {
    return this.#values.slice();
  }

  set state(values) {
    if (values.length !== this.#values.length) {
      throw new RangeError(`a state of ${values.length} values: expected ${this.#values.length}`);
    }
    this.#values.set(values);
  }

  /** The number of whole steps in x. */
  #requireSteps(x, expected) {
    const size = this.#model.inputSize;
    const steps = x.length / size;
    if (expected === undefined ? !Number.isInteger(steps) : steps !== expected) {
      const wanted = expected === undefined ? `a multiple of ${size}` : size;
      throw new RangeError(`${x.length} values: expected ${wanted}`);
    }
    return steps;
  }
}

export class Model {
  #engine;
  #stateSize;
  #outputAt;

  static async load(source) {
    const module = source === undefined ? await compileBest() : await compile(source);
    return new Model(await WebAssembly.instantiate(module), describe(module));
  }

  constructor(instance, info) {
    this.#engine = new Engine(instance, info);
    this.#stateSize = info.stateSize;
    this.#outputAt = info.outputAt;
    this.inputSize = info.inputSize;
    this.layers = Object.freeze(info.layers);
    this.classes = info.classes;
    this.classNames = Object.freeze(info.classNames);
    this.outputScale = info.outputScale;
    this.codeLimit = 2 ** (info.stateBits - 1) - 1;
    this.kernels = info.kernels;
    Object.freeze(this);
  }

  stream() {
    return new Stream(this.#engine, this, this.#stateSize, this.#outputAt);
  }
}
