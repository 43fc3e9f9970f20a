/** A vector of numbers: any typed array, or a plain array. */
export type Numbers = ArrayLike<number>;

/** One stream of data, with a state of its own, all zero at first. Made by {@link Model.stream}. */
export interface Stream {
  /** One time step. @param features `inputSize` raw values in the units of the training data. */
  step(features: Numbers): this;
  /** Several time steps at once. @param features raw values, step by step, `inputSize` each. */
  run(features: Numbers): this;
  /** One time step from input codes: `inputSize` integers within ±`codeLimit`. */
  stepCodes(codes: Numbers): this;
  /** Several time steps from input codes, step by step. */
  runCodes(codes: Numbers): this;
  /** Back to the zero state, before the next sequence. */
  reset(): this;
  /** The class with the largest logit so far, the first of equals. @throws TypeError without classes */
  predict(): number;
  /** Integer logits so far, one for each class; times `outputScale` they are real. @throws TypeError without classes */
  logits(): Int32Array;
  /** Hidden codes of the last layer, as a copy. */
  output(): Int16Array;
  /** All that later steps depend on: for each layer h, then c. A copy; assign it to restore or fork a stream. */
  state: Int16Array;
}

/** A frozen model. It is stateless: any number of streams share it. */
export class Model {
  private constructor();
  /**
   * Loads a model.
   * @param source address, path (Node), bytes or compiled module; `model.wasm` beside this file by default.
   */
  static load(source?: string | URL | ArrayBuffer | ArrayBufferView | WebAssembly.Module): Promise<Model>;
  /** A new stream. */
  stream(): Stream;
  /** Features of a time step. */
  readonly inputSize: number;
  /** Units of each recurrent layer. */
  readonly layers: readonly number[];
  /** Number of classes; 0: the output is the hidden state. */
  readonly classes: number;
  /** Names of the classes. */
  readonly classNames: readonly string[];
  /** Real value of one unit of a logit, or of a hidden code without classes. */
  readonly outputScale: number;
  /** Largest magnitude of an input code. */
  readonly codeLimit: number;
  /** How the kernels sum rows of weights. */
  readonly kernels: "plain" | "table" | "lanes";
}
