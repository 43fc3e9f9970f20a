// Compiles only if bitgate.d.ts declares what is used here, with these types.
import { Model, type Stream } from "./bitgate.js";

const model: Model = await Model.load(new URL("./model.wasm", import.meta.url));
const stream: Stream = model.stream().step(new Float32Array(model.inputSize)).run([1, 2, 3]).reset();
const classIndex: number = stream.stepCodes(new Int16Array(3)).runCodes([1, 2, 3]).predict();
const logits: Int32Array = stream.logits();
const output: Int16Array = stream.output();
stream.state = model.stream().state;
const shown: [string, number, readonly number[]] = [model.classNames[classIndex], logits[0] * model.outputScale, model.layers];
// @ts-expect-error: read-only
model.classes = 3;
// @ts-expect-error: no strings
stream.step("1 2 3");
export { output, shown };
