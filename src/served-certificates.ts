import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { certificatesInUse } from './config/certificates-in-use.ts';
import { type FileList, listsInUse } from './config/lists-in-use.ts';
import { type FileEnd, tlsEnds } from './config/tls-ends.ts';
import { loadTlsMaterial, TlsFileError } from './config/tls-files.ts';
import { readingFor, tlsOwner, tlsUsers, warningLines } from './config/tls-owners.ts';
import { type CertificateChain, presentedChain } from './dataplane/certificate-chain.ts';
import { certificateJudge, certificateVerdict } from './dataplane/certificate-verdict.ts';
import type { Refusal } from './dataplane/refusal.ts';
import { type ListInUse, listEnds } from './domain/list-in-use.ts';
import { formatAddress } from './domain/model.ts';
import type { ServedChain } from './domain/served-chain.ts';
import type { TlsEnd } from './domain/tls-ends.ts';
import type { TlsMaterial, TlsParams } from './domain/tls-material.ts';
import type { CertificateInUse } from './domain/useless-revocation.ts';
import type { LoadBalancer } from './load-balancer.ts';

/** The admin server, as far as certificates go. */
interface AdminSide {
  /** Those of its connections that the judge refuses, if there is one, open nothing any more; resolves with how many these are. */
  serve(material: TlsMaterial, judge?: ConnectionJudge): Promise<number>;
  /** Who administers. */
  known(): readonly { readonly name: string; readonly certificate: X509Certificate }[];
}

/** Why a handshake with what was shown on this connection would be refused; undefined: it would not. */
type ConnectionJudge = (connection: TLSSocket) => Promise<Refusal | undefined>;

/** Why new files were not taken, in one line; `shutsOut`: they are sound, but would shut out who asked for them. */
interface ReloadRefusal {
  readonly problem: string;
  readonly shutsOut: boolean;
}

/** TLS settings, who uses them, and what their files held when they were read. */
interface InForce {
  readonly usedBy: string;
  readonly params: TlsParams;
  readonly material: TlsMaterial;
}

/** What the listeners and the admin server serve; all of it is reloaded together, or nothing. */
export class ServedCertificates {
  readonly #balancer: LoadBalancer;
  readonly #options: { readonly log: Logger; readonly allowInsecureKeyPermissions: boolean };
  /** Read once for each material: whoever scrapes asks for them all. */
  readonly #ends = new WeakMap<TlsMaterial, readonly FileEnd[]>();
  readonly #lists = new WeakMap<TlsMaterial, readonly FileList[]>();
  #admin: TlsMaterial;
  #admins: AdminSide = { serve: async () => 0, known: () => [] };

  /** `admin` is what the admin server starts with. */
  constructor(
    balancer: LoadBalancer,
    admin: TlsMaterial,
    options: { readonly log: Logger; readonly allowInsecureKeyPermissions: boolean },
  ) {
    this.#balancer = balancer;
    this.#admin = admin;
    this.#options = options;
  }

  /** Where the admin server's new material goes, and whom it is for. */
  onReload(admins: AdminSide): void {
    this.#admins = admins;
  }

  /** What the admin server serves. */
  get admin(): TlsMaterial {
    return this.#admin;
  }

  /** What new connections are served with now, whatever the files say meanwhile; the admin server is last. */
  served(): readonly ServedChain[] {
    const { config, snapshot, tlsMaterial } = this.#balancer;
    const listeners = snapshot.listeners.flatMap(({ name, tls }) => {
      const material = tlsMaterial.get(name);
      if (tls === undefined || material === undefined) return [];
      return [material, ...material.certificates].map(({ certificatePem, ocsp }, index) => {
        const { certificate: file } = tls.certificates[index - 1] ?? tls;
        return { usedBy: name, file, certificatePem, ocsp };
      });
    });
    const { certificatePem } = this.#admin;
    // Its library staples nothing.
    return [...listeners, { usedBy: 'admin', file: config.admin.tls.certificate, certificatePem, ocsp: undefined }];
  }

  /** When what is in force at `nowMs` ends. */
  ends(nowMs: number): readonly TlsEnd[] {
    const ends = this.#inForce().flatMap((each) => [...this.#endsOf(each), ...listEnds(this.#listsOf(each), nowMs)]);
    return [...ends, ...this.#balancer.upstreamTlsEnds];
  }

  /** The revocation lists in force; those of the admin server are last. */
  lists(): readonly ListInUse[] {
    return this.#inForce().flatMap((each) => this.#listsOf(each));
  }

  /** Every certificate that is loaded: what is served, and the CAs that clients and administrators are held against. */
  inUse(): readonly CertificateInUse[] {
    return this.#inForce().flatMap(({ usedBy, params, material }) => certificatesInUse(usedBy, params, material));
  }

  /** Of each listener with TLS, then of the admin server. */
  #inForce(): readonly InForce[] {
    const { config, snapshot, tlsMaterial } = this.#balancer;
    const ofListeners = snapshot.listeners.flatMap(({ name, tls }) => {
      const material = tlsMaterial.get(name);
      return tls === undefined || material === undefined ? [] : [{ usedBy: name, params: tls, material }];
    });
    return [...ofListeners, { usedBy: 'admin', params: config.admin.tls, material: this.#admin }];
  }

  #endsOf({ usedBy, params, material }: InForce): readonly TlsEnd[] {
    const ends = this.#ends.get(material) ?? tlsEnds(params, material);
    this.#ends.set(material, ends);
    return ends.map((end) => ({ usedBy, ...end }));
  }

  #listsOf({ usedBy, params, material }: InForce): readonly ListInUse[] {
    const lists = this.#lists.get(material) ?? listsInUse(params, material);
    this.#lists.set(material, lists);
    return lists.map((list) => ({ usedBy, ...list }));
  }

  /**
   * Takes certificates, keys, CA and CRL anew from their files, and says so in the log, with the known administrators that these shut
   * out and how many of their connections that concerns; returns how many live connections of clients were closed, and what may not be
   * meant of the files. A refusal says why all old ones stay: they also do when the new ones would shut out whose connection `caller` is.
   */
  async reload(caller?: TLSSocket): Promise<{ readonly connectionsClosed: number; readonly warnings: readonly string[] } | ReloadRefusal> {
    const { log, allowInsecureKeyPermissions } = this.#options;
    try {
      const { config, snapshot } = this.#balancer;
      const users = tlsUsers(snapshot.listeners)(config.admin.tls);
      const { material, warnings } = readingFor(`${tlsOwner(users)}: `, () =>
        loadTlsMaterial(config.admin.tls, { allowInsecureKeyPermissions }, this.#admin),
      );
      for (const warning of warnings) log.warn({ admin: formatAddress(config.admin.address) }, warning);
      const withdrawn = withdrawnBetween(this.#admin, material);
      // Files that listeners have too are told as theirs.
      const told = users.length > 0 ? [] : [...warningLines(warnings.map((warning) => ({ listeners: [], warning })))];
      const own = presentedChain(caller);
      const problem = own && (await withdrawn(own));
      if (problem !== undefined) {
        log.error({ why: problem }, 'certificates not reloaded: they would shut out who asked for it');
        return { problem, shutsOut: true };
      }
      const connectionsClosed = await this.#balancer.reloadCertificates((warning) => told.push(warning));
      const judge = isJudgedAsBefore(this.#admin, material) ? undefined : judgeBy(material);
      const refusing = this.#admins.serve(material, judge);
      this.#admin = material;
      const refused = await refusing;
      log.info('certificates reloaded');
      if (refused > 0)
        log.warn(
          { connections: refused },
          'administrators who are connected are shut out: their streams have ended, and their calls are refused',
        );
      for (const { name, certificate } of this.#admins.known()) {
        const why = await withdrawn([certificate]);
        if (why !== undefined)
          log.warn({ admin: name, why }, 'an administrator is shut out: the admin API takes the certificate no longer');
      }
      return { connectionsClosed, warnings: told };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.error({ why }, 'certificates not reloaded: the ones in force stay');
      if (error instanceof TlsFileError) return { problem: why, shutsOut: false };
      throw error;
    }
  }
}

function isJudgedAsBefore(before: TlsMaterial, after: TlsMaterial): boolean {
  return before.caPem === after.caPem && before.crlPem === after.crlPem;
}

function judgeBy(material: TlsMaterial): ConnectionJudge {
  return async (connection) => {
    const chain = presentedChain(connection);
    return chain && certificateVerdict(chain, material);
  };
}

/**
 * Says why a chain is taken no longer after a change of CA or revocation list; undefined: it is as before. Where its intermediates are
 * not at hand, and it is not trusted without them, it was not before either, and nothing is said of it.
 */
function withdrawnBetween(before: TlsMaterial, after: TlsMaterial): (chain: CertificateChain) => Promise<string | undefined> {
  if (isJudgedAsBefore(before, after)) return async () => undefined;
  const [then, now] = [certificateJudge(before), certificateJudge(after)];
  return async (chain) => {
    const verdict = await now(chain);
    return verdict === undefined || (await then(chain)) !== undefined ? undefined : verdict.message;
  };
}
