/** The dashboard: one page for people with its script and its style, and the document that the page asks for again and again. */
import { readFileSync } from 'node:fs';
import { type DashboardSources, dashboardState } from './dashboard-state.ts';

/** What is sent for one path. */
export interface DashboardFile {
  readonly contentType: string;
  readonly body: string;
}

/**
 * Nothing from elsewhere, nothing inline, in nobody's frame; and the script cannot turn a name into markup even by mistake
 * (https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/).
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** Goes with every answer that a browser may show. */
export const DASHBOARD_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

export class Dashboard {
  readonly #files: ReadonlyMap<string, DashboardFile>;
  readonly #sources: DashboardSources;
  /** The document being put together: those who ask meanwhile get the same. */
  #rendering: Promise<string> | undefined;

  /** @throws an Error of the file system when the page is missing beside this program */
  constructor(sources: DashboardSources) {
    this.#sources = sources;
    this.#files = new Map([
      ['/', pageFile('dashboard.html', 'text/html')],
      ['/dashboard.js', pageFile('dashboard.js', 'text/javascript')],
      ['/plots.js', pageFile('plots.js', 'text/javascript')],
      ['/recent.js', pageFile('recent.js', 'text/javascript')],
      ['/tables.js', pageFile('tables.js', 'text/javascript')],
      ['/dashboard.css', pageFile('dashboard.css', 'text/css')],
    ]);
  }

  /** What is to be sent for the path; undefined: there is nothing. */
  async read(path: string): Promise<DashboardFile | undefined> {
    if (path !== '/api/state') return this.#files.get(path);
    this.#rendering ??= dashboardState(this.#sources)
      .then((state) => JSON.stringify(state))
      .finally(() => {
        this.#rendering = undefined;
      });
    return { contentType: 'application/json', body: await this.#rendering };
  }
}

function pageFile(name: string, type: string): DashboardFile {
  return { contentType: `${type}; charset=utf-8`, body: readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8') };
}
