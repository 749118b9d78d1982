/** SVG by hand, with colours that can be told on white and on black. */

export const WIDTH = 800;

const STYLE = `<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 15px } .heading { font-weight: 600 } .quiet { fill: #59636e; font-size: 12px }
  .other { fill: #8c959f } .own { fill: #0969da } .grows { fill: #bc4c00 } .grid { stroke: #d1d9e0 } .one { stroke: #59636e }
  .curve { stroke: #0969da; stroke-width: 2; fill: none } .reach { stroke: #0969da; stroke-width: 2 } .reach.grows { stroke: #bc4c00 }
  .spread { stroke: #24292f } .limit { stroke: #bc4c00; stroke-dasharray: 4 3; stroke-width: 2 } .paper { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet { fill: #9198a1 } .other { fill: #6e7681 } .own { fill: #4493f8 } .grows { fill: #f0883e } .grid { stroke: #3d444d }
    .one { stroke: #9198a1 } .curve, .reach { stroke: #4493f8 } .reach.grows, .limit { stroke: #f0883e } .spread { stroke: #e6edf3 } .paper { fill: #0d1117 }
  }
</style>`;

/** A whole picture; `title` is what it is called where it cannot be seen. */
export function svg(height: number, title: string, parts: readonly string[]): string {
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">`;
  return `${[open, `<title>${title}</title>`, STYLE, `<rect class="paper" width="${WIDTH}" height="${height}"/>`, ...parts, '</svg>'].join('\n')}\n`;
}

/** One line of words. */
export function text(x: number, y: number, words: string, style = '', anchor: 'start' | 'middle' | 'end' = 'start'): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const look = style === '' ? '' : ` class="${style}"`;
  return `<text x="${round(x)}" y="${round(y)}"${look} text-anchor="${anchor}">${escaped}</text>`;
}

/** A straight line. */
export function line(style: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<path class="${style}" d="M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}"/>`;
}

/** A dot. */
export function dot(style: string, x: number, y: number, radius: number): string {
  return `<circle class="${style}" cx="${round(x)}" cy="${round(y)}" r="${radius}"/>`;
}

/** To a tenth. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
