// Drives a page in headless Chromium: node browser.mjs NODE_MODULES JOB, where JOB names { task, url, chromium, folder, ... }. Prints JSON.
import { createRequire } from "node:module";
import { readFile, writeFile } from "node:fs/promises";

const { chromium } = createRequire(`${process.argv[2]}/`)("playwright-core");
const job = JSON.parse(await readFile(process.argv[3], "utf8"));
const flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const gpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan", "--use-vulkan=swiftshader"];

// Trains on the recorded batches of each job with onnxruntime-web; the page only lends its address.
async function parity(page) {
  if (job.webgpu && !(await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter())))) return null;
  const results = [];
  for (const { source, batches, state } of job.jobs) {
    const { checkpoint, ...found } = await page.evaluate(
      async ([source, batches, bundle, options]) => {
        const [ort, { train }] = await Promise.all([import(`/ort/${bundle}`), import("/parity.mjs")]);
        ort.env.wasm.numThreads = 1;
        const stacked = new Uint8Array(await (await fetch(batches)).arrayBuffer());
        const { losses, places, state } = await train(source, stacked, { ort, seed: 0, ...options });
        return { losses, places, checkpoint: Array.from(state) };
      },
      [source, batches, job.bundle, job.options],
    );
    await writeFile(state, Uint8Array.from(checkpoint));
    results.push(found);
  }
  return results;
}

// Uses the page as its visitor does: trains, draws, adds the drawing, downloads, starts anew, opens what was downloaded.
async function visit(page) {
  const text = (id) => page.locator(`#${id}`).textContent(),
    status = (words) => page.locator("#status", { hasText: words }).waitFor({ timeout: 60000 });
  const save = async (button, name) => {
    const [file] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
    await file.saveAs(`${job.folder}/${name}`);
  };
  await status("ready");
  const before = await text("held");
  await page.click("#train");
  await page.waitForFunction((wanted) => Number(document.getElementById("epoch").textContent) >= wanted, job.epochs, { timeout: 120000 });
  await page.click("#train");
  await status("paused");
  const box = await page.locator("#pad").boundingBox(),
    drawn = [];
  for (const points of job.drawings) {
    await page.click("#clear");
    const [[x, y], ...rest] = points.map(([x, y]) => [box.x + x * box.width, box.y + y * box.height]);
    await page.mouse.move(x, y);
    await page.mouse.down();
    for (const [x, y] of rest) await page.mouse.move(x, y);
    await page.mouse.up();
    drawn.push(parseInt(await page.locator("#bars li.best").textContent()));
  }
  const seen = {
    before,
    after: await text("held"),
    loss: await text("loss"),
    step: Number(await text("step")),
    speed: await text("speed"),
    drawn,
  };
  await page.screenshot({ path: `${job.folder}/page.png`, fullPage: true });
  await save("#model", "trained.onnx");
  await save("#checkpoint", "trained.safetensors");
  await page.click("#add");
  await status("to train on");
  seen.added = await text("status");
  await page.click("#anew");
  await status("a new network");
  seen.anew = await text("held");
  for (const name of ["trained.safetensors", "trained.onnx"]) {
    await page.setInputFiles("#open", `${job.folder}/${name}`);
    await status(`goes on from ${name}`);
    (seen.opened ??= []).push(await text("held"));
  }
  await page.setInputFiles("#open", { name: "wrong.onnx", mimeType: "", buffer: Buffer.from("not a model") });
  await page.locator("#status.error").waitFor();
  return { ...seen, wrong: await text("status") };
}

// Without node_modules the page takes onnxruntime-web from its CDN: the requests, and the loss after some steps. Here files answer for the CDN.
async function fromCdn(page) {
  const asked = [];
  await page.route("**/ort/**", (route) => route.fulfill({ status: 404 }));
  await page.route("https://cdn.jsdelivr.net/**", (route) => {
    asked.push(route.request().url());
    const path = `${process.argv[2]}/${asked.at(-1).split("/npm/")[1].replace(/@[\d.]+/, "")}`;
    return route.fulfill({ path, headers: { "access-control-allow-origin": "*" }, contentType: path.endsWith("wasm") ? "application/wasm" : "text/javascript" });
  });
  await page.reload();
  await page.locator("#status", { hasText: "ready" }).waitFor({ timeout: 60000 });
  await page.click("#train");
  await page.waitForFunction(() => Number(document.getElementById("step").textContent) >= 20, undefined, { timeout: 60000 });
  return { asked, loss: Number(await page.locator("#loss").textContent()) };
}

const tasks = { parity, visit, fromCdn };
const browser = await chromium.launch({ executablePath: job.chromium, headless: true, args: job.webgpu ? [...flags, ...gpu] : flags });
try {
  const page = await browser.newPage({ viewport: { width: 1100, height: 900 }, acceptDownloads: true }),
    complaints = [],
    expected = job.task === "fromCdn" ? /\[W:onnxruntime|\/ort\// : /\[W:onnxruntime/;
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on(
    "console",
    (message) => message.type() === "error" && !expected.test(message.text() + message.location().url) && complaints.push(message.text()),
  );
  await page.goto(job.url);
  const result = await tasks[job.task](page);
  if (complaints.length) throw new Error(`the page complained: ${complaints.join("; ")}`);
  console.log(JSON.stringify(result));
} finally {
  await browser.close();
}
