// What the page draws: curves, digits, bars, and the pad that is drawn on.

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
const [LEFT, RIGHT, TOP, BOTTOM] = [38, 394, 8, 160];

function axes(ticks, place, last, label = String) {
  const rows = ticks.map(
    (t) =>
      `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${place(t)}" y2="${place(t)}"/>` +
      `<text x="${LEFT - 5}" y="${place(t) + 3}" text-anchor="end">${label(t)}</text>`,
  );
  return `${rows.join("")}<text x="${RIGHT}" y="${BOTTOM + 14}" text-anchor="end">${last}</text>`;
}

export function lossChart(svg, losses) {
  const top = Math.max(0.5, ...losses.slice(0, 2000)),
    step = top > 2 ? 1 : top > 1 ? 0.5 : 0.25;
  const x = (i) => LEFT + ((RIGHT - LEFT) * i) / Math.max(losses.length - 1, 1),
    y = (v) => BOTTOM - ((BOTTOM - TOP) * Math.min(v, top)) / top;
  const thin = Math.ceil(losses.length / 720),
    kept = (values) => values.map((v, i) => [x(i), y(v)]).filter((_, i) => i % thin === 0);
  let mean = losses[0];
  const smooth = losses.map((v, i) => (mean += (v - mean) / Math.min(i + 1, 8)));
  const ticks = Array.from({ length: Math.floor(top / step) + 1 }, (_, i) => i * step);
  svg.innerHTML =
    axes(ticks, y, `${losses.length} steps`) +
    `<path class="each" d="${line(kept(losses))}"/><path class="smooth" d="${line(kept(smooth))}"/>`;
}

export function accuracyChart(svg, accuracies) {
  const x = (i) => LEFT + ((RIGHT - LEFT) * (i + 1)) / Math.max(accuracies.length, 1),
    y = (v) => BOTTOM - (BOTTOM - TOP) * v;
  const curve = (key) => {
    const points = accuracies.map((a, i) => [x(i), y(a[key])]);
    return points.length === 1 ? [[LEFT, points[0][1]], ...points] : points;
  };
  svg.innerHTML =
    axes([0, 0.25, 0.5, 0.75, 1], y, `${accuracies.length} epochs`, (t) => `${100 * t} %`) +
    `<path class="train" d="${line(curve("trained"))}"/><path class="held" d="${line(curve("held"))}"/>`;
}

function paint(canvas, pixels) {
  // 64 numbers from 0, paper, to 16, ink
  const picture = new ImageData(8, 8);
  pixels.forEach((p, i) => picture.data.set([255 - p * 15.9, 255 - p * 15.9, 255 - p * 15.9, 255], 4 * i));
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

export function showDigit(parent, i, pixels, found, digit) {
  const cell = parent.children[i] ?? parent.appendChild(document.createElement("div"));
  if (!cell.firstChild)
    cell.append(Object.assign(document.createElement("canvas"), { width: 8, height: 8 }), document.createElement("div"));
  paint(cell.firstChild, pixels);
  cell.lastChild.textContent = found;
  cell.lastChild.className = found === digit ? "right" : "wrong";
}

export function showBars(list, probabilities) {
  const best = Math.max(...probabilities);
  list.innerHTML = probabilities
    .map((p, d) => `<li class="${p === best && p ? "best" : ""}">${d} <span style="width:${(85 * p).toFixed(1)}%"></span></li>`)
    .join("");
}

// A place to draw; `pixels` is the drawing as the data set has its digits: cut out, fitted into 32x32, then the ink in each 4x4 block.
export class Pad {
  constructor(canvas, seen, changed) {
    Object.assign(this, { canvas, seen, ink: canvas.getContext("2d", { willReadFrequently: true }) });
    Object.assign(this.ink, { lineWidth: 20, lineCap: "round", lineJoin: "round" });
    const at = ({ offsetX, offsetY }) => [(offsetX * canvas.width) / canvas.clientWidth, (offsetY * canvas.height) / canvas.clientHeight];
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = at(event);
      this.#stroke(event, at);
    };
    canvas.onpointermove = (event) => {
      if (this.last) this.#stroke(event, at);
    };
    canvas.onpointerup = canvas.onpointercancel = () => {
      if (this.last) {
        this.last = undefined;
        this.#see();
        changed();
      }
    };
    this.clear();
  }
  #stroke(event, at) {
    this.ink.beginPath();
    this.ink.moveTo(...this.last);
    this.ink.lineTo(...(this.last = at(event)));
    this.ink.stroke();
  }
  clear() {
    this.ink.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.#see();
  }
  #see() {
    const { width, height } = this.canvas,
      alpha = this.ink.getImageData(0, 0, width, height).data;
    let [x0, x1, y0, y1] = [width, -1, height, -1];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        if (alpha[4 * (y * width + x) + 3] > 127) {
          [x0, x1, y0, y1] = [Math.min(x0, x), Math.max(x1, x), Math.min(y0, y), Math.max(y1, y)];
        }
    this.isEmpty = x1 < 0;
    this.pixels = new Uint8Array(64);
    if (!this.isEmpty) {
      const scale = 32 / Math.max(x1 - x0 + 1, y1 - y0 + 1),
        [w, h] = [(x1 - x0 + 1) * scale, (y1 - y0 + 1) * scale];
      const small = new OffscreenCanvas(32, 32).getContext("2d");
      small.drawImage(this.canvas, x0, y0, x1 - x0 + 1, y1 - y0 + 1, (32 - w) / 2, (32 - h) / 2, w, h);
      const fitted = small.getImageData(0, 0, 32, 32).data;
      for (let i = 0; i < 1024; i++) this.pixels[((i >> 7) << 3) | ((i & 31) >> 2)] += fitted[4 * i + 3] > 127;
    }
    paint(this.seen, this.pixels);
  }
}
