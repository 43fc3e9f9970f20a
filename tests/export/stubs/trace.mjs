// node trace.mjs FOLDER MODULE < sequences as JSON: every state, logits and class after every step, as JSON.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, module] = process.argv.slice(2);
const { Model } = await import(pathToFileURL(`${folder}/bitgate.js`));
const model = await Model.load(module === undefined ? undefined : `${folder}/${module}`);
const { sequences, codes } = JSON.parse(readFileSync(0, "utf8"));

function steps(sequence) {
  const stream = model.stream();
  return sequence.map((x) => {
    codes ? stream.stepCodes(Int16Array.from(x)) : stream.step(Float32Array.from(x));
    const logits = model.classes > 0 ? [...stream.logits()] : [];
    return { state: [...stream.state], output: [...stream.output()], logits, predicted: logits.length ? stream.predict() : -1 };
  });
}

console.log(JSON.stringify({ info: { ...model }, sequences: sequences.map(steps) }));
