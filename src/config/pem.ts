export interface PemBlock {
  /** Such as `CERTIFICATE`. */
  readonly label: string;
  /** The block with its BEGIN and END lines. */
  readonly pem: string;
  /** Line of its BEGIN, from 1. */
  readonly line: number;
}

/** The blocks of a PEM text (RFC 7468; text around them is let be), or where it is broken. */
export function pemBlocks(text: string): readonly PemBlock[] | { readonly problem: string } {
  const blocks: PemBlock[] = [];
  let open: { label: string; line: number; lines: string[] } | undefined;
  for (const [index, raw] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const text = raw.trim();
    const boundary = /^-----(?<kind>BEGIN|END) (?<label>[A-Z\d ]{1,40})-----$/.exec(text)?.groups;
    if (boundary?.['kind'] === 'BEGIN') {
      if (open !== undefined) return cutOff(open);
      open = { label: boundary['label'] ?? '', line: index + 1, lines: [] };
    }
    open?.lines.push(text);
    if (boundary?.['kind'] === 'END') {
      if (open === undefined || open.label !== boundary['label'])
        return { problem: `the END in line ${index + 1} has no BEGIN; the file is damaged` };
      blocks.push({ label: open.label, pem: `${open.lines.join('\n')}\n`, line: open.line });
      open = undefined;
    }
  }
  return open === undefined ? blocks : cutOff(open);
}

/** The blocks alone, of a text that was found whole when it was read; of a broken one, none. */
export function blocksOf(text: string): readonly string[] {
  const blocks = pemBlocks(text);
  return 'problem' in blocks ? [] : blocks.map(({ pem }) => pem);
}

function cutOff({ label, line }: { readonly label: string; readonly line: number }): { readonly problem: string } {
  return { problem: `the ${label} that begins in line ${line} has no END; the file is cut off, copy it again` };
}
