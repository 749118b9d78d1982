/** A story of the README as it happens: a fresh copy of the checkout, on ports of its own, with terminals in it. */
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePortBlock } from './port-block.ts';
import { Terminal } from './terminal.ts';

const ROOT = path.join(import.meta.dirname, '../..');
/** What the README's commands use of a checkout. */
const PARTS = ['bin', 'certs', 'cli', 'examples', 'package.json', 'proto', 'src'];
/** Ports that the README speaks of, in the order in which they are replaced: those of servers that follow each other do so here. */
const PORTS = ['8080', '8081', '8082', '8083', '8084', '8085', '8086', '9000', '9090'];
const PORT = new RegExp(`\\b(?:${PORTS.join('|')})\\b`, 'g');

export class Story {
  readonly folder: string;
  readonly #firstPort: number;
  readonly #terminals: Terminal[] = [];

  private constructor(folder: string, firstPort: number) {
    this.folder = folder;
    this.#firstPort = firstPort;
  }

  static async begin(): Promise<Story> {
    const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'portcullis-readme-')));
    const story = new Story(folder, await freePortBlock(PORTS.length));
    await copyCheckout(folder);
    for (const entry of await readdir(path.join(folder, 'examples'), { withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = entry.name;
      const example = path.join(folder, 'examples', file);
      // The sample leaves the admin API where it is by default, a port that may be taken here.
      const admin = file === 'sample.yaml' ? 'admin: { address: "127.0.0.1:9000" }\n' : '';
      await writeFile(example, story.onOwnPorts((await readFile(example, 'utf8')) + admin));
    }
    return story;
  }

  openTerminal(): Terminal {
    const terminal = new Terminal(this.folder, { ...cleanEnvironment(), XDG_CONFIG_HOME: path.join(this.folder, 'config'), NO_COLOR: '1' });
    this.#terminals.push(terminal);
    return terminal;
  }

  /** Ends everything that was started, and removes the folder. */
  async end(): Promise<void> {
    await Promise.all(this.#terminals.map((terminal) => terminal.close()));
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** With this story's ports in place of the README's. `npm start` names none, and is told. */
  onOwnPorts(text: string): string {
    const own = text.replace(PORT, (port) => this.#ownPort(port));
    const flags = `--port ${this.#ownPort('8080')} --admin-port ${this.#ownPort('9000')} --sample-port ${this.#ownPort('8081')}`;
    return own.replace(/^npm start$/m, `npm start -- ${flags}`);
  }

  /** What was printed, with the README's ports and folder. */
  asInReadme(text: string): string {
    const printed = text.replace(/\b\d{5}\b/g, (port) => PORTS[Number(port) - this.#firstPort] ?? port);
    return printed.replaceAll(path.join(this.folder, 'config'), '/home/me/.config').replaceAll(this.folder, '/srv/portcullis');
  }

  #ownPort(port: string): string {
    return String(this.#firstPort + PORTS.indexOf(port));
  }
}

async function copyCheckout(folder: string): Promise<void> {
  for (const part of PARTS) {
    await cp(path.join(ROOT, part), path.join(folder, part), {
      recursive: true,
      // Certificates and keys of the checkout are its own.
      filter: (source) => path.dirname(source) !== path.join(ROOT, 'certs') || source.endsWith('.ts'),
    });
  }
  await mkdir(path.join(folder, 'config'));
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
}

/** Without what `npm test` says about the checkout, which npm would take for its own project, and without a context of lbctl's. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const given = Object.entries(process.env).filter(([name]) => !/^(?:npm_(?:package|lifecycle|config_local)_|INIT_CWD$|LBCTL_)/.test(name));
  return { ...Object.fromEntries(given), npm_config_loglevel: 'error', npm_config_update_notifier: 'false' };
}

/** The lines of a text, without what differs from one run to the next: times, counts in tables, which of the servers answered. */
export function comparableLines(text: string): readonly string[] {
  return text
    .replace(/\r/g, '')
    .split('\n')
    .map((line) =>
      line
        .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
        .replace(/\b\d{4}-\d\d-\d\d\b/g, 'DATE')
        .replace(/\d\d:\d\d:\d\dZ/g, 'CLOCK')
        .replace(/^request \d+:/, 'request N:')
        .replace(/127\.0\.0\.1:808[1-3], call \d+/g, 'SERVER, call N')
        .replace(/\d+ of (\d+ requests served) in .*/, 'N of $1')
        .replace(/\b[\dA-F]{20,40}\b/g, 'SERIAL')
        .replace(/\b[\da-f]{64}\b/g, 'FINGERPRINT')
        .replace(/^curl: \(\d+\) .*/, 'curl: (CODE) MESSAGE')
        .replace(/"remote":"[^"]*"/g, '"remote":"ADDRESS"')
        .replace(/\b127\.0\.0\.1:\d{5}\b/g, 'ADDRESS')
        .replace(/"id":"\d+-\d+"|(?<= {2})\d+-\d+(?= {2})/g, 'ID')
        .replace(/\d+ more now/g, 'N more now')
        .replace(/(?:listening on|"from":")(?: ?127\.0\.0\.1:\d+)/g, 'FROM')
        .replace(/"(\w+Ms|bytesUp|bytesDown)":[\d.]+/g, '"$1":N')
        .replace(/(?<= {2})\d+(?= {2}|$)|(?<=^total: )\d+$/g, 'N')
        .replace(/(?<!\d)(?:\d+(?:\.\d+)?(?:ms|[smhd]))+\b/g, 'DURATION')
        .replace(/ +/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
}
