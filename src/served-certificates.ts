import type { Logger } from 'pino';
import { certificatesInUse } from './config/certificates-in-use.ts';
import { loadTlsMaterial, TlsFileError } from './config/tls-files.ts';
import type { TlsMaterial } from './domain/model.ts';
import type { CertificateInUse } from './domain/useless-revocation.ts';
import type { LoadBalancer } from './load-balancer.ts';

/** What the listeners and the admin server serve; all of it is reloaded together, or nothing. */
export class ServedCertificates {
  readonly #balancer: LoadBalancer;
  readonly #options: { readonly log: Logger; readonly allowInsecureKeyPermissions: boolean };
  #admin: TlsMaterial;
  #serveAsAdmin: (material: TlsMaterial) => void = () => undefined;

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

  /** Where the admin server's new material goes. */
  onReload(serveAsAdmin: (material: TlsMaterial) => void): void {
    this.#serveAsAdmin = serveAsAdmin;
  }

  /** What the admin server serves. */
  get admin(): TlsMaterial {
    return this.#admin;
  }

  /** What new connections are served with now, whatever the files say meanwhile; the admin server is last. */
  served(): { readonly usedBy: string; readonly file: string; readonly certificatePem: string }[] {
    const { config, snapshot, tlsMaterial } = this.#balancer;
    const listeners = snapshot.listeners.flatMap(({ name, tls }) => {
      const material = tlsMaterial.get(name);
      if (tls === undefined || material === undefined) return [];
      const byName = material.certificates.map(({ certificatePem }, index) => ({
        usedBy: name,
        file: tls.certificates[index]?.certificate ?? '',
        certificatePem,
      }));
      return [{ usedBy: name, file: tls.certificate, certificatePem: material.certificatePem }, ...byName];
    });
    return [...listeners, { usedBy: 'admin', file: config.admin.tls.certificate, certificatePem: this.#admin.certificatePem }];
  }

  /** Every certificate that is loaded: what is served, and the CAs that clients and administrators are held against. */
  inUse(): readonly CertificateInUse[] {
    const { config, snapshot, tlsMaterial } = this.#balancer;
    const ofListeners = snapshot.listeners.flatMap(({ name, tls }) => {
      const material = tlsMaterial.get(name);
      return tls === undefined || material === undefined ? [] : certificatesInUse(name, tls, material);
    });
    return [...ofListeners, ...certificatesInUse('admin', config.admin.tls, this.#admin)];
  }

  /** Takes certificates, keys, CA and CRL anew from their files, and says so in the log. A line returned says why all old ones stay. */
  async reload(): Promise<string | undefined> {
    const { log, allowInsecureKeyPermissions } = this.#options;
    try {
      const { material } = loadTlsMaterial(this.#balancer.config.admin.tls, { allowInsecureKeyPermissions });
      await this.#balancer.reloadCertificates();
      this.#serveAsAdmin(material);
      this.#admin = material;
      log.info('certificates reloaded');
      return undefined;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.error({ why }, 'certificates not reloaded: the ones in force stay');
      if (error instanceof TlsFileError) return why;
      throw error;
    }
  }
}
