// SmallConvNet in evaluation mode, its input gradient, PGD and the detectors' scores, for one image at a time: what
// drs.training.models, drs.attacks, drs.spread and drs.detection compute. No library. Tests compare it with torch.
"use strict";

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
const KINDS = {
  F32: (buffer) => new Float32Array(buffer),
  F16: (buffer) => Float32Array.from(new Uint16Array(buffer), fromHalf),
  U8: (buffer) => new Uint8Array(buffer),
  I64: (buffer) => new BigInt64Array(buffer),
};

// A safetensors file: the length of its header, the header, the values. Gives { about, name: { shape, values } }.
function readTensors(bytes) {
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const read = ({ dtype, shape, data_offsets: [from, to] }) =>
    ({ shape, values: KINDS[dtype](bytes.slice(start + from, start + to).buffer) });
  const tensors = Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, read(entry)]));
  return { ...tensors, about: JSON.parse(metadata?.about ?? "null") };
}

// A convolution of stride 2 with its batch normalisation folded in, and the ReLU behind it. Channel-major arrays that
// end with one zero, which stands for every pixel outside: from[place * size + k] is where value k of a patch comes from.
class Convolution {
  constructor(weight, norm, side) {
    const [channels, inputs, kernel] = weight.shape, padding = (kernel - 1) / 2;
    this.side = Math.floor((side - 1) / 2) + 1;
    this.channels = channels;
    this.places = this.side * this.side;
    this.size = inputs * kernel * kernel;
    const scale = norm.weight.map((gamma, c) => gamma / Math.sqrt(norm.variance[c] + 1e-5));
    this.weight = Float64Array.from(weight.values, (value, i) => value * scale[Math.floor(i / this.size)]);
    this.bias = Float64Array.from(norm.bias, (beta, c) => beta - norm.mean[c] * scale[c]);
    this.from = new Int32Array(this.places * this.size);
    let at = 0;
    for (let row = 0; row < this.side; row++) for (let column = 0; column < this.side; column++)
      for (let c = 0; c < inputs; c++) for (let i = 0; i < kernel; i++) for (let j = 0; j < kernel; j++) {
        const y = 2 * row + i - padding, x = 2 * column + j - padding;
        const inside = y >= 0 && y < side && x >= 0 && x < side;
        this.from[at++] = inside ? (c * side + y) * side + x : inputs * side * side;
      }
    this.patch = new Float64Array(this.size);
    this.output = new Float32Array(channels * this.places + 1);
    this.slope = new Float32Array(inputs * side * side + 1); // of the input
  }

  forward(input) {
    const { channels, places, size, weight, bias, from, patch, output } = this;
    for (let place = 0; place < places; place++) {
      for (let k = 0, at = place * size; k < size; k++, at++) patch[k] = input[from[at]];
      for (let c = 0, w = 0; c < channels; c++) {
        let sum = bias[c];
        for (let k = 0; k < size; k++, w++) sum += weight[w] * patch[k];
        output[c * places + place] = sum > 0 ? sum : 0;
      }
    }
    return output;
  }

  backward(slope) {
    const { channels, places, size, weight, from, patch, output, slope: before } = this;
    before.fill(0);
    for (let place = 0; place < places; place++) {
      patch.fill(0);
      for (let c = 0; c < channels; c++) {
        const here = c * places + place;
        if (output[here] <= 0 || slope[here] === 0) continue;
        for (let k = 0, w = c * size; k < size; k++, w++) patch[k] += slope[here] * weight[w];
      }
      for (let k = 0, at = place * size; k < size; k++, at++) before[from[at]] += patch[k];
    }
    return before;
  }
}

class Network {
  // The contents of NAME.safetensors and of NAME_examples.safetensors.
  constructor(file, { examples }) {
    this.about = file.about;
    this.layers = [];
    for (let number = 0, side = 28; `body.${number}.weight` in file; number += 3) {
      const part = (name) => file[`body.${number + 1}.${name}`].values;
      const norm = { weight: part("weight"), bias: part("bias"), mean: part("running_mean"), variance: part("running_var") };
      this.layers.push(new Convolution(file[`body.${number}.weight`], norm, side));
      side = this.layers.at(-1).side;
    }
    const sign = this.about.reverse ? -1 : 1; // RCE: the negated network answers
    this.weight = Float64Array.from(file["classifier.weight"].values, (value) => sign * value);
    this.bias = Float64Array.from(file["classifier.bias"].values, (value) => sign * value);
    this.input = new Float32Array(28 * 28 + 1);
    this.examples = examples;
  }

  // Logits (10,) and the final hidden vector of an image (784,) in [0, 1].
  forward(image) {
    for (let i = 0; i < image.length; i++) this.input[i] = image[i] - 0.5;
    const last = this.layers.reduce((values, layer) => layer.forward(values), this.input);
    const { channels, places } = this.layers.at(-1);
    const features = Float32Array.from({ length: channels }, (_, c) => {
      let sum = 0;
      for (let place = 0; place < places; place++) sum += last[c * places + place];
      return sum / places;
    });
    const logits = Float32Array.from(this.bias, (bias, j) =>
      features.reduce((sum, value, c) => sum + this.weight[j * channels + c] * value, bias));
    return { logits, features };
  }

  // Gradient (784,) of the cross-entropy at a label with respect to the image. The array is used again.
  gradient(image, label) {
    const slope = softmax(this.forward(image).logits);
    slope[label] -= 1;
    const { channels, places, output } = this.layers.at(-1);
    const mean = new Float32Array(output.length);
    for (let c = 0; c < channels; c++) {
      const each = slope.reduce((sum, value, j) => sum + value * this.weight[j * channels + c], 0) / places;
      mean.fill(each, c * places, (c + 1) * places);
    }
    return this.layers.reduceRight((values, layer) => layer.backward(values), mean).subarray(0, image.length);
  }

  // What the page says of an image (784,): probabilities, the answer, the spread at a label and the detectors' scores.
  describe(image, label = null) {
    const { logits, features } = this.forward(image), probabilities = softmax(logits);
    const answer = logits.indexOf(Math.max(...logits));
    const scores = {
      confidence: probabilities[answer],
      non_me: nonMe(logits, answer),
      k_density: kDensity(features, this.examples, answer, this.about.bandwidth),
    };
    return { logits, features, probabilities, answer, scores, spread: spread(probabilities, label ?? answer) };
  }
}

// In 32 bits, as torch rounds: for a very confident network the gradient at the true class rounds to exactly zero.
function logSoftmax(logits) {
  const top = Math.max(...logits);
  const sum = Math.fround(logits.reduce((total, value) => total + Math.exp(value - top), 0));
  return logits.map((value) => Math.fround(value - top) - Math.fround(Math.log(sum)));
}
const softmax = (logits) => logSoftmax(logits).map(Math.exp);

const withoutClass = (values, label) => values.filter((_, j) => j !== label);

// Entropy of the classes other than the answer, renormalised, in nats.
function nonMe(logits, answer) {
  return logSoftmax(withoutClass(logits, answer)).reduce((sum, log) => sum - log * Math.exp(log), 0);
}

// Population standard deviation of the false classes' probabilities.
function spread(probabilities, label) {
  const values = Array.from(withoutClass(probabilities, label));
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

// log of the mean of exp(-|x - z|^2 / bandwidth) over the examples x of the class that the network answers.
function kDensity(features, { shape: [, count, width], values }, answer, bandwidth) {
  const exponents = Array.from({ length: count }, (_, i) => {
    let square = 0;
    for (let d = 0, at = (answer * count + i) * width; d < width; d++, at++) square += (values[at] - features[d]) ** 2;
    return -square / bandwidth;
  });
  const top = Math.max(...exponents);
  return top + Math.log(exponents.reduce((sum, value) => sum + Math.exp(value - top), 0) / count);
}

// PGD(epsilon, steps, random_start=False, keep="last") of drs.attacks, on the cross-entropy at a label.
function attack(network, image, label, epsilon, steps) {
  const moved = image.slice(), size = 2.5 * epsilon / steps;
  for (let step = 0; step < steps; step++) {
    const slope = network.gradient(moved, label);
    for (let i = 0; i < moved.length; i++) {
      const change = Math.min(Math.max(moved[i] + size * Math.sign(slope[i]) - image[i], -epsilon), epsilon);
      moved[i] = Math.min(Math.max(image[i] + change, 0), 1);
    }
  }
  return moved;
}
