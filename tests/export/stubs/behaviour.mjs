// node behaviour.mjs FOLDER: what bitgate.js promises besides its integers; exits with an error if one does not hold.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const { Model } = await import(pathToFileURL(`${folder}/bitgate.js`));
const bytes = readFileSync(`${folder}/model.wasm`);
const model = await Model.load(bytes);
for (const source of [pathToFileURL(`${folder}/model.wasm`), pathToFileURL(`${folder}/model.wasm`).href]) {
  assert.deepEqual({ ...(await Model.load(source)) }, { ...model });
}
const T = 9;
const x = Float32Array.from({ length: T * model.inputSize }, (_, k) => Math.sin(k) * 2);
const whole = model.stream().run(x);

// Any chunking, and streams that take turns, give the same integers.
const [one, other] = [model.stream(), (await Model.load(await WebAssembly.compile(bytes))).stream()];
const third = model.stream();
for (let t = 0; t < T; ++t) {
  one.step(x.subarray(t * model.inputSize, (t + 1) * model.inputSize));
  third.step(new Array(model.inputSize).fill(t));
  other.step([...x.slice(t * model.inputSize, (t + 1) * model.inputSize)]);
}
assert.deepEqual(one.state, whole.state);
assert.deepEqual(other.state, whole.state);
assert.notDeepEqual(third.state, whole.state);
assert.deepEqual(model.stream().run(x.subarray(0, 4 * model.inputSize)).run(x.subarray(4 * model.inputSize)).logits(), whole.logits());

// A state is a copy; assigning one restores a stream.
const kept = whole.state;
kept.fill(7);
assert.notDeepEqual(whole.state, kept);
const fork = model.stream();
fork.state = whole.state;
assert.deepEqual(fork.step(x.subarray(0, model.inputSize)).logits(), whole.step(x.subarray(0, model.inputSize)).logits());
assert.ok(fork.reset().state.every((value) => value === 0));
assert.equal(model.stream().run([]).state.length, whole.state.length);

// Wrong arguments are refused by what they are, and change nothing.
const before = whole.state;
const size = model.inputSize;
assert.throws(() => whole.step(new Float32Array(size + 1)), { name: "RangeError", message: `${size + 1} values: expected ${size}` });
assert.throws(() => whole.run(new Float32Array(size + 1)), { name: "RangeError", message: /expected a multiple of/ });
for (const wrong of [model.codeLimit + 1, 0.5, Number.NaN]) {
  assert.throws(() => whole.stepCodes(new Array(size).fill(wrong)), { name: "RangeError", message: /expected an integer from/ });
}
assert.throws(() => { whole.state = [1, 2]; }, { name: "RangeError", message: /a state of 2 values/ });
assert.deepEqual(whole.state, before);
assert.throws(() => { "use strict"; model.inputSize = 3; }, TypeError);
await assert.rejects(Model.load(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])), /not a model of bitgate/);
await assert.rejects(Model.load(`${folder}/nothing.wasm`), /nothing/);
