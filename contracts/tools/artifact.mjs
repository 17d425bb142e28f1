// The contracts as the Python package ships them: ABI and bytecode, from forge's build.
//
//   node tools/artifact.mjs            writes the files
//   node tools/artifact.mjs --check    exits 1 when a file differs from the build
//
// Run `forge build` first (the npm scripts do).
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const NAMES = ["TradeFL", "TradeFLEfficient", "Vault", "Factory"];
const FOLDER = resolve(ROOT, "..", "src", "tradefl", "settlement", "artifact");

function fail(message) {
  console.error(`artifact: ${message}`);
  process.exit(1);
}

function bytes(code, what) {
  // A library that still has to be linked shows up as __$...$__.
  if (!/^0x([0-9a-f]{2})+$/.test(code)) fail(`the ${what} is empty or not linked`);
  return code;
}

function artifact(name) {
  const build = join(ROOT, "out", `${name}.sol`, `${name}.json`);
  if (!existsSync(build)) fail(`${relative(ROOT, build)} is missing; run \`npm run build\``);
  const built = JSON.parse(readFileSync(build, "utf8"));
  const { compiler, settings } = built.metadata;
  const bytecode = bytes(built.bytecode.object, "creation bytecode");
  return {
    contractName: name,
    compiler: compiler.version,
    evmVersion: settings.evmVersion,
    optimizerRuns: settings.optimizer.runs,
    abi: built.abi,
    bytecode,
    deployedBytecode: bytes(built.deployedBytecode.object, "deployed bytecode"),
    // Where the constructor fills in what it was given, [start, length] in bytes: what is not compared on a chain.
    immutables: Object.values(built.deployedBytecode.immutableReferences ?? {})
      .flat()
      .map(({ start, length }) => [start, length])
      .sort(([a], [b]) => a - b),
    sha256: createHash("sha256").update(Buffer.from(bytecode.slice(2), "hex")).digest("hex"),
  };
}

function check(made, target) {
  if (!existsSync(target)) fail(`${target} is missing; run \`npm run artifact\``);
  const text = readFileSync(target, "utf8");
  if (text === serialize(made)) return;
  let kept = {};
  try {
    kept = JSON.parse(text);
  } catch {
    fail(`${target} is not JSON; run \`npm run artifact\``);
  }
  const differs = Object.keys(made).filter((key) => JSON.stringify(kept[key]) !== JSON.stringify(made[key]));
  fail(`${target} differs from the build (${differs.join(", ") || "layout"}); run \`npm run artifact\``);
}

const serialize = (made) => `${JSON.stringify(made, null, 2)}\n`;

for (const name of NAMES) {
  const made = artifact(name);
  const target = join(FOLDER, `${name}.json`);
  if (process.argv.includes("--check")) {
    check(made, target);
    console.log(`artifact: ${name} is up to date, sha256 ${made.sha256}`);
  } else {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(target, serialize(made));
    console.log(`artifact: wrote ${target}, sha256 ${made.sha256}`);
  }
}
